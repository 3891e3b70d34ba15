"""A running cluster as the e2e tests use it: kubectl with JSON, waits with a limit, models and their files."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from hack import onnx_models
from hack.cluster.targets import ClusterTarget
from waiting import eventually

Obj = dict[str, Any]
GROUP = "aimodel.dev/v1alpha1"
CHILDREN = "deployments,replicasets,pods,jobs,services,serviceaccounts,controllerrevisions,endpointslices"
FILES_NAMESPACE = "e2e-files"
FILES_HOST = f"files.{FILES_NAMESPACE}.svc"
_WRITE = "import base64,pathlib,sys; pathlib.Path('/srv', sys.argv[1]).write_bytes(base64.b64decode(sys.stdin.read()))"


@dataclass(frozen=True, slots=True)
class Live:
    """One namespace of the cluster under test."""

    cluster: ClusterTarget
    namespace: str

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """kubectl in the namespace; raises with what it said."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, given=given)

    def get(self, kind: str, name: str = "", selector: str = "") -> Obj:
        """One object, or a list of a kind."""
        named = [name] if name else []
        selected = ["--selector", selector] if selector else []
        answer: Obj = json.loads(self.kubectl("get", kind, *named, *selected, "--output", "json"))
        return answer

    def apply(self, obj: Obj) -> None:
        """kubectl apply."""
        self.kubectl("apply", "--filename", "-", given=json.dumps(obj))

    def patch(self, kind: str, name: str, change: Obj) -> None:
        """A merge patch."""
        self.kubectl("patch", kind, name, "--type", "merge", "--patch", json.dumps(change))

    def delete(self, kind: str, name: str) -> None:
        """Delete and wait until it is gone."""
        self.kubectl("delete", kind, name, "--ignore-not-found")

    def model(self, name: str) -> Obj:
        """An AIModel with its status."""
        return self.get("aimodel", name)

    def verdict(self, name: str, condition: str = "Ready") -> tuple[str, str, str]:
        """Status, reason and message of a condition; `Unknown` before the operator has seen the model."""
        for entry in self.model(name).get("status", {}).get("conditions", ()):
            if entry["type"] == condition:
                return entry["status"], entry["reason"], entry["message"]
        return "Unknown", "", ""

    def wait_for(self, name: str, status: str, reason: str, condition: str = "Ready", limit_s: float = 90) -> str:
        """Wait until a condition is so for the spec as it is; returns its message."""

        def is_so() -> bool:
            model = self.model(name)
            seen = model.get("status", {}).get("observedGeneration") == model["metadata"]["generation"]
            return seen and self.verdict(name, condition)[:2] == (status, reason)

        eventually(is_so, limit_s, lambda: f"{condition} of {name} is {self.verdict(name, condition)}")
        return self.verdict(name, condition)[2]

    def wait_ready(self, name: str, limit_s: float = 90) -> Obj:
        """Wait until the spec as written is served; returns the AIModel."""
        self.wait_for(name, "True", "Serving", limit_s=limit_s)
        return self.model(name)

    def owned_by(self, uid: str) -> list[str]:
        """Every object in the namespace that carries the UID as label or owner, as KIND/NAME."""
        return [
            f"{item['kind']}/{item['metadata']['name']}"
            for item in self.get(CHILDREN)["items"]
            if uid in json.dumps(item["metadata"].get("ownerReferences", []))
            or uid in (item["metadata"].get("labels") or {}).values()
        ]

    def pods(self, model: str) -> list[Obj]:
        """The ready serving pods of a model."""
        return [pod for pod in self._serving_pods(model) if _is_ready(pod)]

    def pod_count(self, model: str) -> int:
        """How many serving pods exist, those that are leaving included."""
        return len(self._serving_pods(model))

    def address(self, service: str) -> str:
        """HOST:PORT of a Service's cluster address."""
        return f"{self.get('service', service)['spec']['clusterIP']}:8001"

    def _serving_pods(self, model: str) -> list[Obj]:
        selector = f"aimodel.dev/model={model},app.kubernetes.io/component=serving"
        return list(self.get("pods", selector=selector)["items"])


@dataclass(frozen=True, slots=True)
class FileHost:
    """An HTTP server inside the cluster that models are fetched from."""

    live: Live

    def put(self, name: str, content: bytes) -> Obj:
        """Publish a file; returns the `source` of an AIModel for it."""
        encoded = base64.b64encode(content).decode()
        self.live.kubectl("exec", "--stdin", "files", "--", "python3", "-c", _WRITE, name, given=encoded)
        return {"uri": self.uri(name), "digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}

    def put_constant(self, name: str, value: float) -> Obj:
        """Publish a model that always answers `value`; returns its `source`."""
        return self.put(name, onnx_models.constant(value).SerializeToString())

    def uri(self, name: str) -> str:
        """The address of a file, published or not."""
        return f"http://{FILES_HOST}:8000/{name}"


def a_live_model(name: str, source: Obj, **spec: Any) -> Obj:
    """A small AIModel."""
    resources = {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "512Mi"}}
    whole = {"source": source, "serving": {"resources": resources}, **spec}
    return {"apiVersion": GROUP, "kind": "AIModel", "metadata": {"name": name}, "spec": whole}


def file_host_objects(image: str) -> list[Obj]:
    """Pod and Service of the file host, fit for Pod Security `restricted`."""
    container = {
        "name": "files",
        "image": image,
        "command": ["python3", "-m", "http.server", "8000", "--directory", "/srv"],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "srv", "mountPath": "/srv"}],
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "files", "labels": {"app": "files"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": security,
            "containers": [container],
            "volumes": [{"name": "srv", "emptyDir": {}}],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "files"},
        "spec": {"selector": {"app": "files"}, "ports": [{"port": 8000}]},
    }
    return [pod, service]


def _is_ready(pod: Obj) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
