"""Which revision gets the traffic and which Deployments stay, as a table."""

from datetime import UTC, datetime
from typing import Any

import pytest

from aimodel_operator import api
from aimodel_operator.decide import Decision, decide, selected_revision
from aimodel_operator.kinds import CONTROLLER_REVISION, DEPLOYMENT, SERVICE, Obj, name_of
from aimodel_operator.observe import Artefact, observe
from builders import DIGEST, SETTINGS, a_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = "registry.test:5000/models/default/digits@sha256:" + "c" * 64
MODEL = api.parse(a_model().with_spec(replicas=2).stored())
OWNER = [{"uid": "uid-model", "controller": True, "name": "digits", "kind": "AIModel", "apiVersion": api.API_VERSION}]


def owned(kind: Any, name: str, **more: Any) -> Obj:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1, "ownerReferences": OWNER}
    return {**kind.stamp(), "metadata": metadata, **more}


def revision(name: str, number: int) -> Obj:
    data = {"buildKey": "other", "image": IMAGE, "modelDigest": DIGEST, "format": "ONNX", "template": {}}
    return owned(CONTROLLER_REVISION, name, revision=number, data=data)


def deployment(name: str, ready: int, replicas: int = 2, observed: int = 1) -> Obj:
    status = {"readyReplicas": ready, "observedGeneration": observed}
    return owned(DEPLOYMENT, name, spec={"replicas": replicas}, status=status)


def service(name: str, selected: str) -> Obj:
    return owned(SERVICE, name, spec={"selector": {"aimodel.dev/revision": selected}})


def services(selected: str) -> list[Obj]:
    return [service("digits", selected), service("digits-headless", selected)]


def decided(*children: Obj) -> Decision:
    facts = observe(MODEL, children).with_registry_answer(Artefact(IMAGE, DIGEST, "ONNX"))
    return decide(facts, SETTINGS, NOW)


TARGET = decided().target or ""
BOTH = [revision("old", 1), revision(TARGET, 2)]


@pytest.mark.parametrize(
    ("case", "children", "active"),
    [
        ("nothing exists yet", [], TARGET),
        ("the new one is not ready", [deployment("old", 2), deployment(TARGET, 0), *services("old")], "old"),
        ("one of two is not enough", [deployment("old", 2), deployment(TARGET, 1), *services("old")], "old"),
        ("all are ready", [deployment("old", 2), deployment(TARGET, 2), *services("old")], TARGET),
        ("ready for an older size", [deployment("old", 2), deployment(TARGET, 2, replicas=1), *services("old")], "old"),
        ("counts not seen yet", [deployment("old", 2), deployment(TARGET, 2, observed=0), *services("old")], "old"),
        ("the old one is dead", [deployment("old", 0), deployment(TARGET, 1), *services("old")], TARGET),
        ("all are dead", [deployment("old", 0), deployment(TARGET, 0), *services("old")], "old"),
        ("the Services are gone", [deployment("old", 2), deployment(TARGET, 1)], TARGET),
        ("gone, and only the old one is ready", [deployment("old", 2), deployment(TARGET, 0)], "old"),
        (
            "one Service is left",
            [deployment("old", 1), deployment(TARGET, 1), service("digits-headless", "old")],
            "old",
        ),
        ("bent to nowhere", [deployment("old", 2), deployment(TARGET, 0), *services("nowhere")], "old"),
        ("bent to one without pods", [deployment(TARGET, 1), *services("old")], TARGET),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_traffic(case: str, children: list[Obj], active: str) -> None:
    assert decided(*BOTH, *children).active == active


def test_deployment_that_is_being_deleted_gets_no_traffic() -> None:
    leaving = deployment(TARGET, 2)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert decided(*BOTH, deployment("old", 2), leaving, *services("old")).active == "old"


def test_old_pods_stay_until_both_services_have_moved() -> None:
    ready = [deployment("old", 2), deployment(TARGET, 2)]
    switching = decided(*BOTH, *ready, *services("old"))
    assert (switching.active, dict(switching.replicas), switching.obsolete) == (TARGET, {"old": 2, TARGET: 2}, ())
    half = decided(*BOTH, *ready, service("digits", TARGET), service("digits-headless", "old"))
    assert half.obsolete == ()
    done = decided(*BOTH, *ready, *services(TARGET))
    assert [name_of(obj) for obj in done.obsolete] == ["old"]
    assert dict(done.replicas) == {TARGET: 2}


def test_revision_without_pods_gets_none_again_because_a_service_was_bent_to_it() -> None:
    assert dict(decided(*BOTH, deployment(TARGET, 2), *services("old")).replicas) == {TARGET: 2}


def test_deployment_whose_revision_was_deleted_keeps_the_traffic() -> None:
    decision = decided(revision(TARGET, 2), deployment("old", 2), deployment(TARGET, 0), *services("old"))
    assert (decision.active, decision.obsolete) == ("old", ())


def test_history_keeps_the_newest_idle_revisions() -> None:
    model = api.parse(a_model().with_spec(revisionHistoryLimit=1).stored())
    revisions = [revision(name, number) for number, name in enumerate(("one", "two", "three"), start=1)]
    facts = observe(model, [*revisions, revision(TARGET, 4), deployment(TARGET, 1), *services(TARGET)])
    decision = decide(facts.with_registry_answer(Artefact(IMAGE, DIGEST, "ONNX")), SETTINGS, NOW)
    assert [name_of(obj) for obj in decision.obsolete] == ["one", "two"]


def test_clients_reach_what_the_first_service_selects() -> None:
    facts = observe(MODEL, [*BOTH, service("digits-headless", "old")])
    assert selected_revision(facts) is None
    assert selected_revision(observe(MODEL, [*BOTH, *services("old")])) == "old"
    assert selected_revision(observe(MODEL, [*BOTH, *services("nowhere")])) is None
