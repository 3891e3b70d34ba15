"""The one place that talks to the API server: requests, watches, the Lease, Events.

Implements the protocols of `reconcile.ports` on the official client's asynchronous half, with plain dicts.
`permissions` is the table of every verb used here, from which the chart's RBAC is generated.
"""

from aimodel_operator.cluster.client import ApiCluster, connect
from aimodel_operator.cluster.events import EventWriter
from aimodel_operator.cluster.images import RegistryImages
from aimodel_operator.cluster.lease import Lease
from aimodel_operator.cluster.roll_call import RollCall
from aimodel_operator.cluster.watches import ChildWatch

__all__ = ["ApiCluster", "ChildWatch", "EventWriter", "Lease", "RegistryImages", "RollCall", "connect"]
