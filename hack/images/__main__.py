"""`python -m hack.images`: from a checkout to images in a registry, by digest.

Prints `{"operator": "REG/aimodel/operator@sha256:…", "serving": "…"}` with `--output json`. An image whose
inputs have not changed and that the registry still holds is neither built nor pushed.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from types import ModuleType

from hack.cluster.paths import ClusterError
from hack.images import engine as engines
from hack.images import operator_image, serving_image, target
from hack.images.inputs import Memory, key_of
from hack.images.paths import ROOT, STATE, ImageError, architecture
from hack.images.target import Target
from hack.progress import Step, size, step

IMAGES: tuple[ModuleType, ...] = (operator_image, serving_image)


def ensure(image: ModuleType, where: Target, memory: Memory) -> str:
    """Make sure that `where` holds the image of this checkout; gives back its reference."""
    key = key_of(ROOT, image.INPUTS, architecture().oci)
    with step(f"image {image.NAME}") as running:
        digest = memory.digest_of(key)
        held = digest and where.registry.compressed_bytes(image.REPOSITORY, digest)
        if digest and held:
            running.note(f"unchanged, {size(held)} compressed")
        else:
            digest = _build_and_push(image, key, where, running)
            memory.remember(key, digest)
    return f"{where.pull_host}/{image.REPOSITORY}@{digest}"


def _build_and_push(image: ModuleType, key: str, where: Target, running: Step) -> str:
    engine = engines.find()
    tag = f"localhost/{image.REPOSITORY}:{key[:12]}"
    if not engine.has(tag):
        running.note(f"building with {engine.name}")
        image.build(engine, tag)
    running.note(f"pushing to {where.registry.host}")
    reference = f"{where.registry.host}/{image.REPOSITORY}:{key[:12]}"
    digest = engine.push(tag, reference, plain_http=where.registry.plain_http)
    compressed = where.registry.compressed_bytes(image.REPOSITORY, digest)
    if compressed is None:
        raise ImageError(f"the registry does not hold {reference} after the push: check its log")
    running.note(f"{size(compressed)} compressed")
    return digest


def build_all(where: Target) -> dict[str, str]:
    """Every image of this checkout, in the registry of `where`; gives back their references by name."""
    memory = Memory(STATE)
    return {image.NAME: ensure(image, where, memory) for image in IMAGES}


def main(argv: Sequence[str]) -> int:
    """Parse the command line, build, push and report."""
    parser = argparse.ArgumentParser(prog="python -m hack.images", description=__doc__)
    parser.add_argument("--name", default="aimodel", help="the local cluster whose registry is used")
    parser.add_argument("--registry", help="HOST[:PORT] of another registry")
    parser.add_argument("--plain-http", action="store_true", help="the one named by --registry has no TLS")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    options = parser.parse_args(argv)
    try:
        if options.registry:
            where = target.named(options.registry, plain_http=options.plain_http)
        else:
            where = target.of_cluster(options.name)
        references = build_all(where)
    except (ImageError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.output == "json":
        print(json.dumps(references))
    else:
        for name, reference in references.items():
            print(f"{name:<10} {reference}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
