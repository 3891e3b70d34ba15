"""Polls until something is so; never longer than it is told to."""

import time
from collections.abc import Callable

POLL_S = 0.05


def wait_until(check: Callable[[], bool], limit_s: float, poll_s: float = POLL_S) -> bool:
    """Poll `check` until it is true; False when `limit_s` passed."""
    deadline = time.monotonic() + limit_s
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True
