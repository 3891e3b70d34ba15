"""Names the folders and address ranges of local clusters; every other module of `hack.cluster` starts here.

It never creates a folder. What is not about clusters is in `hack.paths`.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from hack.errors import HackError
from hack.paths import cache

GO_SOURCES = Path(__file__).resolve().parent / "go"
DEFAULT_NAME = "aimodel"
FIRST_OCTET = 64
SLOTS = 64
_NAME = re.compile(r"[a-z][a-z0-9-]{0,18}[a-z0-9]")


class ClusterError(HackError):
    """A local cluster cannot be started, used or removed; the message says what, where and what to do.

    ClusterError
    ├── PreflightError   something is missing on this machine (hack.cluster.preflight)
    └── ComponentError   a component ended or did not become ready (hack.cluster.process)
    """


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """The addresses of one cluster: one /16 for each slot, so that clusters run side by side."""

    slot: int

    @property
    def whole(self) -> IPv4Network:
        """Everything this cluster may use."""
        return IPv4Network(f"10.{FIRST_OCTET + self.slot}.0.0/16")

    @property
    def pods(self) -> IPv4Network:
        """The range of pod addresses."""
        return IPv4Network(f"10.{FIRST_OCTET + self.slot}.0.0/18")

    @property
    def services(self) -> IPv4Network:
        """The range of Service addresses."""
        return IPv4Network(f"10.{FIRST_OCTET + self.slot}.128.0/18")

    @property
    def link(self) -> IPv4Network:
        """The two addresses of the link between host and node."""
        return IPv4Network(f"10.{FIRST_OCTET + self.slot}.192.0/30")

    @property
    def host(self) -> IPv4Address:
        """The host's address as seen from node and pods."""
        return self.link[1]

    @property
    def node(self) -> IPv4Address:
        """The node's address: API server, registry and node ports."""
        return self.link[2]

    @property
    def api(self) -> IPv4Address:
        """The address of the Service `kubernetes`."""
        return self.services[1]

    @property
    def dns(self) -> IPv4Address:
        """The address of the Service `kube-dns`."""
        return self.services[10]


def clusters() -> Path:
    """The folder with one state folder for each local cluster."""
    return cache() / "clusters"


def check_name(name: str) -> str:
    """`name`, or ClusterError when it cannot name a namespace, a cgroup and a node."""
    if not _NAME.fullmatch(name):
        raise ClusterError(
            f"cluster name {name!r} is not possible: use 2 to 20 of a-z, 0-9 and '-', beginning with a letter"
        )
    return name


def context_name(name: str) -> str:
    """The kubeconfig context of the cluster `name`."""
    return "aimodel-local" if name == DEFAULT_NAME else f"aimodel-local-{name}"
