"""What is wrong with a set of pods: container states in, the one most actionable finding out.

Looks at every pod, at the current and at the last terminated state of every container, so that a crash loop
is named by what killed it and not by "CrashLoopBackOff". What to do about it depends on what the pod is for, as its
component label says. Called by `observe.build_outcome` and `assess`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aimodel_operator import api
from aimodel_operator.api.names import COMPONENT, Component
from aimodel_operator.kinds import Obj, labels_of, name_of

_IMAGE_WAITING = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
}
_CONFIG_WAITING = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_SEVERITY = {reason: index for index, reason in enumerate(api.Reason)}
"""The enum lists the reasons most actionable first."""


@dataclass(frozen=True, slots=True)
class _Remedies:
    """What to do about a pod of one component; `logs` follows the pod's name."""

    memory: str
    image: str
    configuration: str
    room: str
    logs: str


_FOR_SERVING = _Remedies(
    memory="raise spec.serving.resources.limits.memory",
    image="Check that the node reaches the registry and that spec.image.pullSecretRefs names a valid secret",
    configuration="Check the secrets and keys that spec.serving.env refers to",
    room="Free capacity, add a node, or ask for less in spec.serving.resources",
    logs=" --previous",
)
_FOR_BUILD = _Remedies(
    memory="the person who installed the operator can raise its chart value build.resources.limits.memory",
    image="It is the operator's own image: check that the node reaches its registry; if that wants a login, the person "
    "who installed the operator names a Secret of this namespace in its chart value build.imagePullSecrets",
    configuration="Check the Secret that spec.image.pushSecretRef names",
    room="Free capacity or add a node, or the person who installed the operator lowers its chart value "
    "build.resources.requests",
    logs="",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the word for it and a sentence saying what, which object, what to do."""

    reason: api.Reason
    message: str


def worst_finding(pods: Iterable[Obj]) -> Finding | None:
    """The most actionable finding of all pods, or `None` when nothing is wrong with them."""
    findings = [finding for pod in pods for finding in _pod_findings(pod)]
    return min(findings, key=lambda finding: (_SEVERITY[finding.reason], finding.message), default=None)


def _remedies(pod: Obj) -> _Remedies:
    return _FOR_BUILD if labels_of(pod).get(COMPONENT) == Component.BUILD else _FOR_SERVING


def _pod_findings(pod: Obj) -> Iterator[Finding]:
    status = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            yield Finding(
                api.Reason.UNSCHEDULABLE,
                f"Pod {name_of(pod)} fits no node: {condition.get('message', 'no node is free')}. "
                f"{_remedies(pod).room}.",
            )
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        yield from _container_findings(pod, container)


def _container_findings(pod: Obj, container: Obj) -> Iterator[Finding]:
    waiting = container.get("state", {}).get("waiting", {})
    if waiting.get("reason") in _IMAGE_WAITING:
        yield Finding(
            api.Reason.IMAGE_PULL_FAILED,
            f"Pod {name_of(pod)} cannot pull {container.get('image', 'its image')}: "
            f"{_innermost(waiting.get('message', waiting['reason']))}. {_remedies(pod).image}.",
        )
    if waiting.get("reason") in _CONFIG_WAITING:
        yield Finding(
            api.Reason.PARAMETER_INVALID,
            f"Pod {name_of(pod)} cannot start its container: {waiting.get('message', waiting['reason'])}. "
            f"{_remedies(pod).configuration}.",
        )
    if container.get("ready"):
        return  # a container that serves again has recovered from whatever ended its last life
    for state in ("state", "lastState"):
        terminated = container.get(state, {}).get("terminated")
        if terminated and terminated.get("exitCode", 0) != 0:
            yield _terminated_finding(pod, terminated)


def _innermost(message: str) -> str:
    """The container runtime wraps each error in the next, naming the image every time; the cause comes last."""
    return message.rpartition('": ')[2].strip()[:300]


def _terminated_finding(pod: Obj, terminated: Obj) -> Finding:
    if terminated.get("reason") == "OOMKilled":
        return Finding(
            api.Reason.OUT_OF_MEMORY,
            f"Pod {name_of(pod)} was killed because it used more than its memory limit: {_remedies(pod).memory}.",
        )
    reported = _reported(terminated.get("message", ""))
    if reported is not None:
        return reported
    tail = terminated.get("message", "").strip().splitlines()[-1:]
    detail = f" Its last words: {tail[0][:300]}" if tail else ""
    return Finding(
        api.Reason.CONTAINER_CRASHED,
        f"Pod {name_of(pod)} ended with exit code {terminated.get('exitCode')}.{detail} "
        f"See kubectl logs {name_of(pod)}{_remedies(pod).logs}.",
    )


def _reported(message: str) -> Finding | None:
    """The server's and the build's own word for what went wrong, as written to their termination log."""
    try:
        report = json.loads(message)
        return Finding(api.Reason(report["reason"]), str(report["message"]))
    except (ValueError, KeyError, TypeError):
        return None
