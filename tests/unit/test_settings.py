"""The operator's environment: what is missing or malformed is named."""

import pytest

from aimodel_operator.settings import SettingsError, load

GOOD = {
    "AIMODEL_SERVING_IMAGE": "r.test/serving@sha256:1",
    "AIMODEL_OPERATOR_IMAGE": "r.test/operator@sha256:2",
    "AIMODEL_REGISTRY": "r.test/models/",
    "AIMODEL_NAMESPACE": "aimodel-system",
    "AIMODEL_POD_NAME": "operator-0",
}


def test_defaults() -> None:
    settings = load(GOOD)
    assert settings.registry == "r.test/models"
    assert settings.watch_namespaces == ()
    assert settings.build_timeout_s == 600


def test_lists_are_split_at_commas() -> None:
    settings = load({**GOOD, "AIMODEL_WATCH_NAMESPACES": "a, b,,"})
    assert settings.watch_namespaces == ("a", "b")


@pytest.mark.parametrize("missing", GOOD)
def test_missing_variable_is_named(missing: str) -> None:
    rest = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(SettingsError, match=missing):
        load(rest)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIMODEL_SERVING_IMAGE", "r.test/serving:latest"),
        ("AIMODEL_LOG_FORMAT", "xml"),
        ("AIMODEL_BUILD_TIMEOUT_SECONDS", "0"),
        ("AIMODEL_BUILD_MAX_BYTES", "4Gi"),
    ],
)
def test_malformed_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load({**GOOD, name: value})
