"""Builds the cluster's programs from our Go modules into a cache folder named by what went into them.

`ensure` is called by every command of `hack.cluster` and by `ControlPlane`; a second call is a few file reads.
Builds go into a folder beside the cache entry and are renamed when complete, under a file lock, so that
concurrent starts never see half a build. The only network it uses is Go's module proxy and pip.
"""

import hashlib
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.golang import go_command
from hack.cluster.paths import GO_SOURCES, ClusterError
from hack.locks import locked
from hack.paths import BIN, cache
from hack.progress import Step, step

KUBERNETES = "v1.36.3"
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
LINKED = ("kubectl", "helm", "kubernetes", "containerd", "registry", "coredns", "kwok")
_VERSION = "-X k8s.io/component-base/version."
_VERSION_FLAGS = (
    f"{_VERSION}gitVersion={KUBERNETES} {_VERSION}gitMajor=1 "
    f"{_VERSION}gitMinor={KUBERNETES.split('.')[1]} {_VERSION}gitTreeState=clean"
)


@dataclass(frozen=True, slots=True)
class Module:
    """One Go module of ours: the folder, what `go build` is asked for, and what differs from the defaults."""

    folder: str
    packages: tuple[str, ...]
    ldflags: str = ""
    tags: str = ""

    @property
    def path(self) -> Path:
        """Where its go.mod lies."""
        return GO_SOURCES / self.folder


CLUSTER_MODULES = (
    Module("pause", (".",)),
    Module("kubernetes", (".", "./testpod", "tool"), ldflags=_VERSION_FLAGS),
    Module("containerd", ("tool",), tags="no_btrfs,no_devmapper,no_zfs"),
    Module("coredns", (".",)),
)
KIND_MODULES = (Module("kind", ("tool",)),)


def fingerprint(modules: tuple[Module, ...]) -> str:
    """12 hex digits over lock files, sources and build flags of `modules`."""
    digest = hashlib.sha256(platform.machine().encode())
    for module in modules:
        digest.update(repr(module).encode())
        for source in sorted(module.path.rglob("*")):
            if source.name in ("go.mod", "go.sum") or source.suffix == ".go":
                digest.update(f"{source.relative_to(GO_SOURCES)}\0".encode() + source.read_bytes())
    return digest.hexdigest()[:12]


def ensure() -> Path:
    """The folder with every program of the cluster; builds them when they are not in the cache."""
    return _ensure("go", CLUSTER_MODULES)


def ensure_kind() -> Path:
    """The folder with the `kind` program."""
    return _ensure("kind", KIND_MODULES)


def link(programs: Path, folder: Path = BIN) -> None:
    """Link what people call into `folder` (the checkout's bin/)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.symlink_to(programs / name)
        fresh.replace(folder / name)


def _ensure(prefix: str, modules: tuple[Module, ...]) -> Path:
    home = cache() / f"{prefix}-{fingerprint(modules)}"
    programs = home / "bin"
    if programs.is_dir():
        return programs
    with locked(cache() / f"{prefix}.lock", "build of the same programs"):
        if not programs.is_dir():
            _build_all(modules, home)
    return programs


def _build_all(modules: tuple[Module, ...], home: Path) -> None:
    fresh = home.with_name(f"{home.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    programs = fresh / "bin"
    programs.mkdir(parents=True)
    go = go_command([module.path for module in modules])
    for module in modules:
        _build(go, module, programs)
    if (programs / "kubernetes").exists():
        for name in COMPONENTS:
            (programs / name).symlink_to("kubernetes")
    shutil.rmtree(home, ignore_errors=True)
    fresh.rename(home)


def _build(go: Path, module: Module, programs: Path) -> None:
    tags = ["-tags", module.tags] if module.tags else []
    with step(f"resolve {module.folder}") as running:
        listed = _run(go, ["list", "-deps", *tags, *module.packages], module.path, running, total=None)
    with step(f"compile {module.folder}") as running:
        flags = ["-v", "-trimpath", "-buildvcs=false", *tags, "-ldflags", f"-s -w {module.ldflags}".strip()]
        command = ["build", *flags, "-o", f"{programs}/", *module.packages]
        _run(go, command, module.path, running, total=len(listed))


def _run(go: Path, arguments: list[str], folder: Path, running: Step, *, total: int | None) -> list[str]:
    """Run one go command; its lines count as downloads or compiled packages, and come back."""
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "PATH": f"{go.parent}:{os.environ.get('PATH', '')}",
    }
    downloads, lines = 0, []
    with subprocess.Popen(
        [str(go), *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_yield_processor,
    ) as process:
        for line in process.stdout or ():
            if line.startswith("go: downloading"):
                downloads += 1
                running.note(f"{downloads} modules downloaded")
                continue
            lines.append(line.rstrip())
            if total:
                running.advance(min(len(lines), total), total, "packages compiled")
    if process.returncode != 0:
        raise ClusterError(f"go {arguments[0]} failed in {folder}:\n" + "\n".join(lines[-30:]))
    return lines


def _yield_processor() -> None:
    os.nice(5)
