"""Turns the file of `aimodel predict` into the tensors of a request, by what the model says it wants.

The content decides: a PNG or JPEG image (`image`), JSON (a nested list for a model with one input, or the
Open Inference Protocol's {"inputs": [...]}), else CSV with one row per prediction. Text in a file called .json
is JSON whatever it holds, so that its errors speak of JSON. Must never reorder or invent values; what does not
fit is a UsageError that names the file and the place in it.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aimodel_operator.cli.errors import UsageError
from aimodel_operator.cli.image import Scale, is_image, read_image
from aimodel_operator.cli.tensors import Array, Tensor, TensorSpec, cast, dtype_of, fit

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_TENSOR_KEYS = {"name", "datatype", "shape", "data"}


@dataclass(frozen=True, slots=True)
class Request:
    """The tensors to send, and the outputs to ask for; none means all."""

    tensors: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()
    is_image: bool = False


def read(content: bytes, what: str, wanted: Sequence[TensorSpec], scale: Scale | None) -> Request:
    """The request in a file's content; `what` names the file, `wanted` are the model's inputs."""
    if is_image(content):
        return Request((read_image(content, _only(wanted, what), scale, what),), is_image=True)
    if scale is not None:
        raise UsageError(f"--scale is for images, {what} is none", "leave --scale out")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UsageError(
            f"{what} is neither an image that can be read here nor text in UTF-8", "give PNG, JPEG, CSV or JSON"
        ) from exc
    if text.lstrip()[:1] in ("[", "{") or what.lower().endswith(".json"):
        try:
            return _from_json(text, what, wanted)
        except RecursionError as exc:
            raise UsageError(f"{what} is nested too deeply", "remove brackets until it has the model's shape") from exc
    return Request(_from_csv(text, what, wanted))


def _only(wanted: Sequence[TensorSpec], what: str) -> TensorSpec:
    if len(wanted) != 1:
        names = ", ".join(spec.name for spec in wanted)
        raise UsageError(
            f"the model has {len(wanted)} inputs ({names}), {what} holds values for one",
            'give JSON like {"inputs": [{"name": "...", "datatype": "...", "shape": [...], "data": [...]}, ...]}',
        )
    return wanted[0]


def _from_json(text: str, what: str, wanted: Sequence[TensorSpec]) -> Request:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as exc:
        raise UsageError(f"{what}:{exc.lineno}: is not JSON: {exc.msg}", "correct that line") from exc
    if isinstance(document, list):
        spec = _only(wanted, what)
        return Request((Tensor(spec.name, spec.datatype, fit(_array(document, spec, what), spec, what)),))
    if not isinstance(document, dict):
        raise UsageError(
            f"{what} is JSON, but neither a list nor an object", "give a nested list, or the protocol's inputs"
        )
    inputs = document.get("inputs")
    if not isinstance(inputs, list):
        raise UsageError(f'{what} has no list "inputs"', "give a nested list, or the protocol's inputs")
    _refuse_others(document, {"id", "inputs", "outputs"}, what)
    outputs = document.get("outputs") or []
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in outputs]
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"{what} has an output without a name", 'write outputs as [{"name": "..."}]')
    return Request(tuple(_tensor(entry, what) for entry in inputs), tuple(str(name) for name in names))


def _tensor(entry: Any, what: str) -> Tensor:
    """One input in the protocol's JSON; its data may be flat or nested."""
    if not isinstance(entry, dict) or not entry.keys() >= _TENSOR_KEYS:
        raise UsageError(f"{what} has an input without {', '.join(sorted(_TENSOR_KEYS))}", "add what is missing")
    name = f'input "{entry["name"]}" of {what}'
    _refuse_others(entry, _TENSOR_KEYS, name)
    shape = entry["shape"]
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise UsageError(f"{name} has no usable shape", "give the sizes as a list of whole numbers, none negative")
    spec = TensorSpec(entry["name"], entry["datatype"], tuple(shape))
    values = _array(entry["data"], spec, name)
    if values.size != int(np.prod(shape)):
        raise UsageError(
            f"{name} has {values.size} values, its shape {shape} wants {int(np.prod(shape))}", "correct one"
        )
    return Tensor(spec.name, spec.datatype, values.reshape(shape))


def _array(data: Any, spec: TensorSpec, what: str) -> Array:
    if dtype_of(spec.datatype).kind == "O":
        return cast(np.array(data, dtype=object), spec.datatype, what)
    try:
        values = np.array(data)
    except (ValueError, OverflowError) as exc:
        raise UsageError(f"{what} is no tensor: its rows have different lengths", "make all rows alike") from exc
    return cast(values, spec.datatype, what)


def _refuse_others(document: dict[str, Any], known: set[str], what: str) -> None:
    others = sorted(document.keys() - known)
    if others:
        raise UsageError(f"{what} has {', '.join(others)}, which this command does not send", "remove it")


def _from_csv(text: str, what: str, wanted: Sequence[TensorSpec]) -> tuple[Tensor, ...]:
    lines = [(number, row) for number, row in enumerate(csv.reader(io.StringIO(text)), 1) if row]
    names = {spec.name for spec in wanted}
    header = lines[0][1] if lines and _is_header(lines[0][1], wanted) else None
    body = lines[1:] if header else lines
    if not body:
        raise UsageError(f"{what} has no rows", "give one line of comma-separated values per prediction")
    width = len(header or body[0][1])
    for number, row in body:
        if len(row) != width:
            raise UsageError(
                f"{what}:{number} has {len(row)} values, the first line has {width}", "make all rows alike"
            )
    if header and len(wanted) > 1 and {name.strip() for name in header} == names:
        columns = {name.strip(): index for index, name in enumerate(header)}
        return tuple(_column_tensor(body, [columns[spec.name]], spec, what) for spec in wanted)
    return (_column_tensor(body, list(range(width)), _only(wanted, what), what),)


def _column_tensor(body: list[tuple[int, list[str]]], columns: list[int], spec: TensorSpec, what: str) -> Tensor:
    cells = [[_cell(row[column], spec, f"{what}:{number}", column) for column in columns] for number, row in body]
    values = np.array(cells, dtype=object if spec.datatype == "BYTES" else None)
    return Tensor(spec.name, spec.datatype, fit(cast(values, spec.datatype, what), spec, what))


def _cell(text: str, spec: TensorSpec, where: str, column: int) -> Any:
    text = text.strip()
    try:
        if spec.datatype == "BYTES":
            return text
        if spec.datatype == "BOOL":
            return _BOOLEANS[text.lower()]
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except (ValueError, KeyError) as exc:
        kind = "true or false" if spec.datatype == "BOOL" else "a number"
        raise UsageError(f'{where}: column {column + 1} is "{text}", not {kind}', "correct that value") from exc


def _is_header(row: list[str], wanted: Sequence[TensorSpec]) -> bool:
    """A first line is a header when it names the inputs, or has no number where all inputs are numbers."""
    cells = [cell.strip() for cell in row]
    if len(wanted) > 1:
        return set(cells) == {spec.name for spec in wanted}
    if wanted[0].datatype in ("BYTES", "BOOL"):
        return cells == [wanted[0].name]
    return not any(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
