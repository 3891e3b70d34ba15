"""Turns YAML text into objects that still know the line of every field.

Called by `lint` and `render`. YAML is read as Kubernetes reads it: a date stays text, a key given twice is an
error. Must never judge what the objects say; that is `lint_rules`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from aimodel_operator.cli.errors import UsageError

Path = tuple[str | int, ...]

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where, and what to do; `field` is empty when it is about the whole file."""

    file: str
    line: int
    field: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file with the YAML nodes it was made from."""

    file: str
    value: Any
    node: yaml.Node

    def line_of(self, path: Path) -> int:
        """The line (from 1) of a field's key; for one that is not there, of the nearest field around it."""
        node, line = self.node, self.node.start_mark.line
        for step in path:
            found = _step(node, step)
            if found is None:
                break
            node, line = found
        return int(line) + 1

    def entry(self, path: Path, value: Any) -> "Document":
        """A document of its own for a value inside this one, such as an item of a List."""
        node = self.node
        for step in path:
            found = _step(node, step)
            node = found[0] if found else node
        return Document(self.file, value, node)


class _Loader(yaml.SafeLoader):
    """Safe, and without YAML's dates, which Kubernetes reads as text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    """The documents of a file up to the first line that is no YAML, and what is wrong with it as YAML."""
    documents: list[Document] = []
    problems: list[Problem] = []
    loader = _Loader(text)
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            loop = _loop(node, ())
            if loop is not None:
                remedy = "write the value out instead of naming the anchor inside itself"
                problems.append(Problem(file, loop.start_mark.line + 1, "", "contains itself", remedy))
                continue
            problems += (_twice(file, key) for key in _repeated_keys(node, set()))
            value = loader.construct_document(node)
            if value is not None:
                documents += _flat(Document(file, value, node))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        remedy = "correct the indentation or the quotes here or just above"
        problems.append(Problem(file, mark.line + 1 if mark else 1, "", f"is not YAML: {exc.problem}", remedy))
    except yaml.YAMLError as exc:
        problems.append(Problem(file, 1, "", f"is not YAML: {exc}", "save the file as plain text in UTF-8"))
    finally:
        loader.dispose()
    return documents, problems


def decode(content: bytes, file: str) -> str:
    """The text of a file; raises UsageError."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UsageError(f"{file} is not text in UTF-8", "save it as UTF-8") from exc


def field_name(path: Sequence[str | int]) -> str:
    """A path as people write it: spec.serving.env[2].name."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _flat(document: Document) -> Iterator[Document]:
    """The document, or the items of a List as kubectl writes it."""
    value = document.value
    if isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list):
        for index, item in enumerate(value["items"]):
            yield document.entry(("items", index), item)
    else:
        yield document


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        entry = node.value[step]
        return entry, entry.start_mark.line
    if isinstance(node, yaml.MappingNode):
        # NB: of a key that stands twice, YAML takes the last.
        for key, value in reversed(node.value):
            if key.value == str(step):
                return value, key.start_mark.line
    return None


def _loop(node: yaml.Node, around: tuple[yaml.Node, ...]) -> yaml.Node | None:
    """A node that contains itself by an alias, which Kubernetes refuses too; None when there is none."""
    if any(node is outer for outer in around):
        return node
    if isinstance(node, yaml.SequenceNode):
        inner = list(node.value)
    elif isinstance(node, yaml.MappingNode):
        inner = [value for _, value in node.value]
    else:
        return None
    return next((loop for child in inner if (loop := _loop(child, (*around, node))) is not None), None)


def _repeated_keys(node: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    """The keys that stand a second time in their mapping; YAML would silently take the last."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _repeated_keys(entry, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[Any] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys and key.value != "<<":
                    yield key
                keys.add(key.value)
            yield from _repeated_keys(value, seen)


def _twice(file: str, key: yaml.Node) -> Problem:
    return Problem(file, key.start_mark.line + 1, str(key.value), "stands here a second time", "keep one of the two")
