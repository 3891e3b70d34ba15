"""The stages of a model's way, from the conditions that an AIModel carries."""

from datetime import UTC, datetime
from typing import Any

import pytest

from aimodel_operator import api
from aimodel_operator.cli.timeline import State, progress_of, remedy_of

IMAGE = "registry.test/demo/digits@sha256:" + "ab" * 32


def condition(kind: str, status: str, reason: str, second: int = 0, message: str = "said so") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": f"2026-11-23T12:00:{second:02}Z",
        "observedGeneration": 1,
    }


def a_model(*conditions: dict[str, Any], generation: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "digits",
            "namespace": "demo",
            "generation": generation,
            "creationTimestamp": "2026-11-23T12:00:00Z",
        },
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "conditions": list(conditions), **status},
    }


def served() -> dict[str, Any]:
    return a_model(
        condition("SpecValid", "True", "Succeeded"),
        condition("SourceReady", "True", "Succeeded", 4),
        condition("ImageReady", "True", "Succeeded", 10),
        condition("Progressing", "False", "Succeeded", 15),
        condition("Available", "True", "Serving", 15),
        condition("Ready", "True", "Serving", 15, "digits-abc serves with 2 pods."),
        url="grpc://digits.demo.svc:8001",
        readyReplicas=2,
        active={"revision": "digits-abc", "image": IMAGE, "readyReplicas": 2},
    )


def states(model: dict[str, Any]) -> dict[str, State]:
    return {stage.name: stage.state for stage in progress_of(model).stages}


def test_a_served_model_has_every_stage_done_with_its_time_and_duration() -> None:
    progress = progress_of(served())
    assert [(stage.name, stage.state, stage.took_s) for stage in progress.stages] == [
        ("source", State.DONE, 4),
        ("build", State.DONE, 6),
        ("rollout", State.DONE, 5),
        ("serving", State.DONE, 0),
    ]
    assert progress.stages[1].since == datetime(2026, 11, 23, 12, 0, 10, tzinfo=UTC)


def test_a_served_model_shows_where_what_and_how_many() -> None:
    progress = progress_of(served())
    assert (progress.url, progress.revision, progress.image) == ("grpc://digits.demo.svc:8001", "digits-abc", IMAGE)
    assert (progress.ready_replicas, progress.replicas) == (2, 2)
    assert (progress.reason, progress.message) == ("Serving", "digits-abc serves with 2 pods.")
    assert (progress.ready, progress.available, progress.is_settled, progress.remedy) == (True, True, True, "")


def test_a_model_nobody_looked_at_waits_everywhere_and_is_not_settled() -> None:
    model = served()
    del model["status"]
    progress = progress_of(model)
    assert {stage.state for stage in progress.stages} == {State.WAITING}
    assert progress.is_stale
    assert not progress.is_settled


def test_a_status_of_an_older_spec_is_stale_although_it_says_ready() -> None:
    model = served()
    model["metadata"]["generation"] = 2
    progress = progress_of(model)
    assert progress.ready
    assert progress.is_stale
    assert not progress.is_settled


def test_only_the_first_stage_that_is_not_done_runs() -> None:
    model = a_model(
        condition("SourceReady", "Unknown", "Progressing"),
        condition("ImageReady", "False", "Progressing"),
        condition("Progressing", "True", "Progressing"),
        condition("Available", "False", "Progressing"),
        condition("Ready", "False", "Progressing"),
    )
    assert states(model) == {
        "source": State.RUNNING,
        "build": State.WAITING,
        "rollout": State.WAITING,
        "serving": State.WAITING,
    }


def test_a_wrong_digest_fails_the_source_with_its_reason_and_remedy() -> None:
    model = a_model(
        condition("SourceReady", "False", "ModelDigestMismatch", 4, "has digest sha256:ab"),
        condition("ImageReady", "False", "ModelDigestMismatch", 4),
        condition("Progressing", "True", "ModelDigestMismatch", 4),
        condition("Available", "False", "ModelDigestMismatch", 4),
        condition("Ready", "False", "ModelDigestMismatch", 4),
    )
    progress = progress_of(model)
    assert states(model) == {
        "source": State.FAILED,
        "build": State.WAITING,
        "rollout": State.WAITING,
        "serving": State.WAITING,
    }
    assert (progress.stages[0].reason, progress.stages[0].message) == ("ModelDigestMismatch", "has digest sha256:ab")
    assert "set the digest that the message names" in progress.remedy


def test_a_failed_push_fails_the_build_and_does_not_call_the_source_running() -> None:
    model = a_model(
        condition("SourceReady", "Unknown", "Progressing"),
        condition("ImageReady", "False", "RegistryDenied"),
        condition("Progressing", "True", "RegistryDenied"),
    )
    assert states(model) == {
        "source": State.UNKNOWN,
        "build": State.FAILED,
        "rollout": State.WAITING,
        "serving": State.WAITING,
    }


def test_a_missing_right_breaks_the_stage_that_it_stops() -> None:
    model = a_model(
        condition("SourceReady", "Unknown", "Progressing"),
        condition("ImageReady", "False", "Progressing"),
        condition("Progressing", "True", "Forbidden", 9, "jobs is forbidden"),
        condition("Ready", "False", "Forbidden"),
    )
    progress = progress_of(model)
    assert states(model)["source"] is State.FAILED
    assert (progress.stages[0].reason, progress.stages[0].message) == ("Forbidden", "jobs is forbidden")


def test_a_failed_update_fails_the_rollout_while_the_old_revision_serves() -> None:
    model = a_model(
        condition("SourceReady", "True", "Succeeded"),
        condition("ImageReady", "True", "Succeeded"),
        condition("Progressing", "True", "OutOfMemory"),
        condition("Available", "True", "Serving"),
        condition("Ready", "False", "OutOfMemory"),
        active={"revision": "digits-abc", "readyReplicas": 2},
        target={"revision": "digits-new"},
    )
    progress = progress_of(model)
    assert states(model)["rollout"] is State.FAILED
    assert states(model)["serving"] is State.DEGRADED
    assert (progress.revision, progress.target_revision) == ("digits-abc", "digits-new")
    assert progress.available
    assert not progress.ready


def test_a_bad_spec_gets_a_stage_of_its_own() -> None:
    model = a_model(
        condition("SpecValid", "False", "ParameterInvalid", 1, "spec.replicas must be at least 1"),
        condition("Ready", "False", "ParameterInvalid"),
    )
    first = progress_of(model).stages[0]
    assert (first.name, first.state, first.message) == ("spec", State.FAILED, "spec.replicas must be at least 1")


def test_pods_that_stop_answering_fail_serving_when_no_other_stage_says_why() -> None:
    model = served()
    for entry in model["status"]["conditions"]:
        if entry["type"] in ("Available", "Ready"):
            entry |= {"status": "False", "reason": "ProbeFailed"}
    assert states(model)["serving"] is State.FAILED
    assert progress_of(model).remedy


def test_a_model_being_deleted_is_never_settled() -> None:
    model = served()
    model["metadata"]["deletionTimestamp"] = "2026-11-23T13:00:00Z"
    assert progress_of(model).is_deleting
    assert not progress_of(model).is_settled


def test_times_that_run_backwards_give_no_duration() -> None:
    model = served()
    model["status"]["conditions"][2]["lastTransitionTime"] = "2026-11-22T00:00:00Z"
    assert progress_of(model).stages[1].took_s is None


@pytest.mark.parametrize("reason", list(api.Reason))
def test_every_reason_has_a_remedy_unless_nothing_is_wrong(reason: api.Reason) -> None:
    is_harmless = reason in (api.Reason.PROGRESSING, api.Reason.SERVING, api.Reason.SUCCEEDED)
    assert bool(remedy_of(reason.value)) is not is_harmless


def test_a_reason_of_a_newer_operator_has_no_remedy() -> None:
    assert remedy_of("FlyingSaucer") == ""
