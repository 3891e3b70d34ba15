"""Turns uv.lock and the package `aimodel_operator` into the operator's image.

Called by `__main__`. The libraries are the locked wheels, checked by hash and laid into a folder on this
machine; nothing is installed from the network while the image itself is built.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from hack.images import bases, debian, wheels
from hack.images.engine import Engine
from hack.images.paths import BUILD
from hack.machine import architecture
from hack.paths import ROOT

_PACKAGE = ROOT / "operator" / "aimodel_operator"
_NOT_IN_THE_IMAGE = {"__pycache__", "cli"}

NAME = "operator"
REPOSITORY = "aimodel/operator"
INPUTS: tuple[Path, ...] = (
    *(path for path in _PACKAGE.iterdir() if path.name not in _NOT_IN_THE_IMAGE),
    ROOT / "operator" / "Dockerfile",
    ROOT / "uv.lock",
    ROOT / "pyproject.toml",
    ROOT / "hack" / "images",
    ROOT / "hack" / "machine.py",
)
_CONTEXT = BUILD / NAME
# Tests, type stubs, headers and command-line programs of the libraries: nothing that the operator imports.
_USELESS_FOLDERS = {"tests", "test", "include", "e2e_test", "bin"}
_USELESS_SUFFIXES = {".pyi", ".pxd", ".pyx", ".h", ".hpp", ".c", ".cc", ".a", ".proto"}


def build(engine: Engine, tag: str, note: Callable[[str], None]) -> None:
    """Build the image as `tag`, saying in `note` what is being done."""
    note("laying out libraries")
    _lay_out_libraries(_CONTEXT / architecture().oci / "lib")
    _lay_out_package(_CONTEXT / "app")
    base = bases.base_image(debian.PYTHON, engine, note)
    note(f"building with {engine.name}")
    arguments = {"BASE_IMAGE": base} if base else {}
    engine.build(ROOT / "operator" / "Dockerfile", _CONTEXT, tag, arguments)


def _lay_out_libraries(target: Path) -> None:
    wheels.install(wheels.export(["--no-default-groups", "--extra", "operator"]), target, strip)


def strip(folder: Path) -> None:
    """Remove from installed libraries what no running operator reads."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and path.name in _USELESS_FOLDERS:
            shutil.rmtree(path)
        elif path.is_file() and path.suffix in _USELESS_SUFFIXES:
            path.unlink()


def _lay_out_package(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        _PACKAGE,
        target / "aimodel_operator",
        ignore=lambda _folder, names: _NOT_IN_THE_IMAGE.intersection(names),
    )
