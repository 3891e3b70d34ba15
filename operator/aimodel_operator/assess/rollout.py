"""How far the pods of a revision are, and what keeps them. Called by `assess.conditions`."""

from dataclasses import dataclass

from aimodel_operator import api
from aimodel_operator.kinds import Obj, labels_of, name_of
from aimodel_operator.observe import Facts, Finding, deployment_of, worst_finding


@dataclass(frozen=True, slots=True)
class RevisionProgress:
    """Pods of one revision: wanted by the spec, existing and ready by its Deployment; `finding` says what is wrong."""

    revision: str | None
    wanted: int = 0
    existing: int = 0
    ready: int = 0
    finding: Finding | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every wanted pod is ready."""
        return self.revision is not None and self.ready >= self.wanted > 0


def progress_of(facts: Facts, revision: str | None) -> RevisionProgress:
    """The progress of a revision; nothing is ready when it has no Deployment."""
    deployment = deployment_of(facts, revision)
    if revision is None or deployment is None:
        return RevisionProgress(revision, facts.model.spec.replicas)
    status = deployment.get("status", {})
    ready = status.get("readyReplicas", 0)
    wanted = facts.model.spec.replicas
    finding = None if ready >= wanted else _finding(facts, deployment)
    return RevisionProgress(revision, wanted, status.get("replicas", 0), ready, finding)


def _finding(facts: Facts, deployment: Obj) -> Finding | None:
    pods = [pod for pod in facts.pods if labels_of(pod).get(api.names.REVISION) == name_of(deployment)]
    conditions = {entry["type"]: entry for entry in deployment.get("status", {}).get("conditions", ())}
    return worst_finding(pods) or _refused(deployment, conditions) or _stalled(deployment, conditions, pods)


def _refused(deployment: Obj, conditions: dict[str, Obj]) -> Finding | None:
    failure = conditions.get("ReplicaFailure")
    if failure is None or failure["status"] != "True":
        return None
    message = failure.get("message", "no cause given")
    if "exceeded quota" in message:
        advice = "Raise the ResourceQuota of the namespace, or ask for less in spec.serving.resources."
        return Finding(api.Reason.QUOTA_EXCEEDED, f"Pods of {name_of(deployment)} are refused: {message}. {advice}")
    return Finding(api.Reason.FORBIDDEN, f"Pods of {name_of(deployment)} are refused: {message}.")


def _stalled(deployment: Obj, conditions: dict[str, Obj], pods: list[Obj]) -> Finding | None:
    progressing = conditions.get("Progressing")
    if progressing is None or progressing["status"] != "False":
        return None
    deadline_s = deployment["spec"]["progressDeadlineSeconds"]
    name = name_of(deployment)
    if any(pod.get("status", {}).get("phase") == "Running" for pod in pods):
        return Finding(
            api.Reason.PROBE_FAILED,
            f"Pods of {name} run but were not ready within {deadline_s} s. See kubectl logs deployment/{name}.",
        )
    return Finding(
        api.Reason.ROLLOUT_STALLED,
        f"Pods of {name} did not become ready within {deadline_s} s. See kubectl describe deployment {name}.",
    )
