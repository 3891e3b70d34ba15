"""What the operator tells back: the shape of `status`, from which `hack.generate` makes its part of the CRD.

`assess` makes the values as plain dicts; nothing reads a status through these types. Every field can be
lost and is then found again from the cluster: the status is a view, never the memory.
"""

from typing import Annotated, Literal

from pydantic import Field

from aimodel_operator.api.conditions import MESSAGE_LIMIT
from aimodel_operator.api.schema import ListMap, Part, whole

Count = Annotated[int, whole(0, 2**31 - 1)]
Generation = Annotated[int, Field(strict=True, ge=0)]
Name = Annotated[str, Field(max_length=63)]
Digest = Annotated[str, Field(max_length=71)]
ImageName = Annotated[str, Field(max_length=1024)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]


class ConditionStatus(Part):
    """One statement about the AIModel, as Kubernetes spells conditions."""

    type: Annotated[str, Field(max_length=316)] = Field(description="What the statement is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: Generation | None = Field(
        default=None, description="The metadata.generation that the statement is about."
    )
    last_transition_time: Time = Field(description="When status last changed.")
    reason: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The cause in one word; docs/reasons.md has cause and remedy of each."
    )
    message: Annotated[str, Field(max_length=MESSAGE_LIMIT)] = Field(
        description="What is the matter, with which object, and what to do next."
    )


class RevisionStatus(Part):
    """A revision and the pods that serve it."""

    revision: Name | None = Field(default=None, description="Name of the revision and of its Deployment.")
    image: ImageName | None = Field(default=None, description="Image with the model, by digest.")
    model_digest: Digest | None = Field(default=None, description="Digest of the model's bytes as downloaded.")
    replicas: Count | None = Field(default=None, description="Pods of the revision that exist.")
    ready_replicas: Count | None = Field(default=None, description="Pods of the revision that answer requests.")


class HistoryEntry(Part):
    """A revision that is kept."""

    revision: Name = Field(description="Name of the revision.")
    model_digest: Digest | None = Field(default=None, description="Digest of the model's bytes as downloaded.")
    image: ImageName | None = Field(default=None, description="Image with the model, by digest.")
    created_at: Time | None = Field(default=None, description="When the revision was made.")


class AIModelStatus(Part):
    """What is true now. Written by the operator alone."""

    observed_generation: Generation | None = Field(
        default=None, description="The metadata.generation that this status is about."
    )
    replicas: Count | None = Field(default=None, description="Serving pods that exist, of all revisions.")
    ready_replicas: Count | None = Field(default=None, description="Serving pods that answer requests.")
    selector: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None,
        description="Label selector of the serving pods in string form, for the scale subresource.",
    )
    url: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Where the model is reached by gRPC from inside the cluster."
    )
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16), ListMap("type")] | None = Field(
        default=None,
        description="Ready, Available, SpecValid, SourceReady, ImageReady and Progressing. Available: a "
        "request sent now would be answered. Ready: available, and the spec as written is what is served.",
    )
    active: RevisionStatus | None = Field(default=None, description="The revision that gets the traffic.")
    target: RevisionStatus | None = Field(
        default=None, description="The revision that the spec asks for, while it is not the active one."
    )
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=128), ListMap("revision")] | None = Field(
        default=None, description="The revisions that are kept, newest first."
    )
