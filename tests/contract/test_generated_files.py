"""The generated files are current, and the CRD keeps the house's rules for an API that lasts."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from aimodel_operator import api
from hack.generate.files import CHART_TEMPLATE, outputs
from hack.paths import ROOT

OUTPUTS = outputs()
CRD = yaml.safe_load((ROOT / "crds/aimodels.aimodel.dev.yaml").read_text(encoding="utf-8"))
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]

# The defaults as the descriptions word them; `null` where the absence of the field needs none.
DOCUMENTED_DEFAULTS = {
    "spec.source.format": api.defaults.FORMAT,
    "spec.serving.engine": api.defaults.ENGINE,
    "spec.serving.batching.maxRows": api.defaults.MAX_ROWS,
    "spec.serving.batching.maxDelayMilliseconds": api.defaults.MAX_DELAY_MILLISECONDS,
    "spec.serving.maxInFlight": api.defaults.MAX_IN_FLIGHT,
    "spec.serving.timeoutSeconds": api.defaults.TIMEOUT_SECONDS,
    "spec.serving.drainSeconds": api.defaults.DRAIN_SECONDS,
    "spec.serving.resources": "requests cpu 100m and memory 128Mi, limit memory 1Gi",
    "spec.rollout.progressDeadlineSeconds": api.defaults.PROGRESS_DEADLINE_SECONDS,
    "spec.revisionHistoryLimit": api.defaults.REVISION_HISTORY_LIMIT,
}


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a schema below `path`, with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from nodes(node[key], path + mark)


NODES = dict([*nodes(SCHEMA["properties"]["spec"], "spec"), *nodes(SCHEMA["properties"]["status"], "status")])


@pytest.mark.parametrize("path", OUTPUTS)
def test_a_generated_file_is_current(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text == OUTPUTS[path], f"{path} is not current: run `python -m hack.generate`"
    assert "DO NOT EDIT" in text.splitlines()[0]


def test_every_file_that_repeats_the_types_is_generated() -> None:
    assert sorted(OUTPUTS) == [
        "charts/aimodel-operator/files/rules.yaml",
        "charts/aimodel-operator/templates/crd.yaml",
        "crds/aimodels.aimodel.dev.yaml",
        "docs/api.md",
        "docs/reasons.md",
        "operator/aimodel_operator/cli/oip/inference_pb2.py",
        "operator/aimodel_operator/cli/oip/inference_pb2.pyi",
        "operator/aimodel_operator/cli/oip/inference_pb2_grpc.py",
    ]


def test_the_walk_sees_the_fields_it_is_to_judge() -> None:
    assert {"spec.source.uri", "spec.serving.env[].secretKeyRef.key", "status.history[].createdAt"} <= set(NODES)
    assert "spec.serving.resources.requests{}" in NODES


def test_only_replicas_has_a_schema_default() -> None:
    assert {path: node["default"] for path, node in NODES.items() if "default" in node} == {"spec.replicas": 1}


def test_every_field_has_a_description() -> None:
    bare = [path for path, node in NODES.items() if "description" not in node and path[-1] not in "]}"]
    assert bare == []
    assert [path for path, node in NODES.items() if not node.get("description", ".").endswith(".")] == []


def test_there_are_no_floats_and_no_phase() -> None:
    types = {node.get("type", "quantity") for node in NODES.values()}
    assert types == {"object", "array", "string", "integer", "quantity"}
    assert [path for path in NODES if path.endswith("phase")] == []


def test_every_string_list_and_map_has_a_maximum() -> None:
    limits = {"array": "maxItems", "string": "maxLength"}
    unlimited = [
        path
        for path, node in NODES.items()
        if (node.get("type") in limits and limits[node["type"]] not in node and "enum" not in node)
        or ("additionalProperties" in node and "maxProperties" not in node)
    ]
    assert unlimited == []


def test_every_list_states_its_type_and_keys() -> None:
    lists = {path: node for path, node in NODES.items() if node.get("type") == "array"}
    assert {path: node["x-kubernetes-list-map-keys"] for path, node in lists.items()} == {
        "spec.image.pullSecretRefs": ["name"],
        "spec.serving.env": ["name"],
        "status.conditions": ["type"],
        "status.history": ["revision"],
    }
    assert {node["x-kubernetes-list-type"] for node in lists.values()} == {"map"}


def test_no_reference_leaves_the_namespace() -> None:
    assert [path for path in NODES if path.startswith("spec") and path.endswith("namespace")] == []


def test_every_rule_says_what_must_hold_and_what_to_do() -> None:
    messages = [rule["message"] for node in NODES.values() for rule in node.get("x-kubernetes-validations", [])]
    assert len(messages) > 10
    assert [text for text in messages if not text.startswith("must ") or "; " not in text] == []


@pytest.mark.parametrize("path", DOCUMENTED_DEFAULTS)
def test_the_documented_default_is_the_operators(path: str) -> None:
    assert f"When absent: {DOCUMENTED_DEFAULTS[path]}." in NODES[path]["description"]


def test_the_documented_resources_are_the_operators() -> None:
    assert api.defaults.REQUESTS == {"cpu": "100m", "memory": "128Mi"}
    assert api.defaults.LIMITS == {"memory": "1Gi"}


def test_every_default_is_documented() -> None:
    described = {
        path
        for path, node in NODES.items()
        if path.startswith("spec") and node.get("type") == "integer" and path != "spec.replicas"
    }
    assert described <= set(DOCUMENTED_DEFAULTS)


def test_the_columns_are_the_public_ones() -> None:
    columns = VERSION["additionalPrinterColumns"]
    narrow = [column["name"] for column in columns if not column.get("priority")]
    assert narrow == ["Ready", "Available", "Reason", "URL", "Replicas", "Age"]
    assert [column["name"] for column in columns if column.get("priority")] == [
        "Revision",
        "Image",
        "Message",
    ]


def test_the_names_are_the_public_ones() -> None:
    assert CRD["spec"]["names"] == {
        "kind": "AIModel",
        "listKind": "AIModelList",
        "plural": "aimodels",
        "singular": "aimodel",
        "shortNames": ["aim"],
        "categories": ["aimodels"],
    }
    assert (CRD["spec"]["group"], VERSION["name"], CRD["spec"]["scope"]) == (
        "aimodel.dev",
        "v1alpha1",
        "Namespaced",
    )
    assert VERSION["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }


def test_the_chart_keeps_the_crd_when_it_is_uninstalled() -> None:
    header, begin, *lines, end = (ROOT / CHART_TEMPLATE).read_text(encoding="utf-8").splitlines()
    assert (begin, end) == ("{{- if .Values.crd.install }}", "{{- end }}")
    template = yaml.safe_load("\n".join([header, *lines]))
    assert template["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert template == CRD


def test_every_reason_and_condition_is_on_its_page() -> None:
    reasons = (ROOT / "docs/reasons.md").read_text(encoding="utf-8")
    assert [reason for reason in api.Reason if f"| `{reason}` |" not in reasons] == []
    fields = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    assert [type_ for type_ in api.ConditionType if f"| `{type_}` |" not in fields] == []
