"""Turns a tunnel to a pod into a loopback address that a gRPC channel can connect to.

`predict` opens a `Relay` around `kube`'s tunnels, so that no kubectl is needed. The relay listens on
127.0.0.1 only, opens one tunnel per connection and copies bytes; it must never look into them.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

CHUNK_BYTES = 64 * 1024


class Tunnel(Protocol):
    """A byte stream to a port of a pod."""

    def receive(self) -> bytes:
        """The next bytes, as many as come at once; empty at the end of the stream."""

    def send(self, data: bytes) -> None:
        """Send all bytes; raises OSError when the stream is gone."""

    def close(self) -> None:
        """End the stream, also for a `receive` that waits in another thread. May be called twice."""

    def failure(self) -> str:
        """What the cluster says about why the stream broke; empty when nothing is known."""


class TunnelRefused(Exception):
    """A tunnel cannot be opened; the message is the cluster's."""


class Relay:
    """Listens on the loopback interface while it is entered; each connection gets its own tunnel."""

    def __init__(self, dial: Callable[[], Tunnel]) -> None:
        self._dial = dial
        self._failure = ""
        self._open: list[_Pair] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def address(self) -> str:
        """HOST:PORT to connect to."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def failure(self) -> str:
        """Why the last tunnel broke or could not be opened, in the cluster's words; empty when none did."""
        return self._failure or next((text for pair in self._open if (text := pair.tunnel.failure())), "")

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # NB: close() alone does not wake an accept() that waits in another thread; shutdown() does.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for pair in self._open:
            pair.close()
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="aimodel port-forward", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                pair = _Pair(client, self._dial())
            except TunnelRefused as refused:
                self._failure = str(refused)
                client.close()
                continue
            self._open.append(pair)
            self._start(pair.copy_up)
            self._start(pair.copy_down)


class _Pair:
    """One connection and its tunnel; the end of either ends both."""

    def __init__(self, client: socket.socket, tunnel: Tunnel) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = client
        self.tunnel = tunnel

    def copy_up(self) -> None:
        """From the client to the pod."""
        with contextlib.suppress(OSError):
            while data := self.client.recv(CHUNK_BYTES):
                self.tunnel.send(data)
        self.close()

    def copy_down(self) -> None:
        """From the pod to the client."""
        with contextlib.suppress(OSError):
            while data := self.tunnel.receive():
                self.client.sendall(data)
        self.close()

    def close(self) -> None:
        """End both sides."""
        self.tunnel.close()
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)
        self.client.close()
