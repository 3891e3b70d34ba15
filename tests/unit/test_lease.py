"""Leadership on a clock of the test's own: when a record is old, who may take it, when nothing may be written."""

import asyncio
from typing import Any

import pytest

from aimodel_operator.cluster import Lease
from aimodel_operator.cluster.lease import LeaseTiming
from aimodel_operator.kinds import Obj
from aimodel_operator.reconcile.ports import NotFound, Stale, Unavailable

TIMING = LeaseTiming(duration_s=15, renew_deadline_s=10.0, retry_s=0.0)


class Clock:
    """Moves by hand, and by a step with every look at the API server."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class OneLease:
    """An API server that holds one Lease; `seconds` is how long an answer takes."""

    def __init__(self, clock: Clock) -> None:
        self.record: Obj | None = None
        self.clock = clock
        self.seconds = 0.0
        self.is_away = False
        self._version = 0

    async def send(self, method: str, path: str, body: Obj | None = None, *_: Any) -> Obj:
        await asyncio.sleep(0)
        self.clock.now += self.seconds
        if self.is_away:
            raise Unavailable("connection refused")
        if method == "GET":
            if self.record is None:
                raise NotFound("no lease")
            return self.record
        assert body is not None
        version = body["metadata"].get("resourceVersion")
        if self.record is not None and version != self.record["metadata"]["resourceVersion"]:
            raise Stale("the object has been modified")
        self._version += 1
        self.record = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}
        return self.record

    @property
    def holder(self) -> str:
        return "" if self.record is None else str(self.record["spec"]["holderIdentity"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> OneLease:
    return OneLease(clock)


def a_lease(server: OneLease, clock: Clock, identity: str) -> Lease:
    return Lease(server, "aimodel-system", "aimodel-operator", identity, TIMING, clock)  # type: ignore[arg-type]


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_second_waits_until_the_record_was_unchanged_for_its_duration(server: OneLease, clock: Clock) -> None:
    first, second = a_lease(server, clock, "first"), a_lease(server, clock, "second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await turns()
    clock.now += 15
    await turns()
    assert server.holder == "first"
    clock.now += 0.1
    await asyncio.wait_for(waiting, 5)
    assert server.holder == "second"


async def test_released_lease_is_taken_at_once(server: OneLease, clock: Clock) -> None:
    first, second = a_lease(server, clock, "first"), a_lease(server, clock, "second")
    await first.acquire()
    await first.release()
    assert server.holder == ""
    await asyncio.wait_for(second.acquire(), 5)
    assert server.holder == "second"


async def test_leader_gives_up_before_another_may_take_over(server: OneLease, clock: Clock) -> None:
    lease = a_lease(server, clock, "first")
    await lease.acquire()
    server.is_away = True
    holding = asyncio.create_task(lease.hold())
    clock.now += 9.9
    await turns()
    assert not holding.done()
    lease.check()
    clock.now += 0.1
    await asyncio.wait_for(holding, 5)
    assert not lease.is_held


async def test_renewal_counts_from_when_it_was_sent(server: OneLease, clock: Clock) -> None:
    lease = a_lease(server, clock, "first")
    server.seconds = 4.0
    await lease.acquire()  # one look of 4 s, then a write of 4 s that was sent 4 s ago
    clock.now += 5.9
    lease.check()
    clock.now += 0.1
    with pytest.raises(Unavailable, match="no longer holds"):
        lease.check()


async def test_process_that_was_stopped_writes_nothing_when_it_goes_on(server: OneLease, clock: Clock) -> None:
    lease = a_lease(server, clock, "first")
    with pytest.raises(Unavailable):
        lease.check()
    await lease.acquire()
    lease.check()
    clock.now += 60  # SIGSTOP and SIGCONT; no timer has fired yet
    with pytest.raises(Unavailable):
        lease.check()


async def test_leader_that_lost_it_can_lead_again(server: OneLease, clock: Clock) -> None:
    lease = a_lease(server, clock, "first")
    await lease.acquire()
    clock.now += 60
    await lease.hold()
    await asyncio.wait_for(lease.acquire(), 5)
    lease.check()


async def test_lease_of_another_is_not_released(server: OneLease, clock: Clock) -> None:
    first, second = a_lease(server, clock, "first"), a_lease(server, clock, "second")
    await first.acquire()
    await second.release()
    assert server.holder == "first"


async def test_lease_that_was_lost_without_noticing_is_left_to_the_new_leader(server: OneLease, clock: Clock) -> None:
    first, second = a_lease(server, clock, "first"), a_lease(server, clock, "second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await turns()
    clock.now += 16
    await asyncio.wait_for(waiting, 5)
    await first.release()
    assert server.holder == "second"
