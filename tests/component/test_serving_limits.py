"""What the serving program refuses: overload, late, too large."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import serving
from hack import oip

ROW = np.zeros((1, 4), np.uint8)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[serving.Serving]:
    """A model that takes half a second, with room for two requests."""
    models = serving.echo_model(tmp_path, delayMilliseconds=500)
    with serving.serving(models, "--max-in-flight=2", "--max-rows=1", "--timeout-seconds=5") as server:
        yield server


def test_past_the_limit_is_refused_at_once(slow: serving.Serving) -> None:
    together = threading.Barrier(8)

    def ask(_: int) -> Any:
        with oip.stub(slow.target) as stub:
            together.wait()
            started = time.monotonic()
            try:
                return stub.ModelInfer(oip.request({"x": ROW}), timeout=10), time.monotonic() - started
            except grpc.RpcError as exc:
                return exc, time.monotonic() - started

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(ask, range(8)))
    errors = [(error, took) for error, took in results if isinstance(error, grpc.RpcError)]
    assert len(errors) == 6
    for error, took in errors:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        found = oip.trailers(error)
        assert found["x-aimodel-not-executed"] == "1"
        assert int(found["grpc-retry-pushback-ms"]) > 0
        assert took < 0.4
    assert slow.metric('requests_total{model="m",code="RESOURCE_EXHAUSTED"}') == 6
    assert slow.metric('in_flight{model="m"}') == 0


def test_a_deadline_ends_waiting(slow: serving.Serving) -> None:
    with oip.stub(slow.target) as stub:
        error = oip.refused(stub, oip.request({"x": ROW}), timeout=0.1)
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        oip.infer(stub, {"x": ROW})
    assert slow.metric('requests_total{model="m",code="OK"}') == 1


def test_the_server_has_a_limit_of_its_own(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, delayMilliseconds=1500)
    with serving.serving(models, "--timeout-seconds=0.2") as server, oip.stub(server.target) as stub:
        error = oip.refused(stub, oip.request({"x": ROW}), timeout=30)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_model_may_run_for_longer_than_an_answer_may_stay_unread(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, delayMilliseconds=2100)
    with serving.serving(models, "--unread-seconds=1", "--max-rows=1") as server, oip.stub(server.target) as stub:
        assert oip.infer(stub, {"x": ROW})["x"].tolist() == ROW.tolist()


def test_too_large_a_message_is_refused(slow: serving.Serving) -> None:
    message = oip.request({"x": ROW})
    message.raw_input_contents[0] = bytes(2 << 20)
    with oip.stub(slow.target) as stub:
        error = oip.refused(stub, message)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1048576 bytes" in error.details()
    assert oip.trailers(error)["grpc-retry-pushback-ms"] == "-1"


def test_a_malformed_message_is_the_clients_fault(slow: serving.Serving) -> None:
    with grpc.insecure_channel(slow.target) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff", timeout=5)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        unknown = channel.unary_unary("/inference.GRPCInferenceService/Frobnicate")
        with pytest.raises(grpc.RpcError) as caught:
            unknown(b"", timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_silent_peer_is_closed(slow: serving.Serving) -> None:
    host, _, port = slow.target.rpartition(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.settimeout(15)
        received = b""
        while more := peer.recv(4096):
            received += more
    assert len(received) < 1024


def test_connections_past_the_cap_are_sent_away(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path)
    with serving.serving(models, "--max-connections=1") as server, oip.stub(server.target) as first:
        oip.infer(first, {"x": ROW})
        with oip.stub(server.target) as second:
            error = oip.refused(second, oip.request({"x": ROW}), timeout=3)
            assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        oip.infer(first, {"x": ROW})


def test_old_connections_are_replaced_without_a_failed_call(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, delayMilliseconds=20)
    with serving.serving(models, "--connection-age-seconds=0.2") as server, oip.stub(server.target) as stub:
        for _ in range(100):
            oip.infer(stub, {"x": ROW})
