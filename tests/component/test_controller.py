"""The queue and the workers around the reconciler: order, repetition, failures, deletion during a pass."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from aimodel_operator.kinds import Obj, name_of
from aimodel_operator.reconcile import Controller, NotFound, Unavailable
from aimodel_operator.reconcile.reconciler import Outcome
from builders import a_model


@dataclass
class Scripted:
    """Stands for the reconciler: does what the test says and notes which version of which model it was given."""

    act: Callable[[Obj], "asyncio.Future[None] | None"] = lambda obj: None
    again_after_s: dict[str, float] = field(default_factory=dict)
    passes: list[tuple[str, str]] = field(default_factory=list)
    written: dict[str, Obj] = field(default_factory=dict)

    async def reconcile(self, obj: Obj) -> Outcome:
        self.passes.append((name_of(obj), obj["metadata"]["resourceVersion"]))
        waiting = self.act(obj)
        if waiting is not None:
            await waiting
        again = self.again_after_s.pop(name_of(obj), None)
        return Outcome(self.written.pop(name_of(obj), obj), again)


@dataclass
class Noted:
    """A recorder that keeps what it is told."""

    ended: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def reconciled(self, obj: Obj, outcome: Outcome, seconds: float) -> None:
        self.ended.append(name_of(obj))

    def failed(self, obj: Obj, error: Exception, seconds: float) -> None:
        self.errors.append(error)


@dataclass
class Running:
    """A controller at work."""

    reconciler: Scripted
    recorder: Noted
    controller: Controller

    async def until(self, passes: int) -> None:
        """Wait until that many passes have begun, and let everything that is ready run."""
        async with asyncio.timeout(5):
            while len(self.reconciler.passes) < passes:  # noqa: ASYNC110 - one turn of the loop, no waiting
                await asyncio.sleep(0)
        await rounds()


async def rounds() -> None:
    """Let the event loop turn until all that can run has run."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def running():  # type: ignore[no-untyped-def]
    reconciler, recorder = Scripted(), Noted()
    controller = Controller(reconciler, recorder, workers=2)  # type: ignore[arg-type]
    task = asyncio.create_task(controller.run())
    yield Running(reconciler, recorder, controller)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def model(name: str, version: int = 1, uid: str = "") -> Obj:
    obj = a_model().named(name).stored(uid=uid or f"uid-{name}")
    obj["metadata"]["resourceVersion"] = str(version)
    return obj


async def test_model_that_always_fails_delays_no_other(running: Running) -> None:
    def fail(obj: Obj) -> None:
        if name_of(obj) == "bad":
            raise RuntimeError("a bug")

    running.reconciler.act = fail
    for name in ("bad", "one", "two", "three", "four"):
        running.controller.model_seen(model(name))
    await running.until(passes=5)
    assert sorted(running.recorder.ended) == ["four", "one", "three", "two"]
    assert [str(error) for error in running.recorder.errors] == ["a bug"]
    await running.until(passes=6)
    assert running.reconciler.passes[5] == ("bad", "1"), "it is tried again by itself"


async def test_events_during_a_pass_lead_to_one_more_pass_with_the_newest_object(running: Running) -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    running.reconciler.act = lambda obj: gate
    running.controller.model_seen(model("a", 1))
    await running.until(passes=1)
    for version in (2, 3, 4):
        running.controller.model_seen(model("a", version))
        running.controller.child_changed("uid-a")
    await rounds()
    assert running.reconciler.passes == [("a", "1")], "no second worker for the same model"
    gate.set_result(None)
    await running.until(passes=2)
    assert running.reconciler.passes == [("a", "1"), ("a", "4")]
    assert running.controller.backlog == 0


async def test_stale_event_is_ignored(running: Running) -> None:
    running.controller.model_seen(model("a", 5))
    await running.until(passes=1)
    running.controller.model_seen(model("a", 4))
    running.controller.model_seen(model("a", 5))
    await rounds()
    assert running.reconciler.passes == [("a", "5")]
    running.controller.child_changed("uid-a")
    await running.until(passes=2)
    assert running.reconciler.passes[1] == ("a", "5")


async def test_next_pass_starts_from_the_status_that_was_written(running: Running) -> None:
    running.reconciler.written["a"] = model("a", 7)
    running.controller.model_seen(model("a", 5))
    await running.until(passes=1)
    running.controller.model_seen(model("a", 6))  # the watch is behind our own write
    running.controller.child_changed("uid-a")
    await running.until(passes=2)
    assert running.reconciler.passes == [("a", "5"), ("a", "7")]


async def test_pass_that_asks_for_it_comes_again_later(running: Running) -> None:
    running.reconciler.again_after_s["a"] = 0.01
    running.controller.model_seen(model("a"))
    await running.until(passes=2)
    assert running.reconciler.passes == [("a", "1"), ("a", "1")]


async def test_model_deleted_during_its_pass_is_not_taken_up_again(running: Running) -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    running.reconciler.act = lambda obj: gate
    running.reconciler.written["a"] = model("a", 9)
    running.controller.model_seen(model("a"))
    await running.until(passes=1)
    running.controller.child_changed("uid-a")
    running.controller.model_gone(model("a"))
    gate.set_result(None)
    await rounds()
    running.controller.child_changed("uid-a")
    await rounds()
    assert running.reconciler.passes == [("a", "1")]
    assert tuple(running.controller.models) == ()


async def test_model_that_vanished_is_no_failure(running: Running) -> None:
    def gone(obj: Obj) -> None:
        raise NotFound("aimodels a not found")

    running.reconciler.act = gone
    running.controller.model_seen(model("a"))
    await running.until(passes=1)
    assert running.recorder.errors == []
    assert running.controller.backlog == 0


async def test_name_sake_is_another_model(running: Running) -> None:
    running.controller.model_seen(model("a", 5, uid="first"))
    running.controller.model_seen(model("a", 9, uid="second"))
    running.controller.model_gone(model("a", 8, uid="first"))
    await running.until(passes=1)
    assert running.reconciler.passes == [("a", "9")]


async def test_cancelled_controller_goes_on_where_it_was() -> None:
    reconciler, recorder = Scripted(), Noted()
    controller = Controller(reconciler, recorder, workers=1)  # type: ignore[arg-type]
    here = Running(reconciler, recorder, controller)
    reconciler.act = lambda obj: asyncio.get_running_loop().create_future()
    first = asyncio.create_task(controller.run())
    controller.model_seen(model("a"))
    await here.until(passes=1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    reconciler.act = lambda obj: None
    second = asyncio.create_task(controller.run())
    await here.until(passes=2)
    assert recorder.ended == ["a"]
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_outage_makes_no_model_wait_long_once_it_is_over(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    loop = asyncio.get_running_loop()
    soon = loop.call_later
    # The timers of the queue fire at once, so that ten failures take no time.
    monkeypatch.setattr(loop, "call_later", lambda delay_s, *rest: (delays.append(delay_s), soon(0, *rest))[1])

    def away(obj: Obj) -> None:
        raise Unavailable("connection refused")

    running.reconciler.act = away
    running.controller.model_seen(model("a"))
    await running.until(passes=10)
    assert [delay_s for delay_s in delays if delay_s < 5][:7] == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
