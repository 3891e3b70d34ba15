"""`api.parse` and the real API server agree on what is a good spec: each field, each kind of value.

The fields come from the CRD, so that a new one is tried without a new test. Two checkers that are written
in two languages from one declaration are each other's independent source.
"""

import copy
from pathlib import Path

import pytest
import yaml

from aimodel_operator import api

# Every field of the spec, so that each can be given another value while the rest stays good.
DIGEST = "sha256:" + "0a" * 32
FULL = {
    "source": {"uri": "https://models.example.com/m.onnx", "digest": DIGEST, "format": "ONNX"},
    "image": {
        "repository": "registry.example.com/models/digits",
        "pushSecretRef": {"name": "push"},
        "pullSecretRefs": [{"name": "pull"}],
    },
    "serving": {
        "engine": "ONNX",
        "batching": {"maxRows": 16, "maxDelayMilliseconds": 2},
        "maxInFlight": 128,
        "timeoutSeconds": 10,
        "drainSeconds": 7,
        "resources": {"requests": {"cpu": 1}, "limits": {"cpu": "2"}},
        "env": [{"name": "LEVEL", "value": "x"}, {"name": "TOKEN", "secretKeyRef": {"name": "tokens", "key": "a"}}],
    },
    "replicas": 3,
    "rollout": {"progressDeadlineSeconds": 60},
    "revisionHistoryLimit": 5,
}
TEXTS = ("", "x", "X", "é", "a b", "a\n", "-a", "a.b", "a/b", "Auto", "ONNX", "onnx", DIGEST, "x" * 129, "x" * 5000)
ADDRESSES = ("http://h", "https://h/p?q=a@b", "https://u@h/", "HTTP://h", "h/a/b", "h:80/a", "h/a:1", "h/A", "h/a__b")
VARIABLES = ("AIMODEL_A", "aimodel_a", "LD_A", "MY_LD_A", "PYTHON", "1A", "_A")
QUANTITIES = ("1", "0", "1Gi", "1.5", ".5", "5.", "1e3", "1E9", "1gi", "-1", "+1", "100m", "2n", "1" * 32, "1" * 33)
NUMBERS = (-1, 0, 1, 2, 3, 101, 301, 1001, 3601, 4097, 65537, 86401, 10**12, 0.5, True, False)
LISTS = ([], ["x"], [{}], [1])
OBJECTS = (
    *({}, {"name": "x"}, {"name": "x", "key": "y"}, {"name": "X", "value": ""}, {"uri": "http://h"}),
    *({"a": 1}, {"cpu": "1"}, {"cpu": "3"}, {"example.com/r": "1"}),
)
VALUES = (*TEXTS, *ADDRESSES, *VARIABLES, *QUANTITIES, *NUMBERS, *LISTS, *OBJECTS)
SCHEMA = yaml.safe_load((Path(__file__).parents[2] / "crds/aimodels.aimodel.dev.yaml").read_text(encoding="utf-8"))
SPEC = SCHEMA["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def fields(node, path=()):
    """The path of every field below a node; 0 stands for the first entry of a list, cpu for that of a map."""
    if path:
        yield path
    for name, child in node.get("properties", {}).items():
        # In FULL the first variable has a value and the second a reference: one cannot have both.
        yield from fields(child, (*path[:-1], 1, name) if name == "secretKeyRef" else (*path, name))
    for key, step in (("items", 0), ("additionalProperties", "cpu")):
        if key in node:
            yield from fields(node[key], (*path, step))


def holder(spec, path):
    """What holds the field at a path."""
    for step in path[:-1]:
        spec = spec[step]
    return spec


def with_value(path, value):
    """The full spec with another value in one field."""
    spec = copy.deepcopy(FULL)
    holder(spec, path)[path[-1]] = value
    return spec


def without(path):
    """The full spec with one field left out."""
    spec = copy.deepcopy(FULL)
    del holder(spec, path)[path[-1]]
    return spec


def is_good_for_us(spec):
    try:
        api.parse_spec(spec)
    except api.SpecInvalid:
        return False
    return True


def is_good_for_the_server(server, models, spec):
    model = {"apiVersion": api.API_VERSION, "kind": api.KIND, "metadata": {"name": "digits"}, "spec": spec}
    answer = server.send("POST", f"{models}?dryRun=All&fieldValidation=Strict", model)
    assert answer.status in {201, 400, 422}, answer.body
    return answer.status == 201


@pytest.mark.parametrize("path", list(fields(SPEC)), ids=lambda path: ".".join(map(str, path)))
def test_both_agree_on_every_value_of_a_field(server, models, path):
    specs = [(value, with_value(path, value)) for value in VALUES] + [("left out", without(path))]
    verdicts = [(value, is_good_for_us(spec), is_good_for_the_server(server, models, spec)) for value, spec in specs]
    assert [verdict for verdict in verdicts if verdict[1] != verdict[2]] == []
    assert {True, False} == {verdict[1] for verdict in verdicts}, "the values do not show what the field refuses"
