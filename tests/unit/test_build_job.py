"""The build Job: what an installation's settings and a model's push Secret make of its pod."""

import json
from dataclasses import replace
from typing import Any

import pytest

from aimodel_operator import api
from aimodel_operator.api.resources import Resources
from aimodel_operator.decide import BuildDecision
from aimodel_operator.decide.build import settings_key
from aimodel_operator.imagebuild import request
from aimodel_operator.kinds import Obj
from aimodel_operator.render.build_job import build_job
from aimodel_operator.settings import Settings
from builders import SETTINGS, ModelBuilder, a_model

LARGE = Resources(requests={"cpu": "1"}, limits={"memory": "8Gi"})
PUSHING = a_model().with_spec(image={"pushSecretRef": {"name": "push"}})


def pod_of(model: ModelBuilder, settings: Settings = SETTINGS) -> Obj:
    build = BuildDecision("key", "registry.test:5000/models/default/digits", attempt=1)
    pod: Obj = build_job(api.parse(model.stored()), build, settings)["spec"]["template"]["spec"]
    return pod


def environment_of(pod: Obj) -> dict[str, str]:
    (container,) = pod["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_a_build_asks_for_what_the_installation_gives_it() -> None:
    (usual,) = pod_of(a_model())["containers"]
    (large,) = pod_of(a_model(), replace(SETTINGS, build_resources=LARGE))["containers"]
    assert usual["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
    assert large["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "8Gi"}}


def test_the_operators_image_is_pulled_with_the_installations_secrets() -> None:
    assert "imagePullSecrets" not in pod_of(a_model())
    pod = pod_of(a_model(), replace(SETTINGS, build_pull_secrets=("one", "two")))
    assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]


def test_a_push_secret_is_mounted_if_it_is_there_and_named_to_the_build() -> None:
    pod = pod_of(PUSHING)
    (login,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "registry"]
    assert (login["secretName"], login["optional"]) == ("push", True)
    assert login["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]
    assert environment_of(pod)["DOCKER_CONFIG"] == mount["mountPath"]
    assert json.loads(environment_of(pod)["AIMODEL_BUILD_REQUEST"])["pushSecret"] == "push"


def test_without_a_push_secret_nothing_is_mounted_or_named() -> None:
    pod = pod_of(a_model())
    assert [volume["name"] for volume in pod["volumes"]] == ["scratch"]
    assert "DOCKER_CONFIG" not in environment_of(pod)
    assert json.loads(environment_of(pod)["AIMODEL_BUILD_REQUEST"])["pushSecret"] is None


@pytest.mark.parametrize("model", [a_model(), PUSHING], ids=["without push secret", "with push secret"])
def test_the_build_reads_the_request_that_the_operator_writes(model: ModelBuilder) -> None:
    read = request.parse(environment_of(pod_of(model))["AIMODEL_BUILD_REQUEST"])
    assert (read.model, read.base) == ("digits", SETTINGS.serving_image)


@pytest.mark.parametrize(
    "change", [{"build_resources": LARGE}, {"build_pull_secrets": ("pull",)}], ids=["resources", "pull secrets"]
)
def test_another_setting_of_builds_makes_an_earlier_failure_say_nothing(change: dict[str, Any]) -> None:
    assert settings_key(replace(SETTINGS, **change)) != settings_key(SETTINGS)
