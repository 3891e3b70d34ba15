"""Names the folders and programs that every step of the image build uses; never creates any of them."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from hack.errors import HackError
from hack.paths import ROOT, cache

BUILD = ROOT / "build" / "images"
STATE = ROOT / "build" / "images.json"


class ImageError(HackError):
    """An image could not be made; the message says what failed, on what, and what to do."""


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
