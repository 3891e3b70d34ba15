"""How `aimodel status` draws a model, and how it follows one."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from aimodel_operator.cli import status
from aimodel_operator.cli.cluster import Obj
from aimodel_operator.cli.forward import Tunnel, TunnelRefused
from aimodel_operator.cli.status_view import as_document, draw, duration
from aimodel_operator.cli.terminal import Colour, Terminal
from aimodel_operator.cli.timeline import Progress, Stage, State

NOW = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
DIGEST = "sha256:" + "0123456789abcdef" * 4
PLAIN = Terminal()


def at(minute: int, second: int = 0) -> datetime:
    return datetime(2026, 11, 23, 12, minute, second, tzinfo=UTC)


SERVED = Progress(
    name="digits",
    namespace="demo",
    created=at(0),
    ready=True,
    available=True,
    reason="Serving",
    message="digits-abc serves with 2 pods.",
    remedy="",
    stages=(
        Stage("source", State.DONE, at(0, 4), 4, "Succeeded", f"Fetched ONNX model {DIGEST}."),
        Stage("build", State.DONE, at(0, 6), 2, "Succeeded", "Image is there."),
        Stage("rollout", State.DONE, at(0, 9), 3, "Succeeded", "Nothing is left to do."),
        Stage("serving", State.DONE, at(0, 9), 0, "Serving", "2 of 2 pods answer."),
    ),
    url="grpc://digits.demo.svc:8001",
    revision="digits-abc",
    target_revision="",
    image=f"registry.test:5000/demo/digits@{DIGEST}",
    replicas=2,
    ready_replicas=2,
    is_stale=False,
    is_deleting=False,
)

FAILED = replace(
    SERVED,
    ready=False,
    available=False,
    reason="ModelDigestMismatch",
    remedy="Set the digest that the message names.",
    stages=(
        Stage("source", State.FAILED, at(0, 4), None, "ModelDigestMismatch", f"model.onnx has digest {DIGEST}, wrong"),
        Stage("build", State.WAITING),
        Stage("rollout", State.WAITING),
        Stage("serving", State.WAITING),
    ),
    ready_replicas=0,
)


def text(progress: Progress, terminal: Terminal = PLAIN) -> str:
    return "\n".join(draw(progress, terminal, NOW))


def test_a_served_model_as_a_person_sees_it() -> None:
    assert text(SERVED) == (
        "digits                                                                   ✔ Ready\n"
        "namespace demo, created 5m00s ago\n"
        "\n"
        "  ✔ source   12:00:04     4s  Fetched ONNX model sha256:0123456789ab….\n"
        "  │\n"
        "  ✔ build    12:00:06     2s  Image is there.\n"
        "  │\n"
        "  ✔ rollout  12:00:09     3s  Nothing is left to do.\n"
        "  │\n"
        "  ✔ serving  12:00:09     0s  2 of 2 pods answer.\n"
        "\n"
        "  url       grpc://digits.demo.svc:8001\n"
        "  revision  digits-abc\n"
        "  image     registry.test:5000/demo/digits@sha256:012345…9abcdef0123456789abcdef\n"
        "  replicas  2 of 2 ready\n"
        "\n"
        "  next      aimodel predict digits -n demo FILE"
    )


def test_a_failure_shows_reason_whole_digest_and_remedy() -> None:
    shown = text(FAILED)
    assert shown.splitlines()[0].endswith("✘ not ready (ModelDigestMismatch)")
    assert "✘ source   12:00:04         ModelDigestMismatch\n" in shown
    assert DIGEST in shown
    assert shown.endswith("  next      Set the digest that the message names.")


def test_an_old_revision_that_answers_is_said_and_both_revisions_are_named() -> None:
    stages = (Stage("rollout", State.FAILED, at(1), None, "OutOfMemory", "killed"),)
    shown = text(replace(FAILED, available=True, target_revision="digits-new", stages=stages))
    assert "▲ answers, update failed (ModelDigestMismatch)" in shown
    assert "revision  digits-abc → digits-new" in shown


def test_a_running_stage_counts_its_seconds_and_points_to_watch() -> None:
    stages = (Stage("source", State.RUNNING, at(3, 40), None, "Progressing", "The model is being fetched."),)
    shown = text(replace(SERVED, ready=False, available=False, reason="Progressing", stages=stages))
    assert "◐ source   12:03:40  1m20s  The model is being fetched." in shown
    assert "◐ in progress\n" in shown
    assert shown.endswith("next      aimodel status digits -n demo --watch")


def test_a_model_without_a_status_asks_whether_the_operator_runs() -> None:
    bare = replace(SERVED, ready=False, available=False, reason="", is_stale=True, url="", image="", revision="")
    assert "The operator has not looked at this AIModel yet." in text(bare)
    assert "url" not in text(bare)


def test_what_happened_on_another_day_shows_the_day() -> None:
    old = replace(SERVED.stages[0], since=datetime(2026, 11, 2, 1, 2, 3, tzinfo=UTC))
    assert "✔ source   2026-11-02" in text(replace(SERVED, stages=(old,)))


@pytest.mark.parametrize("progress", [SERVED, FAILED], ids=["served", "failed"])
@pytest.mark.parametrize("width", [80, 100])
def test_every_line_fits_the_terminal(progress: Progress, width: int) -> None:
    assert max(len(line) for line in draw(progress, Terminal(width=width), NOW)) <= width


def test_an_ascii_terminal_gets_ascii() -> None:
    assert text(FAILED, Terminal(unicode=False)).isascii()
    assert text(SERVED, Terminal(unicode=False)).isascii()


def test_colour_adds_nothing_but_colour() -> None:
    coloured = text(FAILED, Terminal(colour=Colour.PALETTE))
    assert "\x1b[31" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text(FAILED)


def test_the_json_document_says_the_same() -> None:
    document = json.loads(json.dumps(as_document(FAILED)))
    assert document["name"] == "digits"
    assert (document["ready"], document["available"]) == (False, False)
    assert document["remedy"] == "Set the digest that the message names."
    assert document["replicas"] == {"wanted": 2, "ready": 0}
    assert document["stages"][0] == {
        "name": "source",
        "state": "Failed",
        "since": "2026-11-23T12:00:04+00:00",
        "tookSeconds": None,
        "reason": "ModelDigestMismatch",
        "message": f"model.onnx has digest {DIGEST}, wrong",
    }
    assert document["targetRevision"] is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m"), (90061, "1d01h"), (-5, "0s")],
)
def test_durations_show_two_units(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown


class Story:
    """A cluster whose model goes through the given statuses, one per look."""

    namespace = "demo"

    def __init__(self, *models: Obj) -> None:
        self.models = list(models)

    def model(self, name: str) -> Obj:
        return self.models.pop(0)

    def service(self, name: str) -> Obj:
        raise AssertionError("status needs no Service")

    def pods(self, selector: str) -> Sequence[Obj]:
        raise AssertionError("status needs no pods")

    def dial(self, pod: str, port: int) -> Tunnel:
        raise TunnelRefused("status needs no tunnel")


def seen(ready: bool) -> dict[str, Any]:
    word = {"True": "Serving", "False": "Progressing"}[str(ready)]
    entry = {"type": "Ready", "status": str(ready), "reason": word, "message": "said so"}
    return {
        "metadata": {"name": "digits", "namespace": "demo", "generation": 1},
        "status": {"observedGeneration": 1, "conditions": [entry]},
    }


def test_watch_looks_until_the_model_is_ready() -> None:
    naps: list[float] = []
    story = Story(seen(False), seen(False), seen(True))
    sightings = list(status.watch(story, "digits", naps.append))
    assert [progress.ready for progress in sightings] == [False, False, True]
    assert naps == [status.INTERVAL_S, status.INTERVAL_S]


def test_watch_into_a_file_prints_changes_only(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(seen(False), seen(False), seen(True))
    status.show_text(status.watch(story, "digits", lambda _: None), PLAIN, lambda: NOW)
    printed = capsys.readouterr().out
    assert printed.count("in progress") == 1
    assert printed.count("Ready\n") == 1


def test_watch_on_a_terminal_draws_over_what_it_drew(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(seen(False), seen(True))
    status.show_text(status.watch(story, "digits", lambda _: None), Terminal(interactive=True), lambda: NOW)
    height = len(draw(status.look(Story(seen(False)), "digits"), PLAIN, NOW))
    assert f"\x1b[{height}A\x1b[J" in capsys.readouterr().out


def test_watch_in_json_prints_a_document_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(seen(False), seen(False), seen(True))
    status.show_json(status.watch(story, "digits", lambda _: None))
    assert re.findall(r'^  "ready": (\w+)', capsys.readouterr().out, re.MULTILINE) == ["false", "true"]
