"""The queue of keys: once each, one worker at a time, growing delays."""

import asyncio

from aimodel_operator.reconcile.work_queue import WorkQueue


async def test_key_added_twice_comes_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert await queue.take() == "a"
    assert len(queue) == 0


async def test_key_added_during_its_work_comes_once_more_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.take()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0, "no second worker for the same key"
    queue.done("a")
    assert await queue.take() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_failing_key_waits_longer_each_time_and_starts_over_after_success() -> None:
    queue: WorkQueue[str] = WorkQueue()
    delays = []
    for _ in range(3):
        queue.add("a")
        await queue.take()
        delays.append(queue.failed("a"))
    assert delays == [0.2, 0.4, 0.8]
    queue.add("a")
    await queue.take()
    queue.done("a")
    queue.add("a")
    await queue.take()
    assert queue.failed("a") == 0.2
    queue.forget("a")


async def test_delay_never_exceeds_a_minute() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(40):
        queue.add("a")
        await queue.take()
        longest = queue.failed("a")
    assert longest == 60.0
    queue.forget("a")


async def test_earlier_timer_wins() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.001)
    queue.add_after("a", 1000.0)
    assert await asyncio.wait_for(queue.take(), 5) == "a"


async def test_event_overtakes_a_timer() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 1000.0)
    queue.add("a")
    assert await asyncio.wait_for(queue.take(), 5) == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_forgotten_key_does_not_come_back() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.001)
    queue.forget("a")
    queue.add_after("b", 0.01)
    assert await asyncio.wait_for(queue.take(), 5) == "b"
