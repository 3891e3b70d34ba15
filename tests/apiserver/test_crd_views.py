"""What a person sees of AIModels: columns, explanations, short name and category."""

import copy

import pytest

from hack.waiting import wait_until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
URI = "https://models.example.com/digits/3/model.onnx"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
IDENTITY = {"apiVersion": "aimodel.dev/v1alpha1", "kind": "AIModel", "metadata": {"name": "digits"}}


def rows(answer):
    """Each row of a Table as a dict by column."""
    columns = [column["name"] for column in answer.body["columnDefinitions"]]
    return [dict(zip(columns, row["cells"], strict=True)) for row in answer.body["rows"]]


def condition(type_, status, reason, message):
    time = "2026-05-04T10:00:00Z"
    return {"type": type_, "status": status, "lastTransitionTime": time, "reason": reason, "message": message}


@pytest.fixture
def digits(server, models):
    """The path of a fresh AIModel."""
    answer = server.send("POST", models, {**IDENTITY, "spec": {"source": {"uri": URI}, "replicas": 2}})
    assert answer.status == 201, answer.message
    return f"{models}/digits"


def test_the_columns_in_their_order(server, models, digits):
    columns = server.send("GET", models, accept=TABLE).body["columnDefinitions"]
    assert [(column["name"], column["priority"]) for column in columns] == [
        ("Name", 0),
        ("Ready", 0),
        ("Available", 0),
        ("Reason", 0),
        ("URL", 0),
        ("Replicas", 0),
        ("Age", 0),
        ("Revision", 1),
        ("Image", 1),
        ("Message", 1),
    ]


def test_the_columns_of_a_model_that_serves_while_its_update_fails(server, models, digits):
    status = {
        "replicas": 2,
        "url": "grpc://digits.demo.svc:8001",
        "active": {"revision": "digits-8k8z7gq76t", "image": "registry.example.com/digits@sha256:0a"},
        "conditions": [
            condition("Available", "True", "Serving", "2 of 2 pods answer."),
            condition("Ready", "False", "ModelNotFound", "Correct spec.source.uri."),
        ],
    }
    assert server.apply(f"{digits}/status", {**IDENTITY, "status": status}, "aimodel-operator").status == 200
    [row] = rows(server.send("GET", models, accept=TABLE))
    assert row.pop("Age")
    assert row == {
        "Name": "digits",
        "Ready": "False",
        "Available": "True",
        "Reason": "ModelNotFound",
        "URL": "grpc://digits.demo.svc:8001",
        "Replicas": 2,
        "Revision": "digits-8k8z7gq76t",
        "Image": "registry.example.com/digits@sha256:0a",
        "Message": "Correct spec.source.uri.",
    }


def test_kubectl_get_knows_the_short_name(server, digits, namespace):
    done = server.kubectl("get", "aim", "-n", namespace)
    assert done.stdout.split("\n")[0].split() == ["NAME", "READY", "AVAILABLE", "REASON", "URL", "REPLICAS", "AGE"]
    assert "digits" in done.stdout


def test_the_category_holds_aimodels(server, crd):
    done = server.kubectl("api-resources", "--categories=aimodels", "--output=name")
    assert done.stdout == "aimodels.aimodel.dev\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("aimodel", "An AI model in production: fetched, packed into an image, served over gRPC, and watched."),
        ("aimodel.spec", "The model that is wanted, and how it is to be served."),
        ("aimodel.spec", "replicas <integer>"),
        ("aimodel.spec.source", "uri <string> -required-"),
        ("aimodel.spec.source.digest", "When set, other bytes are refused before anything is unpacked"),
        ("aimodel.spec.serving.drainSeconds", "How long a pod that is to stop goes on taking new requests"),
        ("aimodel.spec.serving.env.secretKeyRef", "Takes the value from a key of a Secret in the namespace"),
        ("aimodel.status.conditions", "Available: a request sent now would be answered."),
    ],
)
def test_kubectl_explain_is_the_documentation(server, crd, path, text):
    def says_it():
        return text in " ".join(server.kubectl("explain", path).stdout.split())

    assert wait_until(says_it, limit_s=30), server.kubectl("explain", path).stdout


def test_the_crd_is_structural_and_its_names_are_taken(server, crd):
    conditions = server.send("GET", f"{CRDS}/{crd['metadata']['name']}").body["status"]["conditions"]
    assert {one["type"]: one["status"] for one in conditions} == {"NamesAccepted": "True", "Established": "True"}


def test_the_cost_of_the_rules_is_counted_and_within_the_budget(server, crd):
    """The server took the CRD; the same without one maximum is refused, so the budget is really checked."""
    definition = {key: copy.deepcopy(crd[key]) for key in ("apiVersion", "kind", "spec")}
    definition["metadata"] = {"name": "costs.cost.aimodel.dev"}
    definition["spec"]["group"] = "cost.aimodel.dev"
    definition["spec"]["names"] = {"kind": "Cost", "plural": "costs"}
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    variable = spec["serving"]["properties"]["env"]
    del variable["maxItems"], variable["items"]["properties"]["name"]["maxLength"]
    answer = server.send("POST", f"{CRDS}?dryRun=All", definition)
    assert answer.status == 422
    assert "estimated rule cost exceeds budget" in answer.message
