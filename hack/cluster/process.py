"""Starts components as detached processes, knows them again later, and ends exactly those.

A `Processes` folder holds `pids/NAME.json` and `logs/NAME.log`. A process is only trusted, and only signalled,
when its start time and the machine's boot id are still the ones written down, so a reused pid is never touched.
Used by `local` (inside a network namespace and a cgroup) and by `controlplane` (neither).
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hack.cluster.paths import ClusterError
from hack.waiting import wait_until

STOP_LIMIT_S = 20.0
LOG_LINES = 15


class ComponentError(ClusterError):
    """A component ended, or did not become ready in time; the message ends with its last log lines."""


@dataclass(frozen=True, slots=True)
class Component:
    """One program of the cluster: a name for files and messages, its command line, its environment."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a process recognisable: pid, start time in clock ticks after boot, and the boot."""

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    """The kernel's identity of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """The identity of a running process; None when there is none or it is a zombie."""
    state, identity = _look_up(pid)
    return None if state in "ZX" else identity


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes whose files lie in `folder`; `prefix` is put before each command line."""

    folder: Path
    prefix: tuple[str, ...] = ()
    entered: Callable[[int], None] = lambda pid: None

    def start(self, component: Component) -> None:
        """Start it unless it runs; its output goes to the end of its log."""
        if self.is_running(component.name):
            return
        for folder in (self.folder / "pids", self.folder / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        command = [*self.prefix, *component.command]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            command[0],
            command,
            component.environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log(component.name)), flags, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
        _, identity = _look_up(pid)  # there in any case: a child stays in the table until it is waited for
        if identity is not None:
            self._record(component.name).write_text(json.dumps(asdict(identity)))
        with contextlib.suppress(ProcessLookupError):
            self.entered(pid)

    def is_running(self, name: str) -> bool:
        """Whether the process that was started under this name still runs."""
        return self._identity(name) is not None

    def pid(self, name: str) -> int | None:
        """Its process id while it runs."""
        identity = self._identity(name)
        return identity.pid if identity else None

    def names(self) -> list[str]:
        """Every name that was started and not stopped since."""
        return sorted(path.stem for path in (self.folder / "pids").glob("*.json"))

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End it and wait until it is gone; a process that outlives SIGTERM by far is killed."""
        written = self._written(name)
        if written is not None and identify(written.pid) == written:
            end([written.pid], signal.SIGKILL if kill else signal.SIGTERM)
        elif written is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(written.pid, os.WNOHANG)
        self._record(name).unlink(missing_ok=True)

    def forget_dead(self) -> None:
        """Drop the records of those that ended by themselves, so that they may be started again."""
        for name in self.dead():
            self.stop(name)

    def dead(self) -> list[str]:
        """Names that were started, not stopped, and do not run."""
        return [name for name in self.names() if not self.is_running(name)]

    def wait(self, name: str, what: str, check: Callable[[], bool], limit_s: float) -> None:
        """Poll `check`; ComponentError with the log's end when any component dies or time is up."""
        started = time.monotonic()
        settled = wait_until(lambda: check() or bool(self.dead()), limit_s)
        elapsed_s = time.monotonic() - started
        for dead in self.dead():
            raise ComponentError(f"{dead} ended within {elapsed_s:.0f} s{self.tail(dead)}")
        if not settled:
            raise ComponentError(f"{name}: no {what} after {elapsed_s:.0f} s{self.tail(name)}")

    def log(self, name: str) -> Path:
        """The log file of a component."""
        return self.folder / "logs" / f"{name}.log"

    def tail(self, name: str) -> str:
        """The end of its log, ready to be put behind a message."""
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
        return "\n".join([f"; the end of {log}:", *(f"  {line[:400]}" for line in lines)])

    def _record(self, name: str) -> Path:
        return self.folder / "pids" / f"{name}.json"

    def _identity(self, name: str) -> Identity | None:
        written = self._written(name)
        return written if written and identify(written.pid) == written else None

    def _written(self, name: str) -> Identity | None:
        try:
            return Identity(**json.loads(self._record(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def end(pids: Iterable[int], first: signal.Signals, limit_s: float = STOP_LIMIT_S) -> None:
    """Signal these processes and wait until all are gone; kill those that stay."""
    known = [identity for identity in map(identify, pids) if identity]
    for number in dict.fromkeys((first, signal.SIGKILL)):
        for identity in known:
            if identify(identity.pid) == identity:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(identity.pid, number)
        if wait_until(lambda: not any(map(_remains, known)), limit_s):
            return
    left = ", ".join(str(identity.pid) for identity in known if _remains(identity))
    raise ClusterError(f"processes {left} do not end, not even when killed")


def _look_up(pid: int) -> tuple[str, Identity | None]:
    """State letter and identity; ("X", None) for a pid that is not in the table."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "X", None
    fields = stat.rpartition(")")[2].split()
    return fields[0], Identity(pid, int(fields[19]), boot_id())


def _remains(identity: Identity) -> bool:
    """Whether it is still in the process table; a child of ours leaves it only when it is waited for."""
    try:
        return os.waitpid(identity.pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return identify(identity.pid) == identity
