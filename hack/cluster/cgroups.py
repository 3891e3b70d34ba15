"""Gives a local cluster one cgroup of its own, on cgroup v1 and v2, and takes it away with all that is in it.

`/aimodel-NAME/system` holds the cluster's daemons and the kubelet puts pods below `/aimodel-NAME/kubepods`, so
the members of this cgroup are exactly the processes of the cluster. Other cgroups stay as they are, with one
exception: in a container on v2 the root has processes and cannot pass controllers on before these are moved into a
child, `moved-aside`; they are put back when the last cluster goes.
"""

import contextlib
import errno
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.paths import ClusterError
from hack.waiting import wait_until

MOUNTS = Path("/sys/fs/cgroup")
WANTED = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
DAEMONS = "system"
ASIDE = "moved-aside"
REMOVE_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The cgroup `/NAME` in every hierarchy that is mounted below `mounts`."""

    name: str
    mounts: Path = MOUNTS

    @property
    def is_unified(self) -> bool:
        """Whether this machine runs cgroup v2."""
        return (self.mounts / "cgroup.controllers").exists()

    def roots(self) -> list[Path]:
        """The roots of all hierarchies: one on v2, one for each controller on v1."""
        if self.is_unified:
            return [self.mounts]
        found = {path.parent.resolve() for path in self.mounts.glob("*/cgroup.procs")}
        return sorted(found)

    def check(self) -> None:
        """ClusterError where limits on memory would not hold."""
        if self.is_unified:
            present = "memory" in (self.mounts / "cgroup.controllers").read_text().split()
        else:
            present = (self.mounts / "memory" / "cgroup.procs").exists()
        if not present:
            raise ClusterError(
                f"no memory controller below {self.mounts}: memory limits would not hold; "
                "boot with cgroup_enable=memory, or mount the cgroup file systems"
            )

    def create(self) -> None:
        """Make it, ready to take processes; nothing happens when it is there."""
        for root in self.roots():
            if self.is_unified:
                _pass_down(root)
            for folder in (root / self.name, root / self.name / DAEMONS):
                folder.mkdir(exist_ok=True)
                _inherit_cpuset(folder)
            if self.is_unified:
                _pass_down(root / self.name)

    def enter(self, pid: int) -> None:
        """Move a process among the daemons."""
        for root in self.roots():
            (root / self.name / DAEMONS / "cgroup.procs").write_text(str(pid))

    def exists(self) -> bool:
        """Whether it is there in every hierarchy."""
        return all((root / self.name / DAEMONS).is_dir() for root in self.roots())

    def processes(self) -> set[int]:
        """Every process in it, at any depth."""
        found: set[int] = set()
        for root in self.roots():
            for members in (root / self.name).rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    found.update(int(line) for line in members.read_text().split())
        return found - {0}

    def remove(self) -> None:
        """Remove it and all below it; it must be empty of processes."""
        for root in self.roots():
            top = root / self.name
            if not wait_until(lambda top=top: _is_removed(top), REMOVE_LIMIT_S):  # type: ignore[misc]
                raise ClusterError(f"cgroup {top} cannot be removed: see the pids in its cgroup.procs files")
            if self.is_unified:
                _undo_moving_aside(root)


def _inherit_cpuset(folder: Path) -> None:
    """On v1 a new cpuset is empty and takes no process until it has processors and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = folder / name
        if file.exists() and not (folder / "cgroup.controllers").exists() and not file.read_text().strip():
            file.write_text((folder.parent / name).read_text())


def _pass_down(folder: Path) -> None:
    """On v2, let children of `folder` use the controllers that it has."""
    available = (folder / "cgroup.controllers").read_text().split()
    control = folder / "cgroup.subtree_control"
    lacking = [name for name in WANTED if name in available and name not in control.read_text().split()]
    if not lacking:
        return
    wanted = " ".join(f"+{name}" for name in lacking)
    try:
        try:
            control.write_text(wanted)
        except OSError as exc:
            if exc.errno != errno.EBUSY:
                raise
            # In a container the root is an ordinary cgroup: with processes in it, it passes nothing down.
            _move_members(folder, folder / ASIDE)
            control.write_text(wanted)
    except OSError as exc:
        raise ClusterError(f"cannot pass {', '.join(lacking)} down in {folder}: {exc.strerror}") from exc


def _undo_moving_aside(root: Path) -> None:
    """Put processes back that were moved aside, unless another cluster of ours still needs them there."""
    if not (root / ASIDE).exists() or any(path.is_dir() for path in root.glob("aimodel-*")):
        return
    control = root / "cgroup.subtree_control"
    control.write_text(" ".join(f"-{name}" for name in control.read_text().split()))
    _move_members(root / ASIDE, root)
    (root / ASIDE).rmdir()


def _move_members(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)

    def is_empty() -> bool:
        members = (source / "cgroup.procs").read_text().split()
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                (target / "cgroup.procs").write_text(pid)
        return not members

    if not wait_until(is_empty, REMOVE_LIMIT_S):
        raise ClusterError(f"processes of cgroup {source} cannot be moved to {target}")


def _is_removed(top: Path) -> bool:
    folders = [path for path in top.rglob("*") if path.is_dir()] if top.exists() else []
    for folder in [*sorted(folders, reverse=True), top]:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError as exc:
            if exc.errno != errno.EBUSY:
                raise
            return False
    return not top.exists()
