"""Names the folders and programs that every step of the image build uses; never creates any of them."""

import hashlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.paths import cache

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "images"
BIN = ROOT / "bin"
STATE = ROOT / "build" / "images.json"


class ImageError(Exception):
    """An image could not be made; the message says what failed, on what, and what to do."""


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
        raise ImageError(f"no images for {machine}: build on one of {', '.join(_ARCHITECTURES)}")
    return _ARCHITECTURES[machine]


def uv() -> str:
    """The uv program: AIMODEL_UV, else the one that hack/bootstrap fetched, else the one on PATH."""
    pins = hashlib.sha256((ROOT / "hack" / "bootstrap-requirements.txt").read_bytes()).hexdigest()[:12]
    bootstrapped = cache() / f"uv-{pins}" / "bin" / "uv"
    fetched = str(bootstrapped) if bootstrapped.exists() else None
    found = os.environ.get("AIMODEL_UV") or fetched or shutil.which("uv")
    if not found:
        raise ImageError("uv is missing: run `make setup`, or set AIMODEL_UV to its path")
    return found


def environment_bin() -> Path:
    """The folder of this Python environment's programs, where cargo-zigbuild and zig live."""
    return Path(sys.executable).parent
