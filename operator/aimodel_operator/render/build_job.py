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
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        volumes.append(
            {
                "name": "registry",
                "secret": {"secretName": image.push_secret_ref.name, "items": items, "defaultMode": 0o440},
            }
        )
        mounts.append({"name": "registry", "mountPath": _DOCKER_CONFIG, "readOnly": True})
    return {
        "restartPolicy": "Never",
        "serviceAccountName": api.names.service_account(model.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": restricted_pod(),
        "volumes": volumes,
        "containers": [_container(model, build, settings, mounts)],
    }


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
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": restricted_container(),
        "volumeMounts": mounts,
    }


def _request(model: api.AIModel, build: BuildDecision, settings: Settings) -> Obj:
    source = model.spec.source
    return {
        "model": model.name,
        "source": {
            "uri": source.uri,
            "digest": source.digest,
            "format": str(api.defaults.source_format(model.spec)),
        },
        "repository": build.repository,
        "base": settings.serving_image,
        "plainHttpRegistries": list(settings.plain_http_registries),
        "allowedPrivateHosts": list(settings.allowed_private_hosts),
        "limits": {"maxBytes": settings.build_max_bytes, "timeoutSeconds": settings.build_timeout_s},
    }
