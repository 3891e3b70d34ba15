"""A proxy before a real API server that spoils the watch of AIModels on demand. Plain HTTP to the inside."""

import asyncio
import base64
import json
import ssl
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

_ERROR = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500, "message": "spoiled"}


class FaultProxy:
    """Passes everything on. `fail_watches` ends the watches of AIModels by an ERROR 500, `freeze_watches` keeps them
    open and silent; both for the watches that are open now and for later ones, until `heal`."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        content = json.loads(kubeconfig.read_text(encoding="utf-8"))
        self._server = content["clusters"][0]["cluster"]["server"]
        self._tls = _tls(content)
        self._folder = folder
        self._fault = ""
        self._changed: asyncio.Event | None = None
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._port = 0

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def kubeconfig(self) -> Path:
        """For a client that is to go through the proxy."""
        path = self._folder / "proxy.kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "proxy",
                    "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}],
                    "users": [{"name": "proxy", "user": {}}],
                    "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
                }
            ),
            encoding="utf-8",
        )
        return path

    def fail_watches(self) -> None:
        """An ERROR 500 inside the stream."""
        self._set("fail")

    def freeze_watches(self) -> None:
        """Nothing comes any more."""
        self._set("freeze")

    def heal(self) -> None:
        """Later watches are as they should be."""
        self._set("")

    def _set(self, fault: str) -> None:
        def change() -> None:
            assert self._changed is not None
            self._fault = fault
            self._changed.set()
            self._changed = asyncio.Event()

        self._loop.call_soon_threadsafe(change)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.run_forever()
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _serve(self) -> None:
        self._changed = asyncio.Event()
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0), auto_decompress=False
        )
        app = web.Application(client_max_size=16 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._started.set()

    async def _close(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._runner.cleanup()
        await self._client.close()
        await asyncio.sleep(0.25)  # aiohttp closes TLS connections a moment later and cannot say when

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key.lower() != "host"}
        body = await request.read() or None
        url = self._server + request.path_qs
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._client.request(request.method, url, headers=headers, data=body, timeout=timeout) as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(request)
            is_watch = request.path.endswith("/aimodels") and "watch" in request.query
            await (self._spoil(answer, response) if is_watch else _copy(answer, response))
            await response.write_eof()
            return response

    async def _spoil(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        copying = asyncio.ensure_future(_copy(answer, response))
        try:
            while not copying.done():
                assert self._changed is not None
                changed = asyncio.ensure_future(self._changed.wait())
                if self._fault == "fail":
                    copying.cancel()
                    await response.write(json.dumps({"type": "ERROR", "object": _ERROR}).encode() + b"\n")
                    return
                if self._fault == "freeze":
                    copying.cancel()
                    await changed
                    return
                await asyncio.wait([copying, changed], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            copying.cancel()


async def _copy(answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    async for chunk in answer.content.iter_any():
        await response.write(chunk)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    dropped = {"transfer-encoding", "content-length", "connection"}
    return {key: value for key, value in headers.items() if key.lower() not in dropped}


def _tls(content: dict[str, Any]) -> ssl.SSLContext:
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        for part in ("client-certificate-data", "client-key-data"):
            pair.write(base64.b64decode(user[part]))
        pair.flush()
        tls.load_cert_chain(pair.name)
    return tls
