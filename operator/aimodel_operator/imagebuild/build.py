"""Turns a build request into an image in a registry: fetch → verify → scan → layer → append → push.

Called by `__main__` in the build Job. The input decides the result: an equal request finds the image of the
earlier one by its tag and pushes nothing. The manifest is pushed last, so a build that ends early leaves
nothing that could be mistaken for an image.
"""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aimodel_operator.imagebuild import manifest
from aimodel_operator.imagebuild.errors import (
    DigestMismatchError,
    OutOfSpaceError,
    RegistryNotFoundError,
    redact,
)
from aimodel_operator.imagebuild.fetch import Fetched, FetchLimits, fetch
from aimodel_operator.imagebuild.layer import Layer, layer
from aimodel_operator.imagebuild.plan import input_tag
from aimodel_operator.imagebuild.reference import PinnedImage, Repository
from aimodel_operator.imagebuild.registry import BuiltImage, Registry, once
from aimodel_operator.imagebuild.request import BuildRequest, Source
from aimodel_operator.imagebuild.scan import scan

Report = Callable[[str], None]
STEPS = ("fetch", "scan", "push")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a successful build made or found."""

    built: BuiltImage
    seconds: dict[str, float]
    reused: bool


@dataclass(slots=True)
class Progress:
    """Says each step when it begins and ends, and remembers how long it took."""

    report: Report
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))
    step: str = "start"

    @contextmanager
    def of(self, step: str, what: str) -> Iterator[None]:
        """The context of one step."""
        self.step = step
        self.report(f"{step}: {what}")
        began = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - began, 3)
        self.report(f"{step}: done in {self.seconds[step]:.3f} s")


async def build(request: BuildRequest, registry: Registry, work: Path, progress: Progress) -> BuildResult:
    """Raises an ImageBuildError; `work` is an empty folder for the model's bytes."""
    with _disk_errors(request):
        if request.source.digest and (found := await _built_before(request, registry, request.source.digest)):
            return BuildResult(found, progress.seconds, reused=True)
        with progress.of("fetch", redact(request.source.uri)):
            limits = FetchLimits(request.limits.max_bytes, request.allowed_private_hosts)
            fetched = await fetch(request.source.uri, work / "source", limits)
            _verify(request.source, fetched)
        if not request.source.digest and (found := await _built_before(request, registry, fetched.digest)):
            return BuildResult(found, progress.seconds, reused=True)
        with progress.of("scan", f"{fetched.size_bytes} bytes"):
            scanned = scan(fetched.path, request.source.format, work, request.limits.max_bytes)
            top = layer(scanned.folder, request.model)
        with progress.of("push", f"a layer of {top.size_bytes} bytes to {request.repository}"):
            facts = manifest.ModelFacts(fetched.digest, scanned.format)
            image = await _append_and_push(request, registry, top, facts)
    return BuildResult(BuiltImage(image, facts.digest, facts.format), progress.seconds, reused=False)


def _tag(request: BuildRequest, source_digest: str) -> str:
    return input_tag(request.model, source_digest, PinnedImage.parse(request.base))


async def _built_before(request: BuildRequest, registry: Registry, source_digest: str) -> BuiltImage | None:
    """The image of an equal build, if it says that it holds these bytes in this format."""
    found = await registry.find_image(request.repository, _tag(request, source_digest))
    if found is None or found.model_digest != source_digest:
        return None
    return found if request.source.format in ("Auto", found.format) else None


def _verify(source: Source, fetched: Fetched) -> None:
    if source.digest and source.digest != fetched.digest:
        raise DigestMismatchError(
            f"{redact(source.uri)} has the digest {fetched.digest}, but spec.source.digest pins "
            f"{source.digest}. If the new content is meant, set spec.source.digest to the former; else find "
            "out who changed the file."
        )


async def _append_and_push(request: BuildRequest, registry: Registry, top: Layer, facts: manifest.ModelFacts) -> str:
    """The image by digest; blobs first, the manifest last."""
    base, repository = PinnedImage.parse(request.base), Repository.parse(request.repository)
    image = await _read_base(registry, base)
    new = manifest.NewLayer(top.digest, top.size_bytes)
    config = manifest.append_to_config(await registry.read_blob(base.repository, image.config.digest), new, base)
    document = manifest.manifest(image, base.digest, config, new, facts)
    for blob in {blob.digest: blob for blob in image.layers}.values():
        await registry.copy_blob(repository, blob, base.repository)
    await registry.push_blob(repository, top.digest, top.size_bytes, top.chunks)
    await registry.push_blob(repository, manifest.digest_of(config), len(config), lambda: once(config))
    await registry.push_manifest(repository, _tag(request, facts.digest), document)
    return f"{repository}@{manifest.digest_of(document)}"


async def _read_base(registry: Registry, base: PinnedImage) -> manifest.BaseImage:
    try:
        found = await registry.manifest(base.repository, base.digest)
        if manifest.is_index(found.media_type):
            found = await registry.manifest(base.repository, manifest.pick_platform(found.body, base))
    except RegistryNotFoundError as exc:
        raise RegistryNotFoundError(
            f"The base image {base} is not in its registry; the operator's AIMODEL_SERVING_IMAGE names it."
        ) from exc
    return manifest.read_base(found.body, base)


@contextmanager
def _disk_errors(request: BuildRequest) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno not in _DISK_FULL:
            raise
        raise OutOfSpaceError(
            f"The build's disk is full: {redact(request.source.uri)} with what it unpacks to needs more "
            "room than the build Job's emptyDir or its node has."
        ) from exc
