"""Serves files over plain HTTP on loopback, well or badly: redirects, stalls, bodies shorter than promised.

`with running_fileserver() as server:` then `server.put("/model.onnx", data)` gives the URI. `server.requests` is what
came in, with headers. A stalled answer waits for the server's end, not for a clock.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class FileServer:
    """What is served under which path, and what was asked for."""

    address: str
    stopping: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The port alone, for URIs that name the host in another way."""
        return int(self.address.rpartition(":")[2])

    def put(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> str:
        """Serves the bytes; the URI."""
        return self.serve(path, 200, body, {"Content-Length": str(len(body)), **(headers or {})})

    def redirect(self, path: str, location: str, status: int = 302) -> str:
        """Sends on to another URI."""
        return self.serve(path, status, b"", {"Location": location, "Content-Length": "0"})

    def fail(self, path: str, status: int) -> str:
        """Answers with a status and no body."""
        return self.serve(path, status, b"", {"Content-Length": "0"})

    def cut_short(self, path: str, body: bytes, promised_bytes: int) -> str:
        """Promises more bytes than come, then closes the connection."""
        return self.serve(path, 200, body, {"Content-Length": str(promised_bytes)})

    def stall(self, path: str, body: bytes) -> str:
        """Sends these bytes of an endless body and then nothing until the server stops."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            _send(handler, 200, body, {"Content-Length": str(len(body) + 1_000_000)})
            self.stopping.wait()

        self.answers[path] = answer
        return f"http://{self.address}{path}"

    def endless(self, path: str, chunk: bytes) -> str:
        """Sends the chunk again and again without ever saying a length, until the client leaves."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            _send(handler, 200, b"", {})
            while not self.stopping.is_set():
                handler.wfile.write(chunk)

        self.answers[path] = answer
        return f"http://{self.address}{path}"

    def serve(self, path: str, status: int, body: bytes, headers: Mapping[str, str]) -> str:
        """Answers with exactly this; the URI."""
        self.answers[path] = lambda handler: _send(handler, status, body, headers)
        return f"http://{self.address}{path}"


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


def _missing(handler: BaseHTTPRequestHandler) -> None:
    _send(handler, 404, b"", {"Content-Length": "0"})


@contextmanager
def running_fileserver(host: str = "127.0.0.1", port: int = 0) -> Iterator[FileServer]:
    """A server on loopback, on a free port unless one is named."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.requests.append(Request(self.path, dict(self.headers)))
            answer = files.answers.get(self.path, _missing)
            try:
                answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
            """Stays quiet."""

    with ThreadingHTTPServer((host, port), Handler) as server:
        server.daemon_threads = True
        files = FileServer(f"{host}:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield files
        finally:
            files.stopping.set()
            server.shutdown()
            thread.join(timeout=30)
