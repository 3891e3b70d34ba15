"""A `Tunnel` over the websocket form of Kubernetes' port-forward (v4.channel.k8s.io).

`kube` opens the websocket, `forward.Relay` reads and writes. Each message begins with its channel: 0 for data,
1 for errors; the first message of a channel is the port number. The client library has such a class too, but
its thread dies with a traceback when our side leaves first.
"""

import contextlib
import socket

import websocket

DATA, ERROR = 0, 1


class WebsocketTunnel:
    """A byte stream to a port of a pod; see `forward.Tunnel`."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        self._opened: set[int] = set()
        self._failure = ""

    def receive(self) -> bytes:
        """The next bytes; empty at the end, also when the cluster reports an error."""
        with contextlib.suppress(OSError, websocket.WebSocketException):
            while True:
                opcode, frame = self._connection.recv_data_frame(control_frame=True)
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    break
                if opcode != websocket.ABNF.OPCODE_BINARY or frame is None or not frame.data:
                    continue
                channel, data = frame.data[0], bytes(frame.data[1:])
                if channel not in self._opened:
                    self._opened.add(channel)
                elif channel == ERROR:
                    self._failure = data.decode(errors="replace").strip()
                    break
                elif data:
                    return data
        return b""

    def send(self, data: bytes) -> None:
        """Send all bytes; raises OSError when the stream is gone."""
        try:
            self._connection.send_binary(bytes([DATA]) + data)
        except websocket.WebSocketException as exc:
            raise OSError(str(exc)) from exc

    def close(self) -> None:
        """End the stream without waiting for the other side."""
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._connection.send_close()
        raw = self._connection.sock
        if raw is not None:
            # NB: closing a socket does not wake a thread that reads from it; shutting it down does.
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)
        self._connection.shutdown()  # type: ignore[no-untyped-call]

    def failure(self) -> str:
        """The text of the error channel."""
        return self._failure
