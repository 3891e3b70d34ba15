"""Fetching from a real server on loopback that answers well, badly, slowly, or sends the build elsewhere."""

import asyncio
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aimodel_operator.imagebuild.errors import (
    ImageBuildError,
    OutOfSpaceError,
    SourceDeniedError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
)
from aimodel_operator.imagebuild.fetch import Fetched, FetchLimits, fetch
from fileserver import FileServer, running_fileserver

LOOPBACK = frozenset({"127.0.0.1"})


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running_fileserver() as files:
        yield files


async def get(uri: str, folder: Path, allowed: frozenset[str] = LOOPBACK, max_bytes: int = 1_000_000) -> Fetched:
    return await fetch(uri, folder / "source", FetchLimits(max_bytes, allowed))


async def test_the_bytes_and_their_digest_arrive(server: FileServer, tmp_path: Path) -> None:
    data = bytes(range(256)) * 3000

    fetched = await get(server.put("/m", data), tmp_path)

    assert fetched.path.read_bytes() == data
    assert (fetched.digest, fetched.size_bytes) == (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


async def test_an_encoded_body_is_kept_as_the_server_sent_it(server: FileServer, tmp_path: Path) -> None:
    data = b"\x1f\x8bnot even gzip"

    fetched = await get(server.put("/m", data, {"Content-Encoding": "gzip"}), tmp_path)

    assert fetched.path.read_bytes() == data
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_pre_signed_query_is_sent_byte_for_byte_and_never_shown(server: FileServer, tmp_path: Path) -> None:
    path = "/m%20odd?X-Sig=a%2Fb%2Bc%3D&exp=1"
    server.fail(path, 403)

    with pytest.raises(SourceDeniedError) as caught:
        await get(f"http://{server.address}{path}", tmp_path)

    assert server.requests[0].path == path
    assert "X-Sig" not in str(caught.value)
    assert f"http://{server.address}/m%20odd?…" in str(caught.value)


async def test_user_and_password_go_with_no_request_and_into_no_message(server: FileServer, tmp_path: Path) -> None:
    with running_fileserver() as other:
        other.fail("/m", 404)
        other.redirect("/again", "/m")
        uri = server.redirect("/m", f"http://planted:s3cret@{other.address}/again").replace(
            "http://", "http://reader:s3cret@"
        )
        with pytest.raises(SourceNotFoundError) as caught:
            await get(uri, tmp_path)

        asked = [*server.requests, *other.requests]
        assert [request.headers.get("Authorization") for request in asked] == [None, None, None]
    assert "s3cret" not in str(caught.value)
    assert "reader" not in str(caught.value)


async def test_three_redirects_are_followed_and_a_fourth_is_not(server: FileServer, tmp_path: Path) -> None:
    server.put("/end", b"model")
    server.redirect("/3", "/end", 307)
    server.redirect("/2", "3", 308)
    server.redirect("/1", f"http://{server.address}/2", 301)

    assert (await get(f"http://{server.address}/1", tmp_path)).path.read_bytes() == b"model"
    (tmp_path / "source").unlink()
    with pytest.raises(SourceRefusedError, match="redirects more than 3 times"):
        await get(server.redirect("/0", "/1"), tmp_path)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",  # noqa: S104  # a host to be refused, not one to listen on
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "10.0.0.1",
        "100.64.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "[fd00::1]",
        "[fe80::1]",
    ],
)
async def test_no_way_of_writing_a_private_address_gets_through(server: FileServer, tmp_path: Path, host: str) -> None:
    server.put("/m", b"secret")

    with pytest.raises(SourceDeniedError, match="allowedPrivateHosts"):
        await get(f"http://{host}:{server.port}/m", tmp_path, allowed=frozenset())

    assert server.requests == []


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{port}/m", "http://169.254.169.254/latest/meta-data/", "//[::1]:{port}/m"]
)
async def test_a_redirect_is_checked_like_the_first_address(server: FileServer, tmp_path: Path, target: str) -> None:
    server.put("/m", b"secret")
    server.redirect("/start", target.format(port=server.port))

    with pytest.raises(SourceDeniedError, match="allowedPrivateHosts"):
        await get(f"http://localhost:{server.port}/start", tmp_path, allowed=frozenset({"localhost"}))

    assert [request.path for request in server.requests] == ["/start"]


class ScriptedNames(asyncio.SelectorEventLoop):
    """An event loop whose name service gives another answer each time it is asked."""

    def __init__(self, *answers: list[str] | socket.gaierror) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked = 0

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> list[Any]:
        self.asked += 1
        found = self.answers.pop(0)
        if isinstance(found, socket.gaierror):
            raise found
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


def test_the_connection_goes_to_the_checked_address_though_the_name_changes(tmp_path: Path) -> None:
    with running_fileserver("127.0.0.1") as checked, running_fileserver("127.0.0.2", checked.port) as rebound:
        checked.put("/m", b"checked")
        rebound.put("/m", b"rebound")
        loop = ScriptedNames(["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"])
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            fetched = runner.run(get(f"http://models.test:{checked.port}/m", tmp_path, frozenset({"models.test"})))

        assert fetched.path.read_bytes() == b"checked"
        assert rebound.requests == []
    assert loop.asked == 1


def test_a_name_with_one_private_address_among_public_ones_is_refused(tmp_path: Path) -> None:
    loop = ScriptedNames(["8.8.8.8", "127.0.0.1"])
    with (
        asyncio.Runner(loop_factory=lambda: loop) as runner,
        pytest.raises(SourceDeniedError, match=r"models\.test has the address 127\.0\.0\.1"),
    ):
        runner.run(get("http://models.test/m", tmp_path, frozenset()))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, SourceNotFoundError),
        (410, SourceNotFoundError),
        (401, SourceDeniedError),
        (403, SourceDeniedError),
        (400, SourceRefusedError),
        (206, SourceRefusedError),
        (429, SourceUnavailableError),
        (500, SourceUnavailableError),
        (503, SourceUnavailableError),
    ],
)
async def test_a_status_says_what_is_the_matter(
    server: FileServer, tmp_path: Path, status: int, error: type[ImageBuildError]
) -> None:
    with pytest.raises(error, match=str(status)):
        await get(server.fail("/m", status), tmp_path)


async def test_a_body_cut_short_is_no_model(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="ended before all of it had come"):
        await get(server.cut_short("/m", b"half a model", 1000), tmp_path)


async def test_a_length_above_the_limit_is_refused_before_the_body(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(OutOfSpaceError, match="larger than the 10 bytes"):
        await get(server.put("/m", b"eleven byte"), tmp_path, max_bytes=10)

    assert not (tmp_path / "source").exists()


async def test_a_body_without_a_length_ends_at_the_limit(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(OutOfSpaceError, match="AIMODEL_BUILD_MAX_BYTES"):
        await get(server.endless("/m", bytes(4096)), tmp_path, max_bytes=100_000)

    assert (tmp_path / "source").stat().st_size <= 100_000


@pytest.mark.parametrize(
    ("code", "error"), [(socket.EAI_NONAME, SourceNotFoundError), (socket.EAI_AGAIN, SourceUnavailableError)]
)
def test_an_unknown_name_is_final_and_a_silent_name_server_is_not(
    tmp_path: Path, code: int, error: type[ImageBuildError]
) -> None:
    loop = ScriptedNames(socket.gaierror(code, "no answer"))
    with (
        asyncio.Runner(loop_factory=lambda: loop) as runner,
        pytest.raises(error, match=r"host models\.test (does not exist|could not be resolved)"),
    ):
        runner.run(get("http://models.test/m", tmp_path))


async def test_a_closed_port_is_worth_another_try(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnavailableError, match="could not be read"):
            await get(f"http://127.0.0.1:{taken.getsockname()[1]}/m", tmp_path)


@pytest.mark.parametrize(
    "uri",
    ["ftp://h/m", "file:///etc/passwd", "http://", "http:///m", "http://h:99999/m", "model.onnx", "http://[::1/m"],
)
async def test_what_is_not_an_http_uri_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(SourceRefusedError):
        await get(uri, tmp_path)


async def test_a_tls_error_names_the_certificate_not_the_network(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceRefusedError, match="TLS certificate or protocol"):
        await get(f"https://{server.address}/m", tmp_path)
