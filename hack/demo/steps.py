"""Runs the demo's steps under headings, measures them, and keeps the times, which `bench.demo` records.

`__main__` owns the one `Steps` value. A step's own lines come from `hack.progress`; this module writes the
heading above them and, at the end, how long each step took.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hack.progress import duration


class Steps:
    """The steps so far with their times; `total` is how many there will be."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = time.monotonic()
        self._seconds: dict[str, float] = {}
        self._failed: str | None = None

    @contextlib.contextmanager
    def run(self, name: str, title: str) -> Iterator[None]:
        """Run the body as the step `name`, under a heading."""
        print(f"\n[{len(self._seconds) + 1}/{self._total}] {title}", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            yield
        except BaseException:
            self._failed = name
            raise
        finally:
            self._seconds[name] = time.monotonic() - started

    def summary(self) -> str:
        """The time of each step and of all, on one line."""
        parts = [f"{name} {duration(seconds)}" for name, seconds in self._seconds.items()]
        return f"{' · '.join(parts)} · in all {duration(time.monotonic() - self._started)}"

    def write(self, path: Path) -> None:
        """Keep the times as JSON; `failed` names the step that did not end well."""
        report = {
            "failed": self._failed,
            "totalSeconds": round(time.monotonic() - self._started, 3),
            "seconds": {name: round(seconds, 3) for name, seconds in self._seconds.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n")
