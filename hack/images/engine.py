"""Builds Dockerfiles and pushes what comes out, with buildah where it works, else with docker.

`find()` picks one; both have the same methods. Buildah comes first because it speaks plain HTTP to whom it is
told to, where docker's engine must be configured and restarted for that. It keeps its storage in the cache,
apart from any other on the machine, and needs no daemon.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from hack import commands
from hack.cluster import preflight
from hack.commands import CommandError
from hack.images.paths import ImageError
from hack.paths import cache

_BUILDAH = preflight.Program("buildah", "buildah", "builds images")


class Engine(Protocol):
    """What the image build asks of docker or buildah."""

    name: str

    def has(self, tag: str) -> bool:
        """Whether `tag` is in the local storage."""

    def build(self, dockerfile: Path, context: Path, tag: str, arguments: Mapping[str, str]) -> None:
        """Build `dockerfile` in `context` and keep the image as `tag`."""

    def push(self, tag: str, target: str, *, plain_http: bool) -> str:
        """Push `tag` to the reference `target`; gives back the digest of its manifest there."""


class Docker:
    """The docker CLI with a running engine (or a CLI-compatible one)."""

    name = "docker"

    def has(self, tag: str) -> bool:
        """See Engine."""
        return commands.succeeds(["docker", "image", "inspect", tag])

    def build(self, dockerfile: Path, context: Path, tag: str, arguments: Mapping[str, str]) -> None:
        """See Engine."""
        commands.run(["docker", "build", *_build_options(dockerfile, tag, arguments), str(context)])

    def push(self, tag: str, target: str, *, plain_http: bool) -> str:
        """See Engine. The engine speaks plain HTTP to loopback and to what its configuration names."""
        commands.run(["docker", "tag", tag, target])
        try:
            commands.run(["docker", "push", "-q", target])
        except CommandError as exc:
            if not plain_http:
                raise
            host = target.partition("/")[0]
            raise ImageError(f'{exc}\nadd "{host}" to insecure-registries of docker, or install buildah') from exc
        template = "{{range .RepoDigests}}{{println .}}{{end}}"
        digests = commands.run(["docker", "image", "inspect", "--format", template, target]).split()
        repository = target.rpartition(":")[0]
        for reference in digests:
            name, _, digest = reference.partition("@")
            if name == repository:
                return digest
        raise ImageError(f"no digest known of {target} after the push: see `docker image inspect {target}`")


class Buildah:
    """Buildah with a storage of its own."""

    name = "buildah"

    def __init__(self, storage: Path, driver: str) -> None:
        policy = storage / "policy.json"
        policy.parent.mkdir(parents=True, exist_ok=True)
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
        self._policy = ["--signature-policy", str(policy)]
        self._buildah = [
            *("buildah", "--root", str(storage / driver), "--runroot", str(storage / "run")),
            *("--storage-driver", driver),
        ]

    def works(self) -> bool:
        """Whether containers can be mounted with this storage driver on this machine."""
        name = "aimodel-probe"
        made = commands.succeeds([*self._buildah, "from", "--name", name, "scratch"])
        mounted = made and commands.succeeds([*self._buildah, "mount", name])
        commands.succeeds([*self._buildah, "rm", name])
        return mounted

    def has(self, tag: str) -> bool:
        """See Engine."""
        return commands.succeeds([*self._buildah, "inspect", "--type", "image", tag])

    def build(self, dockerfile: Path, context: Path, tag: str, arguments: Mapping[str, str]) -> None:
        """See Engine. Times are left out of the layers: the same files give the same digest."""
        options = ["--isolation", "chroot", "--format", "oci", "--layers", "--timestamp", "0", *self._policy]
        build = [*self._buildah, "bud", *options, *_build_options(dockerfile, tag, arguments)]
        commands.run([*build, str(context)])

    def push(self, tag: str, target: str, *, plain_http: bool) -> str:
        """See Engine."""
        with tempfile.NamedTemporaryFile(prefix="aimodel-digest-") as file:
            tls = f"--tls-verify={str(not plain_http).lower()}"
            options = [tls, "--digestfile", file.name, *self._policy]
            commands.run([*self._buildah, "push", *options, tag, f"docker://{target}"])
            return Path(file.name).read_text().strip()


def find() -> Engine:
    """The engine of this machine; installs buildah where that is possible, else says how to get one."""
    has_docker = commands.succeeds(["docker", "info"])
    if not has_docker:
        preflight.install(preflight.missing([_BUILDAH]))
    if shutil.which("buildah"):
        for driver in ("overlay", "vfs"):
            engine = Buildah(cache() / "images" / "storage", driver)
            if engine.works():
                return engine
    if has_docker:
        return Docker()
    raise ImageError(
        "buildah cannot mount containers here, neither with the overlay nor with the vfs driver: "
        "run as root, or start a docker engine"
    )


def _build_options(dockerfile: Path, tag: str, arguments: Mapping[str, str]) -> list[str]:
    options = ["-q", "-f", str(dockerfile), "-t", tag]
    for name, value in arguments.items():
        options += ["--build-arg", f"{name}={value}"]
    return options
