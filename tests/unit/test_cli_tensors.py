"""Values to tensors of the Open Inference Protocol and back, against bytes written down by hand."""

import struct
from typing import Any

import numpy as np
import pytest

from aimodel_operator.cli.errors import UsageError
from aimodel_operator.cli.tensors import Tensor, TensorSpec, cast, decode, encode, fit

# One value per datatype, and its little-endian bytes as the protocol's text describes them.
WIRE = [
    ("BOOL", True, b"\x01"),
    ("UINT8", 254, b"\xfe"),
    ("UINT16", 0x0102, b"\x02\x01"),
    ("UINT32", 0x01020304, b"\x04\x03\x02\x01"),
    ("UINT64", 2**64 - 1, b"\xff" * 8),
    ("INT8", -2, b"\xfe"),
    ("INT16", -2, b"\xfe\xff"),
    ("INT32", -2, b"\xfe\xff\xff\xff"),
    ("INT64", -2, b"\xfe" + b"\xff" * 7),
    ("FP16", 1.5, b"\x00\x3e"),
    ("BF16", 1.5, b"\xc0\x3f"),
    ("FP32", 1.5, b"\x00\x00\xc0\x3f"),
    ("FP64", 1.5, b"\x00\x00\x00\x00\x00\x00\xf8\x3f"),
    ("BYTES", "hé", b"\x03\x00\x00\x00h\xc3\xa9"),
]


@pytest.mark.parametrize(("datatype", "value", "raw"), WIRE, ids=[row[0] for row in WIRE])
def test_every_datatype_has_the_bytes_of_the_protocol(datatype: str, value: Any, raw: bytes) -> None:
    held = np.array([value], dtype=object if datatype == "BYTES" else None)
    values = cast(held, datatype, "x.json")
    assert encode(Tensor("x", datatype, values)) == raw
    back = decode(raw, datatype, (1,)).tolist()
    assert back == [value.encode() if isinstance(value, str) else value]


def test_bf16_rounds_to_nearest_even_and_keeps_nan() -> None:
    # 1 + 2^-8 lies half-way between two BF16 numbers, 1 and 1 + 2^-7: the even one is 1; 1 + 3 * 2^-8 goes up.
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, np.nan], dtype="<f4")
    words = struct.unpack("<3H", encode(Tensor("x", "BF16", values)))
    assert words == (0x3F80, 0x3F82, 0x7FC0)


@pytest.mark.parametrize(
    ("values", "datatype", "why"),
    [
        ([256], "UINT8", "outside 0 to 255"),
        ([-1], "UINT64", "outside 0 to"),
        ([1.5], "INT64", "not whole"),
        ([float("nan")], "INT32", "not whole"),
        ([2], "BOOL", "other than true, false, 1 and 0"),
        ([1e39], "FP32", "largest value is 1e[+]39"),
        ([7e4], "FP16", "largest value is 70000"),
        (["a"], "FP32", "text"),
        ([1], "BYTES", "1, which is not text"),
        ([1], "FLOAT", "not a datatype of the protocol"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_not_bent(values: list[Any], datatype: str, why: str) -> None:
    held = np.array(values, dtype=object if datatype == "BYTES" else None)
    with pytest.raises(UsageError, match=why):
        cast(held, datatype, "x.json")


def test_infinity_and_nan_are_numbers() -> None:
    assert np.array_equal(cast(np.array([np.inf, np.nan]), "FP16", "x"), [np.inf, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("given", "wanted", "fitted"),
    [
        ((2, 4), (-1, 4), (2, 4)),
        ((4,), (-1, 4), (1, 4)),
        ((28, 28), (-1, 28, 28, 1), (1, 28, 28, 1)),
        ((784,), (-1, 28, 28, 1), (1, 28, 28, 1)),
        ((3, 784), (-1, 28, 28, 1), (3, 28, 28, 1)),
        ((28, 28), (-1, 784), (1, 784)),
        ((2, 28, 28), (-1, 784), (2, 784)),
        ((5,), (-1, -1), (1, 5)),
        ((3, 1), (-1,), (3,)),
        ((4,), (4,), (4,)),
        ((2, 6), (-1, -1, 3), (2, 2, 3)),
        ((1,), (), ()),
    ],
)
def test_values_are_fitted_to_the_model(given: tuple[int, ...], wanted: tuple[int, ...], fitted: Any) -> None:
    values = np.arange(int(np.prod(given))).reshape(given)
    result = fit(values, TensorSpec("x", "FP32", wanted), "x.json")
    assert result.shape == fitted
    assert result.ravel().tolist() == values.ravel().tolist()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [((8,), (-1, 4)), ((2, 5), (-1, 4)), ((3, 4), (2, 4)), ((2,), ()), ((5,), (-1, -1, -1)), ((4,), (-1, 0))],
)
def test_values_that_fit_in_no_single_way_are_refused(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        fit(np.zeros(given), TensorSpec("x", "FP32", wanted), "rows.json")
    assert str(list(given)) in caught.value.message
    assert f"x FP32 {list(wanted)}" in caught.value.message


@pytest.mark.parametrize(
    ("raw", "shape"),
    [(b"\x01", (1,)), (b"\x05\x00\x00\x00ab", (1,)), (b"\x00\x00\x00\x00", (2,))],
    ids=["no length", "too long", "too few"],
)
def test_broken_bytes_are_noticed(raw: bytes, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"BYTES|reshape"):
        decode(raw, "BYTES", shape)
