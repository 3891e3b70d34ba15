"""Turns a base image's manifest and config plus one layer into the new image's config and manifest.

Called by `build`. Pure, and the same input gives the same bytes: nothing in them tells when or where they
were made. Reads OCI and Docker schema 2, always writes OCI (only that has annotations).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aimodel_operator.imagebuild.errors import RegistryError
from aimodel_operator.imagebuild.reference import DIGEST, PinnedImage

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPTED = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX)

MODEL_DIGEST = "dev.aimodel.model.digest"
MODEL_FORMAT = "dev.aimodel.model.format"
BASE_DIGEST = "org.opencontainers.image.base.digest"

_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_LAYERS = {
    _OCI_LAYER: _OCI_LAYER,
    f"{_OCI_LAYER}+gzip": f"{_OCI_LAYER}+gzip",
    f"{_OCI_LAYER}+zstd": f"{_OCI_LAYER}+zstd",
    "application/vnd.docker.image.rootfs.diff.tar": _OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{_OCI_LAYER}+gzip",
}
_PLATFORM = ("linux", "amd64")


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob of the base image as its manifest describes it."""

    digest: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base image: `config` still unread, `layers` from the bottom up with OCI media types."""

    config: Blob
    layers: tuple[Blob, ...]


@dataclass(frozen=True, slots=True)
class NewLayer:
    """What the manifest has to know of the layer on top."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the image says of its model in annotations."""

    digest: str
    format: str


def is_index(media_type: str) -> bool:
    """Whether the document lists images per platform instead of being one."""
    return media_type in (OCI_INDEX, DOCKER_INDEX)


def pick_platform(index: bytes, base: PinnedImage) -> str:
    """The digest of the index's linux/amd64 image."""
    with _reading(base):
        for entry in json.loads(index)["manifests"]:
            platform = entry.get("platform") or {}
            if (platform.get("os"), platform.get("architecture")) == _PLATFORM:
                return _digest(entry)
    raise RegistryError(f"The base image {base} has no variant for {'/'.join(_PLATFORM)}; use another base.")


def read_base(manifest: bytes, base: PinnedImage) -> BaseImage:
    """Raises RegistryError for what is no image, or has layers that cannot be copied."""
    with _reading(base):
        document = json.loads(manifest)
        return BaseImage(_blob(document["config"]), tuple(_layer(entry) for entry in document["layers"]))


def append_to_config(config: bytes, layer: NewLayer, base: PinnedImage) -> bytes:
    """The base's config with the layer's diff ID (its digest: it is not compressed) and a history entry."""
    with _reading(base):
        document = json.loads(config)
        added = {"created_by": "aimodel imagebuild", "comment": "model files"}
        root = {"type": "layers", "diff_ids": [*document["rootfs"]["diff_ids"], layer.digest]}
        return _written({**document, "rootfs": root, "history": [*document.get("history", []), added]})


def manifest(base: BaseImage, base_digest: str, config: bytes, layer: NewLayer, model: ModelFacts) -> bytes:
    """The new image's manifest."""
    top = Blob(layer.digest, layer.size_bytes, _OCI_LAYER)
    return _written(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": _OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [
                {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size_bytes}
                for blob in (*base.layers, top)
            ],
            "annotations": {MODEL_DIGEST: model.digest, MODEL_FORMAT: model.format, BASE_DIGEST: base_digest},
        }
    )


def model_facts(manifest: bytes) -> ModelFacts | None:
    """What a manifest says of its model; None when no build of ours made it."""
    try:
        annotations = json.loads(manifest)["annotations"]
        digest, model_format = annotations[MODEL_DIGEST], annotations[MODEL_FORMAT]
    except (ValueError, KeyError, TypeError):
        return None
    sound = isinstance(digest, str) and DIGEST.fullmatch(digest) and isinstance(model_format, str)
    return ModelFacts(digest, model_format) if sound else None


def digest_of(data: bytes) -> str:
    """The digest by which a registry knows these bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextmanager
def _reading(base: PinnedImage) -> Iterator[None]:
    """What a document of another shape makes the code inside raise is the base image's fault."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise RegistryError(f"The base image {base} has a manifest or config that does not read: {exc}.") from exc


def _blob(entry: Mapping[str, Any]) -> Blob:
    return Blob(_digest(entry), int(entry["size"]), str(entry["mediaType"]))


def _layer(entry: Mapping[str, Any]) -> Blob:
    blob = _blob(entry)
    if blob.media_type not in _LAYERS:
        raise ValueError(f"layers of the type {blob.media_type} cannot be copied")
    return Blob(blob.digest, blob.size_bytes, _LAYERS[blob.media_type])


def _digest(entry: Mapping[str, Any]) -> str:
    digest = entry["digest"]
    if not DIGEST.fullmatch(digest):
        raise ValueError("a blob is named by something other than a sha256 digest")
    return str(digest)


def _written(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
