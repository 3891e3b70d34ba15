"""One HTTP request to the API server: JSON in, JSON out, refusals as the errors of `reconcile.ports`.

Uses the official client for what it does well (configuration, TLS, rotating tokens, connections) and skips its
typed models, which take ten times as long as `json`. Called by `client`, `watches` and `lease`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

import aiohttp
from kubernetes.aio import client as kubernetes_client

from aimodel_operator.kinds import Obj
from aimodel_operator.reconcile.ports import (
    AlreadyExists,
    ClusterError,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    Stale,
    Unavailable,
)

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
_REQUEST_TIMEOUT_S = 15
_LONGEST_LINE = 16 * 1024**2


class Expired(ClusterError):
    """The resource version asked for is too old (410): list again."""


class Requests:
    """Sends requests over one `ApiClient`."""

    def __init__(self, api_client: kubernetes_client.ApiClient) -> None:
        self._client = api_client

    async def send(
        self,
        method: str,
        path: str,
        body: Obj | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Obj:
        """Send one request and return the answer's JSON; raises `ClusterError`."""
        try:
            timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S)
            response = await self._open(method, path, body, query, content_type, timeout)
            raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Unavailable(f"The API server does not answer: {exc or type(exc).__name__}") from exc
        answer = _decode(raw)
        if response.status >= 300:
            raise_refusal(response.status, answer)
        return answer

    async def stream(self, path: str, query: Mapping[str, str], silence_s: float) -> AsyncIterator[Obj]:
        """Yield the events of a watch; ends when the server ends it, raises `Unavailable` after a silence."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=silence_s)
        try:
            response = await self._open("GET", path, None, query, JSON, timeout)
            if response.status >= 300:
                raise_refusal(response.status, _decode(await response.read()))
            async for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise_refusal(int(event["object"].get("code", 500)), event["object"])
                yield event
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise Unavailable(f"A watch broke off: {exc or type(exc).__name__}") from exc

    async def _open(
        self,
        method: str,
        path: str,
        body: Obj | None,
        query: Mapping[str, str] | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": JSON, "Content-Type": content_type}
        request = await self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=headers,
            auth_settings=["BearerToken"],
        )
        verb, url, sent_headers, _, _ = request
        answer = await self._client.call_api(verb, url, sent_headers, body, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        rest = b""
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line:
                    yield line
            if len(rest) > _LONGEST_LINE:
                raise Unavailable("A watch sent an event of more than 16 MiB")
            await asyncio.sleep(0)
    finally:
        response.close()


def _decode(raw: bytes) -> Obj:
    try:
        answer: Any = json.loads(raw) if raw else {}
    except ValueError:
        return {"message": raw[:200].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {"message": str(answer)[:200]}


def raise_refusal(code: int, answer: Obj) -> NoReturn:
    """Raise the error that an answer of the API server stands for."""
    message = str(answer.get("message") or f"HTTP {code}")
    reason = answer.get("reason")
    if code == 404:
        raise NotFound(message)
    if code == 409:
        raise (AlreadyExists if reason == "AlreadyExists" else Stale)(message)
    if code == 410:
        raise Expired(message)
    if code == 403 and "exceeded quota" in message:
        raise QuotaExceeded(message)
    if code in (401, 403):
        raise Forbidden(message)
    if code in (400, 422):
        raise Invalid(message)
    raise Unavailable(message)
