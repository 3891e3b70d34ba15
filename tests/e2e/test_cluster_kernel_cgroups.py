"""The cluster's cgroup on the machine's real cgroup v2 tree, where the kernel has its say.

A child of the real tree plays the root that a container sees. Machines of both versions have such a tree; on v1
it is mounted as `unified` and carries few controllers, which is enough for the kernel's rules to hold.
"""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.cgroups import DAEMONS, Cgroup

MOUNTS = Path("/sys/fs/cgroup")


@pytest.fixture
def container() -> Iterator[Path]:
    """A cgroup with a process in it and controllers to pass on, as a container's root is."""
    top = MOUNTS if (MOUNTS / "cgroup.controllers").exists() else MOUNTS / "unified"
    folder = top / f"test-{uuid.uuid4().hex[:8]}"
    available = (top / "cgroup.controllers").read_text().split()
    passed = set((top / "cgroup.subtree_control").read_text().split())
    added = [name for name in available if name not in passed]
    for name in added:
        (top / "cgroup.subtree_control").write_text(f"+{name}")
    folder.mkdir()
    yield folder
    folder.rmdir()
    for name in added:
        (top / "cgroup.subtree_control").write_text(f"-{name}")


@pytest.fixture
def bystander(container: Path) -> Iterator[int]:
    """A process of the container that has nothing to do with a cluster."""
    with subprocess.Popen(["/bin/sleep", "600"]) as running:
        (container / "cgroup.procs").write_text(str(running.pid))
        yield running.pid
        running.kill()


def _members(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "cgroup.procs").read_text().split()]


def test_a_containers_processes_make_room_and_return(container: Path, bystander: int) -> None:
    first, second = Cgroup("aimodel-one", container), Cgroup("aimodel-two", container)
    for cgroup in (first, second):
        cgroup.create()
    available = set((container / "cgroup.controllers").read_text().split())
    assert set((container / "aimodel-one" / "cgroup.subtree_control").read_text().split()) <= available
    with subprocess.Popen(["/bin/sleep", "600"]) as daemon:
        first.enter(daemon.pid)
        assert first.processes() == {daemon.pid}
        assert _members(container / "aimodel-one" / DAEMONS) == [daemon.pid]
        daemon.kill()
    first.remove()
    assert _members(container) == []
    second.remove()
    assert _members(container) == [bystander]
    assert [path.name for path in container.iterdir() if path.is_dir()] == []
