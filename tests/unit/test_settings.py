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
    assert settings.build_resources.requests == {"cpu": "100m", "memory": "128Mi"}
    assert settings.build_resources.limits == {"memory": "1Gi"}
    assert settings.build_pull_secrets == ()
    assert settings.docker_config is None


def test_lists_are_split_at_commas() -> None:
    settings = load({**GOOD, "AIMODEL_WATCH_NAMESPACES": "a, b,,"})
    assert settings.watch_namespaces == ("a", "b")


def test_resources_and_secrets_of_builds_are_read() -> None:
    resources = '{"requests": {"cpu": 1, "memory": "512Mi"}, "limits": {"memory": "4Gi"}}'
    more = {"AIMODEL_BUILD_RESOURCES": resources, "AIMODEL_BUILD_PULL_SECRETS": "pull, other.pull"}
    settings = load({**GOOD, **more, "DOCKER_CONFIG": "/var/run/login"})
    assert settings.build_resources.requests == {"cpu": "1", "memory": "512Mi"}
    assert settings.build_resources.limits == {"memory": "4Gi"}
    assert settings.build_pull_secrets == ("pull", "other.pull")
    assert settings.docker_config == "/var/run/login"


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
        ("AIMODEL_BUILD_RESOURCES", "1Gi"),
        ("AIMODEL_BUILD_RESOURCES", '{"limit": {"memory": "1Gi"}}'),
        ("AIMODEL_BUILD_RESOURCES", '{"limits": {"memory": "1 GB"}}'),
        ("AIMODEL_BUILD_RESOURCES", '{"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}'),
        ("AIMODEL_BUILD_PULL_SECRETS", "pull,Not_A_Name"),
    ],
)
def test_malformed_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load({**GOOD, name: value})
