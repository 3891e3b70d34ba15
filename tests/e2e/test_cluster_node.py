"""What Kubernetes promises and the local cluster has to keep: DNS, Services, logs, exec, limits, admission."""

import json
import socket
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from hack.cluster import oci, tools
from hack.cluster.targets import ClusterTarget
from hack.commands import CommandError
from hack.waiting import wait_until

WAIT = "--timeout=30s"
EXTENDED = "example.com/accelerator"
STRICT_POD = {
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 1,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
}
STRICT_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace of this module's own, in which only restricted pods are admitted."""

    cluster: ClusterTarget
    name: str
    image: str

    def kubectl(self, *arguments: str, given: str = "") -> str:
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, given=given)

    def create(self, manifest: Mapping[str, Any]) -> None:
        self.kubectl("create", "--filename=-", given=json.dumps(manifest))

    def pod(self, name: str, arguments: list[str], **changes: Any) -> dict[str, Any]:
        container = {"name": "main", "image": self.image, "args": arguments, "securityContext": STRICT_CONTAINER}
        spec = {**STRICT_POD, "restartPolicy": "Never", "containers": [container | changes]}
        metadata = {"name": name, "labels": {"app": name}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def field(self, kind: str, name: str, path: str) -> str:
        return self.kubectl("get", kind, name, f"--output=jsonpath={{{path}}}")


@pytest.fixture(scope="module")
def namespace(cluster: ClusterTarget) -> Iterator[Namespace]:
    image = oci.push_program(cluster.registry, "aimodel/testpod", "e2e", tools.ensure() / "testpod")
    name = f"node-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield Namespace(cluster, name, image)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def web(namespace: Namespace) -> Namespace:
    """Two ready pods named by gRPC probes, behind the Service `web` and the headless Service `peers`."""
    template = namespace.pod("web", ["serve"], readinessProbe={"grpc": {"port": 8081}, "periodSeconds": 1})
    template["spec"]["restartPolicy"] = "Always"
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
        },
    }
    for name, address in (("web", {}), ("peers", {"clusterIP": "None"})):
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}], **address}
        namespace.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    namespace.create(deployment)
    namespace.kubectl("rollout", "status", "deployment/web", WAIT)
    return namespace


def _pods(namespace: Namespace) -> dict[str, str]:
    """Name and address of the pods behind `web` that are not on their way out."""
    listed = json.loads(namespace.kubectl("get", "pods", "--selector=app=web", "--output=json"))["items"]
    alive = [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]
    return {pod["metadata"]["name"]: pod["status"].get("podIP", "") for pod in alive}


def _lookup(namespace: Namespace, name: str) -> list[str]:
    return namespace.kubectl("exec", "deployment/web", "--", "/testpod", "lookup", name).split()


def _answer(web: Namespace, url: str) -> str:
    try:
        return web.kubectl("exec", "deployment/web", "--", "/testpod", "get", url).strip()
    except CommandError:
        return ""


def test_a_pod_reaches_a_service_by_name(web: Namespace) -> None:
    # kube-proxy gathers changes for a second: the rules of a new Service may come after its pods are ready.
    assert wait_until(lambda: _answer(web, "http://web") in _pods(web), 10)


def test_a_service_name_resolves_to_its_cluster_address(web: Namespace) -> None:
    address = web.field("service", "web", ".spec.clusterIP")
    assert _lookup(web, f"web.{web.name}.svc.cluster.local") == [address]


def test_a_headless_service_follows_its_pods_within_seconds(web: Namespace) -> None:
    assert _lookup(web, "peers") == sorted(_pods(web).values())
    web.kubectl("scale", "deployment/web", "--replicas=3")
    web.kubectl("rollout", "status", "deployment/web", WAIT)
    assert wait_until(lambda: _lookup(web, "peers") == sorted(_pods(web).values()), 5)
    assert len(_lookup(web, "peers")) == 3


def test_a_name_outside_the_cluster_is_refused_at_once(web: Namespace) -> None:
    with pytest.raises(CommandError, match="no such host"):
        _lookup(web, "example.com.")


def test_the_host_reaches_pods_and_services(web: Namespace) -> None:
    addresses = [web.field("service", "web", ".spec.clusterIP"), f"{next(iter(_pods(web).values()))}:8080"]
    for address in addresses:
        with urllib.request.urlopen(f"http://{address}", timeout=5) as response:
            assert response.read().decode().strip() in _pods(web)


def test_logs_are_those_of_the_pod(web: Namespace) -> None:
    for name in _pods(web):
        assert web.kubectl("logs", name) == f"serving as {name}\n"


def test_a_port_is_forwarded(web: Namespace) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pod = next(iter(_pods(web)))
    flags = [f"--kubeconfig={web.cluster.kubeconfig}", f"--context={web.cluster.context}", f"--namespace={web.name}"]
    command = [str(tools.ensure() / "kubectl"), *flags, "port-forward", pod, f"{port}:8080"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        assert forwarding.stdout is not None
        assert "Forwarding from" in forwarding.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as response:
            assert response.read().decode().strip() == pod
        forwarding.terminate()


def test_a_pod_over_its_memory_limit_is_killed(namespace: Namespace) -> None:
    namespace.create(namespace.pod("hungry", ["eat-memory"], resources={"limits": {"memory": "32Mi"}}))
    path = ".status.containerStatuses[0].state.terminated.reason"
    assert wait_until(lambda: namespace.field("pod", "hungry", path) == "OOMKilled", 20, poll_s=0.3)


def test_an_extended_resource_is_counted_out(namespace: Namespace) -> None:
    node = namespace.cluster.kubectl("get", "nodes", "--output=jsonpath={.items[0].metadata.name}")
    status = ["patch", "node", node, "--subresource=status", "--type=merge"]
    given = {"status": {"capacity": {EXTENDED: "1"}}}
    # The kubelet copies capacity to allocatable, and takes it back, in its own time: gone already is gone.
    taken = {"status": {"capacity": {EXTENDED: None}, "allocatable": {EXTENDED: None}}}
    namespace.cluster.kubectl(*status, f"--patch={json.dumps(given)}")
    try:
        for name in ("first", "second"):
            namespace.create(namespace.pod(name, ["serve"], resources={"limits": {EXTENDED: "1"}}))
        assert wait_until(lambda: _phases(namespace, "first", "second") == ["Pending", "Running"], 20, poll_s=0.3)
        waiting = [name for name in ("first", "second") if namespace.field("pod", name, ".status.phase") == "Pending"]
        assert f"Insufficient {EXTENDED}" in namespace.field("pod", waiting[0], ".status.conditions[0].message")
    finally:
        namespace.kubectl("delete", "pod", "first", "second", "--now")
        namespace.cluster.kubectl(*status, f"--patch={json.dumps(taken)}")


def _phases(namespace: Namespace, *names: str) -> list[str]:
    return sorted(namespace.field("pod", name, ".status.phase") for name in names)


def test_a_pod_that_asks_for_too_much_freedom_is_not_admitted(namespace: Namespace) -> None:
    with pytest.raises(CommandError, match="violates PodSecurity"):
        namespace.create(namespace.pod("free", ["serve"], securityContext={"privileged": True}))


def test_an_image_is_pulled_by_digest(web: Namespace) -> None:
    assert "@sha256:" in web.image
    image = web.kubectl("get", "pods", "--selector=app=web", "--output=jsonpath={.items[0].status..imageID}")
    assert image == web.image
