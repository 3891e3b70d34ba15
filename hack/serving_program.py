"""Finds the server that the image carries, for the tests and benches that run it as a process on this machine.

`python -m hack.images --binary-only` makes it, and so does every build of the images. AIMODEL_SERVING_BINARY
names another one.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from hack.errors import HackError
from hack.paths import BIN

OVERRIDE = "AIMODEL_SERVING_BINARY"
_REMEDY = f"run `python -m hack.images --binary-only`, or set {OVERRIDE} to a build of serving/"


def binary(environment: Mapping[str, str] = os.environ, folder: Path = BIN) -> Path:
    """The server."""
    return _existing(Path(environment.get(OVERRIDE) or folder / "aimodel-serving"))


def library(folder: Path = BIN) -> Path:
    """The ONNX Runtime that goes with it."""
    return _existing(folder / "libonnxruntime.so")


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise HackError(f"{file} is missing: {_REMEDY}")
    return file
