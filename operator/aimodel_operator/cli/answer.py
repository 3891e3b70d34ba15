"""Turns the outputs of a model into what they mean: classes with probabilities, or plain values.

`predict` makes a `Prediction` and prints it as JSON from here; `answer_view` draws it. Only numbers that are
probabilities are called so: between 0 and 1 and of sum 1 in every row; scores of any other kind stay values.
"""

import base64
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from aimodel_operator.cli.inputs import Request
from aimodel_operator.cli.oip_client import Answer
from aimodel_operator.cli.tensors import Array, Tensor

SUM_TOLERANCE = 1e-2


@dataclass(frozen=True, slots=True)
class Choice:
    """One class of one row."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """A question with its answer; `place` says where it was answered, `labels` may be empty."""

    model: str
    place: str
    request: Request
    answer: Answer
    labels: tuple[str, ...]


def as_document(prediction: Prediction) -> dict[str, Any]:
    """JSON-ready values; `predictions` has the best class of each row of an output of probabilities."""
    answer = prediction.answer
    return {
        "model": prediction.model,
        "version": answer.version or None,
        "revision": answer.revision or None,
        "place": prediction.place,
        "latencyMilliseconds": round(answer.latency_ms, 3),
        "predictions": [
            {"output": output.name, "class": row[0].index, "label": row[0].label, "probability": row[0].probability}
            for output in answer.outputs
            if has_probabilities(output)
            for row in choices_of(output, prediction.labels)
        ],
        "outputs": [
            {
                "name": output.name,
                "datatype": output.datatype,
                "shape": list(output.values.shape),
                "data": as_json(output.values),
            }
            for output in answer.outputs
        ],
    }


def has_probabilities(tensor: Tensor) -> bool:
    """Whether every row of an output is a distribution over two classes or more."""
    values = tensor.values
    if values.dtype.kind != "f" or values.ndim not in (1, 2) or values.shape[-1] < 2 or not values.size:
        return False
    wide = values.astype(np.float64)
    is_share = np.isfinite(wide).all() and wide.min() >= 0 and wide.max() <= 1 + SUM_TOLERANCE
    return bool(is_share and (np.abs(wide.sum(axis=-1) - 1) <= SUM_TOLERANCE).all())


def choices_of(tensor: Tensor, labels: tuple[str, ...]) -> list[list[Choice]]:
    """The classes of each row, most probable first; a class without a label is named by its number."""
    rows = np.atleast_2d(tensor.values)
    return [[_choice(row, int(index), labels) for index in np.argsort(-row, kind="stable")] for row in rows]


def as_json(values: Array) -> Any:
    """An array as nested lists; NaN and infinities by protobuf's names for them, BYTES as text or base64.

    Numbers of less than 64 bits are written with the digits that they have: 0.97, not 0.9700000286102295.
    """
    if values.ndim:
        return [as_json(np.asarray(item)) for item in values]
    item = values.item()
    return _scalar(float(str(values[()])) if values.dtype.kind == "f" else item)


def _choice(row: Array, index: int, labels: tuple[str, ...]) -> Choice:
    label = labels[index] if index < len(labels) else str(index)
    return Choice(index, label, float(str(row[index])))


def _scalar(item: Any) -> Any:
    if isinstance(item, bytes):
        try:
            return item.decode()
        except UnicodeDecodeError:
            return base64.b64encode(item).decode()
    if isinstance(item, float) and not math.isfinite(item):
        return "NaN" if math.isnan(item) else "Infinity" if item > 0 else "-Infinity"
    return item
