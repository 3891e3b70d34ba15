"""`api.parse`: what it takes, what it refuses and in which words. No file but the table of bad specs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from aimodel_operator import api

TABLE = yaml.safe_load((Path(__file__).parents[1] / "apiserver/refused_specs.yaml").read_text(encoding="utf-8"))
URI = "https://models.example.com/digits/3/model.onnx"


def raw(spec: dict[str, Any], name: str = "digits", **metadata: Any) -> dict[str, Any]:
    """An AIModel as the API server returns it."""
    return {
        "apiVersion": "aimodel.dev/v1alpha1",
        "kind": "AIModel",
        "metadata": {
            "name": name,
            "namespace": "demo",
            "uid": "6f1e",
            "generation": 3,
            "resourceVersion": "811",
            "managedFields": [],
            **metadata,
        },
        "spec": spec,
    }


def test_the_smallest_spec_is_a_source() -> None:
    model = api.parse(raw({"source": {"uri": URI}}))
    assert (model.name, model.namespace, model.uid) == ("digits", "demo", "6f1e")
    assert model.generation == 3
    assert model.spec == api.AIModelSpec(source=api.Source(uri=URI), replicas=1)
    assert model.status == {}


def test_every_field_is_taken() -> None:
    model = api.parse(
        raw(
            {
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
                    "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "1000m"}},
                    "env": [
                        {"name": "LOG_LEVEL", "value": ""},
                        {"name": "TOKEN", "secretKeyRef": {"name": "tokens", "key": "a.b"}},
                    ],
                },
                "replicas": 3,
                "rollout": {"progressDeadlineSeconds": 60},
                "revisionHistoryLimit": 0,
            }
        )
    )
    assert model.spec == api.AIModelSpec(
        source=api.Source(uri=URI, digest="sha256:" + "0a" * 32, format=api.Format.ONNX),
        image=api.Image(
            repository="registry.example.com:5000/models/digits_v3",
            push_secret_ref=api.SecretRef(name="push"),
            pull_secret_refs=(api.SecretRef(name="pull"), api.SecretRef(name="pull.two")),
        ),
        serving=api.Serving(
            engine=api.Engine.ONNX,
            batching=api.Batching(max_rows=16, max_delay_milliseconds=2),
            max_in_flight=128,
            timeout_seconds=10,
            drain_seconds=7,
            resources=api.Resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1000m"}),
            env=(
                api.EnvVar(name="LOG_LEVEL", value=""),
                api.EnvVar(name="TOKEN", secret_key_ref=api.SecretKeyRef(name="tokens", key="a.b")),
            ),
        ),
        replicas=3,
        rollout=api.Rollout(progress_deadline_seconds=60),
        revision_history_limit=0,
    )


@pytest.mark.parametrize("case", TABLE["refused"], ids=lambda case: case["case"])
def test_a_bad_spec_is_refused_with_field_and_remedy(case: dict[str, Any]) -> None:
    with pytest.raises(api.SpecInvalid) as refused:
        api.parse(raw(case["spec"], case.get("name", "digits")))
    wanted = [case["field"], case["message"]] if "message" in case else [case["parse"]]
    assert all(text in str(refused.value) for text in wanted), str(refused.value)


def test_all_bad_fields_are_named_at_once() -> None:
    with pytest.raises(api.SpecInvalid) as refused:
        api.parse(raw({"source": {"uri": "ftp://x"}, "replicas": 0, "servin": {}}))
    assert str(refused.value) == (
        "spec.source.uri must be an http:// or https:// address without spaces and '#'; write it like "
        "https://models.example.com/digits/3/model.onnx; "
        "spec.replicas must be at least 1; to stop serving, delete the AIModel: its image stays in the "
        "registry; spec.servin is not a field of this version; remove it, or update the operator and its CRD"
    )


def test_a_message_never_repeats_a_value() -> None:
    hidden = "hunter2-hunter2"
    spec = {
        "source": {
            "uri": f"https://me:{hidden}@models.example.com/m.onnx",
            "digest": hidden,
            "format": hidden,
        },
        "serving": {"env": [{"name": "TOKEN", "value": hidden, "secretKeyRef": {"name": "a", "key": "b"}}]},
    }
    with pytest.raises(api.SpecInvalid) as refused:
        api.parse(raw(spec))
    assert hidden not in str(refused.value)


def test_a_long_list_of_errors_is_cut_to_what_a_condition_holds() -> None:
    env = [{"name": f"LD_{index}", "value": "x"} for index in range(64)]
    with pytest.raises(api.SpecInvalid) as refused:
        api.parse(raw({"source": {"uri": URI}, "serving": {"env": env}}))
    assert len(str(refused.value)) == 1024
    assert str(refused.value).endswith("…")


@pytest.mark.parametrize("name", ["a", "digits", "a" * 40, "a-1", "x9"])
def test_a_good_name_is_taken(name: str) -> None:
    assert api.parse(raw({"source": {"uri": URI}}, name)).name == name


def test_the_status_is_passed_on_as_it_was() -> None:
    obj = raw({"source": {"uri": URI}}) | {"status": {"replicas": 2, "laterField": {"a": 1}}}
    assert api.parse(obj).status == {"replicas": 2, "laterField": {"a": 1}}


def test_a_spec_cannot_be_changed() -> None:
    spec = api.parse_spec({"source": {"uri": URI}})
    with pytest.raises(ValidationError, match="frozen"):
        spec.replicas = 2  # type: ignore[misc]  # the point of the test


def test_the_rules_hold_for_values_made_in_python_too() -> None:
    with pytest.raises(ValidationError, match="must have exactly one of value and secretKeyRef"):
        api.EnvVar(name="TOKEN")


@pytest.mark.parametrize(
    "uri",
    [
        "http://models.demo.svc:8080/digits.tar.gz",
        "https://[2001:db8::1]/m.onnx",
        "https://models.example.com",
        "https://models.example.com/m.onnx?X-Amz-Expires=60&at=me@example.com",
    ],
)
def test_an_address_may_have_port_literal_and_query(uri: str) -> None:
    assert api.parse_spec({"source": {"uri": uri}}).source.uri == uri


@pytest.mark.parametrize(
    "repository",
    [
        "localhost:5000/digits",
        "10.1.0.1:5000/aimodel/demo/digits",
        "ghcr.io/a-b/c__d/e.f",
        "REG.example.com/x",
    ],
)
def test_a_repository_may_have_port_and_separators(repository: str) -> None:
    spec = api.parse_spec({"source": {"uri": URI}, "image": {"repository": repository}})
    assert spec.image is not None
    assert spec.image.repository == repository
