"""Turns pydantic's JSON schema into the structural schema that a CustomResourceDefinition takes.

`crd` calls it. The API server refuses `$ref`, `const` and `null` types, and it prunes what it does not know,
so that references are put in place, "X or null" becomes an optional X and everything that only pydantic
reads is left out. What cannot be said in a structural schema raises: nothing is dropped in silence.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# The order of the keys in each node, as a reader wants them.
KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "items",
    "additionalProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)
DROPPED = {"title", "anyOf", "$ref"}

Schema = dict[str, Any]


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, self-contained, without the default of an absent object."""
    whole = model.model_json_schema(by_alias=True)
    definitions = whole.pop("$defs", {})
    return _node(whole, definitions)


def _node(raw: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    node = _in_place(raw, definitions)
    if "default" in node and node["default"] is None:
        del node["default"]
    if node.get("additionalProperties") is False:
        del node["additionalProperties"]
    if unknown := set(node) - set(KEPT) - DROPPED:
        raise ValueError(f"a structural schema cannot say {sorted(unknown)} of {raw}; declare the field otherwise")
    return {key: _value(key, node[key], definitions) for key in KEPT if key in node}


def _in_place(raw: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """The node without reference and "or null"; what a field says wins over what its type says."""
    node = dict(raw)
    if "anyOf" in node:
        choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
        if len(choices) != 1:
            raise ValueError(f"a structural schema has no union: {raw}; declare one type")
        node = {**choices[0], **node}
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        node = {**_in_place(target, definitions), **node}
    return node


def _value(key: str, value: Any, definitions: Mapping[str, Schema]) -> Any:
    if key == "properties":
        return {name: _node(child, definitions) for name, child in value.items()}
    if key in {"items", "additionalProperties"}:
        return _node(value, definitions)
    return value
