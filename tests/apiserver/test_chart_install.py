"""The chart on a real API server: what it admits, which rights it gives, and what outlives it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.waiting import wait_until

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


EVERYTHING: dict[str, Any] = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
OWNER: dict[str, Any] = {"name": "owner", "namespace": "team-b"}
RBAC = "rbac.authorization.k8s.io"
OWNER_OF_B = [
    {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": OWNER, "rules": [EVERYTHING]},
    {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": OWNER,
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "owner"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "bea"}],
    },
]


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


def test_whoever_owns_one_namespace_can_install_for_it_beside_another_release(installed: Site):
    installed.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": OWNER_OF_B}))
    names = {"watchNamespaces": ["team-b"], "crd": {"install": False}, "userRoles": {"create": False}}
    asking = ["--namespace=team-b", "--kube-as-user=bea", "--values=-"]
    done = installed.run("helm", "install", "second", str(CHART), *asking, given=json.dumps(VALUES | names))
    assert done.returncode == 0, done.stderr
    second = "system:serviceaccount:team-b:second-aimodel-operator"
    assert installed.may(second, "create", "deployments.apps", "team-b")
    assert not installed.may(second, "create", "deployments.apps", "team-a")
    gone = installed.run("helm", "uninstall", "second", "--namespace=team-b", "--kube-as-user=bea", "--wait")
    assert gone.returncode == 0, gone.stderr
    assert installed.run("kubectl", "get", "crd", "aimodels.aimodel.dev").returncode == 0


def test_the_notes_hold_a_model_that_the_api_server_takes(site: Site):
    lines = site.install(watchNamespaces=["team-a"]).splitlines()
    begin, end = lines.index("kubectl apply -f - <<'EOF'"), lines.index("EOF")
    manifest = "\n".join(lines[begin + 1 : end])
    assert wait_until(lambda: site.run("kubectl", "get", "aimodels").returncode == 0, limit_s=30)
    site.kubectl("apply", "--dry-run=server", "-f", "-", given=manifest)
    model = yaml.safe_load(manifest)
    assert model["metadata"]["namespace"] == "team-a"
    assert model["spec"]["source"]["uri"].startswith("https://")
    typed = [line.split() for line in lines[end:]]
    commands = [words[:2] for words in typed if words[:1] in (["kubectl"], ["aimodel"])]
    assert commands == [["kubectl", "get"], ["aimodel", "status"], ["kubectl", "describe"]]


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
