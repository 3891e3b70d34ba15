"""What the chart makes of its values, and which values it refuses; rendered by helm itself."""

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from aimodel_operator import settings
from aimodel_operator.api.resources import Resources
from aimodel_operator.cluster import permissions
from hack.cluster import tools

CHART = Path(__file__).parents[2] / "charts" / "aimodel-operator"
DIGEST = "sha256:" + "0123456789abcdef" * 4
VALUES: dict[str, Any] = {
    "operator": {"image": f"10.64.192.2:5000/aimodel/operator@{DIGEST}"},
    "serving": {"image": f"10.64.192.2:5000/aimodel/serving-onnx@{DIGEST}"},
    "registry": {"prefix": "10.64.192.2:5000/models", "plainHttp": ["10.64.192.2:5000"]},
}


@pytest.fixture(scope="session")
def helm() -> Path:
    return tools.ensure() / "helm"


def run(helm: Path, *arguments: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [str(helm), *arguments, str(CHART), "--namespace", "aimodel-system", "--values", "-"]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


def render(helm: Path, **more: Any) -> list[dict[str, Any]]:
    done = run(helm, "template", "aimodel-operator", values=VALUES | more)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def refusal(helm: Path, **values: Any) -> str:
    done = run(helm, "template", "aimodel-operator", values=values)
    assert done.returncode != 0, "the chart took these values"
    return done.stderr


def only(documents: list[dict[str, Any]], kind: str, name: str = "aimodel-operator") -> dict[str, Any]:
    (found,) = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def pod_of(documents: list[dict[str, Any]]) -> dict[str, Any]:
    pod: dict[str, Any] = only(documents, "Deployment")["spec"]["template"]
    return pod


def as_table(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """One row for each group, resource and verb."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rights(rules: tuple[permissions.Rule, ...]) -> set[tuple[str, str, str]]:
    return {(rule.group, resource, verb) for rule in rules for resource in rule.resources for verb in rule.verbs}


def test_lint_finds_nothing_in_strict_mode(helm: Path):
    done = run(helm, "lint", "--strict", values=VALUES)
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


def test_the_operator_reads_what_the_chart_sets(helm: Path):
    documents = render(
        helm,
        fetch={"allowedPrivateHosts": ["models.demo.svc", "10.1.2.3", "fd00::1"], "maxBytes": 9_000_000_000},
        build={
            "timeoutSeconds": 90,
            "resources": {"requests": {"cpu": 2}, "limits": {"memory": "4Gi"}},
            "imagePullSecrets": ["pull", "other"],
        },
        watchNamespaces=["a", "b"],
        log={"format": "text"},
    )
    (container,) = pod_of(documents)["spec"]["containers"]
    fields = {"metadata.namespace": "aimodel-system", "metadata.name": "aimodel-operator-x"}
    environment = {
        variable["name"]: variable.get("value") or fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        for variable in container["env"]
    }
    assert settings.load(environment) == settings.Settings(
        serving_image=f"10.64.192.2:5000/aimodel/serving-onnx@{DIGEST}",
        operator_image=f"10.64.192.2:5000/aimodel/operator@{DIGEST}",
        registry="10.64.192.2:5000/models",
        namespace="aimodel-system",
        pod_name="aimodel-operator-x",
        plain_http_registries=("10.64.192.2:5000",),
        allowed_private_hosts=("models.demo.svc", "10.1.2.3", "fd00::1"),
        watch_namespaces=("a", "b"),
        log_format="text",
        build_timeout_s=90,
        build_max_bytes=9_000_000_000,
        build_resources=Resources(
            requests={"cpu": "2", "memory": "128Mi"},
            limits={"memory": "4Gi"},
        ),
        build_pull_secrets=("pull", "other"),
    )


def test_the_charts_defaults_for_builds_are_the_operators(helm: Path):
    (container,) = pod_of(render(helm))["spec"]["containers"]
    environment = {variable["name"]: variable.get("value", "x") for variable in container["env"]}
    loaded = settings.load(environment)
    usual = settings.Settings("", "", "", "", "")
    assert loaded.build_resources == usual.build_resources
    assert loaded.build_pull_secrets == usual.build_pull_secrets
    assert (loaded.build_timeout_s, loaded.build_max_bytes) == (usual.build_timeout_s, usual.build_max_bytes)


def test_every_variable_of_the_chart_is_read_and_only_a_port_is_left_to_tests(helm: Path):
    registry = VALUES["registry"] | {"credentialsSecret": "registry-reader"}
    (container,) = pod_of(render(helm, registry=registry))["spec"]["containers"]
    read = set(re.findall(r'"(AIMODEL_\w+|DOCKER_CONFIG)"', Path(settings.__file__).read_text()))
    assert {variable["name"] for variable in container["env"]} == read - {"AIMODEL_HTTP_PORT"}


def test_the_pod_meets_pod_security_restricted_with_a_read_only_root(helm: Path):
    pod = pod_of(render(helm))["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} == {"emptyDir"}


def test_probes_ask_the_port_that_the_operator_opens(helm: Path):
    (container,) = pod_of(render(helm))["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    paths = {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert paths == {"livenessProbe": "/livez", "readinessProbe": "/readyz"}


def test_all_namespaces_means_a_cluster_role_with_just_the_rights_in_use(helm: Path):
    documents = render(helm)
    role = only(documents, "ClusterRole", "aimodel-system:aimodel-operator")
    binding = only(documents, "ClusterRoleBinding", "aimodel-system:aimodel-operator")
    assert as_table(role["rules"]) == rights(permissions.MODEL_RULES)
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "aimodel-operator", "namespace": "aimodel-system"}
    ]
    own = only(documents, "Role", "aimodel-operator-own")
    assert own["metadata"]["namespace"] == "aimodel-system"
    assert as_table(own["rules"]) == rights(permissions.OWN_RULES)


def test_named_namespaces_mean_a_role_in_each_and_no_cluster_wide_right(helm: Path):
    documents = render(helm, watchNamespaces=["team-a", "team-b"])
    roles = [d for d in documents if d["kind"] == "Role" and d["metadata"]["name"] == "aimodel-operator"]
    assert [role["metadata"]["namespace"] for role in roles] == ["team-a", "team-b"]
    assert all(as_table(role["rules"]) == rights(permissions.MODEL_RULES) for role in roles)
    assert not [document for document in documents if document["kind"] == "ClusterRoleBinding"]


def test_people_with_view_and_edit_get_the_same_on_aimodels(helm: Path):
    documents = render(helm)
    view = only(documents, "ClusterRole", "aimodel-system:aimodel-operator-view")
    edit = only(documents, "ClusterRole", "aimodel-system:aimodel-operator-edit")
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert {verb for _, _, verb in as_table(view["rules"])} == {"get", "list", "watch"}


def test_a_namespaced_release_beside_another_makes_nothing_cluster_wide(helm: Path):
    documents = render(helm, watchNamespaces=["team-a"], crd={"install": False}, userRoles={"create": False})
    made = {(document["kind"], document["metadata"].get("namespace")) for document in documents}
    assert made == {
        ("Deployment", "aimodel-system"),
        ("ServiceAccount", "aimodel-system"),
        ("Role", "aimodel-system"),
        ("RoleBinding", "aimodel-system"),
        ("Role", "team-a"),
        ("RoleBinding", "team-a"),
    }


def test_the_crd_outlives_the_release(helm: Path):
    crd = only(render(helm), "CustomResourceDefinition", "aimodels.aimodel.dev")
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_registry_credentials_are_mounted_as_docker_config(helm: Path):
    registry = VALUES["registry"] | {"credentialsSecret": "registry-reader"}
    pod = pod_of(render(helm, registry=registry))["spec"]
    (container,) = pod["containers"]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "registry"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "registry"]
    assert {"name": "DOCKER_CONFIG", "value": mount["mountPath"]} in container["env"]
    assert volume["secret"]["secretName"] == "registry-reader"
    assert volume["secret"]["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]


def test_placement_and_annotations_reach_the_pod(helm: Path):
    toleration = {"key": "infra", "operator": "Exists"}
    affinity = {"nodeAffinity": {}}
    pod = pod_of(
        render(
            helm,
            nodeSelector={"pool": "infra"},
            tolerations=[toleration],
            affinity=affinity,
            podAnnotations={"team": "ml"},
            imagePullSecrets=[{"name": "pull"}],
        )
    )
    assert pod["metadata"]["annotations"]["team"] == "ml"
    assert pod["spec"]["nodeSelector"] == {"pool": "infra"}
    assert pod["spec"]["tolerations"] == [toleration]
    assert pod["spec"]["affinity"] == affinity
    assert pod["spec"]["imagePullSecrets"] == [{"name": "pull"}]


@pytest.mark.parametrize("missing", ["operator", "serving", "registry"])
def test_a_value_without_a_default_is_asked_for_by_name(helm: Path, missing: str):
    key = {"registry": "registry.prefix"}.get(missing, f"{missing}.image")
    assert f"{key} is not set" in refusal(helm, **{k: v for k, v in VALUES.items() if k != missing})


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        ("operator.image", {"operator": {"image": "ghcr.io/x/operator:latest"}}),
        ("serving.image", {"serving": {"image": f"ghcr.io/x/serving@{DIGEST[:-1]}"}}),
        ("registry.prefix", {"registry": {"prefix": "https://ghcr.io/x"}}),
        ("registry.plainHttp", {"registry": VALUES["registry"] | {"plainHttp": ["http://a:5000"]}}),
        ("fetch.allowedPrivateHosts", {"fetch": {"allowedPrivateHosts": ["models.demo.svc:8000"]}}),
        ("fetch.maxBytes", {"fetch": {"maxBytes": "4Gi"}}),
        ("build.timeoutSeconds", {"build": {"timeoutSeconds": 0}}),
        ("build.resources", {"build": {"resources": {"limit": {"memory": "1Gi"}}}}),
        ("build.resources.limits.memory", {"build": {"resources": {"limits": {"memory": "1 GB"}}}}),
        ("build.resources.requests", {"build": {"resources": {"requests": {"mem": "1Gi"}}}}),
        ("build.imagePullSecrets", {"build": {"imagePullSecrets": [{"name": "pull"}]}}),
        ("crd.install", {"crd": {"install": "no"}}),
        ("userRoles.create", {"userRoles": {"create": 0}}),
        ("watchNamespaces", {"watchNamespaces": ["Team_A"]}),
        ("log.format", {"log": {"format": "xml"}}),
        ("replica", {"replica": 2}),
        ("nodeSelector", {"nodeSelector": {"a": 1}}),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(helm: Path, where: str, wrong: dict[str, Any]):
    message = refusal(helm, **(VALUES | wrong))
    assert "values don't meet the specifications of the schema" in message
    assert where.replace(".", "/") in message or where in message


def test_every_value_of_the_schema_is_documented_in_the_values_file():
    schema = json.loads((CHART / "values.schema.json").read_text())
    lines = (CHART / "values.yaml").read_text().splitlines()
    documented = {
        line.strip().partition(":")[0]
        for before, line in itertools.pairwise(lines)
        if before.strip().startswith("#") and not line.strip().startswith("#")
    }
    leaves = {
        leaf
        for name, value in schema["properties"].items()
        if name != "global"
        for leaf in (value["properties"] if "properties" in value and name != "resources" else [name])
    }
    assert leaves <= documented
