"""Small ONNX models made at test time: one whose answer tells which version gave it, one that does not load."""

import hashlib
import io
import tarfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def constant_model(value: float, features: int = 4) -> bytes:
    """A model x[N, features] → y[N, 1] that always answers `value`."""
    rows = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", features])
    answers = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])
    weights = numpy_helper.from_array(np.zeros((features, 1), np.float32), "w")
    bias = numpy_helper.from_array(np.array([value], np.float32), "b")
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"])
    graph = helper.make_graph([node], "constant", [rows], [answers], [weights, bias])
    return _serialized(graph)


def unloadable_model() -> bytes:
    """Well-formed protobuf that passes a scan and that no engine can run: shapes that do not fit each other."""
    rows = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    answers = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])
    weights = numpy_helper.from_array(np.zeros((7, 3), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return _serialized(helper.make_graph([node], "unloadable", [rows], [answers], [weights]))


def tar_of(files: dict[str, bytes]) -> bytes:
    """A tar archive with these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def digest_of(content: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _serialized(graph: object) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
