"""Leadership by a `coordination.k8s.io` Lease: one operator writes, the others wait.

Expiry is judged by how long the record was seen unchanged on our own monotonic clock, so clocks of nodes that
disagree do no harm. A leader that cannot renew in time gives up *before* a standby may take over. The client's
own election is not used: it judges by wall clocks and never releases on a clean exit.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aimodel_operator.cluster.requests import Requests
from aimodel_operator.kinds import LEASE, Obj
from aimodel_operator.reconcile.ports import ClusterError, NotFound, Unavailable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """How long a record holds, how long a leader may fail to renew, and how often both sides try (seconds)."""

    duration_s: int = 15
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0


class Lease:
    """One candidate for the Lease `name` in `namespace`."""

    def __init__(
        self,
        requests: Requests,
        namespace: str,
        name: str,
        identity: str,
        timing: LeaseTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = requests
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing or LeaseTiming()
        self._clock = clock
        self._seen: tuple[str, float] | None = None
        self._renewed_at = 0.0
        self.is_held = False

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        while not await self._try():  # noqa: ASYNC110 - the event is in the API server, not here
            await asyncio.sleep(self._timing.retry_s)
        self.is_held = True
        _log.info("leading", extra={"lease": self._name, "identity": self._identity})

    async def hold(self) -> None:
        """Renew until leadership is lost; then return."""
        while self._left_s() > 0:
            await asyncio.sleep(self._timing.retry_s)
            try:
                async with asyncio.timeout(max(0.0, self._left_s())):  # an answer after that is of no use
                    await self._try()
            except TimeoutError:
                break
        self.is_held = False
        _log.error("leadership lost", extra={"lease": self._name, "identity": self._identity})

    def check(self) -> None:
        """Before every write: raises Unavailable when our record is so old that another may have taken over.

        A process that was stopped and goes on finds here that time has passed, before any timer of its own fires.
        """
        if not self.is_held or self._left_s() <= 0:
            raise Unavailable("This operator no longer holds its Lease")

    def _left_s(self) -> float:
        return self._timing.renew_deadline_s - (self._clock() - self._renewed_at)

    async def release(self) -> None:
        """Give the Lease back on a clean exit, so that a standby need not wait for it to expire."""
        if not self.is_held:
            return
        self.is_held = False
        try:
            record = await self._requests.send("GET", LEASE.path(self._namespace, self._name))
            if record["spec"].get("holderIdentity") == self._identity:
                await self._write("PUT", record, holder="", duration_s=1)
        except ClusterError as exc:
            _log.warning("lease not released", extra={"error": str(exc)})

    async def _try(self) -> bool:
        try:
            record = await self._requests.send("GET", LEASE.path(self._namespace, self._name))
        except NotFound:
            return await self._create()
        except ClusterError as exc:
            _log.warning("lease not read", extra={"error": str(exc)})
            return False
        holder = record["spec"].get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._is_expired(record):
            return False
        return await self._take(record)

    def _is_expired(self, record: Obj) -> bool:
        version, now = record["metadata"]["resourceVersion"], self._clock()
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now)
            return False
        return now - self._seen[1] > int(record["spec"].get("leaseDurationSeconds", self._timing.duration_s))

    async def _create(self) -> bool:
        record = {**LEASE.stamp(), "metadata": {"name": self._name, "namespace": self._namespace}, "spec": {}}
        return await self._write_quietly("POST", record)

    async def _take(self, record: Obj) -> bool:
        # The resource version in the record makes the API server refuse when somebody else was faster.
        return await self._write_quietly("PUT", record)

    async def _write_quietly(self, method: str, record: Obj) -> bool:
        sent_at = self._clock()  # a standby may have seen the record any time from now on
        try:
            await self._write(method, record, self._identity, self._timing.duration_s)
        except ClusterError as exc:
            _log.info("lease not written", extra={"error": str(exc)})
            return False
        self._renewed_at = sent_at
        return True

    async def _write(self, method: str, record: Obj, holder: str, duration_s: int) -> None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = record["spec"]
        is_same = spec.get("holderIdentity") == holder
        written = {
            "holderIdentity": holder,
            "leaseDurationSeconds": duration_s,
            "renewTime": stamp,
            "acquireTime": spec.get("acquireTime", stamp) if is_same else stamp,
            "leaseTransitions": int(spec.get("leaseTransitions", 0)) + (0 if is_same else 1),
        }
        path = LEASE.path(self._namespace, None if method == "POST" else self._name)
        await self._requests.send(method, path, {**record, "spec": written})
