"""The relay between a loopback port and a tunnel, against a tunnel that is written down here."""

import queue
import socket
from collections.abc import Callable

from aimodel_operator.cli.forward import Relay, TunnelRefused

TIMEOUT_S = 10


class Echo:
    """A tunnel to a pod that answers in capitals, and ends when it is told to."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes] = queue.Queue()
        self.closed = False
        self.last_words = ""

    def receive(self) -> bytes:
        return self._queue.get(timeout=TIMEOUT_S)

    def send(self, data: bytes) -> None:
        if data == b"quit":
            self.last_words = "the pod has gone"
            self._queue.put(b"")
        else:
            self._queue.put(data.upper())

    def close(self) -> None:
        self.closed = True
        self._queue.put(b"")

    def failure(self) -> str:
        return self.last_words


def connect(relay: Relay) -> socket.socket:
    host, port = relay.address.rsplit(":", 1)
    assert host == "127.0.0.1"
    return socket.create_connection((host, int(port)), timeout=TIMEOUT_S)


def collecting(tunnels: list[Echo]) -> Callable[[], Echo]:
    def dial() -> Echo:
        tunnels.append(Echo())
        return tunnels[-1]

    return dial


def test_bytes_go_to_the_pod_and_back() -> None:
    with Relay(Echo) as relay, connect(relay) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
        assert relay.failure == ""


def test_every_connection_has_a_tunnel_of_its_own() -> None:
    tunnels: list[Echo] = []
    with Relay(collecting(tunnels)) as relay, connect(relay) as one, connect(relay) as two:
        one.sendall(b"one")
        two.sendall(b"two")
        assert (one.recv(100), two.recv(100)) == (b"ONE", b"TWO")
    assert len(tunnels) == 2


def test_a_client_that_leaves_ends_its_tunnel_and_no_other() -> None:
    tunnels: list[Echo] = []
    with Relay(collecting(tunnels)) as relay, connect(relay) as stays:
        stays.sendall(b"a")
        assert stays.recv(100) == b"A"
        with connect(relay) as leaves:
            leaves.sendall(b"b")
            assert leaves.recv(100) == b"B"
        stays.sendall(b"c")
        assert stays.recv(100) == b"C"
        assert not tunnels[0].closed
    assert all(tunnel.closed for tunnel in tunnels)


def test_a_pod_that_leaves_ends_the_connection_and_says_why() -> None:
    with Relay(Echo) as relay, connect(relay) as client:
        client.sendall(b"quit")
        assert client.recv(100) == b""
        assert relay.failure == "the pod has gone"


def test_a_tunnel_that_is_refused_ends_the_connection_and_the_next_one_is_tried() -> None:
    answers: list[Callable[[], Echo]] = [refuse, Echo]
    with Relay(lambda: answers.pop(0)()) as relay:
        with connect(relay) as first:
            assert first.recv(100) == b""
        assert relay.failure == "pods/portforward is forbidden"
        with connect(relay) as second:
            second.sendall(b"x")
            assert second.recv(100) == b"X"


def refuse() -> Echo:
    raise TunnelRefused("pods/portforward is forbidden")


def test_leaving_ends_connections_that_are_still_open() -> None:
    tunnels: list[Echo] = []
    with Relay(collecting(tunnels)) as relay:
        client = connect(relay)
        client.sendall(b"a")
        assert client.recv(100) == b"A"
    assert client.recv(100) == b""
    assert tunnels[0].closed
    client.close()
