"""`aimodel predict` against a gRPC server of the protocol: what is sent, what is shown, what each refusal says."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from aimodel_operator.cli import main
from aimodel_operator.cli.oip import inference_pb2 as pb
from oip_server import Model, serving

Output = pb.ModelInferResponse.InferOutputTensor


def seven_wins(request: Any, context: Any) -> Any:
    """Raw probabilities over ten classes, and a typed label, for every row."""
    rows = request.inputs[0].shape[0]
    shares = np.full((rows, 10), 0.01, dtype="<f4")
    shares[:, 7] = 0.91
    context.send_initial_metadata((("x-aimodel-revision", "digits-abc"),))
    return pb.ModelInferResponse(
        model_name=request.model_name,
        model_version="3",
        outputs=[Output(name="probabilities", datatype="FP32", shape=[rows, 10])],
        raw_output_contents=[shares.tobytes()],
    )


def typed(request: Any, context: Any) -> Any:
    """One output per kind of typed contents; the revision comes with the trailers."""
    context.set_trailing_metadata((("x-aimodel-revision", "late-1"),))
    return pb.ModelInferResponse(
        model_version="1",
        outputs=[
            Output(name="b", datatype="BOOL", shape=[2], contents={"bool_contents": [True, False]}),
            Output(name="i", datatype="INT8", shape=[2], contents={"int_contents": [-1, 2]}),
            Output(name="l", datatype="INT64", shape=[1], contents={"int64_contents": [2**62]}),
            Output(name="u", datatype="UINT16", shape=[1], contents={"uint_contents": [65535]}),
            Output(name="v", datatype="UINT64", shape=[1], contents={"uint64_contents": [2**64 - 1]}),
            Output(name="f", datatype="FP32", shape=[1, 1], contents={"fp32_contents": [0.1]}),
            Output(name="d", datatype="FP64", shape=[1], contents={"fp64_contents": [0.1]}),
            Output(name="s", datatype="BYTES", shape=[1], contents={"bytes_contents": [b"hi"]}),
        ],
    )


def refusing(code: grpc.StatusCode, details: str) -> Any:
    def answer(request: Any, context: Any) -> Any:
        context.abort(code, details)

    return answer


def torn(request: Any, context: Any) -> Any:
    return pb.ModelInferResponse(
        outputs=[Output(name="y", datatype="FP32", shape=[2])], raw_output_contents=[b"\x00\x00\x80\x3f"]
    )


VECTOR = [("x", "FP32", (-1, 2))]
MODELS = {
    "digits": Model([("image", "FP32", (-1, 28, 28, 1))], seven_wins),
    "typed": Model(VECTOR, typed),
    "full": Model(VECTOR, refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "256 requests in flight")),
    "picky": Model(VECTOR, refusing(grpc.StatusCode.INVALID_ARGUMENT, "input x: NaN is not taken")),
    "dying": Model(VECTOR, refusing(grpc.StatusCode.INTERNAL, "engine failed")),
    "torn": Model(VECTOR, torn),
}


@pytest.fixture
def address() -> Iterator[str]:
    for model in MODELS.values():
        model.requests.clear()
    with serving(MODELS) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """A white 28 x 28 square with a black left half."""
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[:, 14:] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path = tmp_path / "half.png"
    path.write_bytes(buffer.getvalue())
    return str(path)


@pytest.fixture
def row(tmp_path: Path) -> str:
    path = tmp_path / "row.csv"
    path.write_text("1,2\n")
    return str(path)


def predict(*arguments: str) -> int:
    return main.main(["predict", *arguments])


def test_a_picture_is_sent_as_the_model_wants_it(address: str, picture: str) -> None:
    assert predict("digits", picture, "--address", address) == 0
    (request,) = MODELS["digits"].requests
    assert (request.model_name, request.inputs[0].name, request.inputs[0].datatype) == ("digits", "image", "FP32")
    assert list(request.inputs[0].shape) == [1, 28, 28, 1]
    sent = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(28, 28)
    assert sent[:, :14].max() == 0
    assert sent[:, 14:].min() == 1


def test_the_answer_is_drawn_beside_the_picture(
    address: str, picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]))
    assert predict("digits", picture, "--address", address, "--labels", str(labels)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("digits  version 3  revision digits-abc  ")
    assert lines[0].endswith(" ms")
    assert lines[1] == address
    assert lines[4].startswith("  " + " " * 14 + "█" * 14 + "   seven  ████")
    assert lines[4].endswith(" 91.0%")
    assert max(map(len, lines)) <= 80


def test_the_answer_in_json(address: str, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("digits", picture, "--address", address, "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["model"], document["version"], document["revision"]) == ("digits", "3", "digits-abc")
    assert document["latencyMilliseconds"] > 0
    assert document["predictions"] == [{"output": "probabilities", "class": 7, "label": "7", "probability": 0.91}]
    assert document["outputs"][0]["shape"] == [1, 10]


def test_json_rows_are_read_from_stdin(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.zeros((3, 784)).tolist()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(rows).encode())))
    assert predict("digits", "-", "--address", address) == 0
    assert list(MODELS["digits"].requests[0].inputs[0].shape) == [3, 28, 28, 1]
    assert [line[2:10] for line in capsys.readouterr().out.splitlines()[4:]] == ["row 1  7", "row 2  7", "row 3  7"]


def test_typed_contents_of_every_kind_are_read(address: str, row: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("typed", row, "--address", address, "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["revision"] == "late-1"
    assert {output["name"]: output["data"] for output in document["outputs"]} == {
        "b": [True, False],
        "i": [-1, 2],
        "l": [2**62],
        "u": [65535],
        "v": [2**64 - 1],
        "f": [[0.1]],
        "d": [0.1],
        "s": ["hi"],
    }


def test_the_outputs_that_a_request_names_are_asked_for(address: str, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    path.write_text(json.dumps({"inputs": [tensor], "outputs": [{"name": "f"}]}))
    assert predict("typed", str(path), "--address", address) == 0
    assert [output.name for output in MODELS["typed"].requests[0].outputs] == ["f"]


@pytest.mark.parametrize(
    ("model", "error", "next_step"),
    [
        ("unknown", "no model 'unknown' is served here (NOT_FOUND)", "give the name under which that server"),
        ("full", "256 requests in flight (RESOURCE_EXHAUSTED)", "send fewer rows, or try again"),
        ("picky", "input x: NaN is not taken (INVALID_ARGUMENT)", "compare the file with the inputs"),
        (
            "dying",
            "engine failed (INTERNAL)",
            "read the log of the serving pod: kubectl logs -l",
        ),
        ("torn", "is broken: ", "report this"),
    ],
)
def test_every_refusal_of_the_server_says_what_to_do(
    model: str, error: str, next_step: str, address: str, row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(model, row, "--address", address) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert f'model "{model}" at {address}' in first
    assert error in first
    assert second.startswith(f" next: {next_step}")


def test_a_server_that_is_not_there_is_said(row: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving({}) as port:
        pass
    assert predict("digits", row, "--address", f"127.0.0.1:{port}") == 1
    error = capsys.readouterr().err
    assert error.startswith(f'error: model "digits" at 127.0.0.1:{port}: Connection refused (UNAVAILABLE)\n')
    assert " next: check that a server listens there" in error


def test_a_proxy_of_the_environment_is_not_asked(address: str, row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert predict("typed", row, "--address", address) == 0


def test_a_file_that_does_not_fit_is_never_sent(address: str, row: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("digits", row, "--address", address) == 2
    assert f"{row} has shape [1, 2], the model wants image FP32 [-1, 28, 28, 1]" in capsys.readouterr().err
    assert MODELS["digits"].requests == []
