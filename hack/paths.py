"""Names the folders that all programs in hack/ and the tests share; never creates any of them."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / "bin"


def cache() -> Path:
    """The folder that outlives checkouts: binaries, toolchains and the state of clusters."""
    override = os.environ.get("AIMODEL_CACHE")
    return Path(override).resolve() if override else Path.home() / ".cache" / "aimodel"
