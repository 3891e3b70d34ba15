"""What the commands need of a cluster, as a Protocol, and the pure choices made over what it answers.

`kube` implements it with the Kubernetes client; tests with a dict. Verbs see this module only, so that
nothing but `kube` knows the client library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aimodel_operator import api
from aimodel_operator.cli.errors import CliError
from aimodel_operator.cli.forward import Tunnel

Obj = Mapping[str, Any]

GRPC_PORT_NAME = "grpc"


class Cluster(Protocol):
    """One namespace of a cluster, read-only."""

    @property
    def namespace(self) -> str:
        """The namespace that every call is about."""

    def model(self, name: str) -> Obj:
        """The AIModel; raises CliError when there is none or the cluster does not answer."""

    def service(self, name: str) -> Obj:
        """The Service; raises CliError."""

    def pods(self, selector: str) -> Sequence[Obj]:
        """The pods with these labels; raises CliError."""

    def dial(self, pod: str, port: int) -> Tunnel:
        """A stream to a port of a pod; raises TunnelRefused."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A port of a pod that answers requests for a model."""

    pod: str
    port: int
    revision: str


def find_endpoint(cluster: Cluster, model: Obj) -> Endpoint:
    """A ready pod behind the model's Service; raises CliError that says why there is none."""
    name = model["metadata"]["name"]
    service = cluster.service(api.names.service(name))
    selector = service["spec"].get("selector") or {}
    if not selector:
        raise CliError(
            f'Service "{service["metadata"]["name"]}" in namespace "{cluster.namespace}" selects no pods yet',
            f"aimodel status {name} -n {cluster.namespace} --watch",
        )
    pods = sorted((pod for pod in cluster.pods(api.names.as_query(selector)) if is_ready(pod)), key=_pod_name)
    if not pods:
        raise CliError(
            f'no pod of AIModel "{name}" in namespace "{cluster.namespace}" is ready: {_why(model)}',
            f"aimodel status {name} -n {cluster.namespace}",
        )
    pod = pods[0]
    return Endpoint(_pod_name(pod), grpc_port(service, pod), pod["metadata"]["labels"].get(api.names.REVISION, ""))


def is_ready(pod: Obj) -> bool:
    """Whether a pod answers requests and is not about to go."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    has_ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return has_ready and "deletionTimestamp" not in pod["metadata"]


def grpc_port(service: Obj, pod: Obj) -> int:
    """The container port behind the Service's gRPC port, also when the Service names it."""
    ports = service["spec"]["ports"]
    entry = next((port for port in ports if port.get("name") == GRPC_PORT_NAME), ports[0])
    target = entry.get("targetPort", entry["port"])
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == target:
                return int(port["containerPort"])
    return int(entry["port"])


def _pod_name(pod: Obj) -> str:
    return str(pod["metadata"]["name"])


def _why(model: Obj) -> str:
    for condition in (model.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Ready":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return "the operator has not written a status yet"
