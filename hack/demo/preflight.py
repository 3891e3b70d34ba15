"""Names everything that the demo misses on this machine, before anything is started.

Called first by `__main__`. What Debian packages can bring is installed where that is possible
(`hack.cluster.preflight`); the rest is named with the way to get it.
"""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping

from hack.cluster import preflight
from hack.cluster.paths import cache
from hack.demo.errors import DemoError
from hack.images import engine
from hack.images.paths import ROOT, uv
from hack.progress import step

_LEAST_FREE_BYTES = 12 * 1000**3


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Raise unless all that the steps call is here."""
    with step("programs of this machine") as running:
        absent = [problem for problem in (_rust(), _docker(environment), _space()) if problem]
        if absent:
            raise DemoError("\n".join(["the demo cannot start here:", *(f"  - {problem}" for problem in absent)]))
        uv()
        running.note("rust, uv, disk space")
    if environment.get("CLUSTER", "local") == "local":
        preflight.check()
    with step("builder of images") as running:
        running.note(engine.find().name)


def _rust() -> str | None:
    manifest = tomllib.loads((ROOT / "serving" / "Cargo.toml").read_text())
    least = manifest["workspace"]["package"]["rust-version"]
    remedy = f"install Rust {least} or newer: curl https://sh.rustup.rs -sSf | sh"
    if shutil.which("cargo") is None or shutil.which("rustc") is None:
        return f"cargo or rustc is missing; {remedy}"
    said = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+", said)
    if found is None or _numbers(found[0]) < _numbers(least):
        return f"rustc is {said.strip() or 'not working'}; {remedy}"
    return None


def _docker(environment: Mapping[str, str]) -> str | None:
    if environment.get("CLUSTER") != "kind":
        return None
    works = (
        shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )
    return None if works else "CLUSTER=kind needs a running Docker engine; start it, or leave CLUSTER unset"


def _space() -> str | None:
    folder = next(folder for folder in (cache(), *cache().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if free >= _LEAST_FREE_BYTES:
        return None
    return f"{folder} has {free / 1e9:.0f} GB free, {_LEAST_FREE_BYTES / 1e9:.0f} are needed; AIMODEL_CACHE moves it"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
