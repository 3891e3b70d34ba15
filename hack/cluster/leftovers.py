"""Takes away what a cluster's programs leave outside its state folder, and gives kernel settings back.

Called by `local` when a cluster goes. Each function names exactly one kind of trace and removes nothing that
does not carry this cluster's state folder or network name.
"""

import contextlib
import json
import re
import subprocess
from pathlib import Path

from hack.cluster.paths import ClusterError
from hack.cluster.preflight import find

CONTAINER_LOG_LINKS = Path("/var/log/containers")
NETWORK_RESULTS = Path("/var/lib/cni/results")
SHIM_SOCKETS = Path("/run/containerd/s")
KERNEL_SETTINGS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
_PROC = Path("/proc/sys")


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Mount points below `folder` in the text of /proc/self/mountinfo, the last mounted first."""
    points = [line.split()[4] for line in mountinfo.splitlines()]
    plain = [re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), point) for point in points]
    return [point for point in reversed(plain) if Path(point).is_relative_to(folder)]


def unmount(folder: Path) -> None:
    """Unmount everything below the state folder."""
    points = mounts_below(folder, Path("/proc/self/mountinfo").read_text())
    if not points:
        return
    command = [str(find("umount")), "--lazy", *points]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounts_below(folder, Path("/proc/self/mountinfo").read_text()):
        raise ClusterError(f"cannot unmount all below {folder}: {done.stderr.strip()}")


def remove_shim_sockets(state: Path) -> None:
    """Remove the sockets of container shims, which containerd keeps in one folder for the whole machine."""
    for parameters in state.glob("containerd/state/io.containerd.runtime.v2.task/*/*/bootstrap.json"):
        with contextlib.suppress(ValueError, KeyError, OSError):
            address = str(json.loads(parameters.read_text())["address"])
            Path(address.removeprefix("unix://")).unlink(missing_ok=True)
    for folder in (SHIM_SOCKETS, SHIM_SOCKETS.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()


def remove_log_links(state: Path, links: Path = CONTAINER_LOG_LINKS) -> None:
    """Remove the kubelet's links to container logs of this cluster."""
    for link in links.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(state):
            link.unlink()
    with contextlib.suppress(OSError):
        links.rmdir()


def remove_network_results(network: str, results: Path = NETWORK_RESULTS) -> None:
    """Remove the CNI library's notes on pods of this network."""
    ours = re.compile(re.escape(network) + r"-[0-9a-f]{64}-\w+")
    for note in results.glob(f"{network}-*"):
        if ours.fullmatch(note.name):
            note.unlink()
    for folder in (results, results.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()


def remember_kernel_settings(memory: Path) -> None:
    """Write down the settings that a kubelet changes, unless an earlier cluster's `up` did so."""
    if not memory.exists():
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps({name: (_PROC / name).read_text().strip() for name in KERNEL_SETTINGS}))


def restore_kernel_settings(memory: Path) -> None:
    """Give back what `remember_kernel_settings` wrote down; for when the last cluster has gone."""
    if not memory.exists():
        return
    for name, value in json.loads(memory.read_text()).items():
        with contextlib.suppress(OSError):  # not writable in a sandbox, where the kubelet could not change it
            (_PROC / name).write_text(value)
    memory.unlink()
