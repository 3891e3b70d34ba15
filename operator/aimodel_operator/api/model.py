"""Turns the raw AIModel of a watch or a GET into a checked value: the first step of a reconcile.

Called by `reconcile`; `observe` comes next. The API server has checked the object by the CRD already; this
guards against a CRD of another version, with the same rules and messages.
Must never change the raw object, and never put a value of the spec into a message.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aimodel_operator.api.conditions import trimmed
from aimodel_operator.api.schema import Rule
from aimodel_operator.api.spec import AIModelSpec

GROUP = "aimodel.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "AIModel"
PLURAL = "aimodels"

NAME_FORM = "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
NAME_RULE = Rule(
    f"self.metadata.name.matches('{NAME_FORM}')",
    "metadata.name must have at most 40 characters: first a lower-case letter, then lower-case letters, "
    "digits and '-', no '-' at the end; choose another name, as the names of Services and Pods are made from "
    "it",
    lambda name: re.fullmatch(NAME_FORM, name) is not None,
)

# What to do about the errors that pydantic words itself; our own rules say it in their message.
_REMEDIES = {
    "extra_forbidden": "is not a field of this version; remove it, or update the operator and its CRD",
    "missing": "is required; add it",
}


class SpecInvalid(ValueError):
    """The AIModel cannot be worked with; the message names each field and what to do about it."""


@dataclass(frozen=True, slots=True)
class AIModel:
    """One AIModel as it was read: who it is, what is wished, and the raw status it carried."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: AIModelSpec
    status: Mapping[str, Any]


def parse(obj: Mapping[str, Any]) -> AIModel:
    """The checked AIModel; raises SpecInvalid when spec or name break a rule."""
    metadata = obj["metadata"]
    try:
        NAME_RULE.check(metadata["name"])
    except ValueError as exc:
        raise SpecInvalid(str(exc)) from exc
    return AIModel(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        spec=parse_spec(obj.get("spec", {})),
        status=obj.get("status", {}),
    )


def parse_spec(spec: Mapping[str, Any]) -> AIModelSpec:
    """The checked spec alone; raises SpecInvalid."""
    try:
        return AIModelSpec.model_validate(spec, by_alias=True, by_name=False)
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_input=False)
        raise SpecInvalid(trimmed("; ".join(_worded(error) for error in found))) from exc


def _worded(error: ErrorDetails) -> str:
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    if error["type"] == "value_error":
        return f"{path} {error['ctx']['error']}"
    remedy = _REMEDIES.get(error["type"])
    return f"{path} {remedy}" if remedy else f"{path}: {error['msg']}; correct the value"
