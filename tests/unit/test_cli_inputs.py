"""CSV and JSON files to the tensors of a request."""

import json
from typing import Any

import pytest

from aimodel_operator.cli.errors import UsageError
from aimodel_operator.cli.image import Scale
from aimodel_operator.cli.inputs import read
from aimodel_operator.cli.tensors import TensorSpec

IRIS = TensorSpec("x", "FP32", (-1, 4))
WORDS = TensorSpec("text", "BYTES", (-1, 1))
AGE, CITY, VIP = (
    TensorSpec("age", "INT64", (-1, 1)),
    TensorSpec("city", "BYTES", (-1, 1)),
    TensorSpec("vip", "BOOL", (-1, 1)),
)


def tensors(text: str, *wanted: TensorSpec) -> dict[str, Any]:
    request = read(text.encode(), "file", wanted, None)
    return {tensor.name: (tensor.datatype, tensor.values.tolist()) for tensor in request.tensors}


@pytest.mark.parametrize(
    "text",
    ["5,3.5,1,0\n6,3,4,1\n", "a,b,c,d\n5,3.5,1,0\n6,3,4,1\n", "\ufeff 5 , 3.5,1,0\r\n\r\n6,3,4,1"],
    ids=["rows", "with a header", "from a spreadsheet"],
)
def test_csv_rows_become_rows(text: str) -> None:
    assert tensors(text, IRIS) == {"x": ("FP32", [[5, 3.5, 1, 0], [6, 3, 4, 1]])}


def test_a_csv_row_of_pixels_becomes_a_picture() -> None:
    spec = TensorSpec("x", "UINT8", (-1, 2, 2, 1))
    assert tensors("1,2,3,4", spec) == {"x": ("UINT8", [[[[1], [2]], [[3], [4]]]])}


def test_csv_columns_go_to_the_inputs_that_the_header_names_in_any_order() -> None:
    text = 'vip,city,age\ntrue,"Köln, Altstadt",41\n0,Rom,7\n'
    assert tensors(text, AGE, CITY, VIP) == {
        "age": ("INT64", [[41], [7]]),
        "city": ("BYTES", [["Köln, Altstadt".encode()], [b"Rom"]]),
        "vip": ("BOOL", [[True], [False]]),
    }


def test_csv_of_words_is_sent_as_bytes() -> None:
    assert tensors("good\nbad\n", WORDS) == {"text": ("BYTES", [[b"good"], [b"bad"]])}
    assert tensors("text\ngood\n", WORDS) == {"text": ("BYTES", [[b"good"]])}


def test_whole_numbers_of_csv_keep_all_their_digits() -> None:
    big = 2**63 - 1
    assert tensors(str(big), TensorSpec("x", "INT64", (-1,))) == {"x": ("INT64", [big])}


@pytest.mark.parametrize("text", ["[[5, 3.5, 1, 0]]", "[5, 3.5, 1, 0]", "\n  [5,3.5,1,0]"])
def test_a_json_list_goes_to_the_only_input(text: str) -> None:
    assert tensors(text, IRIS) == {"x": ("FP32", [[5, 3.5, 1, 0]])}


def test_the_protocols_json_is_sent_as_it_says() -> None:
    text = """{"id": "7", "outputs": [{"name": "label"}], "inputs": [
      {"name": "age", "datatype": "INT32", "shape": [2, 1], "data": [41, 7]},
      {"name": "city", "datatype": "BYTES", "shape": [2, 1], "data": [["Rom"], ["Bonn"]]}]}"""
    request = read(text.encode(), "file", (AGE, CITY), None)
    assert request.outputs == ("label",)
    assert [(t.name, t.datatype, t.values.tolist()) for t in request.tensors] == [
        ("age", "INT32", [[41], [7]]),
        ("city", "BYTES", [[b"Rom"], [b"Bonn"]]),
    ]


def tensor_json(**changes: Any) -> str:
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4], **changes}
    return json.dumps({"inputs": [{key: value for key, value in entry.items() if value is not None}]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5,3,x,0", 'file:1: column 3 is "x", not a number'),
        ("5,3,1,0\n5,3,1\n", "file:2 has 3 values, the first line has 4"),
        ("", "file has no rows"),
        ("a,b,c,d\n", "file has no rows"),
        ("5,3,1", "file has shape [1, 3], the model wants x FP32 [-1, 4]"),
        ("[1, 2,", "file:1: is not JSON"),
        ('{\n"a": 1,,}', "file:2: is not JSON"),
        ("[[1, 2], [3]]", "file is no tensor: its rows have different lengths"),
        ("[null, 2, 3, 4]", "file cannot be sent as FP32: it holds text, null"),
        ('["a", 2, 3, 4]', "file cannot be sent as FP32: it holds text, null"),
        ('{"instances": [[1]]}', 'file has no list "inputs"'),
        (tensor_json(shape=None), "file has an input without data, datatype, name, shape"),
        (tensor_json(shape=[-1, 4]), 'input "x" of file has no usable shape'),
        (tensor_json(data=[1, 2]), 'input "x" of file has 2 values, its shape [1, 4] wants 4'),
        (tensor_json(parameters={"a": 1}), 'input "x" of file has parameters, which this command does not send'),
        ('{"inputs": [], "parameters": {}}', "file has parameters, which this command does not send"),
        ('{"inputs": [], "outputs": [1]}', "file has an output without a name"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text.encode(), "file", (IRIS,), None)
    assert says in caught.value.message
    assert caught.value.next_step


def test_a_list_for_a_model_with_two_inputs_is_refused_with_their_names() -> None:
    with pytest.raises(UsageError, match=r"2 inputs \(age, city\)"):
        read(b"[1, 2]", "file", (AGE, CITY), None)


def test_a_true_or_false_column_takes_no_other_word() -> None:
    with pytest.raises(UsageError, match='column 1 is "maybe", not true or false'):
        read(b"maybe\n", "file", (VIP,), None)


def test_bytes_that_are_nothing_known_are_refused() -> None:
    with pytest.raises(UsageError, match="neither an image that can be read here nor text"):
        read(b"\x00\xff\xfe", "file", (IRIS,), None)


def test_a_scale_is_refused_where_there_is_no_image() -> None:
    with pytest.raises(UsageError, match="--scale is for images"):
        read(b"1,2,3,4", "file", (IRIS,), Scale(0, 1))


def test_a_file_that_is_no_image_is_not_called_one() -> None:
    assert not read(b"1,2,3,4", "file", (IRIS,), None).is_image


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"inputs":' * 100_000])
def test_json_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text.encode(), "file", (IRIS,), None)
    assert caught.value.message == "file is nested too deeply"
    assert caught.value.next_step == "remove brackets until it has the model's shape"


@pytest.mark.parametrize("text", ["null", " null\n", "true", '"text"', "5"])
def test_a_json_file_without_a_list_gets_advice_about_json(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text.encode(), "row.json", (IRIS,), None)
    assert caught.value.message == "row.json is JSON, but neither a list nor an object"
    assert caught.value.next_step == "give a nested list, or the protocol's inputs"
