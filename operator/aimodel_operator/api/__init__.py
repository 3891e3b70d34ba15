"""The public contract of the AIModel resource as values: spec, conditions, reasons, names.

The first step of the data path: `api.parse → observe → decide → render → diff → apply → assess`. Everybody
imports this package and it imports none of ours, no framework, no clock and no environment.

    ValueError
      SpecInvalid     the AIModel cannot be worked with; its message is for the person who wrote it
"""

from aimodel_operator.api import defaults, names, ports, quantity
from aimodel_operator.api.conditions import MEANINGS, MESSAGE_LIMIT, Condition, ConditionType
from aimodel_operator.api.model import (
    API_VERSION,
    GROUP,
    KIND,
    PLURAL,
    VERSION,
    AIModel,
    SpecInvalid,
    parse,
    parse_spec,
)
from aimodel_operator.api.names import Component
from aimodel_operator.api.reasons import REASONS, Explanation, Reason
from aimodel_operator.api.resources import Resources
from aimodel_operator.api.spec import (
    AIModelSpec,
    Batching,
    Engine,
    EnvVar,
    Format,
    Image,
    Rollout,
    SecretKeyRef,
    SecretRef,
    Serving,
    Source,
)
from aimodel_operator.api.status import AIModelStatus

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "MEANINGS",
    "MESSAGE_LIMIT",
    "PLURAL",
    "REASONS",
    "VERSION",
    "AIModel",
    "AIModelSpec",
    "AIModelStatus",
    "Batching",
    "Component",
    "Condition",
    "ConditionType",
    "Engine",
    "EnvVar",
    "Explanation",
    "Format",
    "Image",
    "Reason",
    "Resources",
    "Rollout",
    "SecretKeyRef",
    "SecretRef",
    "Serving",
    "Source",
    "SpecInvalid",
    "defaults",
    "names",
    "parse",
    "parse_spec",
    "ports",
    "quantity",
]
