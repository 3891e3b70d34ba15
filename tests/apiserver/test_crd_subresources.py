"""The scale and status subresources of AIModel, as people, autoscalers and the operator use them."""

import pytest

URI = "https://models.example.com/digits/3/model.onnx"
SPEC = {"source": {"uri": URI}, "serving": {"maxInFlight": 16}}
SELECTOR = "aimodel.dev/uid=6f1e,app.kubernetes.io/component=serving"
IDENTITY = {"apiVersion": "aimodel.dev/v1alpha1", "kind": "AIModel"}


def condition(type_, status, reason, message):
    return {
        "type": type_,
        "status": status,
        "observedGeneration": 1,
        "lastTransitionTime": "2026-05-04T10:00:00Z",
        "reason": reason,
        "message": message,
    }


@pytest.fixture
def digits(server, models):
    """The path of a fresh AIModel."""
    body = {**IDENTITY, "metadata": {"name": "digits"}, "spec": SPEC}
    answer = server.send("POST", models, body)
    assert answer.status == 201, answer.message
    return f"{models}/digits"


def with_status(server, path, status):
    body = {**IDENTITY, "metadata": {"name": "digits"}, "status": status}
    return server.apply(f"{path}/status", body, "aimodel-operator")


def test_scale_of_a_fresh_model(server, digits):
    scale = server.send("GET", f"{digits}/scale").body
    assert scale["kind"] == "Scale"
    assert scale["spec"] == {"replicas": 1}
    assert scale["status"] == {"replicas": 0}


def test_scale_shows_the_replicas_and_selector_of_status(server, digits):
    assert with_status(server, digits, {"replicas": 2, "selector": SELECTOR}).status == 200
    assert server.send("GET", f"{digits}/scale").body["status"] == {"replicas": 2, "selector": SELECTOR}


def test_a_new_scale_changes_replicas_and_nothing_else(server, digits):
    scale = server.send("GET", f"{digits}/scale").body
    scale["spec"]["replicas"] = 4
    assert server.send("PUT", f"{digits}/scale?fieldManager=aimodel-autoscaler", scale).status == 200
    model = server.send("GET", digits).body
    assert model["spec"] == {**SPEC, "replicas": 4}
    assert model["metadata"]["generation"] == 2
    managers = {entry["manager"]: entry.get("subresource") for entry in model["metadata"]["managedFields"]}
    assert managers["aimodel-autoscaler"] == "scale"


@pytest.mark.parametrize(
    ("replicas", "message"),
    [
        (0, "must be at least 1; to stop serving, delete the AIModel: its image stays in the registry"),
        (1001, "spec.replicas in body should be less than or equal to 1000"),
    ],
)
def test_a_scale_beyond_the_limits_is_refused(server, digits, replicas, message):
    scale = server.send("GET", f"{digits}/scale").body
    scale["spec"]["replicas"] = replicas
    answer = server.send("PUT", f"{digits}/scale", scale)
    assert answer.status == 422
    assert "spec.replicas" in answer.message
    assert message in answer.message
    assert server.send("GET", digits).body["spec"]["replicas"] == 1


def test_kubectl_scale(server, digits, namespace):
    done = server.kubectl("scale", "-n", namespace, "aim/digits", "--replicas=3")
    assert (done.returncode, done.stdout) == (0, "aimodel.aimodel.dev/digits scaled\n")
    assert server.send("GET", digits).body["spec"]["replicas"] == 3


def test_replicas_stay_with_the_scaler_when_git_leaves_them_out(server, models):
    body = {**IDENTITY, "metadata": {"name": "digits"}, "spec": SPEC}
    assert server.apply(f"{models}/digits", body, "git").status == 201
    scale = server.send("GET", f"{models}/digits/scale").body
    scale["spec"]["replicas"] = 5
    assert server.send("PUT", f"{models}/digits/scale?fieldManager=aimodel-autoscaler", scale).status == 200
    changed = {**body, "spec": {"source": {"uri": f"{URI}?v=2"}}}
    answer = server.apply(f"{models}/digits", changed, "git")
    assert answer.status == 200, answer.message
    assert answer.body["spec"] == {"source": {"uri": f"{URI}?v=2"}, "replicas": 5}


def test_status_is_written_apart_from_spec(server, digits):
    answer = with_status(
        server, digits, {"observedGeneration": 1, "conditions": [condition("Ready", "True", "Serving", "2 of 2.")]}
    )
    assert answer.status == 200, answer.message
    assert answer.body["metadata"]["generation"] == 1
    assert answer.body["spec"] == {**SPEC, "replicas": 1}
    body = {**answer.body, "spec": {**SPEC, "replicas": 2}, "status": {}}
    answer = server.send("PUT", digits, body)
    assert answer.body["status"]["conditions"][0]["reason"] == "Serving"
    assert answer.body["metadata"]["generation"] == 2


def test_conditions_merge_by_type_and_a_dropped_one_goes(server, digits):
    ready = condition("Ready", "False", "Progressing", "Waits for the image.")
    progressing = condition("Progressing", "True", "Progressing", "Builds the image.")
    with_status(server, digits, {"conditions": [ready, progressing]})
    answer = with_status(server, digits, {"conditions": [{**ready, "status": "True", "reason": "Serving"}]})
    assert [(one["type"], one["status"]) for one in answer.body["status"]["conditions"]] == [("Ready", "True")]


def test_the_whole_status_is_kept_as_the_operator_writes_it(server, digits):
    revision = {
        "revision": "digits-8k8z7gq76t",
        "image": "registry.example.com/demo/digits@sha256:" + "0a" * 32,
        "modelDigest": "sha256:" + "0b" * 32,
        "replicas": 2,
        "readyReplicas": 1,
    }
    kept = {key: revision[key] for key in ("revision", "image", "modelDigest")}
    status = {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 1,
        "selector": SELECTOR,
        "url": "grpc://digits.demo.svc:8001",
        "conditions": [condition("Ready", "False", "OutOfMemory", "m" * 1024)],
        "active": revision,
        "target": revision,
        "history": [{**kept, "createdAt": "2026-05-04T10:00:00Z"}],
    }
    answer = with_status(server, digits, status)
    assert answer.status == 200, answer.message
    assert (answer.body["status"], answer.warnings) == (status, ())


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"phase": "Ready"}, "field not declared in schema"),
        ({"conditions": [condition("Ready", "Yes", "Serving", "")]}, 'supported values: "True", "False", "Unknown"'),
        ({"conditions": [condition("Ready", "True", "Serving", "m" * 1025)]}, "may not be more than 1024 bytes"),
        ({"conditions": [condition("Ready", "True", "Serving", "") | {"lastTransitionTime": "now"}]}, "date-time"),
    ],
)
def test_a_status_that_the_schema_does_not_know_is_refused(server, digits, status, message):
    answer = with_status(server, digits, status)
    assert answer.status in {422, 500}, answer.body
    assert message in answer.message
