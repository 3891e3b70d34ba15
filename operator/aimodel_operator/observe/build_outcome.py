"""How far a build Job has come: the Job and its pods in, one frozen outcome out.

Asked by `decide` (is there an artefact, is a retry due) and `assess` (what went wrong). The build itself tells
its result by its container's termination message; a pod that never got that far is classified like any other.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from aimodel_operator import api
from aimodel_operator.kinds import Obj, annotations_of, labels_of, name_of, uid_of
from aimodel_operator.observe.facts import Artefact
from aimodel_operator.observe.failures import Finding, worst_finding

ATTEMPT_ANNOTATION = "aimodel.dev/attempt"
KEY_ANNOTATION = "aimodel.dev/build-key"


class BuildState(Enum):
    """Where a build stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """`artefact` is set when succeeded, `finding` when failed or when the pod cannot start."""

    state: BuildState
    attempt: int
    artefact: Artefact | None = None
    finding: Finding | None = None
    finished_at: datetime | None = None


def read_build(job: Obj, pods: Iterable[Obj]) -> BuildOutcome:
    """The outcome of one build Job."""
    # By uid: pods of an earlier Job of the same name may still be there, with another result in them.
    own = [pod for pod in pods if labels_of(pod).get("batch.kubernetes.io/controller-uid") == uid_of(job)]
    attempt = attempt_of(job)
    # The pod's own report comes a second before the Job controller has counted the pod.
    artefact = _reported_artefact(own)
    if artefact is not None:
        return BuildOutcome(BuildState.SUCCEEDED, attempt, artefact)
    conditions = {entry["type"]: entry for entry in job.get("status", {}).get("conditions", ())}
    if _is_true(conditions.get("Complete")):
        finding = Finding(api.Reason.BUILD_FAILED, "The build ended without a result; it is started again.")
        return BuildOutcome(BuildState.FAILED, attempt, None, finding, _time(conditions["Complete"]))
    if _is_true(conditions.get("Failed")):
        finding = worst_finding(own) or _unexplained(job, conditions["Failed"])
        return BuildOutcome(BuildState.FAILED, attempt, None, finding, _time(conditions["Failed"]))
    return BuildOutcome(BuildState.RUNNING, attempt, finding=worst_finding(own))


def attempt_of(job: Obj) -> int:
    """Which attempt at its build a Job is, from 1."""
    return int(annotations_of(job).get(ATTEMPT_ANNOTATION, "1"))


def _reported_artefact(pods: Iterable[Obj]) -> Artefact | None:
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses", ()):
            terminated = status.get("state", {}).get("terminated", {})
            if terminated.get("exitCode") == 0:
                return _artefact(terminated.get("message", ""))
    return None


def _artefact(message: str) -> Artefact | None:
    try:
        report: dict[str, str] = json.loads(message)
        return Artefact(report["image"], report["modelDigest"], report["format"])
    except (ValueError, KeyError, TypeError):
        return None


def _unexplained(job: Obj, condition: Obj) -> Finding:
    cause = condition.get("message") or condition.get("reason") or "no cause given"
    return Finding(api.Reason.BUILD_FAILED, f"Build Job {name_of(job)} failed: {cause}.")


def _is_true(condition: Obj | None) -> bool:
    return condition is not None and condition["status"] == "True"


def _time(condition: Obj) -> datetime:
    stamp = condition.get("lastTransitionTime")
    return datetime.fromisoformat(stamp) if stamp else datetime.fromtimestamp(0, UTC)
