"""Turns one object of a manifest into the problems that the cluster would have with it.

Called by `lint` and `render`, without a cluster. The verdict on a spec is `api.parse_spec`'s, the one that
the operator uses; this module adds line numbers, what stands around the spec, and a guess at what a misspelt
field was to be.
"""

import difflib
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aimodel_operator import api
from aimodel_operator.api.model import NAME_RULE
from aimodel_operator.cli.manifest import Document, Path, Problem, field_name

_TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")


def is_aimodel(value: Any) -> bool:
    """Whether an object is, or was meant to be, an AIModel."""
    if not isinstance(value, dict):
        return False
    return value.get("kind") == api.KIND or str(value.get("apiVersion", "")).startswith(f"{api.GROUP}/")


def check(document: Document) -> list[Problem]:
    """Everything wrong with an AIModel."""
    return [*_envelope(document), *_name(document), *_spec(document)]


def _problem(document: Document, path: Path, message: str, remedy: str) -> Problem:
    return Problem(document.file, document.line_of(path), field_name(path), message, remedy)


def _envelope(document: Document) -> Iterator[Problem]:
    value = document.value
    for key, wanted in (("apiVersion", api.API_VERSION), ("kind", api.KIND)):
        if value.get(key) != wanted:
            yield _problem(document, (key,), f"is {value.get(key)!r}", f"write {key}: {wanted}")
    for key in value:
        if key not in _TOP_LEVEL:
            remedy = _guess(str(key), _TOP_LEVEL) or "remove it, or indent it under spec"
            yield _problem(document, (key,), "is not a field of an AIModel", remedy)


def _name(document: Document) -> Iterator[Problem]:
    metadata = document.value.get("metadata")
    if not isinstance(metadata, dict):
        yield _problem(document, ("metadata",), "is required", "add metadata with a name")
    elif "name" not in metadata:
        yield _problem(document, ("metadata", "name"), "is required", "add it")
    elif not isinstance(metadata["name"], str) or not NAME_RULE.holds(metadata["name"]):
        message = NAME_RULE.message.removeprefix("metadata.name ")
        yield _problem(document, ("metadata", "name"), *_halves(message))


def _spec(document: Document) -> Iterator[Problem]:
    spec = document.value.get("spec")
    if not isinstance(spec, dict):
        message = "is required" if spec is None else "must be a mapping"
        yield _problem(document, ("spec",), message, "add spec with a source")
        return
    try:
        api.parse_spec(without_nulls(spec))
    except api.SpecInvalid as exc:
        cause = exc.__cause__
        if not isinstance(cause, ValidationError):
            yield _problem(document, ("spec",), *_halves(str(exc)))
            return
        for error in cause.errors(include_url=False, include_input=False):
            yield _problem(document, ("spec", *error["loc"]), *_worded(error))


def without_nulls(value: Any) -> Any:
    """The value as the API server takes it: a null in a mapping is a field that was left out."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def _worded(error: ErrorDetails) -> tuple[str, str]:
    """What is wrong, and what to do."""
    match error["type"]:
        case "value_error":
            return _halves(str(error["ctx"]["error"]))
        case "missing":
            return "is required", "add it"
        case "extra_forbidden":
            return "is not a field of this version", _place(error["loc"])
        case _:
            message = error["msg"].replace("Input should be", "must be").replace("Value should", "must")
            return message[0].lower() + message[1:], "correct the value"


def _halves(text: str) -> tuple[str, str]:
    """The rules of the API say what is wanted and what to do in one sentence with a semicolon."""
    message, _, remedy = text.partition("; ")
    return message, remedy or "correct the value"


def _place(loc: tuple[str | int, ...]) -> str:
    """Where an unknown field may have been meant to stand, or which field was meant."""
    known = sorted(_fields(api.AIModelSpec, "spec"))
    parent, _, name = field_name(("spec", *(step for step in loc if isinstance(step, str)))).rpartition(".")
    elsewhere = [path for path in known if path.rpartition(".")[2] == name]
    if elsewhere:
        return f"move it to {elsewhere[0]}"
    siblings = [path.rpartition(".")[2] for path in known if path.rpartition(".")[0] == parent]
    return _guess(name, siblings) or f"remove it; {parent} has {', '.join(siblings)}"


def _guess(name: str, known: typing.Sequence[str]) -> str:
    """The known name that was probably meant, as advice; empty when none is near."""
    by_lower = {word.lower(): word for word in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {by_lower[near[0]]}?" if near else ""


def _fields(part: type[BaseModel], prefix: str) -> Iterator[str]:
    """Every field below a part of the API, as a dotted path without list indices."""
    for name, field in part.model_fields.items():
        path = f"{prefix}.{field.alias or name}"
        yield path
        for inner in _parts(field.annotation):
            yield from _fields(inner, path)


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _parts(argument)
