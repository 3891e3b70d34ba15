"""What reconciling needs of the outside, as protocols, and how the outside says no.

    ClusterError
      NotFound        the object (or its namespace) is gone
      AlreadyExists   a create met an object of that name
      Stale           the object changed, or is another one, since it was read
      Forbidden       RBAC or an admission rule refuses the write
      QuotaExceeded   the namespace's ResourceQuota refuses the write
      Invalid         the API server finds the object malformed
      Unavailable     the API server or the network does not answer; trying again may help

Implemented by `cluster` for a real API server and by the fake in tests/support.
"""

from typing import Protocol

from aimodel_operator.decide import LookUp
from aimodel_operator.kinds import Kind, Obj
from aimodel_operator.observe import Artefact


class ClusterError(Exception):
    """The API server did not do what it was asked; the message is its own."""


class NotFound(ClusterError):
    """The object, or the namespace it should be in, does not exist."""


class AlreadyExists(ClusterError):
    """An object of that name is there already."""


class Stale(ClusterError):
    """The object changed or was replaced since it was read."""


class Forbidden(ClusterError):
    """RBAC or an admission rule refuses the request."""


class QuotaExceeded(ClusterError):
    """A ResourceQuota refuses the request."""


class Invalid(ClusterError):
    """The API server finds the object malformed."""


class Unavailable(ClusterError):
    """No answer, or an answer that says to come back later."""


class Cluster(Protocol):
    """The API server, as much of it as reconciling needs. Every method may raise a `ClusterError`."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """Read one object."""

    async def children(self, namespace: str, owner_uid: str) -> list[Obj]:
        """Read all children of one owner afresh, of every kind in `kinds.CHILDREN`."""

    async def create(self, obj: Obj) -> Obj:
        """Create; raises AlreadyExists."""

    async def apply(self, obj: Obj) -> Obj:
        """Server-side apply of full intent; the object carries the uid it is meant for, else Stale."""

    async def apply_status(self, obj: Obj) -> Obj:
        """Server-side apply of the status subresource; the object carries its uid."""

    async def delete(self, obj: Obj) -> None:
        """Delete exactly this object (uid precondition); one that is gone already is no error."""


class Images(Protocol):
    """The registry, as much of it as reconciling needs."""

    async def find(self, look_up: LookUp) -> Artefact | None:
        """The image under a tag, or `None` when there is none or the registry cannot tell."""
