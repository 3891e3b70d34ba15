"""The small values of `api`: names, labels, conditions, reasons, quantities, defaults, the public names."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aimodel_operator import api
from aimodel_operator.api import names

MODEL = api.AIModel(
    name="digits",
    namespace="demo",
    uid="6f1e",
    generation=1,
    spec=api.AIModelSpec(source=api.Source(uri="https://models.example.com/m.onnx")),
    status={},
)
LONGEST_NAME = "a" * 40
DNS_LABEL = re.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def test_the_public_names_exist_and_are_sorted_once() -> None:
    assert len(set(api.__all__)) == len(api.__all__)
    assert all(hasattr(api, name) for name in api.__all__)
    assert {"AIModel", "AIModelSpec", "Condition", "Reason", "SpecInvalid", "names", "parse"} <= set(api.__all__)


def test_names_are_what_they_were_when_objects_were_made_with_them() -> None:
    assert names.short_hash(b"") == "8k8z7gq76t"
    assert names.revision("digits", "8k8z7gq76t") == "digits-8k8z7gq76t"
    assert names.build_job("digits", "8k8z7gq76t") == "digits-build-8k8z7gq76t"
    assert names.service("digits") == "digits"
    assert names.headless_service("digits") == "digits-headless"
    assert names.service_account("digits") == "digits-aimodel"


@given(st.binary())
def test_the_longest_name_makes_children_that_are_dns_labels(payload: bytes) -> None:
    hashed = names.short_hash(payload)
    children = [
        names.revision(LONGEST_NAME, hashed),
        names.build_job(LONGEST_NAME, hashed),
        names.service(LONGEST_NAME),
        names.headless_service(LONGEST_NAME),
        names.service_account(LONGEST_NAME),
    ]
    assert all(DNS_LABEL.fullmatch(child) for child in children)
    assert len(set(children)) == len(children)


def test_a_hash_has_no_vowels_and_no_look_alikes() -> None:
    hashes = {names.short_hash(str(number).encode()) for number in range(1000)}
    assert len(hashes) == 1000
    assert set("".join(hashes)) == set("bcdfghjklmnpqrstvwxz2456789")


def test_labels_of_a_build() -> None:
    assert names.labels_for(MODEL, api.Component.BUILD) == {
        "app.kubernetes.io/managed-by": "aimodel-operator",
        "app.kubernetes.io/name": "aimodel",
        "app.kubernetes.io/instance": "digits",
        "app.kubernetes.io/component": "build",
        "aimodel.dev/model": "digits",
        "aimodel.dev/uid": "6f1e",
    }


def test_labels_of_a_revision() -> None:
    labels = names.labels_for(MODEL, api.Component.SERVING, "digits-8k8z7gq76t")
    assert labels["aimodel.dev/revision"] == "digits-8k8z7gq76t"
    assert labels["app.kubernetes.io/component"] == "serving"


def test_a_selector_finds_its_labels_and_has_one_string_form() -> None:
    selector = names.selector_for(MODEL, api.Component.SERVING)
    labels = names.labels_for(MODEL, api.Component.SERVING, "digits-8k8z7gq76t")
    assert selector.items() <= labels.items()
    assert names.as_query(selector) == "aimodel.dev/uid=6f1e,app.kubernetes.io/component=serving"
    assert names.as_query(names.selector_for(MODEL, api.Component.SERVING, "digits-8k8z7gq76t")) == (
        "aimodel.dev/revision=digits-8k8z7gq76t,aimodel.dev/uid=6f1e,app.kubernetes.io/component=serving"
    )


@pytest.mark.parametrize(("status", "word"), [(True, "True"), (False, "False"), (None, "Unknown")])
def test_a_condition_spells_its_status_as_kubernetes_does(status: bool | None, word: str) -> None:
    condition = api.Condition(api.ConditionType.READY, status, api.Reason.SERVING, "2 of 2 pods are ready.")
    assert condition.status_word == word


@pytest.mark.parametrize(("length", "kept"), [(1024, "x" * 1024), (1025, "x" * 1023 + "…"), (5000, "x" * 1023 + "…")])
def test_a_long_message_is_cut(length: int, kept: str) -> None:
    condition = api.Condition(api.ConditionType.READY, False, api.Reason.BUILD_FAILED, "x" * length)
    assert condition.message == kept


def test_conditions_that_say_the_same_are_equal() -> None:
    first = api.Condition(api.ConditionType.READY, True, api.Reason.SERVING, " ready\n")
    assert first == api.Condition(api.ConditionType.READY, True, api.Reason.SERVING, "ready")


def test_every_condition_has_a_meaning() -> None:
    assert set(api.MEANINGS) == set(api.ConditionType)


def test_every_reason_has_cause_and_remedy_in_sentences() -> None:
    assert set(api.REASONS) == set(api.Reason)
    for explanation in api.REASONS.values():
        for text in (explanation.cause, explanation.remedy):
            assert re.fullmatch(r"[A-Z].+\.", text), text


def test_a_reason_is_one_word_as_conditions_want_it() -> None:
    assert all(re.fullmatch("[A-Z][A-Za-z]+", reason.value) for reason in api.Reason)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", "2"),
        ("500m", "0.5"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("2k", "2000"),
        ("1E", "1000000000000000000"),
        ("1e3", "1000"),
        ("12E-1", "1.2"),
        ("3Ei", "3458764513820540928"),
        ("100n", "0.0000001"),
        ("7u", "0.000007"),
    ],
)
def test_a_quantity_is_read_exactly(text: str, value: str) -> None:
    assert api.quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Gi", "1GB", "-1", "+1", "1 Gi", "1ki", "0x10", "1e", "1Gi\n", "1.2.3", "e3"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    assert not api.quantity.is_quantity(text)
    with pytest.raises(ValueError, match="is not a quantity; write one such as 500m, 2 or 1Gi"):
        api.quantity.parse(text)


def test_defaults_of_an_empty_spec() -> None:
    assert api.defaults.serving(MODEL.spec) == api.defaults.ServingValues(
        engine=api.Engine.AUTO,
        max_rows=64,
        max_delay_milliseconds=0,
        max_in_flight=256,
        timeout_seconds=30,
        drain_seconds=5,
        requests={"cpu": "100m", "memory": "128Mi"},
        limits={"memory": "1Gi"},
        env=(),
    )
    assert api.defaults.source_format(MODEL.spec) is api.Format.AUTO
    assert api.defaults.progress_deadline_seconds(MODEL.spec) == 600
    assert api.defaults.revision_history_limit(MODEL.spec) == 10


def test_what_the_spec_says_wins_even_when_it_is_zero() -> None:
    spec = api.parse_spec(
        {
            "source": {"uri": "https://models.example.com/m.onnx", "format": "ONNX"},
            "serving": {
                "engine": "ONNX",
                "batching": {"maxRows": 1, "maxDelayMilliseconds": 0},
                "maxInFlight": 1,
                "timeoutSeconds": 1,
                "drainSeconds": 1,
                "resources": {"limits": {"cpu": "1"}},
                "env": [{"name": "A", "value": "b"}],
            },
            "rollout": {"progressDeadlineSeconds": 2},
            "revisionHistoryLimit": 0,
        }
    )
    assert api.defaults.serving(spec) == api.defaults.ServingValues(
        engine=api.Engine.ONNX,
        max_rows=1,
        max_delay_milliseconds=0,
        max_in_flight=1,
        timeout_seconds=1,
        drain_seconds=1,
        requests={},
        limits={"cpu": "1"},
        env=(api.EnvVar(name="A", value="b"),),
    )
    assert api.defaults.source_format(spec) is api.Format.ONNX
    assert api.defaults.progress_deadline_seconds(spec) == 2
    assert api.defaults.revision_history_limit(spec) == 0
