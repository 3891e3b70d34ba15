"""The operator as its own process against a real API server, and what a person does beside it with kubectl."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from builders import SETTINGS
from hack.cluster import tools
from hack.cluster.controlplane import ControlPlane
from hack.paths import ROOT

CRD = ROOT / "crds/aimodels.aimodel.dev.yaml"
NAMESPACE = "aimodel-system"
Obj = dict[str, Any]


class OperatorProcess:
    """One `python -m aimodel_operator`; ended with the block if it still runs."""

    def __init__(self, kubeconfig: Path, folder: Path, name: str, port: int) -> None:
        self._kubeconfig = kubeconfig
        self._log = folder / f"{name}.log"
        self._name = name
        self._port = port
        self._process = self._start()

    def __enter__(self) -> "OperatorProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_alive():
            self._process.kill()
        self._process.wait(10)

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8")

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text of its own HTTP port; 0 when nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()
        except OSError:
            return 0, ""

    def status(self, path: str) -> int:
        """Status of its own HTTP port."""
        return self.answer(path)[0]

    def is_leading(self) -> bool:
        """Whether it says that it holds the Lease."""
        return "aimodel_operator_leader 1.0" in self.answer("/metrics")[1]

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; returns the exit code and the seconds it took."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def exit_code(self, limit_s: float) -> int:
        """Wait until it ends by itself."""
        return self._process.wait(limit_s)

    def _end(self, sign: signal.Signals) -> tuple[int, float]:
        started = time.monotonic()
        self._process.send_signal(sign)
        code = self._process.wait(30)
        return code, time.monotonic() - started

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AIMODEL_", "KUBERNETES_"))},
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": str(ROOT / "operator"),
            "AIMODEL_SERVING_IMAGE": SETTINGS.serving_image,
            "AIMODEL_OPERATOR_IMAGE": SETTINGS.operator_image,
            "AIMODEL_REGISTRY": "127.0.0.1:9/models",
            "AIMODEL_NAMESPACE": NAMESPACE,
            "AIMODEL_POD_NAME": self._name,
            "AIMODEL_HTTP_PORT": str(self._port),
        }
        with self._log.open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "aimodel_operator"], env=environment, stderr=log, stdout=log)


class Person:
    """kubectl with all rights on a bare control plane."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """One command; raises with its words when it fails."""
        command = [str(tools.ensure() / "kubectl"), f"--kubeconfig={self._plane.kubeconfig}", *arguments]
        done = subprocess.run(command, input=given, text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, obj: Obj) -> None:
        """Create or change."""
        self.kubectl("apply", "--filename", "-", given=json.dumps(obj))

    def get(self, kind: str, name: str = "", namespace: str = "default") -> Obj:
        """One object or a list."""
        named = [name] if name else []
        found: Obj = json.loads(self.kubectl("get", "--namespace", namespace, kind, *named, "--output", "json"))
        return found

    def names(self, kind: str) -> set[str]:
        """Names of all objects of a kind."""
        return {item["metadata"]["name"] for item in self.get(kind)["items"]}

    def set_status(self, kind: str, name: str, status: Obj) -> None:
        """Play the controller that owns a status."""
        change = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "--subresource", "status", "--type", "merge", "--patch", change)

    def ready(self, model: str) -> tuple[str, str]:
        """Status and reason under Ready."""
        found = self.get("aimodel", model).get("status", {}).get("conditions", ())
        return next(((entry["status"], entry["reason"]) for entry in found if entry["type"] == "Ready"), ("", ""))

    def writes(self) -> list[str]:
        """Writes by operators that the API server carried out, but for Leases, as VERB RESOURCE/NAME."""
        lines = self._plane.audit_log.read_text(encoding="utf-8").splitlines()
        return [write for line in lines if (write := _operator_write(json.loads(line))) is not None]


def _operator_write(entry: Obj) -> str | None:
    about = entry.get("objectRef", {})
    is_write = entry["verb"] in ("create", "update", "patch", "delete") and entry["stage"] == "ResponseComplete"
    is_done = is_write and entry["responseStatus"]["code"] < 300
    if not is_done or "kubectl" in entry.get("userAgent", "") or about.get("resource") in ("leases", "events"):
        return None
    if about.get("namespace") != "default" or entry["user"]["username"].startswith("system:apiserver"):
        return None
    return f"{entry['verb']} {about['resource']}/{about.get('name', '')}"
