"""The conditions of a model: which cause is told when several hold, and when a time stamp moves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aimodel_operator import api
from aimodel_operator.api import Reason
from aimodel_operator.assess import assess, assess_invalid
from aimodel_operator.decide import decide
from aimodel_operator.kinds import CONTROLLER_REVISION, DEPLOYMENT, POD, SERVICE, Obj
from aimodel_operator.observe import Artefact, Facts, Finding, observe
from builders import DIGEST, SETTINGS, a_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = "registry.test:5000/models/default/digits@sha256:" + "c" * 64
OWNER = {"uid": "uid-model", "controller": True}


def facts_of(model: Obj, *children: Obj) -> Facts:
    answer = Artefact(IMAGE, DIGEST, "ONNX")
    return observe(api.parse(model), children).with_registry_answer(answer)


def a_stored(replicas: int = 2, status: Obj | None = None) -> Obj:
    stored = a_model().with_spec(replicas=replicas).stored(generation=3)
    return {**stored, "status": status} if status else stored


TARGET = decide(facts_of(a_stored()), SETTINGS, NOW).target or ""


def owned(kind: Any, name: str, **more: Any) -> Obj:
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "generation": 1,
        "ownerReferences": [OWNER],
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return {**kind.stamp(), "metadata": metadata, **more}


def serving(name: str, ready: int, **status: Any) -> list[Obj]:
    data = {"buildKey": "other", "image": IMAGE, "modelDigest": DIGEST, "format": "ONNX", "template": {}}
    spec = {"replicas": 2, "progressDeadlineSeconds": 600}
    return [
        owned(CONTROLLER_REVISION, name, revision=1, data=data),
        owned(DEPLOYMENT, name, spec=spec, status={"readyReplicas": ready, "observedGeneration": 1, **status}),
    ]


def service(selected: str) -> Obj:
    return owned(SERVICE, "digits", spec={"selector": {"aimodel.dev/revision": selected}})


def pod(name: str, revision: str, **state: Any) -> Obj:
    made = owned(POD, name, status={"containerStatuses": [{"name": "server", **state}]})
    made["metadata"]["labels"] = {"aimodel.dev/revision": revision}
    return made


def told(model: Obj, *children: Obj, problems: tuple[Finding, ...] = ()) -> dict[str, tuple[str, str, str]]:
    facts = facts_of(model, *children)
    status = assess(facts, decide(facts, SETTINGS, NOW), problems, NOW)
    return {entry["type"]: (entry["status"], entry["reason"], entry["message"]) for entry in status["conditions"]}


OUT_OF_MEMORY = {"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
NO_PULL = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
CRASHED = {"state": {"terminated": {"exitCode": 1, "message": "boom"}}}


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([OUT_OF_MEMORY, NO_PULL], "OutOfMemory"),
        ([CRASHED, NO_PULL], "ImagePullFailed"),
        ([CRASHED, {"ready": True}], "ContainerCrashed"),
    ],
    ids=["memory before pull", "pull before crash", "one of two"],
)
def test_most_actionable_cause_comes_first(states: list[Obj], reason: str) -> None:
    pods = [pod(f"pod-{number}", TARGET, **state) for number, state in enumerate(states)]
    assert told(a_stored(), *serving(TARGET, 0), service(TARGET), *pods)["Ready"][:2] == ("False", reason)


def test_refused_write_comes_before_what_the_pods_say() -> None:
    refusal = Finding(Reason.FORBIDDEN, "Service digits was refused: no.")
    said = told(
        a_stored(), *serving(TARGET, 0), service(TARGET), pod("p", TARGET, **OUT_OF_MEMORY), problems=(refusal,)
    )
    assert said["Ready"] == ("False", "Forbidden", "Service digits was refused: no.")
    assert said["Available"][:2] == ("False", "OutOfMemory"), "that is why no request is answered"


@pytest.mark.parametrize(
    ("ready", "wanted", "says"), [(2, 2, "True"), (3, 2, "True"), (1, 2, "False"), (0, 2, "False"), (0, 1, "False")]
)
def test_ready_needs_every_wanted_pod(ready: int, wanted: int, says: str) -> None:
    said = told(a_stored(replicas=wanted), *serving(TARGET, ready), service(TARGET))
    assert said["Ready"][0] == says
    assert said["Available"][0] == str(ready > 0)


def test_old_revision_that_serves_is_available_and_not_ready() -> None:
    said = told(a_stored(), *serving("old", 2), *serving(TARGET, 0)[1:], service("old"))
    assert said["Available"] == ("True", "Serving", "2 of 2 pods of old answer.")
    assert said["Ready"][:2] == ("False", "Progressing")
    assert said["Ready"][2].endswith("old goes on serving.")


def test_pods_without_a_service_are_not_available() -> None:
    assert told(a_stored(), *serving(TARGET, 2))["Available"][0] == "False"
    assert told(a_stored(), *serving(TARGET, 2), service("nowhere"))["Ready"][0] == "False"


def test_refused_pods_are_told_by_their_deployment() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}
    said = told(a_stored(), *serving(TARGET, 0, conditions=[failure]), service(TARGET))
    assert said["Ready"][:2] == ("False", "QuotaExceeded")


def test_stalled_rollout_is_told_by_its_deadline() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    said = told(a_stored(), *serving(TARGET, 1, conditions=[late]), service(TARGET))
    assert said["Ready"][:2] == ("False", "RolloutStalled")
    assert "600 s" in said["Ready"][2]


def test_time_stamps_move_with_the_status_only() -> None:
    facts = facts_of(a_stored(), *serving(TARGET, 1), service(TARGET))
    first = assess(facts, decide(facts, SETTINGS, NOW), (), NOW)
    later = NOW + timedelta(hours=1)
    same = facts_of(a_stored(status=first), *serving(TARGET, 1), service(TARGET))
    assert assess(same, decide(same, SETTINGS, later), (), later) == first
    done = facts_of(a_stored(status=first), *serving(TARGET, 2), service(TARGET))
    stamps = {
        entry["type"]: entry["lastTransitionTime"]
        for entry in assess(done, decide(done, SETTINGS, later), (), later)["conditions"]
    }
    assert stamps == {
        "Available": "2026-01-01T00:00:00Z",
        "ImageReady": "2026-01-01T00:00:00Z",
        "Progressing": "2026-01-01T01:00:00Z",
        "Ready": "2026-01-01T01:00:00Z",
        "SourceReady": "2026-01-01T00:00:00Z",
        "SpecValid": "2026-01-01T00:00:00Z",
    }


def test_invalid_spec_keeps_what_serves_and_says_what_is_wrong() -> None:
    facts = facts_of(a_stored(), *serving(TARGET, 2), service(TARGET))
    before = assess(facts, decide(facts, SETTINGS, NOW), (), NOW)
    after = assess_invalid(a_stored(status=before), "spec.replicas must be at least 1", NOW)
    said = {entry["type"]: (entry["status"], entry["reason"]) for entry in after["conditions"]}
    assert said["Ready"] == said["SpecValid"] == ("False", "ParameterInvalid")
    assert said["Available"] == ("True", "Serving")
    assert after["active"] == before["active"]
    assert after["observedGeneration"] == 3
