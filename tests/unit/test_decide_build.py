"""What the image of a model needs next, question by question."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aimodel_operator import api
from aimodel_operator.decide import decide
from aimodel_operator.decide.build import BuildDecision, retry_delay, settings_key
from aimodel_operator.kinds import CONTROLLER_REVISION, JOB, POD, Obj, name_of
from aimodel_operator.observe import Artefact, observe
from aimodel_operator.settings import Settings
from builders import DIGEST, OTHER_DIGEST, SETTINGS, a_model

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
IMAGE = "registry.test:5000/models/default/digits@sha256:" + "c" * 64
ARTEFACT = Artefact(IMAGE, DIGEST, "ONNX")
PINNED = a_model()
UNPINNED = a_model().with_source(digest=None)


def build_of(model: Any, *children: Obj, asked: bool = True, answer: Artefact | None = None) -> BuildDecision:
    facts = observe(api.parse(model.stored()), children)
    return decide(facts.with_registry_answer(answer) if asked else facts, SETTINGS, NOW).build


KEY = build_of(PINNED).key


def metadata(name: str, **more: Any) -> Obj:
    owner = {"uid": "uid-model", "controller": True}
    return {"name": name, "namespace": "default", "uid": f"uid-{name}", "ownerReferences": [owner], **more}


def job(attempt: int, ended: str = "", ago_s: float = 0, key: str = KEY, made_under: Settings = SETTINGS) -> Obj:
    annotations = {
        "aimodel.dev/build-key": key,
        "aimodel.dev/attempt": str(attempt),
        "aimodel.dev/build-settings": settings_key(made_under),
    }
    stamp = (NOW - timedelta(seconds=ago_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [{"type": ended, "status": "True", "lastTransitionTime": stamp}] if ended else []
    named = metadata(f"digits-build-{key}-{attempt}", annotations=annotations)
    return {**JOB.stamp(), "metadata": named, "status": {"conditions": conditions}}


def pod_of(owner: Obj, code: int, message: str) -> Obj:
    labels = {"batch.kubernetes.io/controller-uid": owner["metadata"]["uid"]}
    status = {"containerStatuses": [{"name": "build", "state": {"terminated": {"exitCode": code, "message": message}}}]}
    return {**POD.stamp(), "metadata": {"name": "p", "namespace": "default", "labels": labels}, "status": status}


SUCCESS = f'{{"image": "{IMAGE}", "modelDigest": "{DIGEST}", "format": "ONNX"}}'


def test_pinned_source_asks_the_registry_before_anything_is_built() -> None:
    first = build_of(PINNED, asked=False)
    assert first.look_up is not None
    assert first.look_up.repository == "registry.test:5000/models/default/digits"
    assert first.attempt is None
    assert build_of(PINNED).attempt == 1
    assert build_of(PINNED, answer=ARTEFACT).artefact == ARTEFACT


def test_unpinned_source_is_built_without_asking() -> None:
    assert build_of(UNPINNED, asked=False).attempt == 1


def test_running_build_is_waited_for() -> None:
    build = build_of(PINNED, job(1))
    assert (build.attempt, build.artefact, build.retry_at, build.obsolete) == (None, None, None, ())


def test_ended_build_gives_its_artefact() -> None:
    ended = job(1, "Complete")
    assert build_of(PINNED, ended, pod_of(ended, 0, SUCCESS)).artefact == ARTEFACT


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (50, 300)])
def test_failed_build_is_repeated_after_a_growing_delay(attempt: int, seconds: int) -> None:
    assert retry_delay(attempt) == timedelta(seconds=seconds)
    early = build_of(PINNED, job(attempt, "Failed", ago_s=seconds - 1))
    assert (early.attempt, early.retry_at) == (None, NOW + timedelta(seconds=1))
    assert build_of(PINNED, job(attempt, "Failed", ago_s=seconds)).attempt == attempt + 1


def test_failure_under_other_settings_says_nothing_any_more() -> None:
    before = replace(SETTINGS, allowed_private_hosts=("models.demo.svc",))
    assert build_of(PINNED, job(1, "Failed", made_under=before)).attempt == 2
    assert build_of(PINNED, job(1, made_under=before)).attempt is None, "a running build is not doubled"


def test_attempts_are_counted_as_numbers() -> None:
    jobs = [job(9, "Failed", ago_s=9000), job(10, "Failed", ago_s=600)]
    assert build_of(PINNED, *jobs).attempt == 11


def test_builds_of_other_inputs_and_old_attempts_are_dropped() -> None:
    jobs = [job(1, "Failed", 900), job(2, "Failed", 600), job(3), job(1, key="other")]
    assert {name_of(obj) for obj in build_of(PINNED, *jobs).obsolete} == {
        f"digits-build-{KEY}-1",
        "digits-build-other-1",
    }


def test_recorded_revision_needs_no_job_any_more() -> None:
    data = {"buildKey": KEY, "image": IMAGE, "modelDigest": DIGEST, "format": "ONNX", "template": {}}
    recorded = {**CONTROLLER_REVISION.stamp(), "metadata": metadata("digits-x"), "revision": 1, "data": data}
    ended = job(1, "Complete")
    build = build_of(PINNED, recorded, ended, asked=False)
    assert (build.artefact, build.obsolete, build.look_up) == (ARTEFACT, (ended,), None)


@pytest.mark.parametrize(
    "changed",
    [
        a_model().with_source(digest=OTHER_DIGEST),
        a_model().with_source(uri="http://models.test/other.onnx"),
        a_model().with_source(format="ONNX"),
        a_model().with_spec(image={"repository": "r.test/elsewhere/digits"}),
    ],
    ids=["digest", "uri", "format", "repository"],
)
def test_other_inputs_are_another_build(changed: Any) -> None:
    assert build_of(changed).key != KEY
    assert build_of(changed, job(1)).attempt == 1


def test_serving_fields_are_not_inputs_of_a_build() -> None:
    assert build_of(a_model().with_spec(serving={"maxInFlight": 8}, replicas=4)).key == KEY
