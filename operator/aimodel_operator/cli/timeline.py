"""Turns an AIModel as the API gives it into the stages of its way: source, build, rollout, serving.

Called by `status`; `status_view` draws the result. Reads only `metadata` and `status`, and takes a status
that is missing, partial or older than the spec for what it is. Must never read the clock or the cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from aimodel_operator import api

Obj = Mapping[str, Any]


class State(StrEnum):
    """Where a stage stands."""

    DONE = "Done"
    RUNNING = "Running"
    WAITING = "Waiting"
    UNKNOWN = "Unknown"
    DEGRADED = "Degraded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: `since` is when it got its state, `took_s` the seconds since the stage before was done."""

    name: str
    state: State
    since: datetime | None = None
    took_s: int | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """All that `aimodel status` says about a model. `remedy` is empty when there is nothing to do."""

    name: str
    namespace: str
    created: datetime | None
    ready: bool
    available: bool
    reason: str
    message: str
    remedy: str
    stages: tuple[Stage, ...]
    url: str
    revision: str
    target_revision: str
    image: str
    replicas: int
    ready_replicas: int
    is_stale: bool
    is_deleting: bool

    @property
    def is_settled(self) -> bool:
        """Whether the spec as written is served, so that there is nothing to wait for."""
        return self.ready and not self.is_stale and not self.is_deleting


def progress_of(model: Obj) -> Progress:
    """Everything to show about one AIModel."""
    metadata, status = model["metadata"], model.get("status") or {}
    conditions = {entry["type"]: entry for entry in status.get("conditions") or []}
    active, target = status.get("active") or {}, status.get("target") or {}
    ready = conditions.get("Ready") or {}
    created = parse_time(metadata.get("creationTimestamp"))
    stages = _with_durations(_stages(conditions, active, target), created)
    culprit = next((stage for stage in stages if stage.state is State.FAILED), None)
    reason = ready.get("reason", "") or (culprit.reason if culprit else "")
    return Progress(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        created=created,
        ready=ready.get("status") == "True",
        available=(conditions.get("Available") or {}).get("status") == "True",
        reason=reason,
        message=ready.get("message", "") or (culprit.message if culprit else ""),
        remedy=remedy_of(reason),
        stages=stages,
        url=status.get("url", ""),
        revision=active.get("revision", ""),
        target_revision=target.get("revision", ""),
        image=active.get("image", "") or target.get("image", ""),
        replicas=(model.get("spec") or {}).get("replicas", 1),
        ready_replicas=active.get("readyReplicas", status.get("readyReplicas", 0)),
        is_stale=status.get("observedGeneration", 0) < metadata.get("generation", 0),
        is_deleting="deletionTimestamp" in metadata,
    )


def remedy_of(reason: str) -> str:
    """What a person does about a reason; empty when nothing is wrong or this version does not know the reason."""
    known = {word.value: explanation.remedy for word, explanation in api.REASONS.items()}
    return "" if reason in _HARMLESS else known.get(reason, "")


def parse_time(text: str | None) -> datetime | None:
    """A time as the API writes it (RFC 3339); None when absent."""
    return datetime.fromisoformat(text) if text else None


_HARMLESS = {api.Reason.PROGRESSING.value, api.Reason.SUCCEEDED.value, api.Reason.SERVING.value}


def _stages(conditions: Mapping[str, Obj], active: Obj, target: Obj) -> list[Stage]:
    steps = [_step("source", conditions.get("SourceReady")), _step("build", conditions.get("ImageReady"))]
    spec_valid = conditions.get("SpecValid")
    if spec_valid is not None and spec_valid.get("status") == "False":
        steps.insert(0, _step("spec", spec_valid))
    way = _in_order([*steps, _rollout(conditions.get("Progressing"), active, target)])
    return [*way, _serving(conditions)]


def _in_order(stages: list[Stage]) -> list[Stage]:
    """The stages such that one is at work or broken, those before it are done and those behind it wait.

    A failure that only the rollout reports, such as a missing right, belongs to the first stage that is not
    done. Of a stage before the one that broke nothing is known until the next attempt.
    """
    rollout = stages[-1]
    broken = next((index for index, stage in enumerate(stages) if stage.state is State.FAILED), None)
    first_open = next((index for index, stage in enumerate(stages) if stage.state is not State.DONE), len(stages))
    if broken == len(stages) - 1 and first_open < broken:
        broken = first_open
    turn = first_open if broken is None else broken
    shown: list[Stage] = []
    for index, stage in enumerate(stages):
        if index > turn:
            shown.append(Stage(stage.name, State.WAITING))
        elif index == broken and stage.state is not State.FAILED:
            shown.append(Stage(stage.name, State.FAILED, rollout.since, None, rollout.reason, rollout.message))
        elif index < turn and stage.state is not State.DONE:
            shown.append(Stage(stage.name, State.UNKNOWN))
        else:
            shown.append(stage)
    return shown


def _step(name: str, condition: Obj | None) -> Stage:
    if condition is None:
        return Stage(name, State.WAITING)
    if condition.get("status") == "True":
        return _stage(name, State.DONE, condition)
    is_harmless = condition.get("reason", "") in _HARMLESS or condition.get("status") == "Unknown"
    return _stage(name, State.RUNNING if is_harmless else State.FAILED, condition)


def _rollout(condition: Obj | None, active: Obj, target: Obj) -> Stage:
    """Progressing is True while something is under way; False means finished or stuck, as the reason tells."""
    if condition is None:
        return Stage("rollout", State.WAITING)
    if condition.get("reason", "") not in _HARMLESS:
        return _stage("rollout", State.FAILED, condition)
    if condition.get("status") == "True":
        return _stage("rollout", State.RUNNING, condition)
    is_done = bool(active) and target.get("revision", active.get("revision")) == active.get("revision")
    return _stage("rollout", State.DONE if is_done else State.WAITING, condition)


def _serving(conditions: Mapping[str, Obj]) -> Stage:
    available, ready = conditions.get("Available"), conditions.get("Ready") or {}
    if available is None:
        return Stage("serving", State.WAITING)
    if available.get("status") == "True":
        return _stage("serving", State.DONE if ready.get("status") == "True" else State.DEGRADED, available)
    if available.get("reason", "") in _HARMLESS or available.get("status") == "Unknown":
        return Stage("serving", State.WAITING)
    own_cause = all(available.get("reason") != other.get("reason") for kind, other in conditions.items()
                    if kind not in ("Available", "Ready"))  # fmt: skip
    return _stage("serving", State.FAILED, available) if own_cause else Stage("serving", State.WAITING)


def _stage(name: str, state: State, condition: Obj) -> Stage:
    return Stage(
        name=name,
        state=state,
        since=parse_time(condition.get("lastTransitionTime")),
        reason=condition.get("reason", ""),
        message=condition.get("message", ""),
    )


def _with_durations(stages: list[Stage], created: datetime | None) -> tuple[Stage, ...]:
    """How long each finished stage took after the one before; unknown where times do not follow each other."""
    timed: list[Stage] = []
    before = created
    for stage in stages:
        took_s = None
        if stage.state is State.DONE and stage.since and before and stage.since >= before:
            took_s = int((stage.since - before).total_seconds())
        timed.append(Stage(stage.name, stage.state, stage.since, took_s, stage.reason, stage.message))
        before = stage.since
    return tuple(timed)
