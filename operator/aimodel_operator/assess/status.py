"""The `status` of an AIModel as the API's JSON, from conditions and counts. Times move only with a status."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from aimodel_operator import api
from aimodel_operator.api import Component, Condition, ConditionType, Reason
from aimodel_operator.assess.conditions import conditions, gather
from aimodel_operator.assess.rollout import RevisionProgress
from aimodel_operator.decide import Decision
from aimodel_operator.kinds import Obj, name_of
from aimodel_operator.observe import Facts, Finding, revisions_by_name


def assess(facts: Facts, decision: Decision, problems: tuple[Finding, ...], now: datetime) -> Obj:
    """The status that is true now; equal to the one before when nothing changed."""
    model = facts.model
    assessment = gather(facts, decision, problems)
    status: Obj = {
        "observedGeneration": model.generation,
        "replicas": sum(deployment.get("status", {}).get("replicas", 0) for deployment in facts.deployments),
        "readyReplicas": sum(deployment.get("status", {}).get("readyReplicas", 0) for deployment in facts.deployments),
        "selector": api.names.as_query(api.names.selector_for(model, Component.SERVING)),
        "url": f"grpc://{api.names.service(model.name)}.{model.namespace}.svc:{api.ports.GRPC}",
        "conditions": _stamped(conditions(assessment), model.status, model.generation, now),
        "history": [_history_entry(revision) for revision in reversed(facts.revisions)],
    }
    if assessment.active.revision is not None:
        status["active"] = _revision_status(facts, assessment.active)
    if decision.target is not None and not assessment.is_current:
        status["target"] = _revision_status(facts, assessment.target)
    return status


def assess_invalid(obj: Obj, message: str, now: datetime) -> Obj:
    """The status of an AIModel whose spec cannot be worked with: what was known stays, and goes on serving."""
    status: Mapping[str, Any] = obj.get("status", {})
    generation = obj["metadata"]["generation"]
    wrong = (
        Condition(ConditionType.SPEC_VALID, False, Reason.PARAMETER_INVALID, message),
        Condition(ConditionType.READY, False, Reason.PARAMETER_INVALID, message),
    )
    replaced = {str(condition.type) for condition in wrong}
    kept = [entry for entry in status.get("conditions", ()) if entry["type"] not in replaced]
    stamped = kept + _stamped(wrong, status, generation, now)
    return {
        **status,
        "observedGeneration": generation,
        "conditions": sorted(stamped, key=lambda entry: entry["type"]),
    }


def _stamped(found: Iterable[Condition], before: Mapping[str, Any], generation: int, now: datetime) -> list[Obj]:
    earlier = {entry["type"]: entry for entry in before.get("conditions", ())}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = []
    for condition in found:
        last = earlier.get(str(condition.type), {})
        is_same = last.get("status") == condition.status_word
        entries.append(
            {
                "type": str(condition.type),
                "status": condition.status_word,
                "observedGeneration": generation,
                "lastTransitionTime": last["lastTransitionTime"] if is_same else stamp,
                "reason": str(condition.reason),
                "message": condition.message,
            }
        )
    return sorted(entries, key=lambda entry: str(entry["type"]))


def _revision_status(facts: Facts, progress: RevisionProgress) -> Obj:
    revision = revisions_by_name(facts).get(progress.revision or "")
    status: Obj = {
        "revision": progress.revision,
        "replicas": progress.existing,
        "readyReplicas": progress.ready,
    }
    if revision is not None:
        status |= {"image": revision["data"]["image"], "modelDigest": revision["data"]["modelDigest"]}
    return status


def _history_entry(revision: Obj) -> Obj:
    return {
        "revision": name_of(revision),
        "image": revision["data"]["image"],
        "modelDigest": revision["data"]["modelDigest"],
        "createdAt": revision["metadata"]["creationTimestamp"],
    }
