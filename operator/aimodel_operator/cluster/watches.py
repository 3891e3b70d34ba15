"""Keeps the cache in step with the cluster: LIST once, then WATCH, for each kind of child and namespace.

Lists again after a 410 and every ten minutes, which drops objects whose deletion was missed; backs off while
the API server is away and goes on as soon as it is back. Tells the controller whose child changed.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from aimodel_operator import api
from aimodel_operator.cluster.client import ApiCluster
from aimodel_operator.cluster.requests import Expired, Requests
from aimodel_operator.kinds import Kind, Obj, labels_of
from aimodel_operator.reconcile import Cache, ClusterError

_log = logging.getLogger(__name__)
_SELECTOR = api.names.as_query({api.names.MANAGED_BY: api.names.FIELD_MANAGER})
_RELIST_S = 600.0
_WATCH_S = 300
_SILENCE_S = 90.0
"""The API server sends a bookmark about once a minute: a longer silence is a dead connection."""
_LONGEST_BACKOFF_S = 3.0
_RECONNECT_S = 0.1


class ChildWatch:
    """The watch of one kind in one namespace (or all)."""

    def __init__(
        self,
        requests: Requests,
        cache: Cache,
        kind: Kind,
        namespace: str | None,
        changed: Callable[[str], None],
    ) -> None:
        self._requests = requests
        self._cluster = ApiCluster(requests)
        self._cache = cache
        self.kind = kind
        self._namespace = namespace
        self._changed = changed
        self._seen_at: float | None = None
        self.synced = asyncio.Event()
        self.is_refused = False
        """The API server is away or refuses us, which is known and being retried."""

    def silent_s(self) -> float:
        """Seconds since the watch last heard of the API server; 0 before the first list."""
        return 0.0 if self._seen_at is None else time.monotonic() - self._seen_at

    async def run(self) -> None:
        """Watch until cancelled."""
        failures = 0
        while True:
            try:
                version = await self._list()
                failures, self.is_refused = 0, False
                await self._watch(version, until=time.monotonic() + _RELIST_S)
            except Expired:
                continue
            except ClusterError as exc:
                failures, self.is_refused = failures + 1, True
                delay_s = min(0.5 * 2.0**failures, _LONGEST_BACKOFF_S) * random.uniform(0.5, 1.0)
                _log.warning(
                    "watch failed",
                    extra={"kind": self.kind.name, "error": str(exc), "again_after_s": delay_s},
                )
                await asyncio.sleep(delay_s)

    async def _list(self) -> str:
        objects, version = await self._cluster.listed(self.kind, self._namespace, _SELECTOR)
        for owner in self._cache.replace(self.kind, self._namespace, objects):
            self._changed(owner)
        self._heard()
        self.synced.set()
        return version

    async def _watch(self, version: str, until: float) -> None:
        while time.monotonic() < until:
            query = {
                "watch": "true",
                "labelSelector": _SELECTOR,
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(_WATCH_S),
            }
            async for event in self._requests.stream(self.kind.path(self._namespace), query, _SILENCE_S):
                self._heard()
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._take(event["type"], event["object"])
            await asyncio.sleep(_RECONNECT_S)  # a server that closes every watch at once is not asked in a tight loop

    def _take(self, event_type: str, obj: Obj) -> None:
        if event_type == "DELETED":
            self._cache.remove(obj)
        else:
            self._cache.put(obj)
        self._changed(labels_of(obj).get(api.names.UID, ""))

    def _heard(self) -> None:
        self._seen_at = time.monotonic()
