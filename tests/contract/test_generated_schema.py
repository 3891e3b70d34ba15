"""`hack.generate.schema`: what pydantic says becomes what a structural schema can say, or raises."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hack.generate.schema import structural


class Leaf(BaseModel):
    """The leaf's own words."""

    model_config = ConfigDict(extra="forbid")
    size: Annotated[int, Field(ge=1)] | None = None


class Tree(BaseModel):
    """A tree."""

    model_config = ConfigDict(extra="forbid")
    leaf: Leaf
    other: Leaf | None = Field(default=None, description="The field's words.")
    leaves: Annotated[tuple[Leaf, ...], Field(max_length=3)] = Field(description="Leaves.")


LEAF = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}


def test_references_are_put_in_place_and_null_is_optional() -> None:
    assert structural(Tree) == {
        "description": "A tree.",
        "type": "object",
        "required": ["leaf", "leaves"],
        "properties": {
            "leaf": {"description": "The leaf's own words.", **LEAF},
            "other": {"description": "The field's words.", **LEAF},
            "leaves": {
                "description": "Leaves.",
                "type": "array",
                "maxItems": 3,
                "items": {"description": "The leaf's own words.", **LEAF},
            },
        },
    }


class Union(BaseModel):
    """Two types in one field."""

    value: int | str


class Exclusive(BaseModel):
    """A limit that is a number in JSON schema and a flag in a structural one."""

    value: Annotated[int, Field(gt=0)]


class Keys(BaseModel):
    """A map with rules for its keys."""

    value: dict[Annotated[str, Field(max_length=3)], int]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Union, "a structural schema has no union"),
        (Exclusive, r"a structural schema cannot say \['exclusiveMinimum'\]"),
        (Keys, r"a structural schema cannot say \['propertyNames'\]"),
    ],
)
def test_what_cannot_be_said_raises(model: type[BaseModel], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        structural(model)


def test_output_is_the_same_each_time() -> None:
    first: Any = structural(Tree)
    assert list(first) == list(structural(Tree))
