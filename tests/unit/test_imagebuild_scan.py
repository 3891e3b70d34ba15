"""What a fetched file is taken for, and that nothing which can run code when it is loaded gets into an image."""

import gzip
import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from aimodel_operator.imagebuild.errors import ModelRejectedError
from aimodel_operator.imagebuild.scan import ScannedModel, scan
from hack import onnx_models
from registry import a_tar


def an_onnx_model() -> bytes:
    return bytes(onnx_models.fixed_batch().SerializeToString())


def a_zip(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"harmless marker")
    return buffer.getvalue()


class Marker:
    """Would print when unpickled; it never is."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("unpickled",)


HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)
PICKLES = {f"protocol {number}": pickle.dumps(Marker(), number) for number in range(6)}


def scanned(tmp_path: Path, data: bytes, wanted: str = "Auto") -> ScannedModel:
    source = tmp_path / "source"
    source.write_bytes(data)
    return scan(source, wanted, tmp_path, 10_000_000)


@pytest.mark.parametrize("wanted", ["Auto", "ONNX"])
def test_an_onnx_file_becomes_model_onnx(tmp_path: Path, wanted: str) -> None:
    model = scanned(tmp_path, an_onnx_model(), wanted)

    assert model.format == "ONNX"
    assert [path.name for path in model.folder.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("prefix", ["", "./", "digits/"], ids=["at the root", "with a dot", "in one top folder"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tar.gz"])
def test_a_packed_folder_is_taken_at_its_root_or_in_its_top_folder(
    tmp_path: Path, prefix: str, pack: type[bytes]
) -> None:
    model = scanned(tmp_path, pack(a_tar({f"{prefix}model.onnx": an_onnx_model(), f"{prefix}labels.txt": b"a\n"})))

    assert sorted(path.name for path in model.folder.iterdir()) == ["labels.txt", "model.onnx"]


def test_an_archive_with_an_echo_configuration_is_for_the_test_engine(tmp_path: Path) -> None:
    echo = b'{"delayMilliseconds": 5, "loadMilliseconds": 1, "inputs": []}'

    model = scanned(tmp_path, a_tar({"e/echo.json": echo}))

    assert model.format == "Echo"
    assert (model.folder / "echo.json").read_bytes() == echo


def test_an_echo_model_is_not_onnx_when_onnx_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match=r"spec\.source\.format is ONNX"):
        scanned(tmp_path, a_tar({"echo.json": b"{}"}), "ONNX")


@pytest.mark.parametrize("key", ["failOn", "panicOn", "abortOn", "hangOn", "frob"])
def test_an_echo_configuration_that_would_misbehave_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ModelRejectedError, match=f"echo.json has the key '{key}'"):
        scanned(tmp_path, a_tar({"echo.json": json.dumps({"inputs": [], key: 9}).encode()}))


@pytest.mark.parametrize("wanted", ["Auto", "ONNX"])
@pytest.mark.parametrize(
    "data",
    [
        b'{"error": "expired"}',
        b'{"delayMilliseconds": 0}',
        b'\n  {"a": ',
        b"[1, 2]",
        b'\xef\xbb\xbf{"error": 1}',
    ],
    ids=["an error", "an echo configuration", "cut short", "a list", "with a byte order mark"],
)
def test_a_bare_json_document_is_no_model(tmp_path: Path, data: bytes, wanted: str) -> None:
    with pytest.raises(ModelRejectedError, match=r"JSON document, not a model.*name the URI of the model's file"):
        scanned(tmp_path, data, wanted)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HDF5, r"HDF5 .*export\("),
        (a_zip("metadata.json", "config.json", "model.weights.h5"), r"Keras model.*not available.*model\.export"),
        (a_zip("archive/data.pkl", "archive/version"), r"PyTorch.*torch\.onnx\.export"),
        (a_zip("x.npy"), "zip archive"),
        (an_onnx_model() + a_zip("x"), "zip archive"),
        (b"\x7fELF\x02\x01\x01" + bytes(100), "program code"),
        (b"#!/bin/sh\necho\n", "program code"),
        (b"BZh91AY&SY" + bytes(20), "compressed once more"),
        (b"\xfd7zXZ\x00" + bytes(20), "compressed once more"),
        (b"<!DOCTYPE html><title>Sign in</title>", "web page"),
        (gzip.compress(an_onnx_model()), "archive is broken"),
        (b"", "empty"),
        (b"not a model at all", "not an ONNX model"),
        (a_tar({"echo.json": b'{"a": '}), "echo.json does not read as JSON"),
        (a_tar({"echo.json": b"[]"}), "echo.json is not a JSON object"),
        (a_tar({"echo.json": b'{"inputs": "' + bytes(70_000)}), "echo.json is not a JSON object of at most 65536"),
        (a_tar({"readme.txt": b"x"}), "holds no model.onnx.*'readme.txt'"),
        (a_tar({"a/model.onnx": an_onnx_model(), "b/x": b""}), "single top folder"),
        (a_tar({"a/b/model.onnx": an_onnx_model()}), "single top folder"),
        (a_tar({"model.onnx": an_onnx_model(), "echo.json": b"{}"}), "both model.onnx and echo.json"),
        (a_tar({"m/saved_model.pb": b"x", "m/variables/variables.index": b"x"}), r"SavedModel.*tf2onnx\.convert"),
    ],
)
def test_what_is_no_servable_model_is_rejected_with_what_to_do(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ModelRejectedError, match=said):
        scanned(tmp_path, data)


@pytest.mark.parametrize("data", PICKLES.values(), ids=PICKLES.keys())
def test_a_pickle_of_any_protocol_is_rejected_unread(
    tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, packed in enumerate((data, a_tar({"model.onnx": an_onnx_model(), "extra.bin": data}))):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ModelRejectedError, match="pickle"):
            scanned(tmp_path / str(number), packed)

    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.pkl", b"x", "pickle"),
        ("Scaler.JOBLIB", b"x", "pickle"),
        ("weights.h5", b"x", "HDF5"),
        ("net.pt", b"x", "PyTorch"),
        ("net.pth", b"x", "PyTorch"),
        ("digits.keras", b"x", "Keras"),
        ("custom_op.so", b"x", "program code"),
        ("libx.so.1.2", b"x", "program code"),
        ("op.dll", b"x", "program code"),
        ("hook.py", b"x", "program code"),
        ("sub/dir/sitecustomize.PYC", b"x", "program code"),
        ("weights", HDF5, "HDF5"),
        ("data", a_zip("archive/data.pkl"), "PyTorch"),
        ("data", b"\x7fELF", "program code"),
        ("more.txt", gzip.compress(b"x"), "compressed once more"),
    ],
)
def test_a_dangerous_file_beside_the_model_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(ModelRejectedError, match=f"{name}.*{said}"):
        scanned(tmp_path, a_tar({"model.onnx": an_onnx_model(), name: content}))


def test_external_data_may_begin_with_any_bytes(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    end = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [end], [tensor])
    files = {"model.onnx": helper.make_model(graph).SerializeToString(), "weights.bin": b"\x80\x04\x00\x00"}

    assert scanned(tmp_path, a_tar(files)).format == "ONNX"
