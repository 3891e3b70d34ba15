"""What is wrong with pods, as table cases named by what a person would say of them."""

import json
from typing import Any

import pytest

from aimodel_operator.observe import worst_finding


def pod(
    *containers: dict[str, Any],
    name: str = "digits-1",
    conditions: list[dict[str, str]] | None = None,
    component: str = "serving",
) -> dict[str, Any]:
    status = {"containerStatuses": list(containers), "conditions": conditions or []}
    metadata = {"name": name, "namespace": "default", "labels": {"app.kubernetes.io/component": component}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


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


def waiting(reason: str) -> dict[str, Any]:
    return {"name": "c", "image": "r/x", "state": {"waiting": {"reason": reason, "message": "because"}}}


UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}]
REMEDIES = {
    "serving pod killed for memory": (
        pod(crashed(reason="OOMKilled", exit_code=137)),
        "was killed because it used more than its memory limit: raise spec.serving.resources.limits.memory.",
    ),
    "build pod killed for memory": (
        pod(crashed(reason="OOMKilled", exit_code=137), component="build"),
        "was killed because it used more than its memory limit: the person who installed the operator can raise its "
        "chart value build.resources.limits.memory.",
    ),
    "serving pod without image": (
        pod(waiting("ImagePullBackOff")),
        "cannot pull r/x: because. Check that the node reaches the registry and that spec.image.pullSecretRefs names "
        "a valid secret.",
    ),
    "build pod without image": (
        pod(waiting("ImagePullBackOff"), component="build"),
        "cannot pull r/x: because. It is the operator's own image: check that the node reaches its registry; if that "
        "wants a login, the person who installed the operator names a Secret of this namespace in its chart value "
        "build.imagePullSecrets.",
    ),
    "serving pod without a secret": (
        pod(waiting("CreateContainerConfigError")),
        "cannot start its container: because. Check the secrets and keys that spec.serving.env refers to.",
    ),
    "build pod without a secret": (
        pod(waiting("CreateContainerConfigError"), component="build"),
        "cannot start its container: because. Check the Secret that spec.image.pushSecretRef names.",
    ),
    "serving pod without room": (
        pod(conditions=UNSCHEDULABLE),
        "fits no node: 0/1 nodes: cpu. Free capacity, add a node, or ask for less in spec.serving.resources.",
    ),
    "build pod without room": (
        pod(conditions=UNSCHEDULABLE, component="build"),
        "fits no node: 0/1 nodes: cpu. Free capacity or add a node, or the person who installed the operator lowers "
        "its chart value build.resources.requests.",
    ),
    "serving pod that crashed": (
        pod(crashed()),
        "ended with exit code 1. See kubectl logs digits-1 --previous.",
    ),
    "build pod that crashed": (
        pod(crashed(), component="build"),
        "ended with exit code 1. See kubectl logs digits-1.",
    ),
}


@pytest.mark.parametrize(("found", "said"), REMEDIES.values(), ids=REMEDIES.keys())
def test_the_remedy_is_one_for_what_the_pod_is_for(found: dict[str, Any], said: str) -> None:
    finding = worst_finding([found])
    assert finding is not None
    assert finding.message == f"Pod digits-1 {said}"


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
