"""One statement about an AIModel, as `assess` makes it and the status carries it.

Times and the observed generation are added where the status is written; a value here is equal to another
when both say the same, which is how an unchanged status is told without a look at the clock.
"""

from dataclasses import dataclass
from enum import StrEnum

from aimodel_operator.api.reasons import Reason

MESSAGE_LIMIT = 1024


class ConditionType(StrEnum):
    """What the statement is about."""

    READY = "Ready"
    AVAILABLE = "Available"
    SPEC_VALID = "SpecValid"
    SOURCE_READY = "SourceReady"
    IMAGE_READY = "ImageReady"
    PROGRESSING = "Progressing"


MEANINGS: dict[ConditionType, str] = {
    ConditionType.READY: "Available, and the spec as it is written is what is served.",
    ConditionType.AVAILABLE: "A request sent now would be answered, be it by an earlier revision. Alert on this.",
    ConditionType.SPEC_VALID: "The spec can be worked with.",
    ConditionType.SOURCE_READY: "The model was fetched and is what it should be.",
    ConditionType.IMAGE_READY: "The image with the model is in the registry.",
    ConditionType.PROGRESSING: "Something is under way towards the spec as it is written.",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A statement, why, and what to do. `status` None means Unknown; a long message is cut, not refused."""

    type: ConditionType
    status: bool | None
    reason: Reason
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", trimmed(self.message))

    @property
    def status_word(self) -> str:
        """The status as the API spells it."""
        return "Unknown" if self.status is None else str(self.status)


def trimmed(message: str) -> str:
    """The message within the limit; a cut one ends with an ellipsis."""
    message = message.strip()
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
