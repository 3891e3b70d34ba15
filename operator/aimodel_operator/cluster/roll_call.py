"""Compares the AIModels that the watch has shown with those that a LIST shows, and tells when the watch is deaf.

A watch that a proxy keeps open without sending anything, or whose task has ended, looks like one in which nothing
happens. An AIModel that two LISTs running show newer than the watch does is proof. Models that went away
while the watch was interrupted are never shown as deleted: they are found here too. Called by `process`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from aimodel_operator.cluster.client import ApiCluster
from aimodel_operator.kinds import AIMODEL, Obj, uid_of, version_of
from aimodel_operator.reconcile.ports import ClusterError

_log = logging.getLogger(__name__)
PERIOD_S = 20.0
_RETRY_S = 2.0


class RollCall:
    """Lists every AIModel of the namespaces (none: of all) now and then."""

    def __init__(
        self,
        cluster: ApiCluster,
        namespaces: Sequence[str],
        shown: Callable[[], Iterable[Obj]],
        gone: Callable[[Obj], None],
        period_s: float = PERIOD_S,
    ) -> None:
        self._cluster = cluster
        self._namespaces = tuple(namespaces) or (None,)
        self._shown = shown
        self._gone = gone
        self._period_s = period_s
        self._missed: dict[str, int] = {}
        self.answered = asyncio.Event()
        """Set while the API server answers: it is there, and it serves AIModels."""

    async def run(self) -> None:
        """Call until the watch is deaf; then return."""
        while True:
            try:
                missed = await self._call()
            except ClusterError as exc:
                self.answered.clear()
                self._missed = {}  # after an outage the watch gets its time to come back
                _log.warning("aimodels not listed", extra={"error": str(exc)})
                await asyncio.sleep(_RETRY_S)
                continue
            self.answered.set()
            if missed:
                _log.error("the watch of aimodels is deaf", extra={"uids": missed[:5], "count": len(missed)})
                return
            await asyncio.sleep(self._period_s)

    async def _call(self) -> list[str]:
        """The uids that this and the last call showed newer than the watch."""
        listed: dict[str, int] = {}
        versions = []
        for namespace in self._namespaces:
            objects, version = await self._cluster.listed(AIMODEL, namespace, "")
            listed |= {uid_of(obj): version_of(obj) for obj in objects}
            versions.append(int(version))
        shown = {uid_of(obj): obj for obj in self._shown()}
        self._drop_ghosts(shown, listed, min(versions))
        held = {uid: version_of(obj) for uid, obj in shown.items()}
        still_missed = [uid for uid, version in self._missed.items() if uid in listed and held.get(uid, 0) < version]
        self._missed = {uid: version for uid, version in listed.items() if held.get(uid, 0) < version}
        return still_missed

    def _drop_ghosts(self, shown: dict[str, Obj], listed: dict[str, int], list_version: int) -> None:
        for uid, obj in shown.items():
            if uid not in listed and version_of(obj) < list_version:
                _log.warning("deletion was not shown by the watch", extra={"uid": uid})
                self._gone(obj)
