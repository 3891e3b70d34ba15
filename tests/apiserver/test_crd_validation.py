"""What the real API server takes and refuses by our CRD, and in which words."""

from pathlib import Path

import pytest
import yaml

TABLE = yaml.safe_load((Path(__file__).parent / "refused_specs.yaml").read_text(encoding="utf-8"))
URI = TABLE["good"]["source"]["uri"]
EVERY_FIELD = {
    "source": {"uri": URI, "digest": "sha256:" + "0a" * 32, "format": "ONNX"},
    "image": {
        "repository": "registry.example.com:5000/models/digits_v3",
        "pushSecretRef": {"name": "push"},
        "pullSecretRefs": [{"name": "pull"}, {"name": "pull.two"}],
    },
    "serving": {
        "engine": "ONNX",
        "batching": {"maxRows": 16, "maxDelayMilliseconds": 2},
        "maxInFlight": 128,
        "timeoutSeconds": 10,
        "drainSeconds": 7,
        "resources": {
            "requests": {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": "1"},
            "limits": {"cpu": "1000m", "nvidia.com/gpu": 1, "example.com/fpga": "2"},
        },
        "env": [
            {"name": "LOG_LEVEL", "value": ""},
            {"name": "TOKEN", "secretKeyRef": {"name": "tokens", "key": "a.b"}},
        ],
    },
    "replicas": 3,
    "rollout": {"progressDeadlineSeconds": 60},
    "revisionHistoryLimit": 0,
}


def an_aimodel(spec, name="digits"):
    return {"apiVersion": "aimodel.dev/v1alpha1", "kind": "AIModel", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("case", TABLE["refused"], ids=lambda case: case["case"])
def test_a_bad_spec_is_refused_with_field_and_remedy(server, models, case):
    model = an_aimodel(case["spec"], case.get("name", "digits"))
    answer = server.send("POST", f"{models}?fieldValidation=Strict", model)
    assert answer.status in {400, 422}, answer.body
    wanted = [case["field"], case["message"]] if "message" in case else [case["server"]]
    assert all(text in answer.message for text in wanted), answer.message


def test_the_smallest_spec_is_taken_and_gets_replicas_alone(server, models):
    answer = server.send("POST", f"{models}?fieldValidation=Strict", an_aimodel({"source": {"uri": URI}}))
    assert (answer.status, answer.warnings) == (201, ())
    assert answer.body["spec"] == {"source": {"uri": URI}, "replicas": 1}
    assert "status" not in answer.body


def test_every_field_is_kept_as_it_was_written(server, models):
    answer = server.send("POST", f"{models}?fieldValidation=Strict", an_aimodel(EVERY_FIELD))
    assert (answer.status, answer.warnings) == (201, ())
    assert answer.body["spec"] == EVERY_FIELD


def test_a_spec_at_all_its_limits_is_taken(server, models):
    variables = [{"name": f"V{index}", "value": "x" * 4096} for index in range(64)]
    quantities = {f"example.com/r{index}": "1" for index in range(16)}
    spec = {
        "source": {"uri": "https://models.example.com/" + "m" * 2021},
        "image": {"pullSecretRefs": [{"name": f"s{index}"} for index in range(8)]},
        "serving": {
            "batching": {"maxRows": 4096, "maxDelayMilliseconds": 1000},
            "maxInFlight": 65536,
            "timeoutSeconds": 3600,
            "drainSeconds": 300,
            "resources": {"requests": quantities, "limits": quantities},
            "env": variables,
        },
        "replicas": 1000,
        "rollout": {"progressDeadlineSeconds": 86400},
        "revisionHistoryLimit": 100,
    }
    answer = server.send("POST", f"{models}?fieldValidation=Strict", an_aimodel(spec, "a" * 40))
    assert answer.status == 201, answer.message


def test_a_good_object_cannot_be_patched_into_a_bad_one(server, models):
    server.send("POST", models, an_aimodel({"source": {"uri": URI}}))
    patch = {"spec": {"serving": {"env": [{"name": "LD_PRELOAD", "value": "/evil.so"}]}}}
    answer = server.send("PATCH", f"{models}/digits", patch, content="application/merge-patch+json")
    assert answer.status == 422
    assert "spec.serving.env[0].name" in answer.message
    assert "use another name" in answer.message


def test_an_unknown_field_is_warned_of_and_not_stored(server, models):
    spec = {"source": {"uri": URI}, "serving": {"maxInflight": 10}}
    answer = server.send("POST", f"{models}?fieldValidation=Warn", an_aimodel(spec))
    assert answer.status == 201
    assert answer.warnings == ('299 - "unknown field \\"spec.serving.maxInflight\\""',)
    assert answer.body["spec"] == {"source": {"uri": URI}, "serving": {}, "replicas": 1}


def test_kubectl_refuses_an_unknown_field_by_itself(server, models, namespace):
    spec = {"source": {"uri": URI}, "serving": {"maxInflight": 10}}
    done = server.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(an_aimodel(spec)))
    assert done.returncode == 1
    assert 'unknown field "spec.serving.maxInflight"' in done.stdout
