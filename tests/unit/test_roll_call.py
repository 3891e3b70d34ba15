"""A LIST of AIModels against what the watch has shown: deafness is proven by two calls, ghosts by one."""

import asyncio
from typing import Any

from aimodel_operator.cluster import RollCall
from aimodel_operator.kinds import Obj, uid_of
from aimodel_operator.reconcile.ports import NotFound
from builders import a_model


def model(name: str, version: int) -> Obj:
    obj = a_model().named(name).stored(uid=name)
    obj["metadata"]["resourceVersion"] = str(version)
    return obj


class Lists:
    """One answer per call: objects and a version, or an error. Hangs when none is left."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.drained = asyncio.Event()

    async def listed(self, kind: Any, namespace: str | None, selector: str) -> tuple[list[Obj], str]:
        if not self.answers:
            self.drained.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def is_deaf(shown: list[Obj], *answers: Any, gone: list[str] | None = None) -> bool:
    lists = Lists(*answers)
    told = [] if gone is None else gone
    call = RollCall(lists, (), lambda: shown, lambda obj: told.append(uid_of(obj)), period_s=0)  # type: ignore[arg-type]
    running = asyncio.create_task(call.run())
    drained = asyncio.create_task(lists.drained.wait())
    done, _ = await asyncio.wait([running, drained], return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    drained.cancel()
    await asyncio.gather(running, drained, return_exceptions=True)
    return running in done


async def test_watch_that_shows_everything_is_not_deaf() -> None:
    shown = [model("a", 5), model("b", 6)]
    assert not await is_deaf(shown, *[([model("a", 5), model("b", 6)], "9")] * 3)


async def test_version_newer_than_shown_in_two_calls_running_is_proof() -> None:
    assert await is_deaf([model("a", 5)], ([model("a", 7)], "9"), ([model("a", 8)], "10"))


async def test_model_never_shown_is_proof() -> None:
    assert await is_deaf([], ([model("new", 7)], "9"), ([model("new", 7)], "10"))


async def test_event_on_its_way_is_no_proof() -> None:
    shown = [model("a", 5)]
    answers = [([model("a", 7)], "9"), ([model("a", 8)], "10")]
    lists = Lists(*answers)
    original = lists.listed

    async def catching_up(*arguments: Any) -> tuple[list[Obj], str]:
        answer = await original(*arguments)
        shown[:] = [model("a", 7)] if len(lists.answers) == 0 else shown
        return answer

    lists.listed = catching_up  # type: ignore[method-assign]
    call = RollCall(lists, (), lambda: shown, lambda obj: None, period_s=0)  # type: ignore[arg-type]
    running = asyncio.create_task(call.run())
    await asyncio.wait_for(lists.drained.wait(), 5)
    assert not running.done(), "the watch has shown what the first call missed; 8 is on its way"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_model_that_is_deleted_between_two_calls_is_no_proof() -> None:
    assert not await is_deaf([], ([model("brief", 7)], "9"), ([], "10"))


async def test_deletion_that_was_not_shown_is_told() -> None:
    gone: list[str] = []
    shown = [model("ghost", 5), model("made-after-the-list", 12)]
    assert not await is_deaf(shown, ([], "10"), gone=gone)
    assert gone == ["ghost"]


async def test_refused_list_is_no_proof_and_clears_readiness() -> None:
    call = RollCall(Lists(([], "1"), NotFound("no CRD")), (), list, lambda obj: None, period_s=0)  # type: ignore[arg-type]
    running = asyncio.create_task(call.run())
    await asyncio.wait_for(call.answered.wait(), 5)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not call.answered.is_set()
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
