"""The life of the serving program: health, drain, what it tells of itself, and how it ends."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import serving
from hack import oip, onnx_models
from hack.serving_program import binary

ROW = np.zeros((1, 4), np.uint8)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
NAMES = ("", "m", "inference.GRPCInferenceService")
FAULTS = "--echo-faults=true"


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[serving.Serving]:
    """An echo model that is ready."""
    with serving.serving(serving.echo_model(tmp_path)) as server:
        yield server


def check(target: str, name: str) -> int:
    with grpc.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status  # type: ignore[no-any-return]


@pytest.mark.parametrize("port", ["inference", "health"])
def test_health_on_both_ports(echo: serving.Serving, port: str) -> None:
    for name in (*NAMES, "liveness"):
        assert check(echo.address(port), name) == SERVING, name
    with pytest.raises(grpc.RpcError) as caught:
        check(echo.address(port), "other")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_the_health_port_carries_nothing_else(echo: serving.Serving) -> None:
    with oip.stub(echo.address("health")) as stub:
        assert oip.refused(stub, oip.request({"x": ROW})).code() == grpc.StatusCode.UNIMPLEMENTED


def test_loading_is_live_and_not_ready(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, loadMilliseconds=3_600_000)
    with serving.started(models) as server:
        assert check(server.address("health"), "liveness") == SERVING
        for name in NAMES:
            assert check(server.target, name) == NOT_SERVING, name
        with oip.stub(server.target) as stub:
            error = oip.refused(stub, oip.request({"x": ROW}))
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert oip.trailers(error)["x-aimodel-not-executed"] == "1"
        assert server.get("/livez")[0] == 200
        assert server.get("/readyz") == (503, "the model is being loaded\n")
        server.terminate()
        assert server.wait_exit() == 0


def test_watches_follow_the_drain(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path)
    with (
        serving.serving(models, "--drain-seconds=1") as server,
        grpc.insecure_channel(server.address("health")) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        known = health.Watch(health_pb2.HealthCheckRequest(service="m"), timeout=30)
        unknown = health.Watch(health_pb2.HealthCheckRequest(service="other"), timeout=30)
        assert (next(known).status, next(unknown).status) == (SERVING, UNKNOWN)
        server.terminate()
        assert next(known).status == NOT_SERVING
        assert list(known) == []
        assert server.wait_exit() == 0


def test_a_stuck_engine_is_not_live(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, hangOn=9)
    with serving.serving(models, FAULTS, "--stuck-seconds=0.5") as server, oip.stub(server.target) as stub:
        asked = stub.ModelInfer.future(oip.request({"x": ROW + 9}), timeout=30)
        with grpc.insecure_channel(server.address("health")) as channel:
            request = health_pb2.HealthCheckRequest(service="liveness")
            watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=30)
            assert [next(watch).status, next(watch).status] == [SERVING, NOT_SERVING]
        assert server.get("/livez") == (503, "a batch runs for too long\n")
        assert check(server.target, "m") == SERVING
        asked.cancel()


def test_a_drain_loses_no_call(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, delayMilliseconds=100)
    flags = ("--max-rows=4", "--drain-seconds=1", "--grace-seconds=30")
    draining = threading.Event()
    with serving.serving(models, *flags) as server, ThreadPoolExecutor(24) as pool:
        # A client as a service mesh has it: one connection, closed by GOAWAY, not reopened after the listener went.
        def ask(index: int) -> list[str]:
            codes = []
            with oip.stub(server.target) as stub:
                while not draining.is_set():
                    try:
                        stub.ModelInfer(oip.request({"x": ROW + index}), timeout=10)
                        codes.append("OK")
                    except grpc.RpcError as exc:
                        codes.append(exc.code().name)
            return codes

        clients: list[Future[list[str]]] = [pool.submit(ask, index) for index in range(24)]
        while server.metric('requests_total{model="m",code="OK"}') < 100:
            threading.Event().wait(0.05)
        server.terminate()
        server.wait_for(lambda line: line["message"] == "draining")
        # Not ready any more, and still answering: clients leave while the endpoint goes.
        assert check(server.target, "m") == NOT_SERVING
        draining.set()
        codes = [code for client in clients for code in client.result()]
        assert set(codes) == {"OK"}
        assert server.wait_exit() == 0
        drained = server.wait_for(lambda line: line["message"] == "drained")
        assert drained["clean"]


@pytest.mark.parametrize("delay_ms", [100, 1000, 5000])
def test_requests_in_flight_at_sigterm_are_answered(tmp_path: Path, delay_ms: int) -> None:
    models = serving.echo_model(tmp_path, delayMilliseconds=delay_ms)
    with serving.serving(models, "--max-rows=8") as server, oip.stub(server.target) as stub:
        asked = [stub.ModelInfer.future(oip.request({"x": ROW + index}), timeout=30) for index in range(8)]
        while server.metric('in_flight{model="m"}') < 8:
            threading.Event().wait(0.01)
        server.terminate()
        answers = [oip.arrays(future.result())["x"].tolist() for future in asked]
        assert answers == [(ROW + index).tolist() for index in range(8)]
        assert server.wait_exit() == 0


def test_a_drain_has_an_end(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, hangOn=9)
    with serving.serving(models, FAULTS, "--grace-seconds=4") as server, oip.stub(server.target) as stub:
        asked = stub.ModelInfer.future(oip.request({"x": ROW + 9}), timeout=60)
        while server.metric('in_flight{model="m"}') < 1:
            threading.Event().wait(0.01)
        waiting = stub.ModelInfer.future(oip.request({"x": ROW}), timeout=60)
        started = time.monotonic()
        server.terminate()
        assert server.wait_exit() == 0
        assert time.monotonic() - started < 4
        assert asked.code() == grpc.StatusCode.UNAVAILABLE
        assert waiting.code() == grpc.StatusCode.UNAVAILABLE


def test_scale_is_an_integral(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, delayMilliseconds=400)
    with serving.serving(models, "--max-rows=4") as server, oip.stub(server.target) as stub:
        before = json.loads(server.get("/scale")[1])
        asked = [stub.ModelInfer.future(oip.request({"x": ROW}), timeout=30) for _ in range(3)]
        for future in asked:
            future.result()
        after = json.loads(server.get("/scale")[1])
    assert set(after) == {"bootId", "inFlightSeconds", "uptimeSeconds"}
    assert before["bootId"] == after["bootId"] != ""
    assert before["inFlightSeconds"] == 0
    # Three requests: in one batch each takes 0.4 s, in two the later ones take 0.8 s.
    assert 1.2 <= after["inFlightSeconds"] <= 3 * (after["uptimeSeconds"] - before["uptimeSeconds"])


def test_metrics_have_the_names_of_the_contract(echo: serving.Serving) -> None:
    with oip.stub(echo.target) as stub:
        oip.infer(stub, {"x": ROW})
    status, text = echo.get("/metrics")
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    names = (
        "requests request_duration_seconds queue_duration_seconds execution_duration_seconds batch_rows in_flight "
        "queued_rows ready model"
    )
    assert status == 200
    assert {f"aimodel_serving_{name}" for name in names.split()} <= families
    assert echo.metric('requests_total{model="m",code="OK"}') == 1
    assert echo.metric('request_duration_seconds_count{model="m"}') == 1
    assert echo.metric('ready{model="m"}') == 1
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_start_time_seconds"} <= families
    described = 'model_info{model="m",version="1",revision="",engine="echo",device="CPU"}'
    assert echo.metric(described) == 1


def test_the_process_tells_what_it_uses(echo: serving.Serving) -> None:
    proc = Path(f"/proc/{echo.process.pid}")
    (resident,) = [line.split()[1] for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS")]
    values = dict(line.rsplit(" ", 1) for line in echo.get("/metrics")[1].splitlines() if line.startswith("process_"))
    assert float(values["process_resident_memory_bytes"]) == pytest.approx(int(resident) * 1024, rel=0.25)
    assert float(values["process_start_time_seconds"]) == pytest.approx(proc.stat().st_mtime, abs=5)
    assert 0 <= float(values["process_cpu_seconds_total"]) < 60
    assert 5 < float(values["process_open_fds"]) < 100


@pytest.mark.parametrize(("cpus", "most"), [(1, 4), (2, 4), (4, 6), (8, 11)])
def test_threads_follow_the_quota_and_not_the_machine(tmp_path: Path, cpus: int, most: int) -> None:
    onnx_models.write(onnx_models.mlp(), tmp_path / "models")
    with serving.serving(tmp_path / "models", f"--cpus={cpus}") as server:
        # Main or io threads, admin, the engine with its helpers, and one that the library keeps for itself.
        assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) <= most


def test_reflection_lists_the_services(echo: serving.Serving) -> None:
    with grpc.insecure_channel(echo.target) as channel:
        method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        call = channel.stream_stream(method)
        # list_services is field 7 of the request, a string that servers ignore.
        (answer,) = call(iter([b"\x3a\x00"]), timeout=5)
    for service in (b"inference.GRPCInferenceService", b"grpc.health.v1.Health"):
        assert service in answer


def _broken(folder: Path) -> Path:
    file = onnx_models.write(onnx_models.mlp(), folder / "models")
    file.write_bytes(file.read_bytes()[:100])
    return folder / "models"


def _whole(folder: Path) -> Path:
    onnx_models.write(onnx_models.mlp(), folder / "models")
    return folder / "models"


def _empty(folder: Path) -> Path:
    (folder / "models").mkdir()
    return folder / "models"


ENDS = {
    "a broken model": (_broken, (), 1, "ModelLoadFailed", "model.onnx"),
    "no model": (_empty, (), 1, "ModelLoadFailed", "holds 0 models"),
    "no library": (_whole, ("--ort-library=/nonexistent/lib.so",), 1, "ModelLoadFailed", "/nonexistent/lib.so"),
    "another library": (_whole, ("--ort-library=/lib/x86_64-linux-gnu/libm.so.6",), 1, "ModelLoadFailed", "OrtGetApi"),
    "no CUDA": (_whole, ("--device=CUDA",), 1, "AcceleratorUnusable", "built without CUDA"),
    "an echo on CUDA": (serving.echo_model, ("--device=CUDA",), 1, "AcceleratorUnusable", "AIMODEL_DEVICE"),
    "a wrong setting": (_whole, ("--max-rows=0",), 78, "ParameterInvalid", "--max-rows"),
    "an echo with faults": (lambda f: serving.echo_model(f, abortOn=9), (), 1, "ModelLoadFailed", "--echo-faults"),
    "an echo that is none": (lambda f: serving.echo_model(f, frob=1), (), 1, "ModelLoadFailed", "frob"),
}


@pytest.mark.parametrize("what", ENDS)
def test_a_failed_start_says_why(tmp_path: Path, what: str) -> None:
    layout, flags, code, reason, named = ENDS[what]
    log = tmp_path / "models-termination-log"
    with serving.started(layout(tmp_path), *flags, AIMODEL_TERMINATION_LOG=str(log)) as server:
        assert server.wait_exit() == code
        found, message = server.reason()
    assert (found, named in message) == (reason, True), message


def test_a_panic_of_the_engine_ends_the_process_after_a_drain(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, panicOn=9)
    with serving.serving(models, FAULTS, "--revision=m-abc") as server, oip.stub(server.target) as stub:
        error = oip.refused(stub, oip.request({"x": ROW + 9}))
        assert error.code() == grpc.StatusCode.INTERNAL
        assert server.wait_exit() == 70
        reason, message = server.reason()
    assert reason == "ModelCrashed"
    assert "the echo engine was asked to panic" in message
    assert "'m-abc'" in message


def test_an_abort_inside_the_engine_is_a_crashed_model(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, abortOn=9)
    with serving.serving(models, FAULTS) as server, oip.stub(server.target) as stub:
        error = oip.refused(stub, oip.request({"x": ROW + 9}))
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert server.wait_exit() == -signal.SIGABRT
        assert server.reason() == ("ModelCrashed", server.reason()[1])
        assert server.reason()[1].startswith("SIGABRT while running model 'm'")


def test_failures_of_requests_never_change_health(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, failOn=9)
    with serving.serving(models, FAULTS) as server, oip.stub(server.target) as stub:
        for _ in range(10):
            assert oip.refused(stub, oip.request({"x": ROW + 9})).code() == grpc.StatusCode.INVALID_ARGUMENT
        assert check(server.target, "m") == SERVING
        assert oip.infer(stub, {"x": ROW})["x"].tolist() == ROW.tolist()


def test_a_panic_is_logged_as_json(tmp_path: Path) -> None:
    models = serving.echo_model(tmp_path, panicOn=9)
    with serving.serving(models, FAULTS) as server, oip.stub(server.target) as stub:
        oip.refused(stub, oip.request({"x": ROW + 9}))
        line = server.wait_for(lambda line: line["message"] == "panicked")
        assert "the echo engine was asked to panic" in line["info"]


def test_help_and_version_need_no_model() -> None:
    helped = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True)
    assert "AIMODEL_GRACE_SECONDS" in helped.stdout
    version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == "0.1.0\n"
