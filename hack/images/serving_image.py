"""Turns the serving workspace and the locked ONNX Runtime wheel into the serving image.

Called by `__main__`. The binary is linked against glibc 2.28 with zig as linker, so that it runs on any base
of the last years; the same binary and library are linked into bin/ for use without a cluster.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from hack import commands
from hack.images import bases, debian, wheels
from hack.images.engine import Engine
from hack.images.paths import BUILD, ImageError, environment_bin
from hack.machine import architecture
from hack.paths import BIN, ROOT

NAME = "serving"
REPOSITORY = "aimodel/serving-onnx"
INPUTS: tuple[Path, ...] = (ROOT / "serving", ROOT / "uv.lock", ROOT / "hack" / "images", ROOT / "hack" / "machine.py")
_GLIBC = "2.28"
_LIBRARY = "libonnxruntime.so"
PROGRAMS = (BIN / "aimodel-serving", BIN / _LIBRARY)
_CONTEXT = BUILD / NAME


def build(engine: Engine, tag: str, note: Callable[[str], None]) -> None:
    """Build the image as `tag`, saying in `note` what is being done."""
    binary = make_programs(note)
    layout = _CONTEXT / architecture().oci
    shutil.rmtree(layout, ignore_errors=True)
    (layout / "bin").mkdir(parents=True)
    (layout / "lib").mkdir()
    shutil.copy2(BIN / _LIBRARY, layout / "lib" / _LIBRARY)
    shutil.copy2(binary, layout / "bin" / "aimodel-serving")
    _strip(layout / "bin" / "aimodel-serving")
    base = bases.base_image(debian.C_RUNTIME, engine, note)
    note(f"building with {engine.name}")
    arguments = {"BASE_IMAGE": base} if base else {}
    engine.build(ROOT / "serving" / "Dockerfile", _CONTEXT, tag, arguments)


def make_programs(note: Callable[[str], None]) -> Path:
    """Make bin/aimodel-serving and bin/libonnxruntime.so; gives back the binary."""
    note("fetching ONNX Runtime")
    folder = BUILD / "onnxruntime"
    wheels.install(pinned("onnxruntime", wheels.export(["--only-group", "dev"])), folder, _keep_the_library)
    _link(BIN / _LIBRARY, folder / _LIBRARY)
    binary = _compile(note)
    _link(BIN / "aimodel-serving", binary)
    return binary


def _compile(note: Callable[[str], None]) -> Path:
    target = architecture().rust
    path = f"{environment_bin()}{os.pathsep}{os.environ.get('PATH', '')}"
    crates = 0

    def count(line: str) -> None:
        nonlocal crates
        done, _, crate = line.strip().partition(" ")
        crates += done == "Compiling"
        note(f"compiled {crates} crates, now {crate}")

    note("compiling")
    cargo = ["cargo", "zigbuild", "--release", "--locked", "--bin", "aimodel-serving"]
    command = [*cargo, "--target", f"{target}.{_GLIBC}"]
    commands.watch(command, count, cwd=ROOT / "serving", env={"PATH": path})
    return ROOT / "serving" / "target" / target / "release" / "aimodel-serving"


def _keep_the_library(wheel: Path) -> None:
    found = sorted((wheel / "onnxruntime" / "capi").glob(f"{_LIBRARY}.*"))
    if len(found) != 1:
        raise ImageError(f"expected one {_LIBRARY}.* in the wheel of onnxruntime, found {len(found)}: {wheel}")
    found[0].replace(wheel / _LIBRARY)
    for other in [path for path in wheel.iterdir() if path.is_dir()]:
        shutil.rmtree(other)


def pinned(package: str, requirements: str) -> str:
    """Those lines of exported requirements that pin `package`, with its hashes."""
    lines = re.findall(rf"^{package}==.*(?:\n    .*)*", requirements, flags=re.MULTILINE)
    if not lines:
        raise ImageError(f"uv.lock does not pin {package}: add it to the group dev and run `uv lock`")
    return "\n".join(lines) + "\n"


def _strip(binary: Path) -> None:
    """Drop the debug information, which stays in serving/target, from the copy that goes into the image."""
    commands.run(["strip", "--strip-all", str(binary)])  # of binutils, which every C compiler brings along


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(exist_ok=True)
    partial = link.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(link)
