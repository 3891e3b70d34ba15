"""Small ONNX models for tests and benches: one for every kind of signature that the server has to handle, one whose
answer tells which version gave it, and one that does not load.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Dims = Sequence[int | str]

_info = helper.make_tensor_value_info


def mlp(layers: Sequence[int] = (100, 64, 64, 10), seed: int = 0) -> ModelProto:
    """x[N, a] → softmax y[N, z], fully connected."""
    random = np.random.default_rng(seed)
    nodes, weights, previous = [], [], "x"
    for index, (width, out) in enumerate(pairwise(layers)):
        weights.append(_array(f"w{index}", random.standard_normal((width, out)) / np.sqrt(width)))
        weights.append(_array(f"b{index}", random.standard_normal(out)))
        nodes.append(helper.make_node("Gemm", [previous, f"w{index}", f"b{index}"], [f"h{index}"]))
        last = index == len(layers) - 2
        previous = "y" if last else f"r{index}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"h{index}"], [previous]))
    inputs = [_info("x", TensorProto.FLOAT, ["N", layers[0]])]
    return _model(nodes, inputs, [_info("y", TensorProto.FLOAT, ["N", layers[-1]])], weights)


def two_inputs() -> ModelProto:
    """a[N, 3] + b[N, 3] → total[N, 3], and their difference."""
    inputs = [_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("a", "b")]
    nodes = [helper.make_node("Add", ["a", "b"], ["total"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    outputs = [_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("total", "difference")]
    return _model(nodes, inputs, outputs)


def integers_and_booleans() -> ModelProto:
    """count[N] (INT64) is doubled; flag[N] (BOOL) is negated."""
    nodes = [helper.make_node("Add", ["count", "count"], ["doubled"]), helper.make_node("Not", ["flag"], ["negated"])]
    inputs = [_info("count", TensorProto.INT64, ["N"]), _info("flag", TensorProto.BOOL, ["N"])]
    outputs = [_info("doubled", TensorProto.INT64, ["N"]), _info("negated", TensorProto.BOOL, ["N"])]
    return _model(nodes, inputs, outputs)


def strings() -> ModelProto:
    """text[N, 2] → the same strings."""
    node = helper.make_node("Identity", ["text"], ["same"])
    info = [_info(name, TensorProto.STRING, ["N", 2]) for name in ("text", "same")]
    return _model([node], info[:1], info[1:])


def fixed_batch() -> ModelProto:
    """x[2, 3] → y[2, 3]: no dimension varies, so requests run one by one."""
    return _doubling([2, 3])


def scalar() -> ModelProto:
    """x[] → y[]."""
    return _doubling([])


def varying_length() -> ModelProto:
    """tokens[N, L] → mean[N]: requests of one length may share a batch."""
    node = helper.make_node("ReduceMean", ["tokens"], ["mean"], axes=[1], keepdims=0)
    return _model([node], [_info("tokens", TensorProto.FLOAT, ["N", "L"])], [_info("mean", TensorProto.FLOAT, ["N"])])


def varying_output() -> ModelProto:
    """x[N, 4] → the indices of its non-zero elements, [2, M]: an output of unforeseeable shape."""
    node = helper.make_node("NonZero", ["x"], ["where"])
    outputs = [_info("where", TensorProto.INT64, [2, "M"])]
    return _model([node], [_info("x", TensorProto.FLOAT, ["N", 4])], outputs)


def mixing_rows() -> ModelProto:
    """x[N, 2] → x minus the mean of all rows: declared variable, yet no batch."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    info = [_info(name, TensorProto.FLOAT, ["N", 2]) for name in ("x", "y")]
    return _model(nodes, info[:1], info[1:])


def lookup() -> ModelProto:
    """index[N] → row of a table of five: an index outside of it fails the run."""
    table = _array("table", np.arange(10, dtype=np.float32).reshape(5, 2))
    node = helper.make_node("Gather", ["table", "index"], ["row"], axis=0)
    outputs = [_info("row", TensorProto.FLOAT, ["N", 2])]
    return _model([node], [_info("index", TensorProto.INT64, ["N"])], outputs, [table])


def constant(value: float, features: int = 4) -> ModelProto:
    """x[N, features] → y[N, 1], which is always `value`."""
    weights = [_array("w", np.zeros((features, 1))), _array("b", np.array([value]))]
    inputs = [_info("x", TensorProto.FLOAT, ["N", features])]
    outputs = [_info("y", TensorProto.FLOAT, ["N", 1])]
    return _model([helper.make_node("Gemm", ["x", "w", "b"], ["y"])], inputs, outputs, weights)


def unloadable() -> ModelProto:
    """Well-formed, so that it passes a scan, and of no use to any engine: shapes that do not fit each other."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    inputs, outputs = ([_info(name, TensorProto.FLOAT, ["N", width])] for name, width in (("x", 4), ("y", 1)))
    return _model([node], inputs, outputs, [_array("w", np.zeros((7, 3)))])


def write(model: ModelProto, folder: Path, name: str = "m", version: int = 1) -> Path:
    """Lay the model out as the server expects it below `folder`; returns the model's file."""
    file = folder / name / str(version) / "model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(model.SerializeToString())
    return file


SIGNATURES: dict[str, Callable[[], ModelProto]] = {
    model.__name__: model
    for model in (
        mlp,
        two_inputs,
        integers_and_booleans,
        strings,
        fixed_batch,
        scalar,
        varying_length,
        varying_output,
        mixing_rows,
        lookup,
    )
}


def _doubling(dims: Dims) -> ModelProto:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    info = [_info(name, TensorProto.FLOAT, dims) for name in ("x", "y")]
    return _model([node], info[:1], info[1:])


def _array(name: str, values: NDArray[Any]) -> TensorProto:
    return numpy_helper.from_array(values.astype(np.float32), name)


def _model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
) -> ModelProto:
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
