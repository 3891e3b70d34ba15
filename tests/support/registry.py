"""Starts the real registry (CNCF distribution) on a free loopback port, and talks to it without the code under test.

`with running_registry(folder) as registry:` serves `registry.address` over plain HTTP with its data below `folder`; a
second start on the same folder finds it again. What the registry itself logged as access is complete once it has
stopped. Pushing and pulling here is done with urllib alone, so that it can check what `imagebuild` pushed.
"""

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import tools

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_ACCESS = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d+)')


@dataclass(frozen=True, slots=True)
class Access:
    """One line of the registry's own access log."""

    method: str
    path: str
    status: int


@dataclass(slots=True)
class RunningRegistry:
    """A registry process."""

    address: str
    log: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request made here, for instance Authorization."""

    def accesses(self) -> list[Access]:
        """What the registry says was asked of it; complete after it has stopped."""
        found = _ACCESS.finditer(self.log.read_text())
        return [Access(line["method"], line["path"], int(line["status"])) for line in found]

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """One plain exchange; raises urllib.error.HTTPError for 4xx and 5xx."""
        url = path if path.startswith("http") else f"http://{self.address}{path}"
        wanted = urllib.request.Request(url, body, {**self.headers, **(headers or {})}, method=method)  # noqa: S310
        with urllib.request.urlopen(wanted, timeout=30) as response:  # noqa: S310  # the registry started here
            return response.read(), dict(response.headers)

    def put_blob(self, repository: str, data: bytes) -> dict[str, Any]:
        """Stores a blob; its digest and size as a manifest has them."""
        _, headers = self.request("POST", f"/v2/{repository}/blobs/uploads/", b"")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        upload = headers["Location"] + f"&digest={digest}"
        self.request("PUT", upload, data, {"Content-Type": "application/octet-stream"})
        return {"digest": digest, "size": len(data)}

    def put_manifest(self, repository: str, reference: str, document: Mapping[str, Any]) -> str:
        """Stores a manifest or index under a tag; its digest."""
        body = json.dumps(document).encode()
        kind = {"Content-Type": str(document["mediaType"])}
        self.request("PUT", f"/v2/{repository}/manifests/{reference}", body, kind)
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def get_manifest(self, repository: str, reference: str) -> tuple[dict[str, Any], str]:
        """A manifest as the registry serves it, and the digest of its bytes as computed here."""
        accept = {"Accept": f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}"}
        body, _ = self.request("GET", f"/v2/{repository}/manifests/{reference}", headers=accept)
        return json.loads(body), f"sha256:{hashlib.sha256(body).hexdigest()}"

    def get_blob(self, repository: str, digest: str) -> bytes:
        """A blob, verified here against its digest."""
        body, _ = self.request("GET", f"/v2/{repository}/blobs/{digest}")
        assert f"sha256:{hashlib.sha256(body).hexdigest()}" == digest
        return body

    def exists(self, path: str) -> bool:
        """Whether the registry answers a HEAD on the path with 200."""
        try:
            self.request("HEAD", path)
        except urllib.error.HTTPError as exc:
            exc.close()
            return False
        return True

    def push_base(self, repository: str, *, docker: bool = False) -> str:
        """A small base image with one gzipped layer, OCI or Docker schema 2; its digest."""
        layer = a_tar({"etc/base-release": b"base 1\n"})
        packed = gzip.compress(layer, mtime=0)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2020-01-02T03:04:05Z",
            "config": {"Entrypoint": ["/usr/bin/aimodel-serving"], "User": "65532"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created_by": "base"}],
        }
        kind = "vnd.docker.distribution.manifest.v2" if docker else "vnd.oci.image.manifest.v1"
        config_kind = "vnd.docker.container.image.v1" if docker else "vnd.oci.image.config.v1"
        layer_kind = "vnd.docker.image.rootfs.diff.tar.gzip" if docker else "vnd.oci.image.layer.v1.tar+gzip"
        stored = self.put_blob(repository, json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"application/{kind}+json",
            "config": {"mediaType": f"application/{config_kind}+json", **stored},
            "layers": [{"mediaType": f"application/{layer_kind}", **self.put_blob(repository, packed)}],
        }
        return self.put_manifest(repository, "base", manifest)


def a_tar(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    """A tar of plain files (`mode` "w:gz" for a gzipped one)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]  # the mode is a variable
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@contextmanager
def running_registry(folder: Path, auth: Mapping[str, Any] | None = None) -> Iterator[RunningRegistry]:
    """A registry with its data below `folder`; `auth` is the section of that name in its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0", "secret": "only-for-tests"},
        **({"auth": dict(auth)} if auth else {}),
    }
    (folder / "config.yml").write_text(yaml.safe_dump(configuration))
    log = folder / "access.log"
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with (
        log.open("wb") as access,
        subprocess.Popen(
            [tools.ensure() / "registry", "serve", str(folder / "config.yml")],
            stdout=access,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process,
    ):
        lines: list[str] = []
        address = _address(process, lines)
        rest = threading.Thread(target=_drain, args=(process, lines), daemon=True)
        rest.start()
        try:
            yield RunningRegistry(address, log)
        finally:
            process.terminate()
            process.wait(timeout=30)
            rest.join(timeout=30)


def _address(process: "subprocess.Popen[str]", lines: list[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if found := _LISTENING.search(line):
            return found[1]
    raise AssertionError(f"the registry did not start: {''.join(lines)}")


def _drain(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    assert process.stderr is not None
    lines.extend(process.stderr)
