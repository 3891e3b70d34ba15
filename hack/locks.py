"""Lets one process at a time do what must not be done twice at once: build programs, train, change clusters."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from hack.progress import step


@contextlib.contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold a file lock; says on standard error when somebody else holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(f"wait for another {waiting_for}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
