"""A second cluster beside the first: it works, heals, and leaves the machine as it found it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import oci
from hack.cluster.api import ApiClient
from hack.cluster.targets import ClusterTarget
from hack.paths import ROOT
from hack.waiting import wait_until

NAME = "lifecycle"
HEALTHY_UP_LIMIT_S = 2.0


def _command(*arguments: str) -> dict[str, Any]:
    """One command of hack.cluster on the second cluster; its JSON."""
    command = [sys.executable, "-m", "hack.cluster", *arguments, "--name", NAME, "--output", "json"]
    environment = {name: value for name, value in os.environ.items() if name != "CLUSTER"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def _output(*command: str) -> set[str]:
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def _cgroups() -> set[str]:
    return {str(path) for path in Path("/sys/fs/cgroup").glob("**/*aimodel-*") if NAME in str(path)}


def _processes() -> set[str]:
    """Command lines of processes that belong to the second cluster."""
    lines = _output("ps", "-ww", "-eo", "pid,args")
    return {line for line in lines if f"clusters/{NAME}/" in line or f"aimodel-{NAME}" in line}


def _links() -> set[str]:
    return {line.split(": ")[1] for line in _output("ip", "-oneline", "link")}


def _files(*folders: str) -> set[str]:
    return {str(path) for folder in folders for path in Path(folder).glob("**/*") if NAME in os.path.realpath(path)}


SNAPSHOTS: dict[str, Callable[[], set[str]]] = {
    "processes": _processes,
    "mounts": lambda: {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if NAME in line},
    "links": _links,
    "routes": lambda: _output("ip", "route"),
    "namespaces": lambda: _output("ip", "netns", "list"),
    "cgroups": _cgroups,
    "host iptables": lambda: _output("iptables-save"),
    "files": lambda: _files("/var/log/containers", "/var/lib/cni", "/run/containerd", "/run/netns"),
}


@pytest.fixture(scope="module")
def before(cluster: ClusterTarget) -> dict[str, set[str]]:
    """The machine with only the first cluster on it."""
    assert cluster.context != f"aimodel-local-{NAME}"
    _command("down")
    return _snapshot()


@pytest.fixture(scope="module")
def second(before: dict[str, set[str]]) -> Iterator[dict[str, Any]]:
    """The second cluster, started from nothing."""
    yield _command("up")
    _command("down")


def _snapshot() -> dict[str, set[str]]:
    return {name: take() for name, take in SNAPSHOTS.items()}


def _run_pod(info: dict[str, Any], name: str) -> None:
    """Start a pod of the smallest image and wait until it runs."""
    image = oci.push_program(info["registry"], "aimodel/pause", "test", Path(info["programs"]) / "pause")
    manifest = {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": image}], "terminationGracePeriodSeconds": 1},
    }
    api, pods = ApiClient(Path(info["kubeconfig"])), "/api/v1/namespaces/default/pods"
    api.create(pods, manifest)
    assert wait_until(lambda: api.get(f"{pods}/{name}")["status"]["phase"] == "Running", 20)


def test_a_pod_runs_on_the_second_cluster(second: dict[str, Any]) -> None:
    _run_pod(second, "first")


def test_up_on_a_healthy_cluster_is_quick_and_changes_nothing(second: dict[str, Any]) -> None:
    earlier = _command("status")["processes"]
    started = time.monotonic()
    assert _command("up") == second
    assert time.monotonic() - started < HEALTHY_UP_LIMIT_S
    assert _command("status")["processes"] == earlier


def test_up_starts_again_what_died_and_keeps_the_state(second: dict[str, Any]) -> None:
    _run_pod(second, "survivor")
    earlier = _command("status")["processes"]
    victims = ["kube-apiserver", "containerd", "kubelet"]
    for name in victims:
        os.kill(earlier[name], signal.SIGKILL)
    _command("up")
    now = _command("status")
    assert now["healthy"]
    assert sorted(name for name in now["processes"] if now["processes"][name] != earlier[name]) == sorted(victims)
    pod = ApiClient(Path(second["kubeconfig"])).get("/api/v1/namespaces/default/pods/survivor")
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


def test_down_leaves_the_machine_as_it_was(second: dict[str, Any], before: dict[str, set[str]]) -> None:
    during = _snapshot()
    untouched = {name for name in during if during[name] == before[name]}
    assert untouched == {"host iptables"}
    _command("down")
    assert _snapshot() == before
    assert not Path(second["state"]).exists()
