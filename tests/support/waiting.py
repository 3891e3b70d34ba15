"""Waits that fail a test with what is so instead of what it waits for."""

import time
from collections.abc import Callable

from hack.waiting import wait_until


def eventually(is_so: Callable[[], bool], limit_s: float, otherwise: Callable[[], object]) -> float:
    """Wait until true and return the seconds it took; past the limit, fail with what is so instead."""
    started = time.monotonic()
    if not wait_until(is_so, limit_s, poll_s=0.1):
        raise AssertionError(f"not so after {limit_s:.0f} s: {otherwise()}")
    return time.monotonic() - started
