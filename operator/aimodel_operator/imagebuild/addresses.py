"""Turns a source's host into the addresses that a build may connect to, or refuses it.

Called by `fetch` for each hop before it connects; the connection is then made to exactly the addresses that
were checked (`PinnedResolver`), so that a name which answers differently the second time gains nothing.
Never connects anywhere itself.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

from aimodel_operator.imagebuild.errors import SourceDeniedError, SourceNotFoundError, SourceUnavailableError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# getaddrinfo's words for "there is no such name"; EAI_NODATA is glibc's and missing elsewhere.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# All that IANA has given out as global unicast; what lies outside is special in one way or another.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def is_public(address: Address) -> bool:
    """False for loopback, link-local, private, carrier-grade NAT, multicast and every other reserved range.

    An IPv6 address that carries an IPv4 one (mapped, 6to4, Teredo, NAT64) counts as what it carries.
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried:
            return is_public(carried)
        return address.is_global and address in _GLOBAL_UNICAST
    return address.is_global and not address.is_multicast and not address.is_reserved


def check(host: str, addresses: Sequence[Address], allowed_private_hosts: frozenset[str]) -> None:
    """Raises SourceDeniedError when any of an unlisted host's addresses is not public."""
    if host.rstrip(".").lower() in {allowed.rstrip(".").lower() for allowed in allowed_private_hosts}:
        return
    refused = [address for address in addresses if not is_public(address)]
    if refused:
        raise SourceDeniedError(
            f"The source's host {host} has the address {refused[0]}, which is private, loopback or "
            f"link-local; builds do not fetch from there. If it is meant to, ask the operator's installer "
            f"to add {host} to allowedPrivateHosts."
        )


async def resolve(host: str, port: int) -> list[Address]:
    """All addresses of a name, or the address itself when the host is one."""
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as exc:
        if exc.errno in _NO_SUCH_NAME:
            raise SourceNotFoundError(
                f"The source's host {host} does not exist in DNS; check spec.source.uri."
            ) from exc
        raise SourceUnavailableError(f"The source's host {host} could not be resolved: {exc.strerror}.") from exc
    except UnicodeError as exc:
        raise SourceNotFoundError(f"The source's host {host} is not a host name; check spec.source.uri.") from exc
    return list(dict.fromkeys(ipaddress.ip_address(info[4][0]) for info in infos))


class PinnedResolver(AbstractResolver):
    """Answers every question with the addresses it was made with."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = tuple(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The pinned addresses, whatever the name."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Holds nothing."""
