"""The bare control plane keeps its promises: state over a restart, an audit log, fake nodes, no trace."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.paths import ClusterError
from hack.waiting import wait_until

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "fake"},
    "status": {
        part: {"cpu": "8", "memory": "32Gi", "pods": "20", "nvidia.com/gpu": "1"}
        for part in ("capacity", "allocatable")
    },
}


def _kubectl(kubeconfig: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(tools.ensure() / "kubectl"), f"--kubeconfig={kubeconfig}", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def _pod(name: str) -> str:
    limits = {"nvidia.com/gpu": "1"}
    container = {"name": "main", "image": "registry.example.com/none", "resources": {"limits": limits}}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
    )


def _phase(running: ControlPlane, pod: str) -> str:
    return _kubectl(running.kubeconfig, "get", "pod", pod, "--output=jsonpath={.status.phase}").stdout


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with every optional component."""
    folder = tmp_path_factory.mktemp("full")
    with ControlPlane(folder, components={"controller-manager", "scheduler", "kwok"}) as running:
        yield running
        pids = [running.pid(name) for name in ("etcd", "kube-apiserver", "kwok")]
    assert not (folder / "control-plane").exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_pods_of_fake_nodes_run_as_far_as_resources_go(full: ControlPlane) -> None:
    assert _kubectl(full.kubeconfig, "create", "--filename=-", given=json.dumps(NODE)).returncode == 0
    for name in ("one", "two"):
        assert _kubectl(full.kubeconfig, "create", "--filename=-", given=_pod(name)).returncode == 0
    assert wait_until(lambda: sorted(_phase(full, name) for name in ("one", "two")) == ["Pending", "Running"], 20)


def test_objects_outlive_a_restart_of_the_api_server(full: ControlPlane) -> None:
    assert _kubectl(full.kubeconfig, "create", "configmap", "kept").returncode == 0
    before = full.pid("kube-apiserver")
    full.restart_apiserver()
    assert full.pid("kube-apiserver") != before
    assert _kubectl(full.kubeconfig, "get", "configmap", "kept").returncode == 0


def test_the_audit_log_says_who_asked_for_what_and_leaves_out_system_reads(full: ControlPlane) -> None:
    kubeconfig = full.kubeconfig_for("jane", ["developers"])
    refused = _kubectl(kubeconfig, "get", "secrets")
    assert 'User "jane" cannot list resource "secrets"' in refused.stderr
    entries = [json.loads(line) for line in full.audit_log.read_text().splitlines()]
    jane = [entry for entry in entries if entry["user"]["username"] == "jane"]
    asked = {(entry["verb"], entry["objectRef"]["resource"], entry["responseStatus"]["code"]) for entry in jane}
    assert ("list", "secrets", 403) in asked
    readers = {entry["user"]["username"] for entry in entries if entry["verb"] in ("get", "list", "watch")}
    assert not any(name.startswith("system:kube-") for name in readers)


def test_an_unknown_component_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no such component: kubelet"):
        ControlPlane(tmp_path, components={"kubelet"})
