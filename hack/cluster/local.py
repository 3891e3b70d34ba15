"""Brings the one-node cluster up, repairs it, tells its state and takes it down again.

The commands in `__main__` call it, and `targets` for the demo and the tests. `up` is safe at any time: healthy →
nothing; components dead → started again on their state; anything else → a fresh cluster. It only trusts what it
can check (namespace, cgroup, pids with start times), never the files alone.
"""

import json
import shutil
import signal
import socket
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster import components, configuration, leftovers, oci, preflight, tools
from hack.cluster.api import ApiClient, resolve
from hack.cluster.cgroups import Cgroup
from hack.cluster.configuration import Layout
from hack.cluster.network import Network, choose_plan
from hack.cluster.paths import (
    DEFAULT_NAME,
    AddressPlan,
    ClusterError,
    check_name,
    clusters,
    context_name,
)
from hack.cluster.pki import Pki, write_private
from hack.cluster.process import ComponentError, Processes, boot_id, end
from hack.locks import locked
from hack.paths import BIN, cache
from hack.progress import step

API_PORT, ETCD_PORT, ETCD_PEER_PORT = 6443, 2379, 2380
LIMIT_S = 60.0
LONGEST_STATE = 64  # socket paths end at 107 bytes, and the kubelet adds up to 40 to this one
PAUSE_REPOSITORY, PAUSE_TAG = "aimodel/pause", "1"
ORDER = (
    "etcd",
    "registry",
    "containerd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
)


@dataclass(frozen=True, slots=True)
class Status:
    """What runs and what answers, at one moment."""

    exists: bool
    components: dict[str, int | None]
    answers: dict[str, bool]

    @property
    def is_healthy(self) -> bool:
        """Whether everything runs and answers."""
        return self.exists and all(self.components.values()) and all(self.answers.values())

    @property
    def faults(self) -> list[str]:
        """Names of what does not run or does not answer."""
        dead = [name for name, pid in self.components.items() if pid is None]
        return dead + [name for name, answer in self.answers.items() if not answer]


class LocalCluster:
    """The cluster of one name; making the object starts nothing."""

    def __init__(self, name: str = DEFAULT_NAME) -> None:
        self.name = check_name(name)
        self.state = clusters() / name
        self.cgroup = Cgroup(f"aimodel-{name}")
        self._record = self.state / "cluster.json"
        self._kernel = clusters() / ".kernel.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "pki" / "admin.kubeconfig"

    def up(self) -> None:
        """Make the cluster usable, whatever state it is in."""
        preflight.check()
        self.cgroup.check()
        if len(str(self.state)) > LONGEST_STATE:
            raise ClusterError(f"{self.state} is too long a path for sockets in it: set AIMODEL_CACHE to a shorter one")
        programs = tools.ensure()
        with _one_at_a_time():
            layout = self._living()
            if layout is None or not self._repair(layout):
                self._create(programs)
        tools.link(programs)
        if self.name == DEFAULT_NAME:
            write_private(BIN / "kubeconfig", self.kubeconfig.read_text())

    def down(self) -> None:
        """Remove every trace of the cluster; the programs stay in the cache."""
        preflight.require_root()
        with _one_at_a_time():
            self._remove()
            if self.name == DEFAULT_NAME and self._is_ours(BIN / "kubeconfig"):
                (BIN / "kubeconfig").unlink()

    def status(self) -> Status:
        """What runs and what answers now."""
        layout = self._living()
        if layout is None:
            return Status(False, {}, {})
        processes, api = self._processes(layout), ApiClient(self.kubeconfig)
        is_api_ready = api.answers("/readyz")
        answers = {
            "API server": is_api_ready,
            "node": is_api_ready and self._is_node_ready(api),
            "DNS": self._is_dns_ready(layout),
            "registry": oci.answers(layout.registry),
        }
        return Status(True, {name: processes.pid(name) for name in ORDER}, answers)

    def info(self) -> dict[str, Any]:
        """How to reach the cluster; ClusterError when there is none."""
        layout = self._living()
        if layout is None:
            raise ClusterError(f"cluster {self.name} is not up: python -m hack.cluster up --name {self.name}")
        plan = layout.plan
        return {
            "name": self.name,
            "kubeconfig": str(BIN / "kubeconfig" if self.name == DEFAULT_NAME else self.kubeconfig),
            "context": context_name(self.name),
            "server": f"https://{plan.node}:{API_PORT}",
            "registry": layout.registry,
            "registryPlainHttp": True,
            "dns": str(plan.dns),
            "node": str(plan.node),
            "nodeName": self.name,
            "host": str(plan.host),
            "pods": str(plan.pods),
            "services": str(plan.services),
            "auditLog": str(self.state / "audit.log"),
            "state": str(self.state),
            "programs": str(layout.programs),
        }

    def _living(self) -> Layout | None:
        """The layout of a cluster of this boot whose namespace and cgroup are there; None otherwise."""
        try:
            record = json.loads(self._record.read_text())
        except (FileNotFoundError, ValueError):
            return None
        layout = self._layout(AddressPlan(record["slot"]), Path(record["programs"]))
        network = Network(self.cgroup.name, layout.plan)
        is_there = network.exists() and self.cgroup.exists() and layout.programs.is_dir()
        return layout if record["boot"] == boot_id() and is_there else None

    def _layout(self, plan: AddressPlan, programs: Path) -> Layout:
        return Layout(self.name, self.state, programs, plan, self.cgroup.name, _snapshotter(self.state))

    def _processes(self, layout: Layout) -> Processes:
        network = Network(self.cgroup.name, layout.plan)
        return Processes(self.state, network.enter, self.cgroup.enter)

    def _repair(self, layout: Layout) -> bool:
        """Whether the cluster is healthy, after starting what is dead."""
        status = self.status()
        if status.is_healthy:
            return True
        processes = self._processes(layout)
        if not processes.is_running("etcd"):
            # An API server takes long to find an etcd again that was away; a new one does not.
            processes.stop("kube-apiserver", kill=True)
        try:
            with step(f"repair {', '.join(status.faults)}"):
                self._start(layout)
        except ComponentError as exc:
            with step(f"give up this state of {self.name}: {str(exc).split(';')[0]}"):
                self._remove()
            return False
        return True

    def _create(self, programs: Path) -> None:
        self._remove()
        with step(f"create cluster {self.name}"):
            leftovers.remember_kernel_settings(self._kernel)
            layout = self._layout(choose_plan(_recorded_plans()), programs)
            self.state.mkdir(parents=True)
            record = {"slot": layout.plan.slot, "programs": str(programs), "boot": boot_id()}
            self._record.write_text(json.dumps(record))
            Network(self.cgroup.name, layout.plan).create()
            self.cgroup.create()
            self._certify(layout)
            pause = f"{layout.registry}/{PAUSE_REPOSITORY}:{PAUSE_TAG}"
            for name, content in configuration.files(layout, pause).items():
                path = self.state / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        with step(f"start cluster {self.name}"):
            self._start(layout)

    def _certify(self, layout: Layout) -> None:
        plan, pki = layout.plan, Pki(layout.pki)
        pki.create_authority()
        service = [".".join(["kubernetes", "default", "svc", "cluster", "local"][:parts]) for parts in (1, 2, 3, 5)]
        hosts = ["127.0.0.1", str(plan.node), str(plan.api), "localhost", *service]
        pki.issue("apiserver", "kube-apiserver", hosts=hosts)
        pki.issue("admin", "admin", ["system:masters"])
        pki.issue("controller-manager", "system:kube-controller-manager")
        pki.issue("scheduler", "system:kube-scheduler")
        pki.issue("proxy", "system:kube-proxy")
        pki.issue("coredns", "system:coredns")
        pki.issue("kubelet", f"system:node:{self.name}", ["system:nodes"], [str(plan.node), self.name])
        for user in ("admin", "controller-manager", "scheduler", "proxy", "coredns", "kubelet"):
            pki.kubeconfig(user, f"https://{plan.node}:{API_PORT}", context_name(self.name))

    def _start(self, layout: Layout) -> None:
        """Start what does not run, in the order of need, and wait until all of it answers."""
        processes, api = self._processes(layout), ApiClient(self.kubeconfig)
        settings = components.ControlPlaneSettings(
            programs=layout.programs,
            state=self.state,
            address=str(layout.plan.node),
            api_port=API_PORT,
            etcd_port=ETCD_PORT,
            etcd_peer_port=ETCD_PEER_PORT,
            services=str(layout.plan.services),
            has_nodes=True,
        )
        known = components.control_plane(settings) | components.node_side(layout)
        processes.forget_dead()
        for name in ORDER[:4]:
            processes.start(known[name])
        processes.wait("registry", "answer", lambda: oci.answers(layout.registry), LIMIT_S)
        oci.push_program(layout.registry, PAUSE_REPOSITORY, PAUSE_TAG, layout.programs / "pause")
        processes.wait("containerd", "socket", lambda: _accepts(layout.containerd_socket), LIMIT_S)
        processes.wait("kube-apiserver", "readiness", lambda: api.answers("/readyz"), LIMIT_S)
        for path, manifest in configuration.dns_objects(layout):
            api.create(path, manifest)
        for name in ORDER[4:]:
            processes.start(known[name])
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        processes.wait("kube-controller-manager", "service account", lambda: api.answers(account), LIMIT_S)
        processes.wait("kubelet", "ready node", lambda: self._is_node_ready(api), LIMIT_S)
        processes.wait("coredns", "name of a Service", lambda: self._is_dns_ready(layout), LIMIT_S)

    def _is_node_ready(self, api: ApiClient) -> bool:
        path = f"/api/v1/nodes/{self.name}"
        if not api.answers(f"{path}/proxy/healthz"):
            return False
        conditions = api.get(path)["status"].get("conditions", [])
        return any(row["type"] == "Ready" and row["status"] == "True" for row in conditions)

    def _is_dns_ready(self, layout: Layout) -> bool:
        return resolve(str(layout.plan.dns), "kubernetes.default.svc.cluster.local")

    def _remove(self) -> None:
        """Remove whatever is there under this name, known by cgroup, namespace and state folder."""
        network = Network(self.cgroup.name, AddressPlan(0))
        members = self._members()
        if not members and not self.state.exists() and not network.namespace.exists():
            return
        with step(f"remove cluster {self.name}"):
            while members:
                end(members, signal.SIGKILL)
                members = self._members()
            leftovers.unmount(self.state)
            leftovers.remove_shim_sockets(self.state)
            leftovers.remove_log_links(self.state)
            leftovers.remove_network_results(self.cgroup.name)
            self.cgroup.remove()
            network.remove()
            if self.state.exists():
                shutil.rmtree(self.state)
            if not _recorded_plans():
                leftovers.restore_kernel_settings(self._kernel)

    def _members(self) -> set[int]:
        recorded = Processes(self.state)
        started = [recorded.pid(name) for name in recorded.names()]
        return self.cgroup.processes() | {pid for pid in started if pid is not None}

    def _is_ours(self, kubeconfig: Path) -> bool:
        return kubeconfig.exists() and f'"{context_name(self.name)}"' in kubeconfig.read_text()


def _one_at_a_time() -> AbstractContextManager[None]:
    return locked(cache() / "clusters.lock", "command on local clusters")


def _recorded_plans() -> list[AddressPlan]:
    plans = [_plan_of(record) for record in clusters().glob("*/cluster.json")]
    return [plan for plan in plans if plan]


def _plan_of(record: Path) -> AddressPlan | None:
    try:
        return AddressPlan(int(json.loads(record.read_text())["slot"]))
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _snapshotter(folder: Path) -> str:
    """overlayfs, but native where the folder itself lies on an overlay (inside a container)."""
    best, kind = Path("/"), ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4])
        if folder.is_relative_to(point) and point.is_relative_to(best):
            best, kind = point, after.split()[0]
    return "native" if kind == "overlay" else "overlayfs"
