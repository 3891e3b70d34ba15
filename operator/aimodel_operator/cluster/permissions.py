"""Every right the operator uses, and nothing more: the source of the chart's RBAC rules.

`hack.generate` writes them into the chart; the e2e suite compares them with the API server's audit log.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


_READ = ("get", "list", "watch")

MODEL_RULES: tuple[Rule, ...] = (
    Rule("aimodel.dev", ("aimodels",), ("list", "watch")),
    Rule("aimodel.dev", ("aimodels/status",), ("patch",)),
    Rule("aimodel.dev", ("aimodels/finalizers",), ("update",)),  # for blockOwnerDeletion in owner references
    Rule("apps", ("controllerrevisions",), (*_READ, "create", "delete")),  # immutable
    Rule("apps", ("deployments",), (*_READ, "create", "patch", "delete")),
    Rule("batch", ("jobs",), (*_READ, "create", "delete")),  # immutable
    Rule("", ("serviceaccounts", "services"), (*_READ, "create", "patch")),  # deleted by their owner references
    Rule("", ("pods",), ("list", "watch")),
    Rule("events.k8s.io", ("events",), ("create",)),
)
"""Needed in every namespace with AIModels."""

OWN_RULES: tuple[Rule, ...] = (Rule("coordination.k8s.io", ("leases",), ("get", "create", "update")),)
"""Needed in the operator's own namespace."""
