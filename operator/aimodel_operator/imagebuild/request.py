"""Turns the JSON in AIMODEL_BUILD_REQUEST into a checked `BuildRequest`.

Read by `__main__`; written by the operator. Whatever is wrong with it is said with the field's name, and
nothing of it is used before all of it has been checked. `build` is next.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from aimodel_operator.imagebuild.errors import RequestInvalidError
from aimodel_operator.imagebuild.reference import PinnedImage, Repository

Format = Literal["Auto", "ONNX"]


def _repository(text: str) -> str:
    Repository.parse(text)
    return text


def _pinned_image(text: str) -> str:
    PinnedImage.parse(text)
    return text


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid", hide_input_in_errors=True)


class Source(_Part):
    """Where the model's bytes are, and what they must be."""

    uri: str = Field(max_length=2048)
    digest: str | None = Field(default=None, pattern="^sha256:[0-9a-f]{64}$")
    format: Format = "Auto"


class Limits(_Part):
    """What one build may use: bytes (downloaded, and again unpacked) and wall-clock seconds over all."""

    max_bytes: int = Field(gt=0)
    timeout_seconds: int = Field(gt=0)


class BuildRequest(_Part):
    """One image to build."""

    # The name becomes a folder in the layer, so nothing that means something in a path may pass.
    model: str = Field(pattern="^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")
    source: Source
    repository: Annotated[str, AfterValidator(_repository)]
    base: Annotated[str, AfterValidator(_pinned_image)]
    push_secret: str | None = Field(default=None, max_length=253)
    """The Secret that is mounted at $DOCKER_CONFIG, for messages; None: pushed without credentials."""
    plain_http_registries: frozenset[str] = frozenset()
    allowed_private_hosts: frozenset[str] = frozenset()
    limits: Limits


def parse(text: str) -> BuildRequest:
    """Raises RequestInvalidError naming each wrong field, never its value."""
    try:
        return BuildRequest.model_validate_json(text)
    except ValidationError as exc:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in error['loc']) or 'the text'}: {error['msg']}"
            for error in exc.errors(include_input=False, include_url=False)
        )
        raise RequestInvalidError(f"The build request does not read: {wrong}.") from exc
