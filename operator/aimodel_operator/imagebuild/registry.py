"""Reads and writes images in any registry that speaks the OCI distribution API.

Used by `build` to push and by the operator to find an image before it makes a build Job. Everything read by
digest is verified against it; blobs are streamed, never held. Auth, TLS and errors live in `transport`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from aimodel_operator.imagebuild import manifest
from aimodel_operator.imagebuild.credentials import DockerConfig
from aimodel_operator.imagebuild.errors import RegistryError, RegistryNotFoundError
from aimodel_operator.imagebuild.manifest import Blob
from aimodel_operator.imagebuild.reference import Repository
from aimodel_operator.imagebuild.transport import Body, Call, Transport, read_document

_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that a build of ours has pushed."""

    image: str
    """REPOSITORY@sha256:…"""
    model_digest: str
    format: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index as the registry keeps it."""

    body: bytes
    media_type: str
    digest: str


class Registry:
    """One client for all registries; safe to use from many tasks."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def find_image(self, repository: str, tag: str) -> BuiltImage | None:
        """The image under the tag; None when there is none or when it does not say which model it holds."""
        name = Repository.parse(repository)
        try:
            found = await self.manifest(name, tag)
        except RegistryNotFoundError:
            return None
        facts = manifest.model_facts(found.body)
        return BuiltImage(f"{name}@{found.digest}", facts.digest, facts.format) if facts else None

    async def manifest(self, repository: Repository, reference: str) -> Manifest:
        """By tag or digest; raises RegistryNotFoundError."""
        headers = {"Accept": ", ".join(manifest.ACCEPTED)}
        call = Call("GET", repository, f"manifests/{reference}", headers=headers)
        async with self._transport.exchange(call, 200) as response:
            body = await read_document(response, repository)
            media_type = response.headers.get("Content-Type", "").partition(";")[0]
        digest = manifest.digest_of(body)
        if reference.startswith("sha256:") and digest != reference:
            raise RegistryError(f"The registry {repository.host} gave other bytes than {repository}@{reference}.")
        return Manifest(body, media_type, digest)

    async def read_blob(self, repository: Repository, digest: str) -> bytes:
        """A small blob (an image's config), verified."""
        async with self._transport.exchange(Call("GET", repository, f"blobs/{digest}"), 200) as response:
            body = await read_document(response, repository)
        if manifest.digest_of(body) != digest:
            raise RegistryError(f"The registry {repository.host} gave other bytes than {repository}@{digest}.")
        return body

    async def has_blob(self, repository: Repository, digest: str) -> bool:
        """Whether the repository already holds the blob."""
        async with self._transport.exchange(Call("HEAD", repository, f"blobs/{digest}"), 200, 404) as response:
            return response.status == 200

    async def copy_blob(self, repository: Repository, blob: Blob, source: Repository) -> None:
        """Mounts a blob of the same registry, or streams it from another; does nothing when it is there."""
        if await self.has_blob(repository, blob.digest):
            return
        upload = await self._open_upload(repository, blob.digest, source)
        if upload is None:
            return
        # NB: this stream cannot be read twice. The token for the upload is there since it was opened, so no
        # challenge interrupts it.
        async with self._transport.exchange(Call("GET", source, f"blobs/{blob.digest}"), 200) as response:
            await self._upload(upload, repository, blob.digest, blob.size_bytes, lambda: _chunks(response))

    async def push_blob(self, repository: Repository, digest: str, size_bytes: int, body: Body) -> None:
        """Uploads in one request; does nothing when the repository holds the blob."""
        if await self.has_blob(repository, digest):
            return
        upload = await self._open_upload(repository)
        if upload is None:
            raise RegistryError(f"The registry {repository.host} mounted a blob that nobody asked it to mount.")
        await self._upload(upload, repository, digest, size_bytes, body)

    async def push_manifest(self, repository: Repository, reference: str, body: bytes) -> None:
        """Stores an OCI manifest under a tag or its digest."""
        headers = {"Content-Type": manifest.OCI_MANIFEST, "Content-Length": str(len(body))}
        call = Call("PUT", repository, f"manifests/{reference}", headers=headers, body=lambda: once(body))
        async with self._transport.exchange(call, 201):
            return

    async def _open_upload(
        self, repository: Repository, digest: str | None = None, source: Repository | None = None
    ) -> URL | None:
        """Where to upload to; None when the registry linked the blob of `source` instead."""
        same = source if source is not None and source.host == repository.host else None
        query = {"mount": digest, "from": same.path} if digest and same else {}
        call = Call("POST", repository, "blobs/uploads/", query=query, pull_from=same)
        async with self._transport.exchange(call, 201, 202) as response:
            if response.status == 201:
                return None
            location = response.headers.get("Location")
        if not location:
            raise RegistryError(f"The registry {repository.host} opened an upload without saying where.")
        return self._transport.url(repository).join(URL(location, encoded=True))

    async def _upload(self, upload: URL, repository: Repository, digest: str, size_bytes: int, body: Body) -> None:
        headers = {"Content-Length": str(size_bytes), "Content-Type": "application/octet-stream"}
        call = Call("PUT", repository, url=upload, query={"digest": digest}, headers=headers, body=body)
        async with self._transport.exchange(call, 201):
            return


@asynccontextmanager
async def connect(
    credentials: DockerConfig, plain_http: frozenset[str], idle_timeout_s: float = 60
) -> AsyncIterator[Registry]:
    """A client for as long as the context lasts; `idle_timeout_s` ends an exchange on which nothing moves."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=idle_timeout_s)
    async with aiohttp.ClientSession(
        timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:
        yield Registry(Transport(session, credentials, plain_http))


async def once(data: bytes) -> AsyncIterator[bytes]:
    """Bytes in memory as the body of one upload."""
    yield data


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        yield chunk
