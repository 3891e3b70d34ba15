"""The API server as `reconcile` sees it: the `Cluster` protocol over `requests`."""

import os
from collections.abc import Callable

from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from aimodel_operator import api
from aimodel_operator.cluster.requests import APPLY, Requests
from aimodel_operator.kinds import AIMODEL, CHILDREN, Kind, Obj, kind_of, name_of
from aimodel_operator.reconcile.ports import NotFound, Stale

_MANAGER = {"fieldManager": api.names.FIELD_MANAGER}
_PAGE = "500"


async def connect(connections: int = 32) -> kubernetes_client.ApiClient:
    """A client by the pod's service account, or by the kubeconfig outside a cluster."""
    configuration = kubernetes_client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        kubernetes_config.load_incluster_config(client_configuration=configuration)
    else:
        await kubernetes_config.load_kube_config(client_configuration=configuration)
    configuration.connection_pool_maxsize = connections
    return kubernetes_client.ApiClient(configuration)


class ApiCluster:
    """Reads and writes single objects and lists; implements `reconcile.Cluster`.

    `fence` is called before every write and raises when this process must not write (see `Lease.check`).
    """

    def __init__(self, requests: Requests, fence: Callable[[], None] = lambda: None) -> None:
        self._requests = requests
        self._fence = fence

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """Read one object; raises NotFound."""
        return await self._requests.send("GET", kind.path(namespace, name))

    async def listed(self, kind: Kind, namespace: str | None, selector: str) -> tuple[list[Obj], str]:
        """All objects of a kind that the selector matches, read in pages, and the list's resource version."""
        objects: list[Obj] = []
        query = {"labelSelector": selector, "limit": _PAGE}
        while True:
            page = await self._requests.send("GET", kind.path(namespace), query=query)
            objects += [{**kind.stamp(), **item} for item in page["items"]]
            if not page["metadata"].get("continue"):
                return objects, str(page["metadata"]["resourceVersion"])
            query["continue"] = page["metadata"]["continue"]

    async def children(self, namespace: str, owner_uid: str) -> list[Obj]:
        """All children of one owner, of every kind, read afresh."""
        selector = api.names.as_query({api.names.UID: owner_uid})
        found: list[Obj] = []
        for kind in CHILDREN:
            found += (await self.listed(kind, namespace, selector))[0]
        return found

    async def create(self, obj: Obj) -> Obj:
        """Create an object; raises AlreadyExists."""
        self._fence()
        path = kind_of(obj).path(obj["metadata"]["namespace"])
        return await self._requests.send("POST", path, obj, _MANAGER)

    async def apply(self, obj: Obj) -> Obj:
        """Server-side apply, taking over the fields we name; the uid in it keeps it from making a new object."""
        path = kind_of(obj).path(obj["metadata"]["namespace"], name_of(obj))
        return await self._apply(path, obj)

    async def apply_status(self, obj: Obj) -> Obj:
        """Server-side apply of an AIModel's status."""
        path = AIMODEL.path(obj["metadata"]["namespace"], name_of(obj), "status")
        return await self._apply(path, obj)

    async def delete(self, obj: Obj) -> None:
        """Delete exactly this object and, in the background, what it owns."""
        self._fence()
        path = kind_of(obj).path(obj["metadata"]["namespace"], name_of(obj))
        options = {"propagationPolicy": "Background", "preconditions": {"uid": obj["metadata"]["uid"]}}
        try:
            await self._requests.send("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        except (NotFound, Stale):
            return  # gone, or replaced by another of its name: either way this object is no more

    async def _apply(self, path: str, obj: Obj) -> Obj:
        self._fence()
        return await self._requests.send("PATCH", path, obj, {**_MANAGER, "force": "true"}, APPLY)
