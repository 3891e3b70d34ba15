"""The part of the spec that asks for CPU, memory and devices, with the rules that a pod would break on.

`spec` builds it into `serving`. What a pod's validation would refuse is refused here first, where the person
who wrote it sees it, and not as a Deployment that makes no pods.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from aimodel_operator.api import quantity
from aimodel_operator.api.schema import Part, Quantity, Rule

_SHARED = ("cpu", "memory", "ephemeral-storage")
_IS_SHARED = "name in ['cpu', 'memory', 'ephemeral-storage']"
_REQUEST, _LIMIT = "string(self.requests[name])", "string(self.limits[name])"
# A text that is no quantity is refused by the rule of its own field; comparing it would only add noise.
_IS_COMPARABLE = f"isQuantity({_REQUEST}) && isQuantity({_LIMIT})"
_COMPARISON = f"quantity({_REQUEST}).compareTo(quantity({_LIMIT}))"


def _has_known_names(quantities: dict[str, str]) -> bool:
    return all(name in _SHARED or name.startswith("hugepages-") or "/" in name for name in quantities)


def _has_requests_within_limits(resources: "Resources") -> bool:
    requests, limits = resources.requests or {}, resources.limits or {}
    both = requests.keys() & limits.keys()
    return all(quantity.parse(requests[name]) <= quantity.parse(limits[name]) for name in both)


def _has_limits_where_nothing_is_shared(resources: "Resources") -> bool:
    requests, limits = resources.requests or {}, resources.limits or {}
    exclusive = requests.keys() - set(_SHARED)
    return all(name in limits and quantity.parse(requests[name]) == quantity.parse(limits[name]) for name in exclusive)


Quantities = Annotated[
    dict[str, Quantity],
    Field(max_length=16),
    Rule(
        f"self.all(name, {_IS_SHARED} || name.startsWith('hugepages-') || name.contains('/'))",
        "must name resources that a node has: cpu, memory, ephemeral-storage, hugepages-SIZE or a "
        "DOMAIN/NAME such as nvidia.com/gpu; correct the name",
        _has_known_names,
    ),
]


class Resources(Part):
    """What a serving pod asks of its node, and the most it may use."""

    requests: Quantities | None = Field(
        default=None,
        description="What the scheduler keeps free for each pod, for example cpu: 500m, memory: 1Gi.",
    )
    limits: Quantities | None = Field(
        default=None,
        description="The most that each pod may use. A pod over its memory limit is killed (reason OutOfMemory).",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
            f"!({_IS_COMPARABLE}) || {_COMPARISON} <= 0)",
            "must not request more than the limit of the same resource; lower requests or raise limits",
            _has_requests_within_limits,
        ),
        Rule(
            f"!has(self.requests) || self.requests.all(name, {_IS_SHARED} || (has(self.limits) && "
            f"name in self.limits && (!({_IS_COMPARABLE}) || {_COMPARISON} == 0)))",
            "must have the same value in requests and limits for what a node cannot overcommit, such as "
            "nvidia.com/gpu and hugepages-2Mi; set the limit to the request",
            _has_limits_where_nothing_is_shared,
        ),
    )
