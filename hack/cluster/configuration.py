"""The text of every configuration file of a local cluster; pure functions of folders and addresses.

`local` writes what `files` returns. Where a program reads JSON as well as YAML, it gets JSON.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.paths import AddressPlan

REGISTRY_PORT = 5000
DNS_TTL_S = 1
READS = ["get", "list", "watch"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things of one cluster are: its name, state folder, programs, addresses and cgroup."""

    name: str
    state: Path
    programs: Path
    plan: AddressPlan
    cgroup: str
    snapshotter: str

    @property
    def registry(self) -> str:
        """The registry's address for host, node and pods alike."""
        return f"{self.plan.node}:{REGISTRY_PORT}"

    @property
    def pki(self) -> Path:
        """Where certificates and kubeconfigs are."""
        return self.state / "pki"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.state / "containerd.sock"


def files(layout: Layout, pause_image: str) -> dict[str, str]:
    """Relative path in the state folder → content."""
    return {
        "audit-policy.json": to_json(audit_policy()),
        "containerd.toml": containerd(layout, pause_image),
        f"certs.d/{layout.registry}/hosts.toml": registry_host(layout.registry),
        "cni/10-pods.conflist": to_json(pod_network(layout)),
        "kubelet.json": to_json(kubelet(layout)),
        "registry.json": to_json(registry(layout)),
        "Corefile": corefile(layout),
        "resolv.conf": f"nameserver {layout.plan.node}\n",
    }


def to_json(content: dict[str, Any]) -> str:
    """A configuration file's text; JSON is YAML too."""
    return json.dumps(content, indent=2) + "\n"


def audit_policy() -> dict[str, Any]:
    """Who asked for what (never bodies), without the reads by which the system keeps itself up to date."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["*"]},
            {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"], "verbs": READS},
            {
                "level": "None",
                "users": [
                    "system:apiserver",
                    "system:kube-controller-manager",
                    "system:kube-scheduler",
                    "system:kube-proxy",
                    "system:coredns",
                ],
                "verbs": READS,
            },
            {"level": "Metadata"},
        ],
    }


def containerd(layout: Layout, pause_image: str) -> str:
    """containerd with everything it writes below the state folder."""
    state = layout.state / "containerd"
    return f"""version = 3
root = "{state}/root"
state = "{state}/state"
[grpc]
  address = "{layout.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{layout.programs}"]
    conf_dir = "{layout.state}/cni"
    use_internal_loopback = true
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "{state}/runc"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{layout.snapshotter}"
  max_concurrent_downloads = 8
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause_image}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{layout.state}/certs.d"
"""


def registry_host(address: str) -> str:
    """containerd's permission to speak plain HTTP to our registry."""
    return f'server = "http://{address}"\n[host."http://{address}"]\n  capabilities = ["pull", "resolve"]\n'


def pod_network(layout: Layout) -> dict[str, Any]:
    """Every pod gets a routed link of its own.

    NB: not a bridge. Between two pods on one bridge the answer of a Service would skip the address translation
    unless the kernel has br_netfilter, which not every machine has.
    """
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(layout.plan.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(layout.state / "cni" / "addresses"),
    }
    return {
        "cniVersion": "1.0.0",
        "name": f"aimodel-{layout.name}",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet(layout: Layout) -> dict[str, Any]:
    """The kubelet: quick to notice and to start pods, content with cgroup v1, swap and few capabilities."""
    state, plan = layout.state, layout.plan
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "clusterDNS": [str(plan.dns)],
        "clusterDomain": "cluster.local",
        "resolvConf": str(state / "resolv.conf"),
        "podLogsDir": str(state / "logs" / "pods"),
        "volumePluginDir": str(state / "kubelet" / "volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # Without CAP_SYS_RESOURCE (a container, a sandbox) some kernel settings are refused; that is no reason
        # to stop.
        "featureGates": {"KubeletInUserNamespace": True},
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "2s",
        "nodeStatusReportFrequency": "1m",
        "syncFrequency": "10s",
        "volumeStatsAggPeriod": "-1s",
        "registryPullQPS": 0,
        "serializeImagePulls": False,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "maxPods": 250,
    }


def registry(layout: Layout) -> dict[str, Any]:
    """CNCF distribution: plain HTTP, deletion allowed, blobs in the state folder."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(layout.state / "registry")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": f"{layout.plan.node}:{REGISTRY_PORT}"},
    }


def corefile(layout: Layout) -> str:
    """DNS of the cluster's names, never cached, and a quick "no such name" for everything else."""
    return f""".:53 {{
    bind {layout.plan.node}
    errors
    ready {layout.plan.node}:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {layout.pki}/coredns.kubeconfig
        pods insecure
        ttl {DNS_TTL_S}
    }}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


def dns_objects(layout: Layout) -> list[tuple[str, dict[str, Any]]]:
    """(collection path, object) of what the API server must hold for DNS to work."""
    rbac, system = "/apis/rbac.authorization.k8s.io/v1", "kube-system"
    named = {"metadata": {"name": "system:coredns"}}
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "system:coredns"}
    user = {"apiGroup": group, "kind": "User", "name": "system:coredns"}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    service = {
        "metadata": {"name": "kube-dns", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": str(layout.plan.dns), "ports": ports},
    }
    slice_labels = {
        "kubernetes.io/service-name": "kube-dns",
        "endpointslice.kubernetes.io/managed-by": "aimodel-local-cluster",
    }
    slice_ = {
        "metadata": {"name": "kube-dns-node", "labels": slice_labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [str(layout.plan.node)], "conditions": {"ready": True}}],
        "ports": ports,
    }
    return [
        (f"{rbac}/clusterroles", {**named, "rules": rules}),
        (f"{rbac}/clusterrolebindings", {**named, "roleRef": role, "subjects": [user]}),
        (f"/api/v1/namespaces/{system}/services", service),
        (f"/apis/discovery.k8s.io/v1/namespaces/{system}/endpointslices", slice_),
    ]
