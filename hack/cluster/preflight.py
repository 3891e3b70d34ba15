"""Names every program that is missing before anything starts, and installs it where that is possible.

Called by `python -m hack.cluster up`. It only ever installs Debian packages, only as root, and says which.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hack.cluster.paths import ClusterError
from hack.progress import step

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class PreflightError(ClusterError):
    """Something that a local cluster needs is missing on this machine."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program the node calls, the Debian package that brings it, and what it is for."""

    name: str
    package: str
    purpose: str


PROGRAMS = (
    Program("runc", "runc", "starts containers"),
    Program("iptables-restore", "iptables", "Service addresses (kube-proxy)"),
    Program("ip", "iproute2", "network namespace and routes"),
    Program("nsenter", "util-linux", "starts components inside the namespace"),
    Program("umount", "mount", "releases volumes"),
    Program("openssl", "openssl", "certificates"),
)


def find(name: str) -> str | None:
    """Absolute path of a program, looking into the system folders too (cron and sudo hide /usr/sbin)."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def missing(programs: Iterable[Program], locate: Callable[[str], str | None] = find) -> list[Program]:
    """Those of `programs` that are not on this machine."""
    return [program for program in programs if locate(program.name) is None]


def describe(absent: Iterable[Program]) -> str:
    """A line for each missing program and the command that brings them all."""
    rows = list(absent)
    lines = [f"  {row.name:<18} {row.purpose}" for row in rows]
    packages = " ".join(sorted({row.package for row in rows}))
    return "\n".join(["missing programs:", *lines, f"install them: sudo apt-get install -y {packages}"])


def require_root() -> None:
    """PreflightError unless this process may make namespaces, mounts and cgroups."""
    if os.geteuid() != 0:
        raise PreflightError(
            "a local cluster needs root (namespaces, mounts, cgroups): "
            "run it with sudo, or use CLUSTER=kind or CLUSTER=current CONTEXT=…"
        )


def install(absent: list[Program]) -> None:
    """Install what is missing by apt-get, or say how to."""
    if not absent:
        return
    apt = find("apt-get")
    if apt is None or os.geteuid() != 0:
        raise PreflightError(describe(absent))
    packages = sorted({program.package for program in absent})
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(packages)}"):
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run([apt, "-qq", *command], env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise PreflightError(f"{describe(absent)}\napt-get said: {done.stderr.strip()[-2000:]}")


def check() -> None:
    """Everything a local cluster needs of the machine, or PreflightError with all that is missing."""
    require_root()
    install(missing(PROGRAMS))
