"""The `Cluster` of the commands over the Kubernetes client: GETs of dicts, and port-forward by websocket.

The only module of the CLI that knows the client library. `connect` reads the kubeconfig; afterwards every
failure is a `CliError` that names the object and what to do. Must never write to the cluster.
"""

import json
from collections.abc import Sequence
from typing import Any

import urllib3
import websocket
import yaml
from kubernetes import client, config
from kubernetes.stream import ws_client

from aimodel_operator.cli.cluster import Obj
from aimodel_operator.cli.errors import CliError, UsageError
from aimodel_operator.cli.forward import Tunnel, TunnelRefused
from aimodel_operator.cli.options import ClusterOptions
from aimodel_operator.cli.websocket_tunnel import WebsocketTunnel
from aimodel_operator.kinds import AIMODEL, POD, SERVICE, Kind

TIMEOUT_S = (5, 20)


class KubeCluster:
    """One namespace as the API server shows it; see `cluster.Cluster`."""

    def __init__(self, api_client: client.ApiClient, namespace: str, label: str) -> None:
        self._client = api_client
        self._label = label
        self.namespace = namespace

    def close(self) -> None:
        """Close the connections to the API server; tunnels are closed by who dialled them."""
        self._client.close()

    def model(self, name: str) -> Obj:
        """The AIModel; an unknown name is answered with the names there are."""
        found = self._get(AIMODEL, name)
        if found is not None:
            return found
        names = [item["metadata"]["name"] for item in self._list(AIMODEL, "")]
        have = f"it has: {', '.join(sorted(names)[:10])}" if names else "it has none"
        raise CliError(
            f'no AIModel "{name}" in namespace "{self.namespace}" of {self._label}; {have}',
            "correct the name, or give the namespace with -n: kubectl get aimodels -A",
        )

    def service(self, name: str) -> Obj:
        """The Service."""
        found = self._get(SERVICE, name)
        if found is None:
            raise CliError(
                f'no Service "{name}" in namespace "{self.namespace}": the operator has not made it yet',
                f"aimodel status {name} -n {self.namespace} --watch",
            )
        return found

    def pods(self, selector: str) -> Sequence[Obj]:
        """The pods with these labels."""
        return self._list(POD, selector)

    def dial(self, pod: str, port: int) -> Tunnel:
        """A stream to a port of a pod, through the API server."""
        # NB: not by CoreV1Api: importing the client's typed models would take longer than the prediction.
        path = POD.path(self.namespace, pod, "portforward")
        _, url, headers, *_ = self._serialized(path, {"ports": str(port)})
        try:
            address = ws_client.get_websocket_url(url)
            return WebsocketTunnel(ws_client.create_websocket(self._client.configuration, address, headers))
        except websocket.WebSocketBadStatusException as exc:
            raise TunnelRefused(f"the API server answered {exc.status_code}: {_message(exc.resp_body or b'')}") from exc
        except (OSError, websocket.WebSocketException) as exc:
            raise TunnelRefused(str(exc)) from exc

    def _get(self, kind: Kind, name: str) -> Obj | None:
        return self._request(kind, kind.path(self.namespace, name), {})

    def _list(self, kind: Kind, selector: str) -> Sequence[Obj]:
        answer = self._request(kind, kind.path(self.namespace), {"labelSelector": selector} if selector else {})
        if answer is None:
            raise CliError(
                f"{self._label} does not know the kind {kind.name}: the operator's CRD is not installed",
                "helm install aimodel-operator charts/aimodel-operator",
            )
        items: Sequence[Obj] = answer["items"]
        return items

    def _request(self, kind: Kind, path: str, query: dict[str, str]) -> Obj | None:
        """The decoded answer to a GET, None for 404."""
        try:
            answer: Any = self._client.call_api(*self._serialized(path, query), _request_timeout=TIMEOUT_S)
            body: bytes = answer.read()
        except urllib3.exceptions.HTTPError as exc:
            raise CliError(
                f"{self._label} does not answer: {_innermost(exc)}",
                "check that the cluster runs and that --kubeconfig and --context name it: kubectl cluster-info",
            ) from exc
        if answer.status == 404:
            return None
        if answer.status >= 300:
            raise self._refusal(kind, answer.status, body)
        found: Obj = json.loads(body)
        return found

    def _serialized(self, path: str, query: dict[str, str]) -> tuple[Any, ...]:
        """A GET with the credentials of the kubeconfig, as the client wants it."""
        request: tuple[Any, ...] = self._client.param_serialize(
            method="GET",
            resource_path=path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        return request

    def _refusal(self, kind: Kind, status: int, body: bytes) -> CliError:
        if status in (401, 403):
            advice = f"kubectl auth can-i get {kind.plural} -n {self.namespace}"
        else:
            advice = "try again; if it stays, look at the API server's log"
        return CliError(f"{self._label} answered {status} for {kind.plural}: {_message(body)}", advice)


def connect(options: ClusterOptions) -> KubeCluster:
    """The cluster and namespace that the options and the kubeconfig name; raises UsageError."""
    configuration = client.Configuration()
    configuration.retries = False
    try:
        config.load_kube_config(options.kubeconfig, options.context, configuration, persist_config=False)
        namespace = options.namespace or _context_namespace(options) or "default"
    except (config.ConfigException, yaml.YAMLError, OSError) as exc:
        raise UsageError(
            f"the kubeconfig cannot be used: {' '.join(str(exc).split())}",
            "name one with --kubeconfig FILE or KUBECONFIG, and one of its contexts with --context",
        ) from exc
    label = f"the cluster at {configuration.host}"
    return KubeCluster(client.ApiClient(configuration), namespace, label)


def _context_namespace(options: ClusterOptions) -> str:
    contexts, active = config.list_kube_config_contexts(options.kubeconfig)
    wanted = options.context or active["name"]
    chosen = next(context for context in contexts if context["name"] == wanted)
    return str(chosen["context"].get("namespace") or "")


def _message(body: bytes) -> str:
    """The sentence in a Status of the API server, or the beginning of what came instead of one."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def _innermost(error: BaseException) -> str:
    """The sentence in an exception of urllib3 without the chain of class names around it."""
    reason = getattr(error, "reason", None)
    return _innermost(reason) if isinstance(reason, BaseException) else str(error).split(": ", 1)[-1]
