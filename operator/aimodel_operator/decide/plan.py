"""The whole decision for one model: build, revisions, replicas, which revision the Services point to.

Invariants kept here: a Service moves only to a revision whose pods are all ready; the old revision keeps its
replicas until that moment; nothing is deleted that is still selected.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aimodel_operator import api
from aimodel_operator.decide.build import BuildDecision, decide_build
from aimodel_operator.decide.revision import revision_name
from aimodel_operator.kinds import Obj, labels_of, name_of
from aimodel_operator.observe import Facts, deployment_of, revisions_by_name
from aimodel_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class Decision:
    """What has to be true next.

    `target` is the revision the spec asks for (None while its image is being made), `selected` the one the
    Services already point to, `active` the one they shall point to after this pass. `replicas` names every
    revision that keeps a Deployment. `obsolete` objects are to be deleted.
    """

    build: BuildDecision
    target: str | None = None
    selected: str | None = None
    active: str | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)
    obsolete: tuple[Obj, ...] = ()


def decide(facts: Facts, settings: Settings, now: datetime) -> Decision:
    """Decide what one model needs; the same facts and the same `now` give the same decision."""
    build = decide_build(facts, settings, now)
    selected = _selected_revision(facts)
    target = None if build.artefact is None else revision_name(facts.model, build.artefact)
    active = selected
    if target is not None and (selected is None or is_rolled_out(facts, target)):
        active = target
    replicas = {name: facts.model.spec.replicas for name in (selected, active, target) if name is not None}
    if active == selected and active is not None:
        # Nobody is sent to a revision that is neither selected nor wanted: it goes with its pods.
        replicas = {name: count for name, count in replicas.items() if name in (active, target)}
    obsolete = build.obsolete + _obsolete_deployments(facts, replicas) + _obsolete_revisions(facts, replicas)
    return Decision(build, target, selected, active, replicas, obsolete)


def is_rolled_out(facts: Facts, revision: str) -> bool:
    """Whether every wanted pod of a revision is ready, as far as its Deployment's controller has seen the spec."""
    deployment = deployment_of(facts, revision)
    if deployment is None:
        return False
    status = deployment.get("status", {})
    is_seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    wanted = facts.model.spec.replicas
    is_sized = deployment["spec"]["replicas"] == wanted
    return bool(is_seen and is_sized and status.get("readyReplicas", 0) >= wanted)


def _selected_revision(facts: Facts) -> str | None:
    known = revisions_by_name(facts)
    for service in facts.services:
        if name_of(service) == api.names.service(facts.model.name):
            selected = service["spec"].get("selector", {}).get(api.names.REVISION)
            return selected if selected in known else None
    return None


def _obsolete_deployments(facts: Facts, replicas: Mapping[str, int]) -> tuple[Obj, ...]:
    return tuple(obj for obj in facts.deployments if labels_of(obj).get(api.names.REVISION) not in replicas)


def _obsolete_revisions(facts: Facts, replicas: Mapping[str, int]) -> tuple[Obj, ...]:
    idle = [revision for revision in facts.revisions if name_of(revision) not in replicas]
    limit = api.defaults.revision_history_limit(facts.model.spec)
    return tuple(idle[: max(0, len(idle) - limit)])
