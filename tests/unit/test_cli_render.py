"""`aimodel render`: the operator's objects for a manifest, as YAML that can be read back."""

import json
from pathlib import Path

import pytest
import yaml

from aimodel_operator.cli import main
from aimodel_operator.cli.errors import CliError
from aimodel_operator.cli.render import as_yaml, render

MANIFEST = b"""\
apiVersion: v1
kind: ConfigMap
---
apiVersion: aimodel.dev/v1alpha1
kind: AIModel
metadata: {name: digits, namespace: demo}
spec:
  source: {uri: https://models.example.com/digits.onnx}
  serving: null
  replicas: 3
"""


def kinds(namespace: str | None = None, environment: dict[str, str] | None = None) -> dict[str, dict[str, object]]:
    return {obj["kind"]: obj for obj in render("model.yaml", MANIFEST, namespace, environment or {})}


def test_the_objects_of_a_first_rollout_are_there() -> None:
    objects = kinds()
    assert {"Job", "ControllerRevision", "Deployment", "Service"} <= objects.keys()
    assert {obj["metadata"]["namespace"] for obj in render("model.yaml", MANIFEST, None, {})} == {"demo"}
    deployment = json.loads(json.dumps(objects["Deployment"]))
    assert deployment["spec"]["replicas"] == 3
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.example.com/models/demo/digits@sha256:" + "0" * 64


def test_the_namespace_of_the_command_line_wins() -> None:
    assert {obj["metadata"]["namespace"] for obj in render("model.yaml", MANIFEST, "prod", {})} == {"prod"}


def test_the_operators_environment_is_used_where_it_is_set() -> None:
    text = json.dumps(kinds(environment={"AIMODEL_REGISTRY": "registry.test/m"}))
    assert "registry.test/m/demo/digits@sha256:" in text


def test_the_yaml_reads_back_as_the_same_objects() -> None:
    objects = render("model.yaml", MANIFEST, None, {})
    assert list(yaml.safe_load_all(as_yaml(objects))) == objects


@pytest.mark.parametrize(
    ("content", "environment", "says"),
    [
        (MANIFEST.replace(b"replicas: 3", b"replicas: 0"), {}, "line 10: spec.replicas must be at least 1"),
        (b"kind: ConfigMap\n", {}, "it holds no AIModel"),
        (MANIFEST, {"AIMODEL_SERVING_IMAGE": "x:latest"}, "AIMODEL_SERVING_IMAGE=x:latest is not pinned"),
    ],
    ids=["a problem", "no model", "a bad setting"],
)
def test_what_cannot_be_rendered_says_why(content: bytes, environment: dict[str, str], says: str) -> None:
    with pytest.raises(CliError) as caught:
        render("model.yaml", content, None, environment)
    assert says in caught.value.message


def test_the_command_prints_a_list_in_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(MANIFEST)
    assert main.main(["render", str(path), "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["items"]) == ("List", render("model.yaml", MANIFEST, None, {}))
    assert main.main(["render", str(path)]) == 0
    assert capsys.readouterr().out.startswith("# A preview: zeros stand for")
