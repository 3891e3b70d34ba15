"""The whole decision for one model: build, revisions, replicas, which revision the Services point to.

Invariants kept here: a Service moves only to a revision whose pods are all ready, or away from one without ready
pods to one that has some; the old revision keeps its replicas until that moment; nothing is deleted that is still
selected.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aimodel_operator import api
from aimodel_operator.decide.build import BuildDecision, decide_build
from aimodel_operator.decide.revision import revision_name
from aimodel_operator.kinds import Obj, name_of
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
    selections = _selections(facts)
    selected = next(iter(selections), None)
    target = None if build.artefact is None else revision_name(facts.model, build.artefact)
    active = _next_active(facts, selected, target)
    # Until both Services have moved, the revision that they leave keeps its pods, if it has any.
    leaving = [name for name in selections if deployment_of(facts, name) is not None]
    replicas = {name: facts.model.spec.replicas for name in (*leaving, active, target) if name is not None}
    obsolete = build.obsolete + _obsolete_deployments(facts, replicas) + _obsolete_revisions(facts, replicas)
    return Decision(build, target, selected, active, replicas, obsolete)


def is_rolled_out(facts: Facts, revision: str) -> bool:
    """Whether every wanted pod of a revision is ready, as far as its Deployment's controller has seen the spec."""
    deployment = deployment_of(facts, revision)
    if deployment is None or "deletionTimestamp" in deployment["metadata"]:
        return False
    status = deployment.get("status", {})
    is_seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    wanted = facts.model.spec.replicas
    is_sized = deployment["spec"]["replicas"] == wanted
    return bool(is_seen and is_sized and status.get("readyReplicas", 0) >= wanted)


def selected_revision(facts: Facts) -> str | None:
    """The revision that clients of the model's address reach, or `None`: what its Service selects, if it is ours."""
    return _selected_by(facts, api.names.service(facts.model.name))


def _selections(facts: Facts) -> list[str]:
    # The headless Service is asked too: it remembers when somebody deleted or bent the first.
    model = facts.model.name
    both = (api.names.service(model), api.names.headless_service(model))
    return [revision for name in both if (revision := _selected_by(facts, name)) is not None]


def _selected_by(facts: Facts, service: str) -> str | None:
    known = {*revisions_by_name(facts), *(name_of(deployment) for deployment in facts.deployments)}
    found = next((obj for obj in facts.services if name_of(obj) == service), None)
    selected = None if found is None else found["spec"].get("selector", {}).get(api.names.REVISION)
    return str(selected) if selected in known else None


def _next_active(facts: Facts, selected: str | None, target: str | None) -> str | None:
    if target is not None and is_rolled_out(facts, target):
        return target
    ready = {name_of(deployment): _ready_pods(deployment) for deployment in facts.deployments}
    if ready.get(selected or "", 0) > 0:
        return selected
    if ready.get(target or "", 0) > 0:
        return target
    most = max(ready, key=lambda name: (ready[name], name), default=None)
    return most if most is not None and ready[most] > 0 else selected or target


def _ready_pods(deployment: Obj) -> int:
    return int(deployment.get("status", {}).get("readyReplicas", 0))


def _obsolete_deployments(facts: Facts, replicas: Mapping[str, int]) -> tuple[Obj, ...]:
    return tuple(deployment for deployment in facts.deployments if name_of(deployment) not in replicas)


def _obsolete_revisions(facts: Facts, replicas: Mapping[str, int]) -> tuple[Obj, ...]:
    idle = [revision for revision in facts.revisions if name_of(revision) not in replicas]
    limit = api.defaults.revision_history_limit(facts.model.spec)
    return tuple(idle[: max(0, len(idle) - limit)])
