"""The cluster, the installed operator and the file host that the end-to-end tests share.

Which cluster it is, the environment says (see hack.cluster.targets). The operator is the one that `make demo`
installs: what users run is what is tested.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hack.cluster.targets import ClusterTarget, target_from_env
from hack.demo import installation, publication
from hack.images.__main__ import build_all
from hack.images.registry import Registry
from hack.paths import ROOT
from live import FILES_HOST, FILES_NAMESPACE, FileHost, Live, file_host_objects


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """test_used_rights looks back at what the other tests made the operator do: it comes last in any order."""
    items.sort(key=lambda item: item.path.name == "test_used_rights.py")


@pytest.fixture(scope="session")
def cluster() -> ClusterTarget:
    """A cluster with a registry, brought up when it is ours and not up."""
    return target_from_env()


@pytest.fixture(scope="session")
def demo(cluster: ClusterTarget) -> str:
    """What `make demo` printed on this cluster, with its model made anew.

    An upgrade restarts no pod, so a model of an earlier run would still be served by the server of that run.
    """
    if cluster.kubectl("get", "crd", "aimodels.aimodel.dev", "--ignore-not-found", "--output=name"):
        cluster.kubectl("-n", publication.NAMESPACE, "delete", "aimodel", publication.NAME, "--ignore-not-found")
    command = [sys.executable, "-m", "hack.demo"]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.fixture(scope="session")
def files(cluster: ClusterTarget, demo: str) -> FileHost:
    """An HTTP server in the cluster, and an operator that may fetch from it."""
    images = build_all(Registry(cluster.registry, cluster.registry_plain_http))
    live = Live(cluster, FILES_NAMESPACE)
    _make_namespace(cluster, FILES_NAMESPACE)
    for obj in file_host_objects(images["operator"]):
        live.apply(obj)
    live.kubectl("wait", "--for=condition=Ready", "pod/files", "--timeout=60s")
    installation.install(cluster, installation.values(cluster, images, [publication.HOST, FILES_HOST]))
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
