"""Turns a prediction into lines for a terminal.

Called by `predict`. One row is shown in full: the picture that the model got, if it got one, beside its
classes; several rows become a table. Every line fits the terminal's width.
"""

from itertools import zip_longest

import numpy as np

from aimodel_operator.cli import picture
from aimodel_operator.cli.answer import Choice, Prediction, as_json, choices_of, has_probabilities
from aimodel_operator.cli.picture import Drawing
from aimodel_operator.cli.tensors import Tensor
from aimodel_operator.cli.terminal import Terminal, Tint

MAX_CLASSES = 10
MAX_ROWS = 20
MAX_LABEL = 20
MAX_BAR = 40
MAX_VALUES = 100
MAX_PICTURE = 40
INDENT = "  "
GAP = "   "


def draw(prediction: Prediction, terminal: Terminal) -> list[str]:
    """The whole answer; the input's picture stands beside the first output."""
    lines = _headline(prediction, terminal)
    beside = _input_picture(prediction, terminal)
    for output in prediction.answer.outputs:
        taken = len(INDENT) + (beside.columns + len(GAP) if beside else 0)
        block = _output(output, prediction.labels, terminal, terminal.width - taken)
        lines += ["", *_side_by_side(beside, block)]
        beside = None
    return lines


def bar(share: float, width: int, terminal: Terminal) -> str:
    """A bar of this share of the width, padded to it; in eighths of a character where there are such."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if not terminal.unicode:
        return ("#" * round(eighths / 8)).ljust(width)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()).ljust(width)


def _headline(prediction: Prediction, terminal: Terminal) -> list[str]:
    answer = prediction.answer
    latency = f"{answer.latency_ms:.1f} ms"
    told = f"  version {answer.version}" * bool(answer.version) + f"  revision {answer.revision}" * bool(
        answer.revision
    )
    gap = terminal.width - len(prediction.model) - len(told) - len(latency)
    return [
        terminal.paint(prediction.model, Tint.BOLD) + told + " " * max(2, gap) + terminal.paint(latency, Tint.ACCENT),
        terminal.paint(terminal.shorten(prediction.place, terminal.width), Tint.DIM),
    ]


def _input_picture(prediction: Prediction, terminal: Terminal) -> Drawing | None:
    tensors = prediction.request.tensors
    if len(tensors) != 1:
        return None
    return _picture(tensors[0], terminal, is_certain=prediction.request.is_image)


def _picture(tensor: Tensor, terminal: Terminal, *, is_certain: bool) -> Drawing | None:
    pixels = picture.pixels_of(tensor.values, is_certain=is_certain)
    return None if pixels is None else picture.draw(pixels, terminal, min(MAX_PICTURE, terminal.width // 2))


def _side_by_side(left: Drawing | None, right: list[str]) -> list[str]:
    if left is None:
        return [f"{INDENT}{line}".rstrip() for line in right]
    pairs = zip_longest(left.lines, right)
    lines = [f"{INDENT}{a or ' ' * left.columns}{GAP}{b or ''}".rstrip() for a, b in pairs]
    while not lines[-1]:
        lines.pop()
    return lines


def _output(output: Tensor, labels: tuple[str, ...], terminal: Terminal, width: int) -> list[str]:
    title = terminal.paint(f"{output.name} {output.datatype} {list(output.values.shape)}", Tint.DIM)
    if has_probabilities(output):
        rows = choices_of(output, labels)
        return [title, *(_classes(rows[0], terminal, width) if len(rows) == 1 else _table(rows, terminal, width))]
    drawn = _picture(output, terminal, is_certain=False) if output.values.ndim > 2 else None
    return [title, *(drawn.lines if drawn else _values(output, width))]


def _classes(choices: list[Choice], terminal: Terminal, width: int) -> list[str]:
    """One line per class, the most probable first and in colour."""
    shown = choices[:MAX_CLASSES]
    label_width = min(MAX_LABEL, max(len(choice.label) for choice in shown))
    lines = [_bar_line(choice, label_width, terminal, width, is_best=choice is shown[0]) for choice in shown]
    hidden = choices[MAX_CLASSES:]
    if hidden:
        rest = sum(choice.probability for choice in hidden)
        lines.append(terminal.paint(f"{len(hidden)} more classes, {rest:.1%} together", Tint.DIM))
    return lines


def _table(rows: list[list[Choice]], terminal: Terminal, width: int) -> list[str]:
    """One line per row with its most probable class."""
    shown = rows[:MAX_ROWS]
    label_width = min(MAX_LABEL, max(len(row[0].label) for row in shown))
    number_width = len(str(len(shown)))
    lines = []
    for number, row in enumerate(shown, 1):
        line = _bar_line(row[0], label_width, terminal, width - number_width - 6, is_best=True)
        lines.append(terminal.paint(f"row {number:>{number_width}}", Tint.DIM) + "  " + line)
    if len(rows) > MAX_ROWS:
        lines.append(terminal.paint(f"{len(rows) - MAX_ROWS} more rows: --output json shows all", Tint.DIM))
    return lines


def _bar_line(choice: Choice, label_width: int, terminal: Terminal, width: int, *, is_best: bool) -> str:
    label = terminal.shorten(choice.label, label_width).rjust(label_width)
    percent = f"{choice.probability:7.1%}"
    drawn = bar(choice.probability, max(4, min(MAX_BAR, width - label_width - len(percent) - 4)), terminal)
    tints = (Tint.GOOD, Tint.BOLD) if is_best else ()
    return f"{terminal.paint(label, *tints)}  {terminal.paint(drawn, *tints[:1])} {terminal.paint(percent, *tints)}"


def _values(output: Tensor, width: int) -> list[str]:
    """The numbers or texts themselves, at most MAX_VALUES of them."""
    if output.datatype == "BYTES":
        texts = [repr(text) for text in np.ravel(np.array(as_json(output.values), dtype=object))[:MAX_VALUES]]
        return [text if len(text) <= width else text[: width - 3] + "..." for text in texts]
    text = np.array2string(
        output.values, max_line_width=width, threshold=MAX_VALUES, precision=4, suppress_small=True, separator=" "
    )
    return text.splitlines()
