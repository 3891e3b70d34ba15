"""The operator's settings: environment variables in, one frozen value out.

Read once by `__main__` and passed on as an argument; every variable of the operator that this project defines is
read here. (A build Job is another process and reads its own; where the API server is, Kubernetes' own variables
say to `cluster` and `handlers`.) A missing or malformed variable is a `SettingsError` that names the variable, so
that a bad chart value is seen in the first log line and not in the middle of a rollout.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from aimodel_operator.api.resources import Resources
from aimodel_operator.api.spec import SecretRef

BUILD_RESOURCES = Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"})


class SettingsError(ValueError):
    """A variable of the operator's environment is missing or malformed; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation decides once for all models.

    `serving_image` and `operator_image` are references by digest, `registry` is the prefix under which a
    model without `spec.image.repository` gets its repository (`PREFIX/NAMESPACE/NAME`). `build_pull_secrets` are
    Secrets in each model's namespace, with which the nodes pull the operator's image for build Jobs.
    `docker_config` is the folder whose config.json has the passwords of private registries.
    """

    serving_image: str
    operator_image: str
    registry: str
    namespace: str
    pod_name: str
    plain_http_registries: tuple[str, ...] = ()
    allowed_private_hosts: tuple[str, ...] = ()
    watch_namespaces: tuple[str, ...] = ()
    log_format: str = "json"
    build_timeout_s: int = 600
    build_max_bytes: int = 4 * 1024**3
    build_resources: Resources = BUILD_RESOURCES
    build_pull_secrets: tuple[str, ...] = ()
    docker_config: str | None = None
    http_port: int = 8080
    """Another port lets several operators run on one host, as tests do; the chart does not set it."""


def load(environment: Mapping[str, str]) -> Settings:
    """Build `Settings` from `AIMODEL_*` variables and DOCKER_CONFIG; raises `SettingsError`."""
    return Settings(
        serving_image=_by_digest(environment, "AIMODEL_SERVING_IMAGE"),
        operator_image=_by_digest(environment, "AIMODEL_OPERATOR_IMAGE"),
        registry=_required(environment, "AIMODEL_REGISTRY").rstrip("/"),
        namespace=_required(environment, "AIMODEL_NAMESPACE"),
        pod_name=_required(environment, "AIMODEL_POD_NAME"),
        plain_http_registries=_names(environment, "AIMODEL_PLAIN_HTTP_REGISTRIES"),
        allowed_private_hosts=_names(environment, "AIMODEL_ALLOWED_PRIVATE_HOSTS"),
        watch_namespaces=_names(environment, "AIMODEL_WATCH_NAMESPACES"),
        log_format=_choice(environment, "AIMODEL_LOG_FORMAT", "json", ("json", "text")),
        build_timeout_s=_number(environment, "AIMODEL_BUILD_TIMEOUT_SECONDS", 600),
        build_max_bytes=_number(environment, "AIMODEL_BUILD_MAX_BYTES", 4 * 1024**3),
        build_resources=_resources(environment, "AIMODEL_BUILD_RESOURCES"),
        build_pull_secrets=_secrets(environment, "AIMODEL_BUILD_PULL_SECRETS"),
        docker_config=environment.get("DOCKER_CONFIG") or None,
        http_port=_number(environment, "AIMODEL_HTTP_PORT", 8080),
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set: the chart sets it, see charts/aimodel-operator/values.yaml")
    return value


def _by_digest(environment: Mapping[str, str], name: str) -> str:
    value = _required(environment, name)
    if "@sha256:" not in value:
        raise SettingsError(f"{name}={value} is not pinned: give the image as REPOSITORY@sha256:DIGEST")
    return value


def _names(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip() for piece in environment.get(name, "").split(",")) if part)


def _secrets(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    secrets = _names(environment, name)
    for secret in secrets:
        try:
            SecretRef(name=secret)
        except ValidationError as exc:
            raise SettingsError(f"{name}: {secret!r} is not the name of a Secret") from exc
    return secrets


def _resources(environment: Mapping[str, str], name: str) -> Resources:
    text = environment.get(name, "")
    if not text:
        return BUILD_RESOURCES
    try:
        return Resources.model_validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{name} is not a container's resources as JSON: {where} {first['msg']}") from exc


def _choice(environment: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = environment.get(name, "") or default
    if value not in choices:
        raise SettingsError(f"{name}={value} is not one of {', '.join(choices)}")
    return value


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, "") or str(default)
    if not value.isdigit() or int(value) < 1:
        raise SettingsError(f"{name}={value} is not a whole number above 0")
    return int(value)
