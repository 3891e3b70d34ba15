"""Names this machine's processor architecture as each tool calls it; the image build and the cluster ask here."""

import platform
from dataclasses import dataclass

from hack.errors import HackError


@dataclass(frozen=True, slots=True)
class Architecture:
    """One processor architecture under each of the names that the tools use."""

    oci: str
    wheel: str
    rust: str


_ARCHITECTURES = {
    "x86_64": Architecture("amd64", "x86_64-manylinux_2_28", "x86_64-unknown-linux-gnu"),
    "aarch64": Architecture("arm64", "aarch64-manylinux_2_28", "aarch64-unknown-linux-gnu"),
}


def architecture() -> Architecture:
    """This machine's architecture, which is the one images are built for."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise HackError(f"nothing can be built for {machine}: use a machine with {' or '.join(_ARCHITECTURES)}")
    return _ARCHITECTURES[machine]
