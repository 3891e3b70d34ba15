"""What is taken away after a cluster is the cluster's own and nothing else."""

from pathlib import Path

from hack.cluster import leftovers

CONTAINER = "0123456789abcdef" * 4
MOUNTINFO = r"""22 1 8:1 / / rw - ext4 /dev/sda rw
40 22 0:30 / /state/one/kubelet/pods/a rw - tmpfs tmpfs rw
41 22 0:31 / /state/one/kubelet/pods/a/with\040space rw - tmpfs tmpfs rw
42 22 0:32 / /state/one-more/kubelet rw - tmpfs tmpfs rw
"""


def test_mounts_are_listed_innermost_first_and_never_a_neighbours() -> None:
    points = leftovers.mounts_below(Path("/state/one"), MOUNTINFO)
    assert points == ["/state/one/kubelet/pods/a/with space", "/state/one/kubelet/pods/a"]


def test_log_links_of_another_cluster_stay(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "web.log", tmp_path / "other.log"
    ours.symlink_to("/state/one/logs/pods/web/0.log")
    theirs.symlink_to("/state/one-more/logs/pods/other/0.log")
    leftovers.remove_log_links(Path("/state/one"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other.log"]


def test_network_notes_of_a_cluster_with_a_longer_name_stay(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for network in ("aimodel-ci", "aimodel-ci-two"):
        (results / f"{network}-{CONTAINER}-eth0").touch()
    leftovers.remove_network_results("aimodel-ci", results)
    assert [path.name for path in results.iterdir()] == [f"aimodel-ci-two-{CONTAINER}-eth0"]
    leftovers.remove_network_results("aimodel-ci-two", results)
    assert not tmp_path.exists()
