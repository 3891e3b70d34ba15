"""One pass over one model: observe → decide → render → diff → apply → assess.

`Reconciler` is the path itself, `Controller` the queue and workers around it. Everything that talks to the
outside does so through the protocols in `ports`.
"""

from aimodel_operator.reconcile.cache import Cache
from aimodel_operator.reconcile.controller import Controller
from aimodel_operator.reconcile.ports import (
    AlreadyExists,
    Cluster,
    ClusterError,
    Forbidden,
    Images,
    NotFound,
    QuotaExceeded,
    Stale,
    Unavailable,
)
from aimodel_operator.reconcile.reconciler import Reconciler

__all__ = [
    "AlreadyExists",
    "Cache",
    "Cluster",
    "ClusterError",
    "Controller",
    "Forbidden",
    "Images",
    "NotFound",
    "QuotaExceeded",
    "Reconciler",
    "Stale",
    "Unavailable",
]
