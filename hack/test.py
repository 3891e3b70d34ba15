"""`make test`: every level of tests in the order of their cost, and a table of times at the end.

Starts what a level needs (Rust build, Kubernetes binaries, the local cluster) as a level of its own, so that
set-up and tests are told apart in the table. Stops at the first level that fails: a later one would only say
the same again. Called by make; takes the name of a part (`unit`, `lint`, `long`) to run only that.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hack.progress import duration

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv" / "bin"
CARGO = ("cargo", "--quiet")
MANIFEST = ("--manifest-path", "serving/Cargo.toml", "--locked")


@dataclass(frozen=True, slots=True)
class Level:
    """One row of the table: commands that are run in the repository's root, one after the other."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def python(*arguments: str) -> tuple[str, ...]:
    """A command of the project's own Python."""
    return (str(VENV / "python"), *arguments)


def pytest(*arguments: str) -> tuple[str, ...]:
    """A run of pytest."""
    return (str(VENV / "pytest"), "-q", "--durations=5", *arguments)


LINT = Level(
    "lint",
    (
        (str(VENV / "ruff"), "check", "--quiet", "."),
        (str(VENV / "ruff"), "format", "--quiet", "--check", "."),
        (str(VENV / "mypy"),),
        (str(VENV / "lint-imports"), "--no-cache"),
        ("cargo", "fmt", "--manifest-path", "serving/Cargo.toml", "--all", "--check"),
        (*CARGO, "clippy", *MANIFEST, "--workspace", "--all-targets", "--", "-D", "warnings"),
    ),
)
RUST = Level("serving: cargo test", ((*CARGO, "test", *MANIFEST, "--workspace"),))
BINARY = Level("serving: release binary", (python("-m", "hack.images", "--binary-only"),))
FAST = Level("unit, component, contract", (pytest("tests/unit", "tests/component", "tests/contract"),))
TOOLS = Level("set-up: Kubernetes binaries", (python("-m", "hack.cluster", "tools"),))
APISERVER = Level("real API server", (pytest("tests/apiserver"),))
CLUSTER = Level("set-up: cluster and images", (python("-m", "hack.cluster", "up"), python("-m", "hack.images")))
E2E = Level("e2e on the real cluster", (pytest("-m", "not long", "-p", "no:randomly", "tests/e2e"),))
LONG = Level("long: soak and faults", (pytest("-m", "long", "-p", "no:randomly", "tests/e2e"),))

PARTS: Mapping[str, tuple[Level, ...]] = {
    "all": (LINT, RUST, BINARY, TOOLS, FAST, APISERVER, CLUSTER, E2E),
    "lint": (LINT,),
    "unit": (RUST, BINARY, TOOLS, FAST),
    "long": (BINARY, TOOLS, CLUSTER, LONG),
}


def main(arguments: Sequence[str]) -> int:
    """Run a part; returns 1 when a level failed."""
    levels = PARTS[arguments[0] if arguments else "all"]
    times: list[tuple[str, float, str]] = []
    for level in levels:
        print(f"\n━━ {level.name} ━━", flush=True)
        started = time.monotonic()
        is_good = all(_run(command, level.environment) for command in level.commands)
        times.append((level.name, time.monotonic() - started, "ok" if is_good else "FAILED"))
        if not is_good:
            break
    print(_table(times, len(levels)), flush=True)
    return 0 if len(times) == len(levels) and times[-1][2] == "ok" else 1


def _run(command: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False)
    if result.returncode != 0:
        print(f"✗ {' '.join(command)} ended with {result.returncode}", flush=True)
    return result.returncode == 0


def _table(times: Sequence[tuple[str, float, str]], wanted: int) -> str:
    width = max(len(name) for name, _, _ in times)
    rows = [f"  {name:<{width}}  {duration(seconds):>12}  {verdict}" for name, seconds, verdict in times]
    total = duration(sum(seconds for _, seconds, _ in times))
    missing = [] if len(times) == wanted else [f"  {wanted - len(times)} more levels were not run"]
    return "\n".join(["", "Time per level", *rows, *missing, f"  {'total':<{width}}  {total:>12}"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
