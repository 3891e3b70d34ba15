"""The chart on a real API server: what it admits, which rights it gives, and what outlives it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.process import wait_until

CHART = Path(__file__).parents[2] / "charts" / "aimodel-operator"
EXAMPLE = Path(__file__).parents[2] / "examples" / "tuned.yaml"
NAMESPACE = "aimodel-system"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:aimodel-operator"
DIGEST = "sha256:" + "0" * 64
VALUES: dict[str, Any] = {
    "operator": {"image": f"registry.example.com/operator@{DIGEST}"},
    "serving": {"image": f"registry.example.com/serving@{DIGEST}"},
    "registry": {"prefix": "registry.example.com/models"},
}


class Site:
    """A cluster of its own with helm and kubectl; the tests below take it through an installation's life."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    def run(self, program: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(tools.ensure() / program), f"--kubeconfig={self._kubeconfig}", *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)

    def kubectl(self, *arguments: str, given: str = "") -> str:
        done = self.run("kubectl", *arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, **more: Any) -> str:
        """Install or upgrade the release; gives back the notes."""
        arguments = ["upgrade", "--install", "aimodel-operator", str(CHART), f"--namespace={NAMESPACE}", "--values=-"]
        done = self.run("helm", *arguments, given=json.dumps(VALUES | more))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def uninstall(self) -> None:
        done = self.run("helm", "uninstall", "aimodel-operator", f"--namespace={NAMESPACE}", "--wait")
        assert done.returncode == 0, done.stderr

    def may(self, who: str, verb: str, resource: str, namespace: str) -> bool:
        """Whether the API server would let `who` do it; `resource` may be RESOURCE.GROUP/SUBRESOURCE."""
        resource, _, subresource = resource.partition("/")
        arguments = ["auth", "can-i", verb, resource, f"--subresource={subresource}", f"--as={who}"]
        return self.run("kubectl", *arguments, f"--namespace={namespace}").stdout.strip() == "yes"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ControlPlane(tmp_path_factory.mktemp("chart"), components={"controller-manager"}) as control_plane:
        site = Site(control_plane.kubeconfig)
        for name in (NAMESPACE, "models", "team-a", "team-b"):
            site.kubectl("create", "namespace", name)
        site.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        yield site


@pytest.fixture
def installed(site: Site) -> Site:
    """The site with the release as the defaults make it."""
    site.install()
    return site


def test_the_operators_pod_is_admitted_where_only_restricted_pods_are(installed: Site):
    assert wait_until(
        lambda: bool(json.loads(installed.kubectl("get", "pods", "-n", NAMESPACE, "-ojson"))["items"]), limit_s=30
    ), installed.kubectl("describe", "replicaset", "-n", NAMESPACE)


def test_the_operator_may_do_its_work_everywhere_and_nothing_beyond(installed: Site):
    for namespace in ("team-a", "team-b"):
        assert installed.may(OPERATOR, "create", "deployments.apps", namespace)
        assert installed.may(OPERATOR, "patch", "aimodels.aimodel.dev/status", namespace)
        assert not installed.may(OPERATOR, "get", "secrets", namespace)
        assert not installed.may(OPERATOR, "create", "pods", namespace)
        assert not installed.may(OPERATOR, "update", "leases.coordination.k8s.io", namespace)
    assert installed.may(OPERATOR, "update", "leases.coordination.k8s.io", NAMESPACE)


def test_a_namespaced_operator_may_nothing_in_other_namespaces(installed: Site):
    installed.install(watchNamespaces=["team-a"])
    assert installed.may(OPERATOR, "create", "deployments.apps", "team-a")
    assert not installed.may(OPERATOR, "create", "deployments.apps", "team-b")
    assert not installed.may(OPERATOR, "list", "aimodels.aimodel.dev", "team-b")


def test_people_who_may_edit_a_namespace_may_edit_its_aimodels(installed: Site):
    installed.kubectl("create", "rolebinding", "jane", "--clusterrole=edit", "--user=jane", "--namespace=team-a")
    assert wait_until(lambda: installed.may("jane", "create", "aimodels.aimodel.dev", "team-a"), limit_s=30)
    assert installed.may("jane", "get", "aimodels.aimodel.dev", "team-a")
    assert not installed.may("jane", "create", "aimodels.aimodel.dev", "team-b")


def test_models_outlive_the_release_and_the_next_one_takes_the_crd_over(installed: Site):
    assert wait_until(lambda: installed.run("kubectl", "get", "aimodels").returncode == 0, limit_s=30)
    installed.kubectl("apply", "-f", str(EXAMPLE))
    installed.uninstall()
    assert "tuned" in installed.kubectl("get", "aimodels", "--namespace=models", "--output=name")
    assert installed.run("kubectl", "get", "deployment", "aimodel-operator", "-n", NAMESPACE).returncode != 0
    assert "kubectl get aimodels" in installed.install()
    assert "tuned" in installed.kubectl("get", "aimodels", "--namespace=models", "--output=name")
