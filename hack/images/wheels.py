"""Lays the wheels that uv.lock names into a folder, checked by hash; nothing is resolved or compiled here.

`operator_image` takes all libraries of the operator, `serving_image` the one wheel with ONNX Runtime in it.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from hack import commands
from hack.images.inputs import key_of
from hack.images.paths import uv
from hack.machine import architecture
from hack.paths import ROOT

PYTHON_VERSION = "3.11"


def export(selection: Sequence[str]) -> str:
    """The requirements with hashes of what `selection` (options of `uv export`) picks from uv.lock."""
    options = ["--frozen", "--no-emit-project", "--no-header", "--no-annotate", "--project", str(ROOT)]
    return commands.run([uv(), "export", "-q", *options, *selection])


def install(requirements: str, folder: Path, tidy: Callable[[Path], None]) -> None:
    """Unpack the wheels for this architecture into `folder` and `tidy` it.

    A folder that already holds them is left as it is: files that keep their times keep the builder's cache.
    """
    listing = folder.with_name(f"{folder.name}.txt")
    recipe = f"# laid out by {key_of(ROOT, [Path(__file__).parent])}\n{requirements}"
    if folder.exists() and listing.exists() and listing.read_text() == recipe:
        return
    shutil.rmtree(folder, ignore_errors=True)
    listing.unlink(missing_ok=True)
    folder.mkdir(parents=True)
    partial = listing.with_suffix(".partial")
    partial.write_text(recipe)
    platform = ["--python-version", PYTHON_VERSION, "--python-platform", architecture().wheel]
    strict = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile-bytecode"]
    target = ["--link-mode", "copy", "--target", str(folder), "-r", str(partial)]
    commands.run([uv(), "pip", "install", "-q", *platform, *strict, *target], cwd=ROOT)
    tidy(folder)
    partial.replace(listing)
