"""The pod template of a revision: the serving container with its probes, limits and environment.

Called by `objects` when a revision is recorded, never again for the same revision.
"""

from aimodel_operator import api
from aimodel_operator.api.names import Component
from aimodel_operator.api.spec import EnvVar
from aimodel_operator.kinds import Obj
from aimodel_operator.observe import Artefact
from aimodel_operator.render.metadata import restricted_container, restricted_pod

RENDERER_VERSION = "1"
_START_LIMIT_S = 900
_CLOSING_S = 5
"""What the server needs after the last request: closing connections, writing its last log lines."""


def pod_template(model: api.AIModel, revision: str, artefact: Artefact) -> Obj:
    """The template with all defaults resolved; the image by digest."""
    serving = api.defaults.serving(model.spec)
    image = model.spec.image
    pull_secrets = [{"name": ref.name} for ref in (image.pull_secret_refs or ())] if image else []
    labels = api.names.labels_for(model, Component.SERVING, revision)
    grace_s = serving.drain_seconds + serving.timeout_seconds + _CLOSING_S
    spec: Obj = {
        "serviceAccountName": api.names.service_account(model.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_s,
        "securityContext": restricted_pod(),
        "containers": [_container(model, revision, artefact, serving, grace_s)],
    }
    if pull_secrets:
        spec["imagePullSecrets"] = pull_secrets
    annotations = {
        "kubectl.kubernetes.io/default-container": "server",
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(api.ports.ADMIN),
        "prometheus.io/path": "/metrics",
    }
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}


def _container(
    model: api.AIModel, revision: str, artefact: Artefact, serving: api.defaults.ServingValues, grace_s: int
) -> Obj:
    own = {
        "AIMODEL_MODEL_NAME": model.name,
        "AIMODEL_REVISION": revision,
        "AIMODEL_ENGINE": str(serving.engine),
        "AIMODEL_MAX_ROWS": str(serving.max_rows),
        "AIMODEL_MAX_DELAY_MILLISECONDS": str(serving.max_delay_milliseconds),
        "AIMODEL_MAX_IN_FLIGHT": str(serving.max_in_flight),
        "AIMODEL_TIMEOUT_SECONDS": str(serving.timeout_seconds),
        "AIMODEL_DRAIN_SECONDS": str(serving.drain_seconds),
        "AIMODEL_GRACE_SECONDS": str(grace_s),
    }
    return {
        "name": "server",
        "image": artefact.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["/models"],
        "env": [{"name": name, "value": value} for name, value in own.items()]
        + [_variable(env) for env in serving.env],
        "ports": [
            {"name": "grpc", "containerPort": api.ports.GRPC, "protocol": "TCP"},
            {"name": "admin", "containerPort": api.ports.ADMIN, "protocol": "TCP"},
            {"name": "health", "containerPort": api.ports.HEALTH, "protocol": "TCP"},
        ],
        "resources": _resources(serving),
        "securityContext": restricted_container(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **_probes(),
    }


def _variable(env: EnvVar) -> Obj:
    if env.secret_key_ref is not None:
        reference = {"name": env.secret_key_ref.name, "key": env.secret_key_ref.key}
        return {"name": env.name, "valueFrom": {"secretKeyRef": reference}}
    # The kubelet expands $(NAME) and takes $$ for $; the field's contract is that a value is taken as it is.
    return {"name": env.name, "value": (env.value or "").replace("$", "$$")}


def _resources(serving: api.defaults.ServingValues) -> Obj:
    wanted = {"requests": dict(serving.requests), "limits": dict(serving.limits)}
    return {name: quantities for name, quantities in wanted.items() if quantities}


def _probes() -> Obj:
    # Liveness asks whether the process is stuck, never whether the model is loaded or busy. The startup probe
    # gives loading its time; without it the first readiness answer would come a period late.
    return {
        "startupProbe": _grpc_probe("", period_s=1, failures=_START_LIMIT_S),
        "readinessProbe": _grpc_probe("", period_s=2, failures=2),
        "livenessProbe": _grpc_probe("liveness", period_s=10, failures=3),
    }


def _grpc_probe(service: str, period_s: int, failures: int) -> Obj:
    return {
        "grpc": {"port": api.ports.HEALTH, "service": service},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
        "successThreshold": 1,
    }
