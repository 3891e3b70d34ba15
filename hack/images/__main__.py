"""`python -m hack.images`: from a checkout to images in the registry of the chosen cluster, by digest.

Prints `{"operator": "REG/aimodel/operator@sha256:…", "serving": "…"}` with `--output json`. An image whose
inputs have not changed and that the registry still holds is neither built nor pushed. The cluster is chosen as
everywhere, by CLUSTER (`hack.cluster.targets`); `--registry` names a registry without any cluster.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from hack.cluster.targets import target_from_env
from hack.errors import HackError
from hack.images import engine as engines
from hack.images import operator_image, serving_image
from hack.images.engine import Engine
from hack.images.inputs import Memory, key_of
from hack.images.paths import BUILD, STATE, ImageError
from hack.images.registry import LoginRequiredError, Registry
from hack.locks import locked
from hack.machine import architecture
from hack.paths import ROOT
from hack.progress import Step, size, step


class Image(Protocol):
    """What a module must have that describes an image: a name, a place in registries, inputs, a way to build."""

    NAME: str
    REPOSITORY: str
    INPUTS: tuple[Path, ...]

    def build(self, engine: Engine, tag: str, note: Callable[[str], None]) -> None:
        """Build the image as `tag`, saying in `note` what is being done."""


IMAGES: tuple[Image, ...] = (operator_image, serving_image)


def build_all(registry: Registry) -> dict[str, str]:
    """Every image of this checkout, in `registry`; gives back their references by name."""
    with locked(BUILD / "lock", "build of the images"):
        memory = Memory(STATE)
        references = {image.NAME: ensure(image, registry, memory) for image in IMAGES}
        if not all(program.exists() for program in serving_image.PROGRAMS):
            with step("release binary") as running:
                serving_image.make_programs(running.note)
        return references


def build_programs() -> Path:
    """Make the server and its library in bin/ and push nothing; gives back the server."""
    with locked(BUILD / "lock", "build of the images"), step("release binary") as running:
        return serving_image.make_programs(running.note)


def ensure(image: Image, registry: Registry, memory: Memory) -> str:
    """Make sure that `registry` holds the image of this checkout; gives back its reference."""
    key = key_of(ROOT, image.INPUTS, architecture().oci)
    pushed = f"{registry.prefix} {key}"
    with step(f"image {image.NAME}") as running:
        digest = memory.digest_of(pushed)
        if digest is not None and _is_held(image, registry, digest, running):
            running.note(f"unchanged  {running.detail}")
        else:
            digest = _build_and_push(image, key, registry, running)
            memory.remember(pushed, digest)
    return f"{registry.prefix}/{image.REPOSITORY}@{digest}"


def _is_held(image: Image, registry: Registry, digest: str, running: Step) -> bool:
    """Whether the registry holds what was once pushed; one that wants a login is believed to."""
    try:
        compressed = registry.compressed_bytes(image.REPOSITORY, digest)
    except LoginRequiredError:
        running.note("")
        return True
    running.note(f"{size(compressed or 0)} compressed")
    return compressed is not None


def _build_and_push(image: Image, key: str, registry: Registry, running: Step) -> str:
    engine = engines.find()
    tag = f"localhost/{image.REPOSITORY}:{key[:12]}"
    if not engine.has(tag):
        image.build(engine, tag, running.note)
    running.note(f"pushing to {registry.prefix}")
    reference = f"{registry.prefix}/{image.REPOSITORY}:{key[:12]}"
    digest = engine.push(tag, reference, plain_http=registry.plain_http)
    if not _is_held(image, registry, digest, running):
        raise ImageError(f"the registry does not hold {reference} after the push: check its log")
    return digest


def main(argv: Sequence[str]) -> int:
    """Parse the command line, build, push and report."""
    options = _parser().parse_args(argv)
    try:
        result = _run(options)
    except HackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.output == "json":
        print(json.dumps(result))
    else:
        for name, reference in result.items():
            print(f"{name:<10} {reference}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.images", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--registry", metavar="HOST[:PORT][/PATH]", help="push there and use no cluster")
    parser.add_argument("--plain-http", action="store_true", help="the one named by --registry has no TLS")
    parser.add_argument("--binary-only", action="store_true", help="make bin/aimodel-serving and push nothing")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser


def _run(options: argparse.Namespace) -> dict[str, str]:
    if options.binary_only:
        return {"serving": str(build_programs())}
    if options.registry:
        return build_all(Registry(options.registry.rstrip("/"), options.plain_http))
    target = target_from_env()
    return build_all(Registry(target.registry, target.registry_plain_http))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
