"""Turns the steps of a long command into lines a person can follow; used by `hack.images` and `hack.demo`.

Everything goes to standard error, so that standard output stays free for results. On a terminal the line of
the running step is repainted with its elapsed time; elsewhere a line is written when a step starts, every
`QUIET_S` seconds while it runs, and when it ends. It never swallows an exception of the step.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

QUIET_S = 15.0
REPAINT_S = 0.2
BAR_WIDTH = 24
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def bar(done: float, total: float, width: int = BAR_WIDTH) -> str:
    """A bar of `width` characters, filled in eighths of a character."""
    share = 0.0 if total <= 0 else min(max(done / total, 0.0), 1.0)
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    cells = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return cells.ljust(width, "·")


def duration(seconds: float) -> str:
    """Elapsed time as people say it: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def size(count: float) -> str:
    """A byte count in decimal megabytes or kilobytes."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


class Step:
    """One running step: what it is, how far it is, how long it has taken."""

    def __init__(self, title: str, out: TextIO) -> None:
        self.title = title
        self.started = time.monotonic()
        self._out = out
        self._live = out.isatty()
        self._detail = ""
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._frame = 0
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the step started."""
        return time.monotonic() - self.started

    @property
    def detail(self) -> str:
        """The text behind the title."""
        return self._detail

    def note(self, detail: str) -> None:
        """Replace the text behind the title; the last one stays when the step has ended."""
        self._detail = detail

    def advance(self, done: float, total: float, unit: str = "") -> None:
        """Show a bar with `done` of `total`."""
        self.note(f"{bar(done, total)} {done:g}/{total:g} {unit}".rstrip())

    def line(self, text: str) -> None:
        """Write a line of its own above the running one, for events worth keeping."""
        with self._lock:
            self._erase()
            self._out.write(f"  {text}\n")
            self._out.flush()

    def start(self) -> None:
        """Begin to paint."""
        if not self._live:
            self._out.write(f"• {self.title}\n")
            self._out.flush()
        self._ticker.start()

    def end(self, mark: str) -> None:
        """Write the last line: mark, title, detail and time."""
        self._done.set()
        self._ticker.join()
        with self._lock:
            self._erase()
            self._out.write(f"{mark} {self._text()}\n")
            self._out.flush()

    def _text(self) -> str:
        detail = f"  {self._detail}" if self._detail else ""
        return f"{self.title:<34} {duration(self.elapsed_s):>12}{detail}"

    def _erase(self) -> None:
        if self._live:
            self._out.write("\r\x1b[2K")

    def _tick(self) -> None:
        while not self._done.wait(REPAINT_S if self._live else QUIET_S):
            with self._lock:
                self._erase()
                self._frame += 1
                mark = SPINNER[self._frame % len(SPINNER)] if self._live else "…"
                self._out.write(f"{mark} {self._text()}" + ("" if self._live else "\n"))
                self._out.flush()


@contextlib.contextmanager
def step(title: str, out: TextIO | None = None) -> Iterator[Step]:
    """Run the body as one step; marks it ✓ when it ends and ✗ when it raises."""
    running = Step(title, out or sys.stderr)
    running.start()
    try:
        yield running
    except BaseException:
        running.end("✗")
        raise
    running.end("✓")
