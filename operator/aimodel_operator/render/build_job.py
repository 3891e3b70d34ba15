"""The build Job of a model: the operator's own image in a restricted pod without a token.

The request travels as one JSON variable (the contract of `imagebuild.request`); push credentials are a mounted
Docker config, never a value.
"""

import json

from aimodel_operator import api
from aimodel_operator.api.names import Component
from aimodel_operator.decide import BuildDecision, build_job_name
from aimodel_operator.decide.build import SETTINGS_ANNOTATION, settings_key
from aimodel_operator.kinds import JOB, Obj
from aimodel_operator.observe.build_outcome import ATTEMPT_ANNOTATION, KEY_ANNOTATION
from aimodel_operator.render.metadata import child, restricted_container, restricted_pod
from aimodel_operator.settings import Settings

_SCRATCH = "/scratch"
_DOCKER_CONFIG = "/var/run/aimodel/registry"


def build_job(model: api.AIModel, build: BuildDecision, settings: Settings) -> Obj:
    """The Job for one attempt; its name depends on what is built, so a second one cannot exist."""
    job = child(model, JOB, build_job_name(model, build.key, build.attempt or 1), Component.BUILD)
    job["metadata"]["annotations"] = {
        KEY_ANNOTATION: build.key,
        ATTEMPT_ANNOTATION: str(build.attempt),
        SETTINGS_ANNOTATION: settings_key(settings),
    }
    job["spec"] = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": settings.build_timeout_s + 60,
        "template": {
            "metadata": {"labels": api.names.labels_for(model, Component.BUILD)},
            "spec": _pod(model, build, settings),
        },
    }
    return job


def _pod(model: api.AIModel, build: BuildDecision, settings: Settings) -> Obj:
    volumes: list[Obj] = [{"name": "scratch", "emptyDir": {"sizeLimit": str(3 * settings.build_max_bytes)}}]
    mounts: list[Obj] = [{"name": "scratch", "mountPath": _SCRATCH}]
    image = model.spec.image
    if image is not None and image.push_secret_ref is not None:
        volumes.append({"name": "registry", "secret": _registry_login(image.push_secret_ref.name)})
        mounts.append({"name": "registry", "mountPath": _DOCKER_CONFIG, "readOnly": True})
    pod: Obj = {
        "restartPolicy": "Never",
        "serviceAccountName": api.names.service_account(model.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": restricted_pod(),
        "volumes": volumes,
        "containers": [_container(model, build, settings, mounts)],
    }
    if settings.build_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.build_pull_secrets]
    return pod


def _registry_login(secret: str) -> Obj:
    # Optional, because a pod whose Secret is missing never starts and says so in events only; the build itself ends
    # at once with a word for it.
    items = [{"key": ".dockerconfigjson", "path": "config.json"}]
    return {"secretName": secret, "items": items, "defaultMode": 0o440, "optional": True}


def _container(model: api.AIModel, build: BuildDecision, settings: Settings, mounts: list[Obj]) -> Obj:
    environment = {
        "AIMODEL_BUILD_REQUEST": json.dumps(_request(model, build, settings), sort_keys=True),
        "TMPDIR": _SCRATCH,
    }
    if any(mount["mountPath"] == _DOCKER_CONFIG for mount in mounts):
        environment["DOCKER_CONFIG"] = _DOCKER_CONFIG
    return {
        "name": "build",
        "image": settings.operator_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "aimodel_operator.imagebuild"],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": settings.build_resources.model_dump(exclude_none=True),
        "securityContext": restricted_container(),
        "volumeMounts": mounts,
    }


def _request(model: api.AIModel, build: BuildDecision, settings: Settings) -> Obj:
    source, image = model.spec.source, model.spec.image
    push_secret = image.push_secret_ref if image is not None else None
    return {
        "model": model.name,
        "source": {
            "uri": source.uri,
            "digest": source.digest,
            "format": str(api.defaults.source_format(model.spec)),
        },
        "repository": build.repository,
        "base": settings.serving_image,
        "pushSecret": push_secret.name if push_secret is not None else None,
        "plainHttpRegistries": list(settings.plain_http_registries),
        "allowedPrivateHosts": list(settings.allowed_private_hosts),
        "limits": {"maxBytes": settings.build_max_bytes, "timeoutSeconds": settings.build_timeout_s},
    }
