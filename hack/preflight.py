"""Names everything that this machine lacks for a piece of work, before any of that work is started.

The demo and `hack.test` call `check` first with what they need. A need is a function of the environment that
says what is missing and how to get it, or None. What Debian packages can bring is installed where that is possible
(`hack.cluster.preflight`); nothing else is changed.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable, Mapping

from hack import commands
from hack.cluster import preflight as node_preflight
from hack.cluster.preflight import Program
from hack.errors import HackError
from hack.images import engine
from hack.images.paths import uv
from hack.paths import ROOT, cache
from hack.progress import step

Environment = Mapping[str, str]
Need = Callable[[Environment], str | None]

_LEAST_FREE_BYTES = 12 * 1000**3
_CONTROL_PLANE = (
    Program("openssl", "openssl", "certificates"),
    Program("setpriv", "util-linux", "ends components with their test"),
)


class MissingError(HackError):
    """This machine lacks something; the message has a line for each thing, with the way to get it."""


def check(needs: Iterable[Need], environment: Environment = os.environ) -> None:
    """MissingError with all that is missing; a need that is given twice is looked at once."""
    with step("programs of this machine") as running:
        asked = list(dict.fromkeys(needs))
        problems = [problem for need in asked if (problem := need(environment))]
        if problems:
            raise MissingError("\n".join(["this machine lacks:", *(f"  - {problem}" for problem in problems)]))
        running.note(", ".join(need.__name__.replace("_", " ") for need in asked))


def rust(environment: Environment) -> str | None:
    """The compiler that serving/Cargo.toml asks for."""
    manifest = tomllib.loads((ROOT / "serving" / "Cargo.toml").read_text())
    least = manifest["workspace"]["package"]["rust-version"]
    remedy = f"install Rust {least} or newer: curl https://sh.rustup.rs -sSf | sh"
    rustc = _find("rustc", environment)
    if rustc is None or _find("cargo", environment) is None:
        return f"cargo or rustc is missing; {remedy}"
    said = commands.run([rustc, "--version"])
    found = re.search(r"\d+\.\d+", said)
    if found is None or _numbers(found[0]) < _numbers(least):
        return f"rustc is {said.strip() or 'not working'}; {remedy}"
    return None


def rust_linters(environment: Environment) -> str | None:
    """What `cargo fmt` and `cargo clippy` call."""
    absent = [name for name in ("rustfmt", "cargo-clippy") if _find(name, environment) is None]
    return f"{' and '.join(absent)} missing: rustup component add rustfmt clippy" if absent else None


def c_compiler(environment: Environment) -> str | None:
    """What rustc links with, and strip, which is of the same packages."""
    absent = [name for name in ("cc", "strip") if _find(name, environment) is None]
    return f"{' and '.join(absent)} missing: apt-get install gcc libc6-dev binutils" if absent else None


def packages(_: Environment) -> str | None:
    """The uv that lays out locked Python packages."""
    return _message(uv)


def space(_: Environment) -> str | None:
    """Room for compiled Kubernetes, TensorFlow and images."""
    folder = next(folder for folder in (cache(), *cache().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if free >= _LEAST_FREE_BYTES:
        return None
    return f"{folder} has {free / 1e9:.0f} GB free, {_LEAST_FREE_BYTES / 1e9:.0f} are needed; AIMODEL_CACHE moves it"


def control_plane(_: Environment) -> str | None:
    """What an API server without nodes calls."""
    return _message(lambda: node_preflight.install(node_preflight.missing(_CONTROL_PLANE)))


def cluster(environment: Environment) -> str | None:
    """What the cluster that CLUSTER names calls on this machine."""
    choice = environment.get("CLUSTER") or "local"
    if choice == "local":
        return _message(node_preflight.check)
    if choice == "kind" and not commands.succeeds(["docker", "info"]):
        return "a running Docker engine, for CLUSTER=kind; start it, or leave CLUSTER unset"
    return None


def image_builder(_: Environment) -> str | None:
    """Buildah or docker."""
    return _message(engine.find)


DEMO: tuple[Need, ...] = (rust, c_compiler, packages, space, cluster, image_builder)


def _find(name: str, environment: Environment) -> str | None:
    return shutil.which(name, path=environment.get("PATH", ""))


def _message(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except HackError as exc:
        return str(exc).replace("\n", "\n    ")
    return None


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
