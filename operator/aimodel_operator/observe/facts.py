"""The frozen facts of one model: its parsed spec and its own children, sorted by kind.

Built by `reconcile` from the cache or from a fresh read; read by `decide`, `render` and `assess`. Objects that
merely carry our label but are owned by somebody else never get in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aimodel_operator import api
from aimodel_operator.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    POD,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Obj,
    kind_of,
    name_of,
)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model in its container: `image` is a reference by digest, `model_digest` that of the source's bytes."""

    image: str
    model_digest: str
    format: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one model at one moment. `registry_artefact` is the answer of an image look-up, if any."""

    model: api.AIModel
    revisions: tuple[Obj, ...] = ()
    deployments: tuple[Obj, ...] = ()
    jobs: tuple[Obj, ...] = ()
    pods: tuple[Obj, ...] = ()
    services: tuple[Obj, ...] = ()
    service_accounts: tuple[Obj, ...] = ()
    registry_artefact: Artefact | None = None
    is_registry_asked: bool = False

    def with_registry_answer(self, artefact: Artefact | None) -> "Facts":
        """The same facts after the registry was asked for the image."""
        return replace(self, registry_artefact=artefact, is_registry_asked=True)

    def children(self) -> tuple[Obj, ...]:
        """Every object that the operator itself writes for this model (pods are made by others)."""
        return self.revisions + self.deployments + self.jobs + self.services + self.service_accounts


def observe(model: api.AIModel, children: Iterable[Obj]) -> Facts:
    """Sort the children of a model by kind; those owned by another UID are left out."""
    by_kind: dict[Kind, list[Obj]] = {}
    for child in children:
        kind = kind_of(child)
        if kind is POD or _is_owned(child, model.uid):
            by_kind.setdefault(kind, []).append(child)
    return Facts(
        model=model,
        revisions=tuple(sorted(by_kind.get(CONTROLLER_REVISION, ()), key=lambda obj: int(obj["revision"]))),
        deployments=tuple(by_kind.get(DEPLOYMENT, ())),
        jobs=tuple(by_kind.get(JOB, ())),
        pods=tuple(by_kind.get(POD, ())),
        services=tuple(by_kind.get(SERVICE, ())),
        service_accounts=tuple(by_kind.get(SERVICE_ACCOUNT, ())),
    )


def revisions_by_name(facts: Facts) -> Mapping[str, Obj]:
    """The model's ControllerRevisions by name."""
    return {name_of(revision): revision for revision in facts.revisions}


def deployment_of(facts: Facts, revision: str | None) -> Obj | None:
    """The Deployment of a revision, or `None`; both have the same name."""
    return next((obj for obj in facts.deployments if name_of(obj) == revision), None)


def _is_owned(child: Obj, uid: str) -> bool:
    references = child["metadata"].get("ownerReferences") or ()
    return any(reference.get("uid") == uid and reference.get("controller") for reference in references)
