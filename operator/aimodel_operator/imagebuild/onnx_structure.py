"""Turns an ONNX file of any size into its structure: the same ModelProto without the numbers in its tensors.

Called by `onnx_scan`. Walks the protobuf wire format over a memory map with the schema of the `onnx`
package and leaves out the payload of every TensorProto, so a 2 GB file costs a few MB of memory; what is
kept is parsed by protobuf itself. Loads no external data, runs no checker, and has bounds on depth, fields
and kept bytes.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import onnx
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from aimodel_operator.imagebuild.errors import ModelRejectedError

MAX_FILE_BYTES = 2**31 - 1
"""Protobuf's own limit: no parser, ONNX Runtime's neither, reads a larger message."""
_PAYLOAD = {"raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"}
_FIXED_WIDTHS = {1: 8, 5: 4}
_VARINT, _LENGTH_DELIMITED = 0, 2
_TOO_MUCH = "The ONNX file has a graph larger than a build looks through ({}); export a smaller graph."


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a graph may take to look through; a transformer of 10,000 nodes has about 300,000 fields."""

    kept_bytes: int = 16 * 1024 * 1024
    fields: int = 2_000_000
    depth: int = 64


def read(path: Path, bounds: Bounds = Bounds()) -> onnx.ModelProto:  # a frozen value
    """Raises ModelRejectedError for what is not a protobuf message of this schema or exceeds the bounds."""
    size_bytes = path.stat().st_size
    if size_bytes > MAX_FILE_BYTES:
        raise ModelRejectedError(
            f"{path.name} is larger than 2 GiB, which no ONNX runtime loads; save its weights as external "
            "data (onnx.save(model, path, save_as_external_data=True)) and pack the folder as a tar."
        )
    if size_bytes == 0:
        raise ModelRejectedError(f"{path.name} is empty.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        schema = cast(Descriptor, onnx.ModelProto.DESCRIPTOR)
        kept = _Walk(data, bounds).kept(schema, 0, size_bytes, 0)
    try:
        return onnx.ModelProto.FromString(kept)
    except DecodeError as exc:
        raise _not_onnx() from exc


class _Field(NamedTuple):
    number: int
    wire_type: int
    start: int
    value: int
    """Where a length-delimited payload begins; for others where the value begins."""
    end: int


class _Walk:
    """One pass over the file, counting what it meets."""

    def __init__(self, data: mmap.mmap, bounds: Bounds) -> None:
        self._data = data
        self._bounds = bounds
        self._fields = 0
        self._kept_bytes = 0

    def kept(self, schema: Descriptor, start: int, end: int, depth: int) -> bytes:
        """The message in data[start:end] without tensor payloads."""
        if depth > self._bounds.depth:
            raise ModelRejectedError(_TOO_MUCH.format(f"deeper than {self._bounds.depth} levels"))
        out = bytearray()
        is_tensor, known_fields = schema.name == "TensorProto", schema.fields_by_number
        for field in self._fields_of(start, end):
            known = known_fields.get(field.number)
            if known is None or (is_tensor and known.name in _PAYLOAD):
                continue
            if known.message_type is not None and field.wire_type == _LENGTH_DELIMITED:
                inner = self.kept(known.message_type, field.value, field.end, depth + 1)
                out += _varint(field.number << 3 | _LENGTH_DELIMITED) + _varint(len(inner)) + inner
            else:
                self._keep(field.end - field.start)
                out += self._data[field.start : field.end]
        return bytes(out)

    def _keep(self, size_bytes: int) -> None:
        self._kept_bytes += size_bytes
        if self._kept_bytes > self._bounds.kept_bytes:
            raise ModelRejectedError(_TOO_MUCH.format(f"more than {self._bounds.kept_bytes} bytes without its weights"))

    def _fields_of(self, start: int, end: int) -> Iterator[_Field]:
        position = start
        while position < end:
            self._fields += 1
            if self._fields > self._bounds.fields:
                raise ModelRejectedError(_TOO_MUCH.format(f"more than {self._bounds.fields} fields"))
            key, value = self._varint_at(position, end)
            number, wire_type = key >> 3, key & 7
            if wire_type == _VARINT:
                _, after = self._varint_at(value, end)
            elif wire_type == _LENGTH_DELIMITED:
                length, value = self._varint_at(value, end)
                after = value + length
            elif wire_type in _FIXED_WIDTHS:
                after = value + _FIXED_WIDTHS[wire_type]
            else:
                raise _not_onnx()
            if number == 0 or after > end:
                raise _not_onnx()
            yield _Field(number, wire_type, position, value, after)
            position = after

    def _varint_at(self, position: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                break
            byte = self._data[position]
            position += 1
            if byte < 0x80:
                return value | byte << shift, position
            value |= (byte & 0x7F) << shift
        raise _not_onnx()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _not_onnx() -> ModelRejectedError:
    return ModelRejectedError("The file is not an ONNX model: it does not read as one, or it is cut short.")
