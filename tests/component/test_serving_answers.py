"""What the serving program answers, against ONNX Runtime in Python."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import pytest

import serving
from aimodel_operator.cli.oip import inference_pb2 as pb
from hack import oip, onnx_models

RANDOM = np.random.default_rng(7)


def inputs_of(model: str, rows: int) -> dict[str, oip.Array]:
    """Valid inputs for each of the models."""
    table: dict[str, Callable[[], dict[str, oip.Array]]] = {
        "mlp": lambda: {"x": floats(rows, 100)},
        "two_inputs": lambda: {"a": floats(rows, 3), "b": floats(rows, 3)},
        "integers_and_booleans": lambda: {"count": RANDOM.integers(-9, 9, rows), "flag": RANDOM.random(rows) < 0.5},
        "strings": lambda: {"text": np.array([[b"row %d" % row, b"\x00\xff"] for row in range(rows)], object)},
        "fixed_batch": lambda: {"x": floats(2, 3)},
        "scalar": lambda: {"x": np.array(1.5, np.float32)},
        "varying_length": lambda: {"tokens": floats(rows, 1 + rows)},
        "varying_output": lambda: {"x": np.round(floats(rows, 4))},
        "mixing_rows": lambda: {"x": floats(rows, 2)},
        "lookup": lambda: {"index": RANDOM.integers(0, 5, rows)},
    }
    return table[model]()


def floats(*shape: int) -> oip.Array:
    return np.asarray(RANDOM.standard_normal(shape), np.float32)


class Expected:
    """The same model in ONNX Runtime's own Python package."""

    def __init__(self, file: Path) -> None:
        self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def __call__(self, inputs: dict[str, oip.Array]) -> dict[str, oip.Array]:
        names = [output.name for output in self._session.get_outputs()]
        given = {name: _text(values) for name, values in inputs.items()}
        return dict(zip(names, self._session.run(names, given), strict=True))


def _text(values: oip.Array) -> oip.Array:
    return np.vectorize(bytes.decode, otypes=[object])(values) if values.dtype == object else values


def assert_same(answer: dict[str, oip.Array], expected: dict[str, oip.Array]) -> None:
    assert list(answer) == list(expected)
    for name, values in expected.items():
        assert answer[name].shape == values.shape, name
        if values.dtype == np.float32:
            np.testing.assert_allclose(answer[name], values, rtol=1e-5, atol=1e-6)
        else:
            assert answer[name].tolist() == values.tolist(), name


@pytest.fixture(params=[name for name in onnx_models.SIGNATURES if name != "strings"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Any, Expected]]:
    """A served model: its name, a stub and what it should answer."""
    file = onnx_models.write(onnx_models.SIGNATURES[request.param](), tmp_path / "models")
    with serving.serving(tmp_path / "models") as server, oip.stub(server.target) as stub:
        yield request.param, stub, Expected(file)


def test_answers_are_those_of_onnx_runtime(model: tuple[str, Any, Expected]) -> None:
    name, stub, expected = model
    for rows in (1, 3, 64):
        inputs = inputs_of(name, rows)
        assert_same(oip.infer(stub, inputs), expected(inputs))
    inputs = inputs_of(name, 3)
    assert_same(oip.infer(stub, inputs, typed=True), expected(inputs))


def test_requests_sent_together_get_their_own_answers(model: tuple[str, Any, Expected]) -> None:
    name, stub, expected = model
    requests = [inputs_of(name, 1 + index % 5) for index in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda inputs: oip.infer(stub, inputs), requests)
        for inputs, answer in zip(requests, answers, strict=True):
            assert_same(answer, expected(inputs))


def test_strings_of_any_bytes_come_back(tmp_path: Path) -> None:
    onnx_models.write(onnx_models.strings(), tmp_path / "models")
    texts = np.array([[b"", b"\x00\xff\x00"], ["ä".encode(), b"x" * 5000]], object)
    with serving.serving(tmp_path / "models") as server, oip.stub(server.target) as stub:
        for typed in (False, True):
            assert oip.infer(stub, {"text": texts}, typed=typed)["same"].tolist() == texts.tolist()


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[serving.Serving, Any]]:
    """A served classifier under a revision."""
    folder = tmp_path_factory.mktemp("mlp") / "models"
    onnx_models.write(onnx_models.mlp(), folder, version=3)
    with serving.serving(folder, "--revision=m-abc") as server, oip.stub(server.target) as stub:
        yield server, stub


def test_a_request_without_rows_is_answered_without_the_model(mlp: tuple[serving.Serving, Any]) -> None:
    server, stub = mlp
    runs = server.metric('batch_rows_count{model="m"}')
    assert oip.infer(stub, {"x": np.zeros((0, 100), np.float32)})["y"].shape == (0, 10)
    assert server.metric('batch_rows_count{model="m"}') == runs


def test_the_answer_names_request_model_and_revision(mlp: tuple[serving.Serving, Any]) -> None:
    _, stub = mlp
    message = oip.request({"x": np.zeros((1, 100), np.float32)}, outputs=["y"])
    answer, call = stub.ModelInfer.with_call(message)
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "m", "3")
    assert ("x-aimodel-revision", "m-abc") in call.initial_metadata()


def test_compressed_requests_are_read(mlp: tuple[serving.Serving, Any]) -> None:
    _, stub = mlp
    message = oip.request({"x": np.zeros((8, 100), np.float32)})
    plain = stub.ModelInfer(message)
    for method in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        assert stub.ModelInfer(message, compression=method) == plain


def test_metadata_and_config(mlp: tuple[serving.Serving, Any]) -> None:
    _, stub = mlp
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="m"))
    assert (metadata.versions, metadata.platform) == (["3"], "onnxruntime_onnx")
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in metadata.inputs] == [
        ("x", "FP32", [-1, 100])
    ]
    config = stub.ModelConfig(pb.ModelConfigRequest(name="m", version="3")).config
    assert (config.max_batch_size, list(config.output[0].dims)) == (64, [10])
    server = stub.ServerMetadata(pb.ServerMetadataRequest())
    assert (server.name, list(server.extensions)) == ("aimodel-serving", ["model_configuration", "device:CPU"])
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ModelReady(pb.ModelReadyRequest(name="m")).ready


@pytest.mark.parametrize(("name", "version"), [("no-such-model", ""), ("m", "4"), ("", "")])
def test_a_model_that_is_not_here_is_not_ready_and_has_no_metadata(
    mlp: tuple[serving.Serving, Any], name: str, version: str
) -> None:
    _, stub = mlp
    # As Triton has it, where asking for readiness is no error.
    assert not stub.ModelReady(pb.ModelReadyRequest(name=name, version=version)).ready
    for method, request in (
        (stub.ModelMetadata, pb.ModelMetadataRequest(name=name, version=version)),
        (stub.ModelConfig, pb.ModelConfigRequest(name=name, version=version)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            method(request)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_model_that_mixes_rows_is_not_batched(tmp_path: Path) -> None:
    onnx_models.write(onnx_models.mixing_rows(), tmp_path / "models")
    with serving.serving(tmp_path / "models") as server, oip.stub(server.target) as stub:
        assert stub.ModelConfig(pb.ModelConfigRequest(name="m")).config.max_batch_size == 0


X = np.zeros((2, 100), np.float32)


def _with(change: Any) -> Any:
    message = oip.request({"x": X})
    change(message)
    return message


def _repeat_input(message: Any) -> None:
    message.inputs.add().CopyFrom(message.inputs[0])
    message.raw_input_contents.append(message.raw_input_contents[0])


BAD = {
    "a wrong shape": (oip.request({"x": X[:, :99]}), "'x'"),
    "a wrong datatype": (oip.request({"x": X.astype(np.float64)}), "'x'"),
    "an unknown input": (oip.request({"z": X}), "'z'"),
    "a missing input": (oip.request({}), "'x'"),
    "an input twice": (
        _with(lambda m: (m.inputs.add().CopyFrom(m.inputs[0]), m.raw_input_contents.append(b""))),
        "'x'",
    ),
    "too few bytes": (_with(lambda m: m.raw_input_contents.__setitem__(0, b"1234")), "'x'"),
    "raw and typed": (_with(lambda m: m.inputs[0].contents.fp32_contents.append(1)), "'x'"),
    "too many rows": (oip.request({"x": np.zeros((65, 100), np.float32)}), "64"),
    "an unknown output": (oip.request({"x": X}, outputs=["z"]), "'z'"),
    "a negative dimension": (_with(lambda m: m.inputs[0].shape.__setitem__(0, -1)), "'x'"),
    "a huge dimension": (_with(lambda m: m.inputs[0].shape.__setitem__(0, 2**62)), "'x'"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_requests_name_what_is_wrong(mlp: tuple[serving.Serving, Any], what: str) -> None:
    message, named = BAD[what]
    error = oip.refused(mlp[1], message)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert named in error.details()
    assert oip.trailers(error)["x-aimodel-not-executed"] == "1"


@pytest.mark.parametrize(("name", "version"), [("other", ""), ("m", "4"), ("", "")])
def test_unknown_models_are_not_found(mlp: tuple[serving.Serving, Any], name: str, version: str) -> None:
    message = oip.request({"x": X}, model=name)
    message.model_version = version
    error = oip.refused(mlp[1], message)
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert "'m' of version '3'" in error.details()
    assert oip.trailers(error)["x-aimodel-not-executed"] == "1"


def test_one_bad_request_fails_alone(tmp_path: Path) -> None:
    onnx_models.write(onnx_models.lookup(), tmp_path / "models")
    flags = ("--max-delay-milliseconds=200",)
    with serving.serving(tmp_path / "models", *flags) as server, oip.stub(server.target) as stub:
        together = threading.Barrier(8)

        def ask(index: int) -> tuple[int, Any]:
            together.wait()
            message = oip.request({"index": np.array([index], np.int64)})
            try:
                return index, oip.arrays(stub.ModelInfer(message, timeout=10))["row"].tolist()
            except grpc.RpcError as exc:
                return index, exc

        with ThreadPoolExecutor(8) as pool:
            answers = dict(pool.map(ask, [0, 1, 2, 3, 4, 99, -4, -3]))
        error = answers.pop(99)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "x-aimodel-not-executed" not in oip.trailers(error)
        table = np.arange(10, dtype=np.float32).reshape(5, 2)
        assert answers == {index: [table[index].tolist()] for index in (0, 1, 2, 3, 4, -4, -3)}
        assert server.metric('batch_isolations_total{model="m"}') >= 1
        assert server.metric('ready{model="m"}') == 1
