"""`make test`: every level of tests in the order of their cost, and a table of times at the end.

Starts what a level needs (Rust build, Kubernetes binaries, the local cluster) as a level of its own, so that
set-up and tests are told apart in the table. Stops at the first level that fails: a later one would only say
the same again. Before the first it names all that this machine lacks for any of them (`hack.preflight`). Called by
make; takes the name of a part (`unit`, `lint`, `long`) to run only that.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hack import preflight
from hack.errors import HackError
from hack.paths import ROOT
from hack.preflight import Need
from hack.progress import duration

VENV = ROOT / ".venv" / "bin"
CARGO = ("cargo", "--quiet")
MANIFEST = ("--manifest-path", "serving/Cargo.toml", "--locked")


@dataclass(frozen=True, slots=True)
class Level:
    """One row of the table: what it needs, and commands run in the repository's root, one after the other."""

    name: str
    needs: tuple[Need, ...]
    commands: tuple[tuple[str, ...], ...]


def python(*arguments: str) -> tuple[str, ...]:
    """A command of the project's own Python."""
    return (str(VENV / "python"), *arguments)


def pytest(*arguments: str) -> tuple[str, ...]:
    """A run of pytest."""
    return (str(VENV / "pytest"), "-q", "--durations=5", *arguments)


RUST = (preflight.rust, preflight.c_compiler)
PROGRAMS = (preflight.packages, preflight.space)
NODE = (preflight.cluster, preflight.image_builder)

LINT = Level(
    "lint",
    (*RUST, preflight.rust_linters),
    (
        (str(VENV / "ruff"), "check", "--quiet", "."),
        (str(VENV / "ruff"), "format", "--quiet", "--check", "."),
        (str(VENV / "mypy"),),
        (str(VENV / "lint-imports"), "--no-cache"),
        python("-m", "hack.generate", "--check"),
        ("cargo", "fmt", "--manifest-path", "serving/Cargo.toml", "--all", "--check"),
        (*CARGO, "clippy", *MANIFEST, "--workspace", "--all-targets", "--", "-D", "warnings"),
    ),
)
CRATES = Level("serving: cargo test", RUST, ((*CARGO, "test", *MANIFEST, "--workspace"),))
BINARY = Level("serving: release binary", (*RUST, preflight.packages), (python("-m", "hack.images", "--binary-only"),))
TOOLS = Level("set-up: Kubernetes binaries", PROGRAMS, (python("-m", "hack.cluster", "tools"),))
FAST = Level("unit, component, contract", (), (pytest("tests/unit", "tests/component", "tests/contract"),))
APISERVER = Level("real API server", (preflight.control_plane,), (pytest("tests/apiserver"),))
CLUSTER = Level("set-up: cluster and images", NODE, (python("-m", "hack.cluster", "up"), python("-m", "hack.images")))
E2E = Level("e2e on the real cluster", NODE, (pytest("-m", "not long", "-p", "no:randomly", "tests/e2e"),))
LONG = Level("long: soak and faults", NODE, (pytest("-m", "long", "-p", "no:randomly", "tests/e2e"),))

PARTS: Mapping[str, tuple[Level, ...]] = {
    "all": (LINT, CRATES, BINARY, TOOLS, FAST, APISERVER, CLUSTER, E2E),
    "lint": (LINT,),
    "unit": (CRATES, BINARY, TOOLS, FAST),
    "long": (BINARY, TOOLS, CLUSTER, LONG),
}


def main(arguments: Sequence[str]) -> int:
    """Run a part; returns 1 when a level failed or this machine lacks what one needs."""
    levels = PARTS[arguments[0] if arguments else "all"]
    try:
        preflight.check(need for level in levels for need in level.needs)
    except HackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    times: list[tuple[str, float, str]] = []
    for level in levels:
        print(f"\n━━ {level.name} ━━", flush=True)
        started = time.monotonic()
        is_good = all(_run(command) for command in level.commands)
        times.append((level.name, time.monotonic() - started, "ok" if is_good else "FAILED"))
        if not is_good:
            break
    print(_table(times, len(levels)), flush=True)
    return 0 if len(times) == len(levels) and times[-1][2] == "ok" else 1


def _run(command: tuple[str, ...]) -> bool:
    result = subprocess.run(command, cwd=ROOT, check=False)
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
