"""Gives a local cluster a network namespace with one link to the host, and takes both away again.

Inside, the node has one address for everything and no way to the outside; on the host there is one link and two
routes. Nothing on the host is filtered or translated: iptables rules of the cluster stay in its namespace.
"""

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from hack import commands
from hack.cluster.paths import SLOTS, AddressPlan, ClusterError
from hack.cluster.preflight import find
from hack.waiting import wait_until

NAMESPACES = Path("/var/run/netns")
UPLINK = "uplink"
BROAD_PREFIX = 8
GONE_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Network:
    """The namespace of one cluster and its link to the host."""

    name: str
    plan: AddressPlan

    @property
    def namespace(self) -> Path:
        """The file that stands for the namespace."""
        return NAMESPACES / self.name

    @property
    def link(self) -> str:
        """The host's end of the link."""
        return f"aimodel{self.plan.slot}"

    @property
    def enter(self) -> tuple[str, ...]:
        """What to put before a command line to run it inside; /sys and the cgroups stay the host's."""
        return (str(find("nsenter")), f"--net={self.namespace}", "--")

    def create(self) -> None:
        """Make namespace, link, addresses and routes."""
        plan, inside = self.plan, ("-netns", self.name)
        _ip("netns", "add", self.name)
        _ip("link", "add", self.link, "type", "veth", "peer", "name", UPLINK, "netns", self.name)
        _ip("address", "add", f"{plan.host}/{plan.link.prefixlen}", "dev", self.link)
        _ip("link", "set", self.link, "up")
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "address", "add", f"{plan.node}/{plan.link.prefixlen}", "dev", UPLINK)
        _ip(*inside, "link", "set", UPLINK, "up")
        # Without a route the kernel refuses before kube-proxy's rules can give the packet a real destination.
        _ip(*inside, "route", "add", str(plan.services), "dev", "lo", "src", str(plan.node))
        for reachable in (plan.pods, plan.services):
            _ip("route", "add", str(reachable), "via", str(plan.node), "dev", self.link)
        commands.run([*self.enter, str(find("tee")), "/proc/sys/net/ipv4/ip_forward"], given="1")

    def exists(self) -> bool:
        """Whether namespace and link are there."""
        return self.namespace.exists() and Path(f"/sys/class/net/{self.link}").exists()

    def remove(self) -> None:
        """Remove the namespace and with it both ends of the link, waiting until the host's has gone."""
        if self.namespace.exists():
            ends = _ip("-netns", self.name, "-json", "link", "show", "type", "veth")
            index = [row["link_index"] for row in json.loads(ends or "[]") if row["ifname"] == UPLINK]
            _ip("netns", "delete", self.name)
            wait_until(lambda: not set(index) & _link_indices(), GONE_LIMIT_S)


def choose_plan(taken: Iterable[AddressPlan]) -> AddressPlan:
    """The first plan that no cluster uses and no route of the host leads into."""
    return first_free(taken, _host_networks())


def first_free(taken: Iterable[AddressPlan], networks: Iterable[IPv4Network]) -> AddressPlan:
    """The first plan that is not `taken` and overlaps none of `networks` but very broad ones."""
    used, narrow = set(taken), [network for network in networks if network.prefixlen > BROAD_PREFIX]
    for plan in map(AddressPlan, range(SLOTS)):
        if plan not in used and not any(plan.whole.overlaps(network) for network in narrow):
            return plan
    raise ClusterError("no address range is free for a cluster: remove one with python -m hack.cluster down")


def _host_networks() -> list[IPv4Network]:
    routes = json.loads(_ip("-json", "-4", "route", "show", "table", "all") or "[]")
    found = [str(route["dst"]) for route in routes if route.get("dst", "default") != "default"]
    return [IPv4Network(destination, strict=False) for destination in found]


def _link_indices() -> set[int]:
    return {index for index, _ in socket.if_nameindex()}


def _ip(*arguments: str) -> str:
    return commands.run([str(find("ip")), *arguments])
