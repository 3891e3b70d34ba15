"""Turns the structure of an ONNX model into a verdict and the list of external data files it needs.

Called by `scan` for each model.onnx. Looks at every tensor and node wherever the file may hide one (sub-
graphs, functions, attributes, training graphs). Never loads external data and never runs or checks a
model's computation.
"""

import string
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import Message

from aimodel_operator.imagebuild import onnx_structure
from aimodel_operator.imagebuild.archive import shown
from aimodel_operator.imagebuild.errors import ModelRejectedError

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
# An EPContext node names a compiled file that the runtime opens by itself, outside the external data rules.
_REFUSED_OPERATORS = frozenset({("com.microsoft", "EPContext")})
_INTEGERS = frozenset(string.digits)


def scan(model: Path) -> frozenset[PurePosixPath]:
    """The external data files, relative to the model's folder; raises ModelRejectedError."""
    proto = onnx_structure.read(model)
    if proto.ir_version < 1 or not proto.opset_import or not proto.graph.output:
        raise ModelRejectedError(
            f"{model.name} is not an ONNX model: it has no version, no operator set or no outputs. Export "
            "the model as ONNX."
        )
    local = {(function.domain, function.name) for function in proto.functions}
    sizes = {
        PurePosixPath(path.relative_to(model.parent)): path.stat().st_size
        for path in model.parent.rglob("*")
        if path.is_file()
    }
    external: set[PurePosixPath] = set()
    for message in _messages(proto):
        if isinstance(message, onnx.NodeProto):
            _check_operator(message, local)
        elif isinstance(message, onnx.TensorProto):
            external |= _external_data(message, sizes)
    return frozenset(external)


def _messages(root: Message) -> Iterator[Message]:
    """Every message below (and with) the root, whatever field it hangs in."""
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                waiting.extend([value] if isinstance(value, Message) else value)


def _check_operator(node: onnx.NodeProto, local: set[tuple[str, str]]) -> None:
    operator = (node.domain, node.op_type)
    if operator in local:
        return
    if node.domain not in ALLOWED_DOMAINS or operator in _REFUSED_OPERATORS:
        allowed = ", ".join(sorted(ALLOWED_DOMAINS - {""}))
        raise ModelRejectedError(
            f"The ONNX model uses the operator {shown(node.op_type)} of the domain {shown(node.domain)}, "
            f"which the server does not load; operators of {allowed} are served. Export the model without it."
        )


def _external_data(tensor: onnx.TensorProto, sizes: Mapping[PurePosixPath, int]) -> set[PurePosixPath]:
    if tensor.data_location != onnx.TensorProto.EXTERNAL and not tensor.external_data:
        return set()
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) != len(tensor.external_data) or "location" not in entries:
        raise ModelRejectedError(f"The tensor {shown(tensor.name)} names its external data file not once.")
    # NB: protobuf hands out a string that is not UTF-8 as bytes. No name from the file touches the disk.
    location = entries["location"] if isinstance(entries["location"], str) else "\0"
    path = PurePosixPath(location)
    if path.is_absolute() or ".." in path.parts or "\\" in location or not location.isprintable() or not path.parts:
        raise ModelRejectedError(
            f"The tensor {shown(tensor.name)} has its external data in {shown(location)}, which is not "
            "below the model's own folder. Save the model with a relative location beside model.onnx."
        )
    if path not in sizes:
        raise ModelRejectedError(
            f"The ONNX model needs the external data file {shown(location)}, which is not there. Pack "
            "model.onnx and its data files together as a tar and name that in spec.source.uri."
        )
    _check_range(tensor, entries, sizes[path])
    return {path}


def _check_range(tensor: onnx.TensorProto, entries: dict[str, str], size_bytes: int) -> None:
    numbers = [entries.get(key, "0") for key in ("offset", "length")]
    sound = all(0 < len(number) <= 18 and set(number) <= _INTEGERS for number in numbers)
    if not sound or sum(map(int, numbers)) > size_bytes:
        raise ModelRejectedError(
            f"The tensor {shown(tensor.name)} lies outside its external data file "
            f"{shown(entries['location'])} ({size_bytes} bytes); "
            "the file is cut short or belongs to another model."
        )
