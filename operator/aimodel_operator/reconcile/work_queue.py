"""Keys waiting to be reconciled: each at most once, one worker at a time per key, failures with a growing delay.

Used by `controller` and by tests with a fake clock; it knows nothing of what a key means.
"""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 60.0


class WorkQueue(Generic[K]):
    """A de-duplicating queue: a key added while it is being worked on comes up once more afterwards."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def add(self, key: K) -> None:
        """Ask for the key as soon as a worker is free."""
        self._cancel_timer(key)
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, delay_s: float) -> None:
        """Ask for the key later; an earlier request for it wins."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + delay_s:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(delay_s, self.add, key)

    async def take(self) -> K:
        """Wait for the next key; the caller owes a `done` or `failed`."""
        key = await self._ready.get()
        self._queued.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The key was worked on without trouble."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: K, longest_s: float = _LONGEST_DELAY_S) -> float:
        """The key has to be tried again; returns the seconds until then."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s = min(_FIRST_DELAY_S * 2.0 ** min(failures, 20), longest_s)
        self._working.discard(key)
        self._again.discard(key)
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """The key's object is gone."""
        self._cancel_timer(key)
        self._failures.pop(key, None)

    def __len__(self) -> int:
        return self._ready.qsize()

    def _release(self, key: K) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
