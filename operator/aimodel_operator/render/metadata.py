"""Metadata of every child: name, labels, owner. The owner reference lets the cluster delete what we made."""

from aimodel_operator import api
from aimodel_operator.api.names import Component
from aimodel_operator.kinds import Kind, Obj


def child(model: api.AIModel, kind: Kind, name: str, component: Component, revision: str | None = None) -> Obj:
    """The head of a child object, owned by the model."""
    return {
        **kind.stamp(),
        "metadata": {
            "name": name,
            "namespace": model.namespace,
            "labels": api.names.labels_for(model, component, revision),
            "ownerReferences": [
                {
                    "apiVersion": api.API_VERSION,
                    "kind": api.KIND,
                    "name": model.name,
                    "uid": model.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }


def restricted_pod() -> Obj:
    """The pod half of what Pod Security `restricted` asks for."""
    return {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def restricted_container() -> Obj:
    """The container half, with a read-only root."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
