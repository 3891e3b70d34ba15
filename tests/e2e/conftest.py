"""The cluster, the installed operator and the file host that the end-to-end tests share.

Which cluster it is, the environment says (see hack.cluster.targets). The operator is the one that `make demo`
installs: what users run is what is tested.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster.targets import ClusterTarget, target_from_env
from live import FILES_HOST, FILES_NAMESPACE, FileHost, Live, file_host_objects

ROOT = Path(__file__).parents[2]
SYSTEM = "aimodel-system"


@pytest.fixture(scope="session")
def cluster() -> ClusterTarget:
    """A cluster with a registry, brought up when it is ours and not up."""
    return target_from_env()


@pytest.fixture(scope="session")
def demo(cluster: ClusterTarget) -> str:
    """What `make demo` printed on this cluster."""
    if os.environ.get("NODEMO"):
        return ""
    command = [sys.executable, "-m", "hack.demo"]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.fixture(scope="session")
def operator_image(cluster: ClusterTarget, demo: str) -> str:
    """The image that the installed operator runs."""
    deployment = json.loads(cluster.kubectl("-n", SYSTEM, "get", "deployment", "aimodel-operator", "-o", "json"))
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.fixture(scope="session")
def files(cluster: ClusterTarget, operator_image: str) -> FileHost:
    """An HTTP server in the cluster, and an operator that may fetch from it."""
    live = Live(cluster, FILES_NAMESPACE)
    _make_namespace(cluster, FILES_NAMESPACE)
    for obj in file_host_objects(operator_image):
        live.apply(obj)
    live.kubectl("wait", "--for=condition=Ready", "pod/files", "--timeout=60s")
    _allow_host(cluster, FILES_HOST)
    return FileHost(live)


@pytest.fixture(scope="session")
def live(cluster: ClusterTarget, demo: str) -> Iterator[Live]:
    """A namespace for the tests' models; Pod Security `restricted` is enforced in it."""
    name = f"e2e-{os.getpid()}"
    _make_namespace(cluster, name)
    yield Live(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def dns(cluster: ClusterTarget) -> str:
    """Address of the cluster's DNS service."""
    service = json.loads(cluster.kubectl("-n", "kube-system", "get", "service", "kube-dns", "-o", "json"))
    return str(service["spec"]["clusterIP"])


def _make_namespace(cluster: ClusterTarget, name: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.kubectl("apply", "--filename", "-", given=json.dumps(namespace))


def _allow_host(cluster: ClusterTarget, host: str) -> None:
    """Let the operator fetch from one more host, as an administrator would: by `helm upgrade`."""
    helm = [str(ROOT / "bin" / "helm"), f"--kubeconfig={cluster.kubeconfig}", f"--kube-context={cluster.context}"]
    release = [*helm, "--namespace", SYSTEM]
    values = json.loads(_run([*release, "get", "values", "aimodel-operator", "--output", "json"]))
    hosts = sorted({*values.get("fetch", {}).get("allowedPrivateHosts", ()), host})
    setting = f"fetch.allowedPrivateHosts={json.dumps(hosts)}"
    upgrade = ["upgrade", "aimodel-operator", str(ROOT / "charts/aimodel-operator"), "--reuse-values"]
    _run([*release, *upgrade, "--set-json", setting, "--wait", "--timeout=120s"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
