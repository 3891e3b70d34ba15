"""The registry client against servers that misbehave: failures, redirects, bad token servers, lies."""

import base64
import hashlib
import json
import socket
from collections.abc import Iterator

import pytest

from aimodel_operator.imagebuild import registry
from aimodel_operator.imagebuild.credentials import DockerConfig
from aimodel_operator.imagebuild.errors import RegistryDeniedError, RegistryError, RegistryUnavailableError
from aimodel_operator.imagebuild.reference import Repository
from fileserver import FileServer, running_fileserver

BLOB = b"config of an image"
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running_fileserver() as files:
        yield files


def credentials(server: FileServer) -> DockerConfig:
    encoded = base64.b64encode(b"user:s3cret").decode()
    return DockerConfig.parse(json.dumps({"auths": {server.address: {"auth": encoded}}}))


async def find(server: FileServer, tag: str = "in-1") -> registry.BuiltImage | None:
    async with registry.connect(credentials(server), frozenset({server.address}), idle_timeout_s=1) as client:
        return await client.find_image(f"{server.address}/team/digits", tag)


async def read(server: FileServer) -> bytes:
    async with registry.connect(credentials(server), frozenset({server.address})) as client:
        return await client.read_blob(Repository(server.address, "team/digits"), DIGEST)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_a_registry_in_trouble_is_unavailable(server: FileServer, status: int) -> None:
    server.fail("/v2/team/digits/manifests/in-1", status)

    with pytest.raises(RegistryUnavailableError, match=str(status)):
        await find(server)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_without_a_challenge_is_a_denial(server: FileServer, status: int) -> None:
    server.fail("/v2/team/digits/manifests/in-1", status)

    with pytest.raises(RegistryDeniedError, match="refuses reads"):
        await find(server)


async def test_a_registry_that_falls_silent_is_given_up(server: FileServer) -> None:
    server.stall("/v2/team/digits/manifests/in-1", b"{")

    with pytest.raises(RegistryUnavailableError):
        await find(server)


async def test_a_closed_port_is_worth_another_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        async with registry.connect(DockerConfig(), frozenset({host})) as client:
            with pytest.raises(RegistryUnavailableError, match=f"{host} could not be reached"):
                await client.find_image(f"{host}/team/digits", "in-1")


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"[]",
        b"{}",
        b'{"annotations": null}',
        b'{"annotations": {"dev.aimodel.model.digest": "sha256:1", "dev.aimodel.model.format": "ONNX"}}',
    ],
)
async def test_a_tag_that_names_no_model_is_no_image_of_ours(server: FileServer, body: bytes) -> None:
    server.put("/v2/team/digits/manifests/in-1", body)

    assert await find(server) is None


async def test_a_document_without_end_is_not_read_to_the_end(server: FileServer) -> None:
    server.endless("/v2/team/digits/manifests/in-1", bytes(65536))

    with pytest.raises(RegistryError, match="above 4194304 bytes"):
        await find(server)


async def test_the_password_stays_with_its_registry_when_a_blob_lies_elsewhere(server: FileServer) -> None:
    with running_fileserver() as storage:
        server.redirect(f"/v2/team/digits/blobs/{DIGEST}", storage.put("/data?X-Sig=1", BLOB), 307)
        challenge = {"WWW-Authenticate": 'Basic realm="r"'}
        server.serve("/v2/team/digits/manifests/in-1", 401, b"", challenge)
        async with registry.connect(credentials(server), frozenset({server.address})) as client:
            with pytest.raises(RegistryDeniedError):
                await client.find_image(f"{server.address}/team/digits", "in-1")
            assert await client.read_blob(Repository(server.address, "team/digits"), DIGEST) == BLOB

        asked = [request.headers.get("Authorization") for request in server.requests]
        assert asked == [None, *["Basic " + base64.b64encode(b"user:s3cret").decode()] * 2]
        assert "Authorization" not in storage.requests[0].headers


async def test_redirects_without_end_are_an_error(server: FileServer) -> None:
    server.redirect(f"/v2/team/digits/blobs/{DIGEST}", f"/v2/team/digits/blobs/{DIGEST}")

    with pytest.raises(RegistryError, match="HTTP 302"):
        await read(server)

    assert len(server.requests) == 4


async def test_a_blob_with_other_bytes_is_not_believed(server: FileServer) -> None:
    server.put(f"/v2/team/digits/blobs/{DIGEST}", BLOB + b"!")

    with pytest.raises(RegistryError, match="gave other bytes"):
        await read(server)


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"not json", "gave no token"), (b"[]", "gave no token"), (b'{"other": 1}', "gave no token")],
)
async def test_a_token_server_that_gives_no_token_is_said(server: FileServer, body: bytes, said: str) -> None:
    realm = server.put("/token?scope=repository:team/digits:pull&service=here", body)
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm.partition("?")[0]}",service="here"'}
    server.serve("/v2/team/digits/manifests/in-1", 401, b"", challenge)

    with pytest.raises(RegistryError, match=said):
        await find(server)


@pytest.mark.parametrize("realm", ["", "ftp://x/token", "/token", "file:///etc/passwd"])
async def test_a_token_server_that_is_not_http_is_refused(server: FileServer, realm: str) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    server.serve("/v2/team/digits/manifests/in-1", 401, b"", challenge)

    with pytest.raises(RegistryError, match="token server that is not https"):
        await find(server)
