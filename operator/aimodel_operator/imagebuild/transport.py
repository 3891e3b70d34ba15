"""Turns requests on repositories into authenticated HTTP exchanges and HTTP failures into registry errors.

Used by `registry` alone: the one place that opens connections to registries and knows passwords and tokens.
Speaks plain HTTP only to the registries it was told to; sends credentials only to the registry they are for
and to the token server which that registry names. Never retries but for the one answer to an auth
challenge.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from aimodel_operator.imagebuild.credentials import Challenge, DockerConfig
from aimodel_operator.imagebuild.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryNotFoundError,
    RegistryUnavailableError,
    redact,
)
from aimodel_operator.imagebuild.reference import Repository

Body = Callable[[], AsyncIterator[bytes]]
_USER_AGENT = {"User-Agent": "aimodel-imagebuild"}
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 3
_MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
# Docker Hub answers under another name than the one its references and its auth entries bear.
_API_HOSTS = {"docker.io": "registry-1.docker.io"}
_AUTH_NAMES = {"docker.io": "index.docker.io"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: on a repository, or (`url`) where an earlier answer said to go on."""

    method: str
    repository: Repository
    path: str = ""
    url: URL | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    pull_from: Repository | None = None
    """A second repository that the token must be able to read."""


class Transport:
    """Authenticated exchanges with any number of registries over one aiohttp session."""

    def __init__(self, session: aiohttp.ClientSession, credentials: DockerConfig, plain_http: frozenset[str]) -> None:
        self._session = session
        self._credentials = credentials
        self._plain_http = plain_http
        self._authorizations: dict[tuple[str, str], str] = {}

    @asynccontextmanager
    async def exchange(self, call: Call, *expected: int) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, whose status is one of `expected`; everything else raises a RegistryError."""
        try:
            async with self._answered(call) as response:
                if response.status not in expected:
                    raise _refusal(response.status, call)
                yield response
        except aiohttp.ClientError as exc:
            raise _unreachable(exc, call.repository) from exc
        except TimeoutError as exc:
            raise RegistryUnavailableError(f"The registry {call.repository.host} did not answer in time.") from exc

    def url(self, repository: Repository, path: str = "") -> URL:
        """Where the registry serves something of the repository."""
        return api_url(repository, path, self._plain_http)

    @asynccontextmanager
    async def _answered(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        url = call.url or self.url(call.repository, call.path)
        authorized = False
        hops = 0
        while True:
            async with self._send(call, url) as response:
                if response.status == 401 and not authorized and self._is_home(call, url):
                    authorized = True
                    challenge = Challenge.parse(response.headers.get("WWW-Authenticate", ""))
                elif response.status in _REDIRECTS and call.method in ("GET", "HEAD") and hops < _MAX_REDIRECTS:
                    hops += 1
                    url = self._redirected(call, url, response.headers.get("Location", ""))
                    continue
                else:
                    yield response
                    return
            self._authorizations[self._key(call)] = await self._authorize(call, challenge)

    @asynccontextmanager
    async def _send(self, call: Call, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {**_USER_AGENT, **call.headers}
        authorization = self._authorizations.get(self._key(call))
        if authorization and self._is_home(call, url):
            headers["Authorization"] = authorization
        body = call.body() if call.body else None
        target = url.update_query(call.query) if call.query else url
        async with self._session.request(
            call.method, target, headers=headers, data=body, allow_redirects=False
        ) as response:
            yield response

    def _is_home(self, call: Call, url: URL) -> bool:
        return url.origin() == self.url(call.repository).origin()

    def _redirected(self, call: Call, url: URL, location: str) -> URL:
        try:
            target = url.join(URL(location, encoded=True))
        except ValueError as exc:
            raise RegistryError(f"The registry {call.repository.host} redirects to a URI that does not parse.") from exc
        if target.scheme != url.scheme and target.scheme != "https":
            raise RegistryError(f"The registry {call.repository.host} redirects to {redact(target)}, not to https.")
        return target.with_user(None)

    def _key(self, call: Call) -> tuple[str, str]:
        return call.repository.host, " ".join(_scopes(call))

    async def _authorize(self, call: Call, challenge: Challenge) -> str:
        host = call.repository.host
        named = Repository(_AUTH_NAMES.get(host, host), call.repository.path)
        credential = self._credentials.find(named) or self._credentials.find(call.repository)
        if challenge.scheme == "basic" and credential is not None:
            return credential.basic()
        if challenge.scheme == "bearer":
            return "Bearer " + await self._token(call, challenge, credential.basic() if credential else None)
        raise _denied(call, "it wants a user and password, and none are given for it")

    async def _token(self, call: Call, challenge: Challenge, basic: str | None) -> str:
        """A token for the call's scopes by the registry token protocol (distribution's auth/token.md)."""
        realm = URL(challenge.parameters.get("realm", ""), encoded=True)
        if realm.scheme != "https" and not (realm.scheme == "http" and call.repository.host in self._plain_http):
            raise RegistryError(f"The registry {call.repository.host} names a token server that is not https.")
        query = [("scope", scope) for scope in _scopes(call)]
        if service := challenge.parameters.get("service"):
            query.append(("service", service))
        headers = {**_USER_AGENT, **({"Authorization": basic} if basic else {})}
        async with self._session.get(realm.extend_query(query), headers=headers, allow_redirects=False) as response:
            if response.status in (400, 401, 403):
                raise _denied(call, f"its token server answered HTTP {response.status}")
            if response.status != 200:
                raise RegistryUnavailableError(
                    f"The token server of {call.repository.host} answered HTTP {response.status}."
                )
            answer = await read_document(response, call.repository)
        try:
            document = json.loads(answer)
            token = document.get("token") or document["access_token"]
        except (ValueError, KeyError, AttributeError) as exc:
            raise RegistryError(f"The token server of {call.repository.host} gave no token.") from exc
        return str(token)


def api_url(repository: Repository, path: str, plain_http: frozenset[str]) -> URL:
    """Where a registry serves something of the repository: https, but for the hosts in `plain_http`."""
    scheme = "http" if repository.host in plain_http else "https"
    host = _API_HOSTS.get(repository.host, repository.host)
    return URL(f"{scheme}://{host}/v2/{repository.path}/{path}", encoded=True)


async def read_document(response: aiohttp.ClientResponse, repository: Repository) -> bytes:
    """A JSON answer as a whole; raises RegistryError for one larger than any real one."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_DOCUMENT_BYTES:
            raise RegistryError(f"The registry {repository.host} gave a document above {_MAX_DOCUMENT_BYTES} bytes.")
    return bytes(body)


def _scopes(call: Call) -> tuple[str, ...]:
    actions = "pull" if call.method in ("GET", "HEAD") else "pull,push"
    scopes = (f"repository:{call.repository.path}:{actions}",)
    return (*scopes, f"repository:{call.pull_from.path}:pull") if call.pull_from else scopes


def _denied(call: Call, why: str) -> RegistryDeniedError:
    verb = "reads" if call.method in ("GET", "HEAD") else "writes"
    return RegistryDeniedError(
        f"The registry refuses {verb} of {call.repository}: {why}. Check the Secret in "
        "spec.image.pushSecretRef and the rights of its user."
    )


def _refusal(status: int, call: Call) -> RegistryError:
    if status in (401, 403):
        return _denied(call, f"HTTP {status}")
    if status == 404:
        return RegistryNotFoundError(
            f"The registry {call.repository.host} holds no {call.repository.path}/{call.path}."
        )
    if status in (408, 425, 429) or status >= 500:
        return RegistryUnavailableError(
            f"The registry {call.repository.host} answered HTTP {status}; it will be tried again."
        )
    return RegistryError(f"The registry answered HTTP {status} to {call.method} {call.repository}/{call.path}.")


def _unreachable(exc: aiohttp.ClientError, repository: Repository) -> RegistryError:
    if isinstance(exc, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
        return RegistryError(
            f"The registry {repository.host} offers no TLS certificate that is trusted. A registry that "
            "speaks plain HTTP has to be on the operator's list (AIMODEL_PLAIN_HTTP_REGISTRIES)."
        )
    cause = getattr(exc, "strerror", None) or type(exc).__name__
    return RegistryUnavailableError(f"The registry {repository.host} could not be reached: {cause}.")
