"""Turns declarations on pydantic types into both checks: ours in Python and the API server's in CEL.

Used by `spec` and `status`, whose JSON schema `hack.generate` reshapes into the CRD. A rule is declared once
with its CEL text, its Python twin and one message that says what is wanted and what to do, so that a spec is
refused with the same words by `kubectl apply` and by `api.parse`.
Must never read a file, the clock or the environment.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from aimodel_operator.api import quantity

Schema = dict[str, Any]
VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold, as CEL for the API server and as a function for `api.parse`.

    The message goes on from the field's path: "must be …; do …". On a field, `holds` gets its value; in
    `Part.rules` it gets the whole object.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]

    def check(self, value: Any) -> Any:
        """Return the value, or raise ValueError with the message."""
        if not self.holds(value):
            raise ValueError(self.message)
        return value

    def as_schema(self) -> dict[str, str]:
        """The entry of x-kubernetes-validations."""
        return {"rule": self.cel, "message": self.message}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        schema = handler(core)
        return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, []), self.as_schema()]}


def matching(regex: str, message: str) -> Rule:
    """A rule on a string. Use only what RE2 and Python's `re` read alike, and no backslash or quote."""
    return Rule(f"self.matches('{regex}')", message, lambda value: re.fullmatch(regex, value) is not None)


def not_matching(regex: str, message: str) -> Rule:
    """A rule that no part of a string matches."""
    return Rule(f"!self.matches('{regex}')", message, lambda value: re.search(regex, value) is None)


@dataclass(frozen=True, slots=True)
class ListMap:
    """A list whose entries are merged, and are unique, by one field (x-kubernetes-list-type: map)."""

    key: str

    def check(self, items: Any) -> Any:
        """Return the items, or raise ValueError naming the key that came twice."""
        seen: set[str] = set()
        for item in items:
            value = getattr(item, self.key)
            if value in seen:
                raise ValueError(f"has two entries with {to_camel(self.key)} {value!r}; keep one of them")
            seen.add(value)
        return items

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        keys = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [to_camel(self.key)]}
        return {**handler(core), **keys}


class _Quantity:
    """Takes an int or a string, keeps the string; an int-or-string in the CRD."""

    max_length = 32
    message = "must be a quantity such as 500m, 2 or 1Gi; correct the number or its unit"

    @classmethod
    def check(cls, value: Any) -> str:
        """Return the quantity as a string, or raise ValueError with the message."""
        text = str(value)
        if type(value) in {int, str} and len(text) <= cls.max_length and quantity.is_quantity(text):
            return text
        raise ValueError(cls.message)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.check)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        rule = {"rule": f"string(self).matches('{quantity.FORM}')", "message": cls.message}
        return {"x-kubernetes-int-or-string": True, "maxLength": cls.max_length, VALIDATIONS: [rule]}


Quantity = Annotated[str, _Quantity]


def whole(minimum: int, maximum: int) -> Any:
    """Limits of a whole number that is taken as it is: no "5", no 5.0, no true."""
    return Field(strict=True, ge=minimum, le=maximum)


class Part(BaseModel):
    """An object of the custom resource: immutable, no unknown field; snake_case here, camelCase outside."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        validate_by_alias=True,
        validate_by_name=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for rule in type(self).rules:
            rule.check(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        schema = handler.resolve_ref_schema(handler(core))
        if cls.rules:
            schema[VALIDATIONS] = [rule.as_schema() for rule in cls.rules]
        return schema
