"""The few answers of a Kubernetes API server that the CLI asks for, over real HTTP and websockets.

Objects are served by path, each request must carry the token of the kubeconfig, and port-forward speaks
v4.channel.k8s.io to a port of the loopback interface that stands for the pod.
"""

import asyncio
import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

TOKEN = "swordfish"  # noqa: S105 - of a server that lives for one test


@dataclass
class KubeApi:
    """`objects` or refusals by URL path; `pods` maps "NAMESPACE/NAME:PORT" to where that pod really listens."""

    objects: dict[str, Any] = field(default_factory=dict)
    pods: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    port: int = 0

    def write_kubeconfig(self, path: Path, namespace: str = "demo", token: str = TOKEN) -> Path:
        """A kubeconfig whose current context is this server."""
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        user = {"name": "u", "user": {"token": token}}
        context = {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": namespace}}
        config = {"current-context": "here", "clusters": [cluster], "users": [user], "contexts": [context]}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}))
        return path

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.requests.append(request.path_qs)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _failure(401, "Unauthorized")
        if request.path not in self.objects:
            if request.path.endswith("/portforward"):
                return await self._forward(request)
            return _failure(404, f"{request.path} not found")
        found = self.objects[request.path]
        return found if isinstance(found, web.Response) else web.json_response(found)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        _, _, _, _, namespace, _, pod, _ = request.path.split("/")
        port = int(request.query["ports"])
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        for channel in (0, 1):
            await socket.send_bytes(bytes([channel]) + struct.pack("<H", port))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.pods[f"{namespace}/{pod}:{port}"])
        except (KeyError, OSError):
            await socket.send_bytes(b"\x01nothing listens on port %d" % port)
            return socket
        down = asyncio.create_task(_copy_down(reader, socket))
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[:1] == b"\x00":
                writer.write(message.data[1:])
                await writer.drain()
        down.cancel()
        writer.close()
        return socket


async def _copy_down(reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
    while data := await reader.read(65536):
        await socket.send_bytes(b"\x00" + data)
    await socket.close()


def _failure(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


def refusal(code: int, message: str) -> web.Response:
    """An answer for `objects` that refuses the request."""
    return _failure(code, message)


@contextmanager
def api_server() -> Iterator[KubeApi]:
    """The server on a free port, in a thread with a loop of its own, while it is entered."""
    api, loop, ready = KubeApi(), asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", api.answer)
        runner = web.AppRunner(application, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.port = runner.addresses[0][1]
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    stopped = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()
