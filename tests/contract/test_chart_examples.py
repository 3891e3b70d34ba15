"""The manifests under examples/: valid for the API, restricted, and in agreement with the chart."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from aimodel_operator import api

EXAMPLES = Path(__file__).parents[2] / "examples"


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


MODELS = [
    pytest.param(document, id=f"{path.relative_to(EXAMPLES)}:{document['metadata']['name']}")
    for path in sorted(EXAMPLES.rglob("*.yaml"))
    for document in documents(path)
    if document["kind"] == "AIModel"
]
SERVER = {document["kind"]: document for document in documents(EXAMPLES / "digits" / "server.yaml")}


@pytest.mark.parametrize("manifest", MODELS)
def test_an_example_is_a_valid_aimodel(manifest: dict[str, Any]):
    assert manifest["apiVersion"] == api.API_VERSION
    assert api.parse_spec(manifest["spec"]).source.uri == manifest["spec"]["source"]["uri"]


def test_the_digits_are_fetched_from_the_server_beside_them():
    (digits,) = documents(EXAMPLES / "digits.yaml")
    address = urlsplit(digits["spec"]["source"]["uri"])
    service = SERVER["Service"]
    pod = SERVER["Deployment"]["spec"]["template"]["spec"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert address.hostname == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert address.port == service["spec"]["ports"][0]["port"] == pod["containers"][0]["ports"][0]["containerPort"]
    assert f"{mount['mountPath']}/model.onnx" == f"/models{address.path}"
    assert pod["volumes"] == [{"name": "digits", "configMap": {"name": "digits"}}]


def test_the_server_is_admitted_by_the_namespace_it_lives_in():
    pod = SERVER["Deployment"]["spec"]["template"]["spec"]
    security = pod["containers"][0]["securityContext"]
    assert SERVER["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True
