"""Puts one static program into a registry as a reproducible one-layer image.

Called by `local` for the pause image and by the cluster's own end-to-end tests; it needs no image builder.
"""

import hashlib
import http.client
import io
import json
import tarfile
from pathlib import Path
from urllib.parse import quote, urlsplit

from hack.cluster.paths import ClusterError
from hack.machine import architecture

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
TIMEOUT_S = 60.0


def push_program(registry: str, repository: str, tag: str, program: Path) -> str:
    """Push an image whose entrypoint is `program`; returns it by digest (REGISTRY/REPOSITORY@sha256:…)."""
    layer = _layer(program)
    layer_digest = _digest(layer)
    config = _json(
        {
            "architecture": architecture().oci,
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": "65532:65532"},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": layer_digest, "size": len(layer)}],
        }
    )
    for blob in (layer, config):
        _push_blob(registry, repository, blob)
    _call(registry, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, MANIFEST)
    return f"{registry}/{repository}@{_digest(manifest)}"


def answers(registry: str) -> bool:
    """Whether a registry answers at this address."""
    connection = http.client.HTTPConnection(registry, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _layer(program: Path) -> bytes:
    content = program.read_bytes()
    entry = tarfile.TarInfo(program.name)
    entry.size, entry.mode = len(content), 0o755
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _push_blob(registry: str, repository: str, blob: bytes) -> None:
    location = urlsplit(_call(registry, "POST", f"/v2/{repository}/blobs/uploads/"))
    query = f"{location.query}&digest={quote(_digest(blob))}".lstrip("&")
    _call(registry, "PUT", f"{location.path}?{query}", blob, "application/octet-stream")


def _call(registry: str, method: str, path: str, body: bytes = b"", content_type: str = "") -> str:
    connection = http.client.HTTPConnection(registry, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        if response.status not in (http.client.CREATED, http.client.ACCEPTED):
            raise ClusterError(f"registry {registry}: {method} {path}: {response.status} {text[:300]}")
        return response.getheader("Location", "")
    except OSError as exc:
        raise ClusterError(f"registry {registry}: {method} {path}: {exc}") from exc
    finally:
        connection.close()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
