"""Turns a base image's manifest and config plus one layer into the new image's config and manifest.

Called by `build`. Pure, and the same input gives the same bytes: nothing in them tells when or where they
were made. Reads OCI and Docker schema 2, always writes OCI (only that has annotations).
"""

import hashlib
import json
from collections.abc import Mapping
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
    for entry in _read(index, base).get("manifests", []):
        platform = entry.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == _PLATFORM:
            return _digest(entry, base)
    raise RegistryError(f"The base image {base} has no variant for {'/'.join(_PLATFORM)}; use another base.")


def read_base(manifest: bytes, base: PinnedImage) -> BaseImage:
    """Raises RegistryError for an image with layers that cannot be copied."""
    document = _read(manifest, base)
    try:
        config, layers = document["config"], document["layers"]
        return BaseImage(_blob(config, base), tuple(_layer(entry, base) for entry in layers))
    except (KeyError, TypeError) as exc:
        raise RegistryError(f"The manifest of the base image {base} is not one of a container image.") from exc


def append_to_config(config: bytes, layer: NewLayer, base: PinnedImage) -> bytes:
    """The base's config with the layer's diff ID (its digest: it is not compressed) and a history entry."""
    document = _read(config, base)
    root = document.get("rootfs", {})
    added = {"created_by": "aimodel imagebuild", "comment": "model files"}
    document["rootfs"] = {"type": "layers", "diff_ids": [*root.get("diff_ids", []), layer.digest]}
    document["history"] = [*document.get("history", []), added]
    return _written(document)


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


def _read(data: bytes, base: PinnedImage) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as exc:
        raise RegistryError(f"A document of the base image {base} is not JSON.") from exc
    if not isinstance(document, dict):
        raise RegistryError(f"A document of the base image {base} is not a JSON object.")
    return document


def _blob(entry: Mapping[str, Any], base: PinnedImage) -> Blob:
    return Blob(_digest(entry, base), int(entry["size"]), str(entry["mediaType"]))


def _layer(entry: Mapping[str, Any], base: PinnedImage) -> Blob:
    blob = _blob(entry, base)
    if blob.media_type not in _LAYERS:
        raise RegistryError(f"The base image {base} has a layer of the type {blob.media_type}, which is not copied.")
    return Blob(blob.digest, blob.size_bytes, _LAYERS[blob.media_type])


def _digest(entry: Mapping[str, Any], base: PinnedImage) -> str:
    digest = entry.get("digest")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise RegistryError(f"The base image {base} names a blob by something other than a sha256 digest.")
    return digest


def _written(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
