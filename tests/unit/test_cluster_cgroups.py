"""The cluster's cgroup, on trees of plain files laid out as the two cgroup versions are."""

from pathlib import Path

import pytest

from hack.cluster.cgroups import Cgroup
from hack.cluster.paths import ClusterError


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    for controller, files in {"memory": {}, "cpuset": {"cpuset.cpus": "0-1", "cpuset.mems": "0"}}.items():
        (tmp_path / controller).mkdir()
        for name, text in {"cgroup.procs": "", **files}.items():
            (tmp_path / controller / name).write_text(text)
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids rdma")
    (tmp_path / "cgroup.subtree_control").write_text("cpu pids")
    return tmp_path


def test_version_1_has_the_cgroup_in_every_hierarchy(version_1: Path) -> None:
    cgroup = Cgroup("aimodel-x", version_1)
    cgroup.check()
    cgroup.create()
    assert cgroup.exists()
    assert not cgroup.is_unified
    assert {path.parent.name for path in version_1.glob("*/aimodel-x/system")} == {"aimodel-x"}
    assert {path.parents[1].name for path in version_1.glob("*/aimodel-x/system")} == {"memory", "cpuset"}


def test_version_2_passes_only_what_lacks_and_is_there(version_2: Path) -> None:
    (version_2 / "aimodel-x").mkdir()
    (version_2 / "aimodel-x" / "cgroup.controllers").write_text("cpuset cpu io memory pids")
    (version_2 / "aimodel-x" / "cgroup.subtree_control").write_text("")
    cgroup = Cgroup("aimodel-x", version_2)
    cgroup.check()
    cgroup.create()
    assert cgroup.is_unified
    assert (version_2 / "cgroup.subtree_control").read_text() == "+cpuset +io +memory"
    assert (version_2 / "aimodel-x" / "cgroup.subtree_control").read_text() == "+cpuset +cpu +io +memory +pids"


def test_members_are_those_of_all_levels(version_1: Path) -> None:
    pod = version_1 / "memory" / "aimodel-x" / "kubepods" / "pod1"
    pod.mkdir(parents=True)
    (pod / "cgroup.procs").write_text("11\n12\n")
    (version_1 / "memory" / "aimodel-x" / "cgroup.procs").write_text("7\n")
    (version_1 / "memory" / "cgroup.procs").write_text("1\n")
    assert Cgroup("aimodel-x", version_1).processes() == {7, 11, 12}


def test_removal_takes_all_levels_and_nothing_else(version_1: Path) -> None:
    (version_1 / "memory" / "aimodel-x" / "kubepods" / "pod1").mkdir(parents=True)
    (version_1 / "memory" / "other").mkdir()
    cgroup = Cgroup("aimodel-x", version_1)
    cgroup.remove()
    cgroup.remove()
    assert [path.name for path in (version_1 / "memory").iterdir() if path.is_dir()] == ["other"]


def test_a_machine_without_memory_limits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu pids")
    with pytest.raises(ClusterError, match="memory limits would not hold"):
        Cgroup("aimodel-x", tmp_path).check()
