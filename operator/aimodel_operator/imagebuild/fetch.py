"""Turns spec.source.uri (http, https) into a file on disk and the sha256 of its bytes.

Called by `build`. Streams, so that memory does not grow with the model; follows at most three redirects,
each checked like the first address; sends no credentials, as the API takes no URI with a user or password.
Never decodes a content encoding: the digest is that of the bytes as the server holds them.
"""

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import hdrs
from yarl import URL

from aimodel_operator.imagebuild import addresses
from aimodel_operator.imagebuild.errors import (
    OutOfSpaceError,
    SourceDeniedError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
    redact,
)

MAX_REDIRECTS = 3
_CHUNK_BYTES = 256 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {hdrs.ACCEPT_ENCODING: "identity", hdrs.ACCEPT: "*/*", hdrs.USER_AGENT: "aimodel-imagebuild"}
# The build's own time limit bounds the whole; these only end a connection on which nothing moves.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a fetch may reach and take."""

    max_bytes: int
    allowed_private_hosts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The downloaded file."""

    path: Path
    digest: str
    size_bytes: int


async def fetch(uri: str, destination: Path, limits: FetchLimits) -> Fetched:
    """Downloads into `destination`, a file that does not exist yet."""
    url = _parse(uri)
    for _ in range(MAX_REDIRECTS + 1):
        found = await addresses.resolve(_host(url), url.port or 0)
        addresses.check(_host(url), found, limits.allowed_private_hosts)
        # One connector per hop: no connection, cookie or cached address outlives the check made for it.
        connector = aiohttp.TCPConnector(resolver=addresses.PinnedResolver(found), use_dns_cache=False)
        jar = aiohttp.DummyCookieJar()
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=jar, timeout=_TIMEOUT, auto_decompress=False
                ) as session,
                session.get(url, headers=_HEADERS, allow_redirects=False) as response,
            ):
                if response.status not in _REDIRECTS:
                    _check_status(response.status, url)
                    return await _save(response, url, destination, limits.max_bytes)
                location = response.headers.get(hdrs.LOCATION, "")
        except aiohttp.ClientError as exc:
            raise _translated(exc, url) from exc
        url = _next(url, location)
    raise SourceRefusedError(f"{redact(uri)} redirects more than {MAX_REDIRECTS} times; name the final URI.")


def _parse(text: str) -> URL:
    """Keeps an ASCII URI but for its user byte for byte: a pre-signed query must not be quoted anew."""
    try:
        url = URL(text, encoded=text.isascii() and text.isprintable() and " " not in text)
        port = url.port
    except ValueError as exc:
        raise SourceRefusedError("The source's URI does not parse; check spec.source.uri.") from exc
    if url.scheme not in ("http", "https") or not url.host or not port:
        raise SourceRefusedError(f"The source {redact(text)} is not an http or https URI with a host.")
    return url.with_user(None)


def _host(url: URL) -> str:
    return url.host or ""


def _next(url: URL, location: str) -> URL:
    try:
        joined = str(url.join(URL(location, encoded=True)))
    except ValueError as exc:
        raise SourceRefusedError(f"{redact(url)} redirects to a URI that does not parse.") from exc
    target = _parse(joined)
    if url.scheme == "https" and target.scheme == "http":
        raise SourceRefusedError(f"{redact(url)} redirects from https to plain http ({redact(target)}).")
    return target


def _check_status(status: int, url: URL) -> None:
    shown = redact(url)
    if status == 200:
        return
    if status in (404, 410):
        raise SourceNotFoundError(f"{shown} does not exist (HTTP {status}); check spec.source.uri.")
    if status in (401, 403, 407):
        raise SourceDeniedError(f"{shown} refuses access (HTTP {status}); make it readable or use a pre-signed URI.")
    if status in (408, 425, 429) or status >= 500:
        raise SourceUnavailableError(f"{shown} answered HTTP {status}; the build will be tried again.")
    raise SourceRefusedError(f"{shown} answered HTTP {status} where a file was expected; check spec.source.uri.")


async def _save(response: aiohttp.ClientResponse, url: URL, destination: Path, max_bytes: int) -> Fetched:
    too_large = OutOfSpaceError(
        f"{redact(url)} is larger than the {max_bytes} bytes a build may take; ask the operator's installer "
        "to raise AIMODEL_BUILD_MAX_BYTES."
    )
    if (response.content_length or 0) > max_bytes:
        raise too_large
    sha256, size_bytes = hashlib.sha256(), 0
    with destination.open("xb") as file:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise too_large
            sha256.update(chunk)
            file.write(chunk)
    return Fetched(destination, f"sha256:{sha256.hexdigest()}", size_bytes)


def _translated(exc: aiohttp.ClientError, url: URL) -> SourceRefusedError | SourceUnavailableError:
    """NB: aiohttp's own texts may repeat the URI with its query, so only known-safe parts are kept."""
    shown = redact(url)
    if isinstance(exc, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError)):
        return SourceRefusedError(f"{shown}: the server's TLS certificate or protocol is not accepted.")
    if isinstance(exc, (aiohttp.InvalidURL, aiohttp.ClientResponseError)):
        return SourceRefusedError(f"{shown}: the server's answer is not readable HTTP.")
    if isinstance(exc, aiohttp.ClientPayloadError):
        return SourceUnavailableError(f"{shown}: the download ended before all of it had come.")
    cause = getattr(exc, "strerror", None) or type(exc).__name__
    return SourceUnavailableError(f"{shown} could not be read: {cause}.")
