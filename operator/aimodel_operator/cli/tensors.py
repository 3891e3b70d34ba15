"""Turns numbers and text into tensors of the Open Inference Protocol, and their raw bytes back into arrays.

The table of datatypes stands here and nowhere else. Called by `inputs` and `image` (values that a person
wrote) and by `oip_client` (bytes on the wire). Must never guess: a value that the datatype cannot hold is
an error, not a wrapped or rounded number. BF16 is a float32 array here, BYTES an array of bytes objects.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aimodel_operator.cli.errors import UsageError

Array = NDArray[Any]
Shape = tuple[int, ...]

_DTYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "BF16": "<f4",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": "O",
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as a model declares it; -1 stands for a dimension of variable size."""

    name: str
    datatype: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor with its values; `values.dtype` is the one of `dtype_of(datatype)`."""

    name: str
    datatype: str
    values: Array


def dtype_of(datatype: str) -> np.dtype[Any]:
    """How values of a datatype are held; raises UsageError for one that the protocol does not have."""
    if datatype not in _DTYPES:
        raise UsageError(f'"{datatype}" is not a datatype of the protocol', f"use one of {', '.join(_DTYPES)}")
    return np.dtype(_DTYPES[datatype])


def cast(values: Array, datatype: str, what: str) -> Array:
    """The values in a datatype, exactly; `what` names them in the UsageError that an unfit one raises."""
    dtype = dtype_of(datatype)
    if datatype == "BYTES":
        return _as_bytes(values, what)
    if values.dtype.kind not in "biuf":
        raise _unfit(what, datatype, "it holds text, null or rows of different lengths")
    if datatype == "BOOL":
        if not np.isin(values, (0, 1)).all():
            raise _unfit(what, datatype, "it holds values other than true, false, 1 and 0")
        return values.astype(dtype)
    if dtype.kind in "iu":
        _check_whole(values, dtype, datatype, what)
    with np.errstate(over="ignore"):
        result: Array = values.astype(dtype)
    if dtype.kind == "f" and not np.array_equal(np.isinf(result), np.isinf(values)):
        raise _unfit(what, datatype, f"its largest value is {np.abs(values).max()}")
    return result


def fit(values: Array, spec: TensorSpec, what: str) -> Array:
    """The values in the shape the model wants, without changing their order; raises UsageError.

    Taken as they are, as one row without its batch dimension, as rows of flat values, or as one flat row.
    """
    for shape in (values.shape, (1, *values.shape)):
        if _matches(shape, spec.shape):
            return values.reshape(shape)
    for rows in dict.fromkeys((values.shape[0] if values.ndim > 1 else 1, 1)):
        wanted = _resolve(spec.shape, rows, values.size)
        if wanted is not None:
            return values.reshape(wanted)
    raise UsageError(
        f"{what} has shape {list(values.shape)}, the model wants {spec}",
        "give one row of the model's shape, or several; a dimension of -1 may have any size",
    )


def encode(tensor: Tensor) -> bytes:
    """The raw contents of a tensor: little-endian, row-major; BYTES with 4 bytes of length each."""
    if tensor.datatype == "BYTES":
        return b"".join(struct.pack("<I", len(item)) + item for item in tensor.values.ravel())
    if tensor.datatype == "BF16":
        return _to_bf16(tensor.values).tobytes()
    return np.ascontiguousarray(tensor.values).tobytes()


def decode(raw: bytes, datatype: str, shape: Shape) -> Array:
    """The array behind raw contents; raises ValueError when the length does not fit the shape."""
    if datatype == "BYTES":
        return _split_bytes(raw, shape)
    if datatype == "BF16":
        high = np.frombuffer(raw, "<u2").astype("<u4") << 16
        return high.view("<f4").reshape(shape)
    return np.frombuffer(raw, dtype_of(datatype)).reshape(shape)


def _as_bytes(values: Array, what: str) -> Array:
    result = np.empty(values.shape, dtype=object)
    flat = result.reshape(-1)
    for index, value in enumerate(values.ravel()):
        if not isinstance(value, str | bytes):
            raise _unfit(what, "BYTES", f"it holds {value!r}, which is not text")
        flat[index] = value.encode() if isinstance(value, str) else value
    return result


def _check_whole(values: Array, dtype: np.dtype[Any], datatype: str, what: str) -> None:
    if values.dtype.kind == "f" and not np.equal(np.mod(values, 1), 0).all():
        raise _unfit(what, datatype, "it holds numbers that are not whole")
    limits = np.iinfo(dtype)
    if values.size and (int(values.min()) < limits.min or int(values.max()) > limits.max):
        raise _unfit(what, datatype, f"it holds numbers outside {limits.min} to {limits.max}")


def _unfit(what: str, datatype: str, why: str) -> UsageError:
    return UsageError(f"{what} cannot be sent as {datatype}: {why}", "correct the values in the file")


def _matches(shape: Shape, wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(b in (-1, a) for a, b in zip(shape, wanted, strict=True))


def _resolve(wanted: Shape, rows: int, size: int) -> Shape | None:
    """The model's shape with `rows` rows that holds `size` values; None when there is no single one."""
    if not wanted:
        return () if size == 1 else None
    rest = wanted[1:]
    unknown = rest.count(-1)
    known = math.prod(n for n in rest if n != -1)
    if wanted[0] not in (-1, rows) or size % rows or unknown > 1 or known == 0:
        return None
    per_row = size // rows
    if (unknown == 0 and per_row != known) or per_row % known:
        return None
    return (rows, *(per_row // known if n == -1 else n for n in rest))


def _to_bf16(values: Array) -> Array:
    """The upper half of each float32, rounded to nearest even; a NaN stays one."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    result: Array = np.where(np.isnan(values), np.uint16(0x7FC0), rounded).astype("<u2")
    return result


def _split_bytes(raw: bytes, shape: Shape) -> Array:
    items: list[bytes] = []
    offset = 0
    while offset < len(raw):
        if len(raw) - offset < 4:
            raise ValueError("a BYTES element has no room for its length")
        (length,) = struct.unpack_from("<I", raw, offset)
        if len(raw) - offset - 4 < length:
            raise ValueError("a BYTES element is longer than the contents")
        items.append(raw[offset + 4 : offset + 4 + length])
        offset += 4 + length
    result = np.empty(len(items), dtype=object)
    result[:] = items
    return result.reshape(shape)
