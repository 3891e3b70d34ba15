"""The Kubernetes kinds the operator reads or writes, and where the API serves each.

Pure data, used by every layer: `render` stamps objects with a kind, `reconcile` compares by kind, `cluster`
turns a kind into a URL path.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]
"""A Kubernetes object as the API's JSON: typed models of the client cost ten times the time (see docs/adr)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its apiVersion, name and plural."""

    api_version: str
    name: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of a collection (no name) or of one object; namespace `None` means all namespaces."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        parts = [root]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "/".join(parts)

    def stamp(self) -> Obj:
        """The `apiVersion` and `kind` entries of an object of this kind."""
        return {"apiVersion": self.api_version, "kind": self.name}


AIMODEL = Kind("aimodel.dev/v1alpha1", "AIModel", "aimodels")
CONTROLLER_REVISION = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
EVENT = Kind("events.k8s.io/v1", "Event", "events")
JOB = Kind("batch/v1", "Job", "jobs")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")

CHILDREN = (CONTROLLER_REVISION, DEPLOYMENT, JOB, POD, SERVICE, SERVICE_ACCOUNT)
"""Every kind that is watched for children of a model. Pods are made by Deployments and Jobs, never by us."""

_BY_NAME = {(kind.api_version, kind.name): kind for kind in (AIMODEL, EVENT, LEASE, *CHILDREN)}


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """The `Kind` of an object; raises KeyError for one the operator does not know."""
    return _BY_NAME[(obj["apiVersion"], obj["kind"])]


def uid_of(obj: Mapping[str, Any]) -> str:
    """`metadata.uid`."""
    return str(obj["metadata"]["uid"])


def name_of(obj: Mapping[str, Any]) -> str:
    """`metadata.name`."""
    return str(obj["metadata"]["name"])


def version_of(obj: Mapping[str, Any]) -> int:
    """`metadata.resourceVersion` as a number: those of one API server can be compared (Kubernetes KEP-5504)."""
    return int(obj["metadata"]["resourceVersion"])


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """`metadata.labels`, empty when absent."""
    labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return labels


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """`metadata.annotations`, empty when absent."""
    annotations: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return annotations
