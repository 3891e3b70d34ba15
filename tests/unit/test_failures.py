"""What is wrong with pods, as table cases named by what a person would say of them."""

import json
from typing import Any

import pytest

from aimodel_operator.observe import worst_finding


def pod(
    *containers: dict[str, Any], name: str = "digits-1", conditions: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    status = {"containerStatuses": list(containers), "conditions": conditions or []}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "status": status}


def crashed(message: str = "", exit_code: int = 1, reason: str = "Error") -> dict[str, Any]:
    terminated = {"exitCode": exit_code, "reason": reason, "message": message}
    return {
        "name": "server",
        "ready": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": terminated},
    }


CASES = {
    "killed for memory, now in a crash loop": (crashed(reason="OOMKilled", exit_code=137), "OutOfMemory"),
    "model does not load, in the server's own words": (
        crashed(json.dumps({"reason": "ModelLoadFailed", "message": "bad graph"})),
        "ModelLoadFailed",
    ),
    "crash without a word": (crashed(), "ContainerCrashed"),
    "crash with words that are no report": (crashed("thread panicked\nat main"), "ContainerCrashed"),
    "report with an unknown reason": (crashed(json.dumps({"reason": "Nonsense", "message": "x"})), "ContainerCrashed"),
    "image cannot be pulled": (
        {"name": "server", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "denied"}}},
        "ImagePullFailed",
    ),
    "secret is missing": (
        {
            "name": "server",
            "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}},
        },
        "ParameterInvalid",
    ),
}


@pytest.mark.parametrize(("container", "reason"), CASES.values(), ids=CASES.keys())
def test_container_state_is_named(container: dict[str, Any], reason: str) -> None:
    finding = worst_finding([pod(container)])
    assert finding is not None
    assert finding.reason == reason
    assert "digits-1" in finding.message or finding.reason == "ModelLoadFailed"


def test_recovered_container_is_no_finding() -> None:
    recovered = {**crashed(), "ready": True, "state": {"running": {}}}
    assert worst_finding([pod(recovered)]) is None


def test_clean_exit_is_no_finding() -> None:
    assert worst_finding([pod({"name": "build", "state": {"terminated": {"exitCode": 0}}})]) is None


def test_unschedulable_pod_is_named_with_the_scheduler_words() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}
    finding = worst_finding([pod(conditions=[condition])])
    assert finding is not None
    assert finding.reason == "Unschedulable"
    assert "0/1 nodes: cpu" in finding.message


def test_most_actionable_of_several_pods_wins() -> None:
    finding = worst_finding([pod(crashed()), pod(crashed(reason="OOMKilled"), name="digits-2")])
    assert finding is not None
    assert finding.reason == "OutOfMemory"


def test_pull_message_keeps_the_innermost_cause() -> None:
    nested = (
        'rpc error: code = NotFound desc = failed to pull image "r/x@sha256:1": failed to resolve "r/x": r/x: not found'
    )
    container = {"name": "server", "image": "r/x", "state": {"waiting": {"reason": "ErrImagePull", "message": nested}}}
    finding = worst_finding([pod(container)])
    assert finding is not None
    assert "rpc error" not in finding.message
    assert "not found" in finding.message
