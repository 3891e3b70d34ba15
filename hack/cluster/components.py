"""The command lines of every component; pure functions, shared by the local cluster and the bare control plane.

`control_plane` gives etcd, API server, controller manager and scheduler; `node_side` what only a real node has.
"""

from dataclasses import dataclass
from pathlib import Path

from hack.cluster.configuration import Layout
from hack.cluster.preflight import SYSTEM_PATH
from hack.cluster.process import Component

BASE_ENVIRONMENT = {"PATH": SYSTEM_PATH, "HOME": "/root", "OTEL_TRACES_EXPORTER": "none"}


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """What differs between the control plane of a cluster and one that stands alone."""

    programs: Path
    state: Path
    address: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    services: str
    has_nodes: bool

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.address}:{self.api_port}"


def control_plane(settings: ControlPlaneSettings) -> dict[str, Component]:
    """etcd, kube-apiserver, kube-controller-manager and kube-scheduler by name."""
    rows = {
        "etcd": _etcd(settings),
        "kube-apiserver": _api_server(settings),
        "kube-controller-manager": _controller_manager(settings),
        "kube-scheduler": _scheduler(settings),
    }
    return {name: _component(settings.programs, name, arguments) for name, arguments in rows.items()}


def node_side(layout: Layout) -> dict[str, Component]:
    """registry, containerd, kubelet, kube-proxy and coredns by name."""
    rows = {
        "registry": ["serve", str(layout.state / "registry.json")],
        "containerd": ["--config", str(layout.state / "containerd.toml"), "--log-level", "warn"],
        "kubelet": _kubelet(layout),
        "kube-proxy": _proxy(layout),
        "coredns": ["-conf", str(layout.state / "Corefile")],
    }
    return {name: _component(layout.programs, name, arguments) for name, arguments in rows.items()}


def _component(programs: Path, name: str, arguments: list[str]) -> Component:
    environment = {**BASE_ENVIRONMENT, "PATH": f"{programs}:{SYSTEM_PATH}"}
    return Component(name, (str(programs / name), *arguments), environment)


def _etcd(settings: ControlPlaneSettings) -> list[str]:
    client = f"http://127.0.0.1:{settings.etcd_port}"
    peer = f"http://127.0.0.1:{settings.etcd_peer_port}"
    return [
        f"--data-dir={settings.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server(settings: ControlPlaneSettings) -> list[str]:
    pki = settings.state / "pki"
    return [
        f"--etcd-servers=http://127.0.0.1:{settings.etcd_port}",
        f"--bind-address={settings.address}",
        f"--advertise-address={settings.address}",
        f"--secure-port={settings.api_port}",
        f"--endpoint-reconciler-type={'lease' if settings.has_nodes else 'none'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'admin.crt'}",
        f"--kubelet-client-key={pki / 'admin.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={settings.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        f"--audit-policy-file={settings.state / 'audit-policy.json'}",
        f"--audit-log-path={settings.state / 'audit.log'}",
        "--audit-log-maxsize=200",
        "--audit-log-maxbackup=1",
    ]


def _controller_manager(settings: ControlPlaneSettings) -> list[str]:
    pki = settings.state / "pki"
    return [
        f"--kubeconfig={pki / 'controller-manager.kubeconfig'}",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=false",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _scheduler(settings: ControlPlaneSettings) -> list[str]:
    return [
        f"--kubeconfig={settings.state / 'pki' / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _kubelet(layout: Layout) -> list[str]:
    return [
        f"--config={layout.state / 'kubelet.json'}",
        f"--kubeconfig={layout.pki / 'kubelet.kubeconfig'}",
        f"--hostname-override={layout.name}",
        f"--node-ip={layout.plan.node}",
        f"--root-dir={layout.state / 'kubelet'}",
        "--housekeeping-interval=15s",
    ]


def _proxy(layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={layout.pki / 'proxy.kubeconfig'}",
        f"--hostname-override={layout.name}",
        f"--cluster-cidr={layout.plan.pods}",
        "--proxy-mode=iptables",
        "--iptables-min-sync-period=200ms",
        # The limits of connection tracking belong to the host: leave them as they are.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    ]
