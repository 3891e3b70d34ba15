"""Puts the trained model on a file server inside the cluster, applies the AIModel, and follows it to Ready.

Called by `__main__`. The manifests are those of examples/; filled in are the operator's image for the file
server, the model's bytes, and the digest of the AIModel.
"""

import base64
import json
import time
from typing import Any

import yaml

from aimodel_operator.cli.timeline import Progress, State, progress_of
from hack.cluster.targets import ClusterTarget
from hack.demo.errors import DemoError
from hack.demo.model import OUTPUT, TrainedModel
from hack.paths import ROOT
from hack.progress import Step, duration, step

NAMESPACE = "models"
NAME = "digits"
HOST = f"model-server.{NAMESPACE}.svc"
MANIFEST = OUTPUT / "digits.yaml"
_SERVER = ROOT / "examples" / "digits" / "server.yaml"
_AIMODEL = ROOT / "examples" / "digits.yaml"
_TIMEOUT_S = 240.0
_FAILED_FOR_S = 30.0
_POLL_S = 0.3


def publish(target: ClusterTarget, model: TrainedModel, image: str) -> None:
    """Serve the model's file inside the cluster."""
    with step("file server in the cluster") as running:
        namespace, deployment, service = yaml.safe_load_all(_SERVER.read_text())
        template = deployment["spec"]["template"]
        template["spec"]["containers"][0]["image"] = image
        # A changed file restarts the server: a mounted ConfigMap follows only after a minute.
        template["metadata"]["annotations"] = {"aimodel.dev/model-digest": model.digest}
        content = base64.b64encode(model.file.read_bytes()).decode()
        files = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "binaryData": {model.file.name: content},
        }
        _apply(target, namespace, files, deployment, service)
        rollout = ["rollout", "status", "deployment/model-server", f"--timeout={_TIMEOUT_S:.0f}s"]
        target.kubectl("--namespace", NAMESPACE, *rollout)
        running.note(f"http://{HOST}:8000/digits/{model.file.name}")


def apply(target: ClusterTarget, model: TrainedModel) -> None:
    """Apply the AIModel with the digest of the trained file, and keep what was applied in build/."""
    with step("kubectl apply AIModel digits") as running:
        manifest = yaml.safe_load(_AIMODEL.read_text())
        manifest["spec"]["source"]["digest"] = model.digest
        MANIFEST.write_text(yaml.safe_dump(manifest, sort_keys=False))
        _apply(target, manifest)
        running.note(str(MANIFEST.relative_to(ROOT)))


def await_ready(target: ClusterTarget) -> None:
    """Show each stage of the way to Ready as it is reached."""
    with step("AIModel digits is Ready") as running:
        shown: set[str] = set()
        failed_since: float | None = None
        while True:
            progress = progress_of(
                json.loads(target.kubectl("--namespace", NAMESPACE, "get", "aimodel", NAME, "-ojson"))
            )
            _show(progress, shown, running)
            if progress.is_settled:
                running.note(progress.url)
                return
            has_failed = any(stage.state is State.FAILED for stage in progress.stages)
            failed_since = (failed_since or time.monotonic()) if has_failed else None
            is_stuck = failed_since is not None and time.monotonic() - failed_since > _FAILED_FOR_S
            if is_stuck or running.elapsed_s > _TIMEOUT_S:
                raise DemoError(_explain(progress))
            time.sleep(_POLL_S)


def _show(progress: Progress, shown: set[str], running: Step) -> None:
    for stage in progress.stages:
        if stage.state is State.DONE and stage.name not in shown and not progress.is_stale:
            shown.add(stage.name)
            running.line(f"✔ {stage.name:<8} {duration(running.elapsed_s):>8}  {stage.message}")
    current = next((stage for stage in progress.stages if stage.state is not State.DONE), None)
    if current is not None:
        running.note(f"{current.name}: {current.message or current.state.value}")


def _explain(progress: Progress) -> str:
    remedy = f"\n{progress.remedy}" if progress.remedy else ""
    return (
        f"AIModel {progress.namespace}/{progress.name} is not Ready, {progress.reason}: {progress.message}{remedy}\n"
        f"look with: aimodel status {progress.name} -n {progress.namespace}"
    )


def _apply(target: ClusterTarget, *objects: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    target.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=aimodel-demo", "-f-", given=text)
