"""A bare control plane on loopback ports for tests: real API server and etcd, fake nodes if wanted, no root.

`with ControlPlane(tmp_path, components={"controller-manager", "kwok"}) as cp:` gives a fresh one in about three
seconds. Its processes end with the block, and with the thread that started them should that one be killed. It
never touches a cluster, the network configuration or anything outside its folder.
"""

import shutil
import socket
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from hack.cluster import tools
from hack.cluster.api import ApiClient
from hack.cluster.components import BASE_ENVIRONMENT, ControlPlaneSettings, control_plane
from hack.cluster.configuration import audit_policy, to_json
from hack.cluster.paths import ClusterError
from hack.cluster.pki import Pki
from hack.cluster.preflight import find
from hack.cluster.process import Component, Processes
from hack.ports import LOOPBACK, free_ports

STAGES = Path(__file__).with_name("kwok.yaml")
SERVICES = "10.96.0.0/16"
LIMIT_S = 60.0
OPTIONAL = {"controller-manager": "kube-controller-manager", "scheduler": "kube-scheduler", "kwok": "kwok"}


class ControlPlane:
    """etcd and kube-apiserver, with any of `controller-manager`, `scheduler` and `kwok` (fake nodes)."""

    def __init__(self, folder: Path, components: Collection[str] = ()) -> None:
        unknown = set(components) - set(OPTIONAL)
        if unknown:
            raise ClusterError(f"no such component: {', '.join(sorted(unknown))}; there are {', '.join(OPTIONAL)}")
        self.folder = folder / "control-plane"
        self._optional = [OPTIONAL[name] for name in OPTIONAL if name in components]
        api_port, etcd_port, peer_port = free_ports(3)
        self._settings = ControlPlaneSettings(
            programs=tools.ensure(),
            state=self.folder,
            address=LOOPBACK,
            api_port=api_port,
            etcd_port=etcd_port,
            etcd_peer_port=peer_port,
            services=SERVICES,
            has_nodes=False,
        )
        # NB: the kernel ends these when the *thread* that started them ends, so start from a lasting one.
        prefix = (str(find("setpriv")), "--pdeathsig", "KILL", "--")
        self._processes = Processes(self.folder, prefix)
        self._pki = Pki(self.folder / "pki")

    @property
    def url(self) -> str:
        """URL of the API server."""
        return self._settings.server

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of a user in system:masters."""
        return self.folder / "pki" / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """JSON lines of who asked the API server for what, without reads by system components."""
        return self.folder / "audit.log"

    def kubeconfig_for(self, user: str, groups: Collection[str] = ()) -> Path:
        """Kubeconfig with a certificate of this user and groups."""
        name = "user-" + "".join(letter if letter.isalnum() else "-" for letter in user)
        self._pki.issue(name, user, groups)
        return self._pki.kubeconfig(name, self.url)

    def pid(self, name: str) -> int | None:
        """Process id of a component while it runs."""
        return self._processes.pid(name)

    def start(self) -> Self:
        """Start everything; returns when the API server and the optional components answer."""
        self.folder.mkdir(parents=True)
        (self.folder / "audit-policy.json").write_text(to_json(audit_policy()))
        self._certify()
        with ExitStack() as undo:
            undo.callback(self.stop)
            known = self._components()
            self._processes.start(known["etcd"])
            # Started against a closed port the API server would wait a full second before its next attempt.
            self._processes.wait("etcd", "open port", lambda: _accepts(self._settings.etcd_port), LIMIT_S)
            self._processes.start(known["kube-apiserver"])
            self._wait_for_api_server()
            for name in self._optional:
                self._processes.start(known[name])
            self._wait_for_controllers()
            undo.pop_all()
        return self

    def stop(self) -> None:
        """End every process and remove the folder."""
        for name in reversed(self._processes.names()):
            self._processes.stop(name, kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop_apiserver(self) -> None:
        """Kill the API server, as a crash would; etcd keeps the objects."""
        self._processes.stop("kube-apiserver", kill=True)

    def start_apiserver(self) -> None:
        """Start the API server again on the same port and wait until it is ready."""
        self._processes.start(self._components()["kube-apiserver"])
        self._wait_for_api_server()

    def restart_apiserver(self) -> None:
        """Kill the API server and start it again."""
        self.stop_apiserver()
        self.start_apiserver()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _certify(self) -> None:
        self._pki.create_authority()
        self._pki.issue("apiserver", "kube-apiserver", hosts=[LOOPBACK, "localhost", "kubernetes.default.svc"])
        self._pki.issue("admin", "admin", ["system:masters"])
        self._pki.kubeconfig("admin", self.url)
        for name in ("controller-manager", "scheduler"):
            self._pki.issue(name, f"system:kube-{name}")
            self._pki.kubeconfig(name, self.url)

    def _components(self) -> dict[str, Component]:
        programs = self._settings.programs
        kwok = (
            str(programs / "kwok"),
            f"--kubeconfig={self.kubeconfig}",
            "--manage-all-nodes=true",
            "--node-lease-duration-seconds=40",
            f"--config={STAGES}",
        )
        # kwok looks for its configuration in the home folder; it must not find a person's.
        environment = {**BASE_ENVIRONMENT, "HOME": str(self.folder)}
        return control_plane(self._settings) | {"kwok": Component("kwok", kwok, environment)}

    def _wait_for_api_server(self) -> None:
        api = ApiClient(self.kubeconfig)
        self._processes.wait("kube-apiserver", "readiness", lambda: api.answers("/readyz"), LIMIT_S)

    def _wait_for_controllers(self) -> None:
        if "kube-controller-manager" not in self._optional:
            return
        api, account = ApiClient(self.kubeconfig), "/api/v1/namespaces/default/serviceaccounts/default"
        self._processes.wait("kube-controller-manager", "service account", lambda: api.answers(account), LIMIT_S)


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0
