"""Picks the cluster that the demo, the images and the end-to-end tests use, from the environment.

CLUSTER unset or `local`: ours, brought up when it is not. `kind`: a kind cluster and a registry beside it (needs
Docker). `current`: somebody's own, which must be named by CONTEXT, with REGISTRY for its images. Nothing is ever
sent to a context that is neither made here nor named.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hack import commands
from hack.cluster import tools
from hack.cluster.local import LocalCluster
from hack.cluster.paths import DEFAULT_NAME, ClusterError
from hack.paths import cache

LOCAL = "local"
KIND_NAME = "aimodel"
KIND_CONFIG = Path(__file__).with_name("kind.yaml")
KIND_REGISTRY = "aimodel-registry"
REGISTRY_IMAGE = "registry:3"


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """A cluster that may be used: how to reach it and where its images go."""

    kubeconfig: Path
    context: str
    registry: str
    registry_plain_http: bool

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Run kubectl against exactly this context; its output, or CommandError with what it said."""
        flags = [f"--kubeconfig={self.kubeconfig}", f"--context={self.context}"]
        return commands.run([str(tools.ensure() / "kubectl"), *flags, *arguments], given=given)

    def info(self) -> dict[str, object]:
        """The same under the names that `python -m hack.cluster info --output json` uses."""
        return {
            "kubeconfig": str(self.kubeconfig),
            "context": self.context,
            "registry": self.registry,
            "registryPlainHttp": self.registry_plain_http,
        }


def target_from_env(environment: Mapping[str, str] = os.environ) -> ClusterTarget:
    """The cluster that CLUSTER (with CONTEXT, REGISTRY) asks for, ready to be used."""
    choice = environment.get("CLUSTER") or LOCAL
    if choice == LOCAL:
        return _local()
    if choice == "kind":
        return _kind()
    if choice == "current":
        return _current(environment)
    raise ClusterError(f"CLUSTER={choice} is unknown: use local, kind or current")


def remove_kind() -> None:
    """Delete the kind cluster and its registry."""
    commands.run([str(tools.ensure_kind() / "kind"), "delete", "cluster", "--name", KIND_NAME])
    commands.run(["docker", "rm", "--force", KIND_REGISTRY])


def _local() -> ClusterTarget:
    cluster = LocalCluster(DEFAULT_NAME)
    cluster.up()
    info = cluster.info()
    return ClusterTarget(Path(info["kubeconfig"]), info["context"], info["registry"], True)


def _kind() -> ClusterTarget:
    if shutil.which("docker") is None:
        raise ClusterError("CLUSTER=kind needs docker, which is not installed: install it, or leave CLUSTER unset")
    kind, kubeconfig = str(tools.ensure_kind() / "kind"), cache() / "kind.kubeconfig"
    if KIND_NAME not in commands.run([kind, "get", "clusters"]).split():
        options = [f"--config={KIND_CONFIG}", f"--kubeconfig={kubeconfig}", "--wait=120s"]
        commands.run([kind, "create", "cluster", *options])
    commands.run([kind, "export", "kubeconfig", "--name", KIND_NAME, f"--kubeconfig={kubeconfig}"])
    if KIND_REGISTRY not in commands.run(["docker", "ps", "--all", "--format={{.Names}}"]).split():
        deletable = ["--env", "REGISTRY_STORAGE_DELETE_ENABLED=true"]
        commands.run(["docker", "create", "--network=kind", f"--name={KIND_REGISTRY}", *deletable, REGISTRY_IMAGE])
    commands.run(["docker", "start", KIND_REGISTRY])
    template = "--format={{.NetworkSettings.Networks.kind.IPAddress}}"
    registry = commands.run(["docker", "inspect", template, KIND_REGISTRY]).strip() + ":5000"
    for node in commands.run([kind, "get", "nodes", "--name", KIND_NAME]).split():
        folder = f"/etc/containerd/certs.d/{registry}"
        commands.run(["docker", "exec", node, "mkdir", "-p", folder])
        commands.run(
            ["docker", "exec", "-i", node, "tee", f"{folder}/hosts.toml"], given=f'[host."http://{registry}"]\n'
        )
    return ClusterTarget(kubeconfig, f"kind-{KIND_NAME}", registry, True)


def _current(environment: Mapping[str, str]) -> ClusterTarget:
    context, registry = environment.get("CONTEXT"), environment.get("REGISTRY")
    if not context or not registry:
        raise ClusterError(
            "CLUSTER=current uses only what is named: set CONTEXT to the kubeconfig context that may be changed "
            "and REGISTRY to a registry (HOST/PATH) that you and its nodes reach"
        )
    kubeconfig = Path(environment.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    kubectl = [str(tools.ensure() / "kubectl"), f"--kubeconfig={kubeconfig}"]
    view = json.loads(commands.run([*kubectl, "config", "view", "--output=json"]))
    known = [row["name"] for row in view.get("contexts") or []]
    if context not in known:
        raise ClusterError(f"{kubeconfig} has no context {context!r}; it has: {', '.join(known) or 'none'}")
    return ClusterTarget(kubeconfig, context, registry, environment.get("REGISTRY_PLAIN_HTTP") == "true")
