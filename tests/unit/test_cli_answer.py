"""What an answer means, and how it is drawn beside the picture that was asked about."""

import json
import re
from typing import Any

import numpy as np
import pytest

from aimodel_operator.cli.answer import Prediction, as_document, as_json, choices_of, has_probabilities
from aimodel_operator.cli.answer_view import bar, draw
from aimodel_operator.cli.inputs import Request
from aimodel_operator.cli.oip_client import Answer
from aimodel_operator.cli.picture import draw as draw_picture
from aimodel_operator.cli.picture import pixels_of
from aimodel_operator.cli.tensors import Tensor
from aimodel_operator.cli.terminal import Colour, Terminal

PLAIN = Terminal()


def probabilities(*rows: list[float]) -> Tensor:
    return Tensor("probabilities", "FP32", np.array(rows, dtype="<f4"))


def a_prediction(
    *outputs: Tensor, given: Any = ((1.0, 2.0),), labels: tuple[str, ...] = (), is_image: bool = False
) -> Prediction:
    request = Request((Tensor("x", "FP32", np.array(given, dtype="<f4")),), is_image=is_image)
    return Prediction(
        "digits", "pod digits-0, namespace demo", request, Answer("3", "digits-abc", outputs, 1.234), labels
    )


@pytest.mark.parametrize(
    ("values", "datatype", "verdict"),
    [
        ([[0.2, 0.8], [0.5, 0.5]], "FP32", True),
        ([0.2, 0.8], "FP32", True),
        ([[0.2, 0.7]], "FP32", False),
        ([[-0.2, 1.2]], "FP32", False),
        ([[-0.2, 0.4, 0.8]], "FP32", False),
        ([[1.0]], "FP32", False),
        ([[float("nan"), 1.0]], "FP32", False),
        ([[0, 1]], "INT64", False),
        ([[[0.5, 0.5]]], "FP32", False),
    ],
)
def test_only_probabilities_are_called_so(values: Any, datatype: str, verdict: bool) -> None:
    dtype = "<f4" if datatype == "FP32" else "<i8"
    assert has_probabilities(Tensor("y", datatype, np.array(values, dtype=dtype))) is verdict


def test_choices_are_the_most_probable_first_with_labels_where_known() -> None:
    rows = choices_of(probabilities([0.25, 0.5, 0.25]), ("cat", "dog"))
    assert [(choice.label, choice.probability) for choice in rows[0]] == [("dog", 0.5), ("cat", 0.25), ("2", 0.25)]


def test_one_row_is_shown_with_its_classes() -> None:
    lines = draw(a_prediction(probabilities([0.25, 0.75]), labels=("cat", "dog")), PLAIN)
    assert lines == [
        "digits  version 3  revision digits-abc                                    1.2 ms",
        "pod digits-0, namespace demo",
        "",
        "  probabilities FP32 [1, 2]",
        "  dog  ██████████████████████████████             75.0%",
        "  cat  ██████████                                 25.0%",
    ]


def test_several_rows_become_a_table() -> None:
    lines = draw(a_prediction(probabilities([0.25, 0.75], [1, 0])), PLAIN)
    assert lines[4:] == [
        "  row 1  1  ██████████████████████████████             75.0%",
        "  row 2  0  ████████████████████████████████████████  100.0%",
    ]


def test_a_long_table_and_many_classes_are_cut_and_say_so() -> None:
    lines = draw(a_prediction(probabilities(*[[0.25, 0.75]] * 25)), PLAIN)
    assert lines[-1] == "  5 more rows: --output json shows all"
    lines = draw(a_prediction(probabilities([0.04] * 25)), PLAIN)
    assert lines[-1] == "  15 more classes, 60.0% together"


def test_values_that_are_no_probabilities_are_shown_as_they_are() -> None:
    outputs = (
        Tensor("label", "INT64", np.array([7])),
        Tensor("logits", "FP32", np.array([[2.5, -1.25]], dtype="<f4")),
        Tensor("text", "BYTES", np.array([b"hi\n", b"\xff"], dtype=object)),
    )
    lines = draw(a_prediction(*outputs), PLAIN)
    assert lines[3:] == [
        "  label INT64 [1]", "  [7]", "",
        "  logits FP32 [1, 2]", "  [[ 2.5  -1.25]]", "",
        "  text BYTES [2]", "  'hi\\n'", "  '/w=='",
    ]  # fmt: skip


def test_the_picture_stands_beside_the_classes() -> None:
    given = np.zeros((1, 8, 8), dtype="<f4")
    given[0, :, :4] = 1
    lines = draw(a_prediction(probabilities([0.25, 0.75]), given=given, is_image=True), PLAIN)
    assert lines[4].startswith("  " + "█" * 16 + " " * 16 + "   1  ")
    assert len(lines) == 3 + 16


def test_a_picture_that_ends_black_leaves_no_empty_lines() -> None:
    given = np.zeros((1, 8, 8), dtype="<f4")
    given[0, 0] = 1
    lines = draw(a_prediction(probabilities([0.25, 0.75]), given=given, is_image=True), PLAIN)
    assert len(lines) == 3 + 3


@pytest.mark.parametrize("terminal", [PLAIN, Terminal(width=100), Terminal(unicode=False)])
@pytest.mark.parametrize("shape", [(1, 28, 28, 1), (1, 3, 64, 64), (1, 64), (1, 8, 24)])
def test_every_line_fits_the_terminal(terminal: Terminal, shape: tuple[int, ...]) -> None:
    given = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    prediction = a_prediction(probabilities([0.1] * 10), given=given, is_image=True, labels=("a" * 50,))
    lines = draw(prediction, terminal)
    assert max(map(len, lines)) <= terminal.width
    assert len(lines) > 10
    assert terminal.unicode or all(map(str.isascii, lines))


def test_colour_adds_nothing_but_colour_to_the_classes() -> None:
    prediction = a_prediction(probabilities([0.25, 0.75]))
    coloured = "\n".join(draw(prediction, Terminal(colour=Colour.PALETTE)))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "\n".join(draw(prediction, PLAIN))


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "    "), (1, "████"), (0.5, "██  "), (0.3, "█▎  "), (0.03, "▏   "), (7, "████"), (-1, "    ")],
)
def test_bars_are_drawn_in_eighths(share: float, shown: str) -> None:
    assert bar(share, 4, PLAIN) == shown


def test_bars_of_ascii() -> None:
    assert bar(0.5, 4, Terminal(unicode=False)) == "##  "


CHECKER = np.array([[0, 1], [1, 0]]).repeat(12, 0).repeat(12, 1).reshape(1, 24, 24).astype("<f4")


def test_a_picture_without_colour_is_drawn_in_shades() -> None:
    pixels = pixels_of(CHECKER, is_certain=True)
    assert pixels is not None
    drawing = draw_picture(pixels, PLAIN, 40)
    assert drawing.lines == (" " * 12 + "█" * 12,) * 6 + ("█" * 12 + " " * 12,) * 6
    assert drawing.columns == 24
    assert draw_picture(pixels, Terminal(unicode=False), 40).lines[0] == " " * 12 + "@" * 12


def test_a_picture_with_colour_puts_two_pixels_in_a_cell() -> None:
    stripes = np.tile(np.array([[0.0], [1.0]]), (12, 24)).reshape(1, 24, 24)
    pixels = pixels_of(stripes, is_certain=True)
    assert pixels is not None
    palette = draw_picture(pixels, Terminal(colour=Colour.PALETTE), 40).lines
    assert palette == ("\x1b[38;5;232;48;5;255m▀" * 24 + "\x1b[0m",) * 12
    true = draw_picture(pixels, Terminal(colour=Colour.TRUE), 40).lines
    assert true[0].startswith("\x1b[38;2;0;0;0;48;2;255;255;255m▀")


def test_colours_of_a_picture_are_kept() -> None:
    red = np.zeros((1, 3, 24, 24))
    red[0, 0] = 1
    pixels = pixels_of(red, is_certain=True)
    assert pixels is not None
    assert draw_picture(pixels, Terminal(colour=Colour.PALETTE), 40).lines[0].startswith("\x1b[38;5;196;48;5;196m▀")


def test_a_large_picture_is_shrunk_and_a_tiny_one_enlarged() -> None:
    large = pixels_of(np.linspace(0, 1, 100 * 100).reshape(1, 100, 100), is_certain=True)
    tiny = pixels_of(np.linspace(0, 1, 64).reshape(1, 64), is_certain=True)
    assert large is not None
    assert tiny is not None
    drawing = draw_picture(large, PLAIN, 40)
    assert (drawing.columns, len(drawing.lines)) == (33, 17)
    drawing = draw_picture(tiny, PLAIN, 40)
    assert (drawing.columns, len(drawing.lines)) == (32, 16)


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        (np.linspace(0, 1, 784).reshape(1, 784), True),
        (np.linspace(-1, 1, 784).reshape(1, 784), False),
        (np.linspace(0, 1, 16).reshape(1, 16), False),
        (np.ones((1, 784)), False),
        (np.linspace(-1, 1, 784).reshape(1, 28, 28, 1), True),
        (np.zeros((1, 100, 8)), False),
        (np.zeros((2, 28, 28, 1)), False),
        (np.full((1, 28, 28), np.nan), False),
    ],
    ids=["flat", "flat latent", "few features", "flat constant", "square", "a time series", "two rows", "not a number"],
)
def test_values_are_drawn_when_they_look_like_a_picture(values: Any, seen: bool) -> None:
    assert (pixels_of(values, is_certain=False) is not None) is seen


def test_a_picture_that_a_model_makes_is_drawn() -> None:
    made = Tensor("image", "FP32", np.linspace(-1, 1, 784).reshape(1, 28, 28, 1).astype("<f4"))
    lines = draw(a_prediction(made), PLAIN)
    assert len(lines) == 4 + 14
    assert lines[-1].strip() == "█" * 28


def test_the_json_document_of_a_prediction() -> None:
    prediction = a_prediction(probabilities([0.03, 0.97]), labels=("cat", "dog"))
    assert json.loads(json.dumps(as_document(prediction))) == {
        "model": "digits",
        "version": "3",
        "revision": "digits-abc",
        "place": "pod digits-0, namespace demo",
        "latencyMilliseconds": 1.234,
        "predictions": [{"output": "probabilities", "class": 1, "label": "dog", "probability": 0.97}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [[0.03, 0.97]]}],
    }


def test_json_has_names_for_what_json_has_no_number_for() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.1], dtype="<f4")
    assert as_json(values) == ["NaN", "Infinity", "-Infinity", 0.1]
    assert as_json(np.array([b"ok", b"\xff"], dtype=object)) == ["ok", "/w=="]
    assert as_json(np.array([True])) == [True]
    assert as_json(np.array(2**63 - 1)) == 2**63 - 1
