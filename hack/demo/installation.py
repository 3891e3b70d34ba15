"""Installs the operator by its Helm chart and waits until it is up; `__main__` and the end-to-end tests call it."""

import json
from collections.abc import Mapping

from hack import commands
from hack.cluster import tools
from hack.cluster.targets import ClusterTarget
from hack.paths import ROOT
from hack.progress import step

RELEASE = "aimodel-operator"
NAMESPACE = "aimodel-system"
_CHART = ROOT / "charts" / "aimodel-operator"
_TIMEOUT_S = 180


def values(target: ClusterTarget, images: Mapping[str, str], private_hosts: list[str]) -> dict[str, object]:
    """The chart's values for a cluster and the images in its registry."""
    plain_http = [target.registry.partition("/")[0]] if target.registry_plain_http else []
    return {
        "operator": {"image": images["operator"]},
        "serving": {"image": images["serving"]},
        "registry": {"prefix": f"{target.registry}/models", "plainHttp": plain_http},
        "fetch": {"allowedPrivateHosts": private_hosts},
    }


def install(target: ClusterTarget, chart_values: Mapping[str, object]) -> None:
    """Install or upgrade the release in a namespace that admits only restricted pods."""
    with step("helm install aimodel-operator"):
        target.kubectl("apply", "--server-side", "--filename=-", given=json.dumps(_namespace(NAMESPACE)))
        _helm(target, "upgrade", "--install", RELEASE, str(_CHART), "--values=-", given=json.dumps(chart_values))
    with step("operator ready") as running:
        target.kubectl("wait", "--for=condition=Established", "crd/aimodels.aimodel.dev", f"--timeout={_TIMEOUT_S}s")
        rollout = ["rollout", "status", f"deployment/{RELEASE}", f"--timeout={_TIMEOUT_S}s"]
        target.kubectl("--namespace", NAMESPACE, *rollout)
        running.note(f"namespace {NAMESPACE}, pod security restricted")


def _namespace(name: str) -> dict[str, object]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _helm(target: ClusterTarget, *arguments: str, given: str) -> None:
    flags = [f"--kubeconfig={target.kubeconfig}", f"--kube-context={target.context}", f"--namespace={NAMESPACE}"]
    commands.run([str(tools.ensure() / "helm"), *arguments, *flags], given=given)
