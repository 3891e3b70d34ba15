"""Turns left-out fields of a spec into the operator's defaults. The one place that holds them.

Called by `render` when it makes a new revision, which keeps the resolved values: a new operator with other
defaults changes no revision that exists. They are not in the CRD's schema for the same reason.
The descriptions in `spec` name each value ("When absent: …"); a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from aimodel_operator.api.spec import AIModelSpec, Batching, Engine, EnvVar, Format, Rollout, Serving

T = TypeVar("T")

FORMAT = Format.AUTO
ENGINE = Engine.AUTO
MAX_ROWS = 64
MAX_DELAY_MILLISECONDS = 0
MAX_IN_FLIGHT = 256
TIMEOUT_SECONDS = 30
DRAIN_SECONDS = 5
REQUESTS: Mapping[str, str] = MappingProxyType({"cpu": "100m", "memory": "128Mi"})
LIMITS: Mapping[str, str] = MappingProxyType({"memory": "1Gi"})
PROGRESS_DEADLINE_SECONDS = 600
REVISION_HISTORY_LIMIT = 10


@dataclass(frozen=True, slots=True)
class ServingValues:
    """`spec.serving` with nothing left open."""

    engine: Engine
    max_rows: int
    max_delay_milliseconds: int
    max_in_flight: int
    timeout_seconds: int
    drain_seconds: int
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    env: tuple[EnvVar, ...]


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def source_format(spec: AIModelSpec) -> Format:
    """The format that the build is to insist on."""
    return _or(spec.source.format, FORMAT)


def serving(spec: AIModelSpec) -> ServingValues:
    """How to serve; `resources` is taken whole or not at all."""
    wish = spec.serving or Serving()
    batching = wish.batching or Batching()
    resources = wish.resources
    return ServingValues(
        engine=_or(wish.engine, ENGINE),
        max_rows=_or(batching.max_rows, MAX_ROWS),
        max_delay_milliseconds=_or(batching.max_delay_milliseconds, MAX_DELAY_MILLISECONDS),
        max_in_flight=_or(wish.max_in_flight, MAX_IN_FLIGHT),
        timeout_seconds=_or(wish.timeout_seconds, TIMEOUT_SECONDS),
        drain_seconds=_or(wish.drain_seconds, DRAIN_SECONDS),
        requests=REQUESTS if resources is None else resources.requests or {},
        limits=LIMITS if resources is None else resources.limits or {},
        env=wish.env or (),
    )


def progress_deadline_seconds(spec: AIModelSpec) -> int:
    """How long a new revision may take to become ready."""
    return _or((spec.rollout or Rollout()).progress_deadline_seconds, PROGRESS_DEADLINE_SECONDS)


def revision_history_limit(spec: AIModelSpec) -> int:
    """How many revisions to keep besides those in use."""
    return _or(spec.revision_history_limit, REVISION_HISTORY_LIMIT)
