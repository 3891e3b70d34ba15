"""Wanted objects against the ones that exist: which writes are missing. Pure.

An existing object is written again when our intent changed (its hash, kept in an annotation, differs) or when
somebody changed a field that we hold. Fields that the API server or others added are left alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aimodel_operator import api
from aimodel_operator.kinds import CONTROLLER_REVISION, JOB, SERVICE, Obj, kind_of, name_of, uid_of

INTENT_ANNOTATION = "aimodel.dev/intent"
IMMUTABLE = (CONTROLLER_REVISION, JOB)
"""Kinds that are created and deleted, never written again."""


@dataclass(frozen=True, slots=True)
class Create:
    """Write an object that is not there."""

    obj: Obj


@dataclass(frozen=True, slots=True)
class Apply:
    """Write full intent over an object that is there; `obj` carries its uid."""

    obj: Obj


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object that is there."""

    obj: Obj


Action = Create | Apply | Delete


def diff(wanted: Iterable[Obj], existing: Iterable[Obj], obsolete: Iterable[Obj]) -> tuple[Action, ...]:
    """The writes in order: what is wanted first, deletions last."""
    held = {_identity(obj): obj for obj in existing}
    actions: list[Action] = []
    for obj in wanted:
        live = held.get(_identity(obj))
        intent = with_intent(obj)
        if live is None:
            actions.append(Create(intent))
        elif kind_of(obj) not in IMMUTABLE and not is_as_intended(intent, live):
            actions.append(Apply(for_live(intent, live)))
    actions += [Delete(obj) for obj in obsolete if "deletionTimestamp" not in obj["metadata"]]
    return tuple(actions)


def is_repeatable(action: Action) -> bool:
    """Whether doing it on an outdated view does no harm. Deleting and starting a Job are not."""
    return not isinstance(action, Delete) and kind_of(action.obj) is not JOB


def with_intent(obj: Obj) -> Obj:
    """The object with the hash of itself as an annotation."""
    digest = hashlib.sha256(json.dumps(obj, sort_keys=True).encode()).hexdigest()[:16]
    metadata = obj["metadata"]
    annotations = {**metadata.get("annotations", {}), INTENT_ANNOTATION: digest}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def is_as_intended(intent: Obj, live: Obj) -> bool:
    """Whether the live object came from this intent and still holds every field of it."""
    return _holds(intent, live) and _selects_the_same(intent, live)  # the intent holds its hash


def for_live(intent: Obj, live: Obj) -> Obj:
    """The intent as it is applied to exactly this object."""
    return {**intent, "metadata": {**intent["metadata"], "uid": uid_of(live)}}


def _identity(obj: Obj) -> tuple[str, str]:
    return kind_of(obj).name, name_of(obj)


def _selects_the_same(intent: Obj, live: Obj) -> bool:
    # One label more in a Service's selector, and it selects nothing.
    return kind_of(intent) is not SERVICE or bool(intent["spec"]["selector"] == live["spec"].get("selector"))


def _holds(wanted: Any, live: Any) -> bool:
    if isinstance(wanted, Mapping):
        # An empty value may be left out by the API server: it means the same.
        return isinstance(live, Mapping) and all(_holds(wanted[key], live.get(key)) for key in wanted)
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(wanted) != len(live):
            return live is None and not wanted
        return all(_holds(one, other) for one, other in zip(wanted, live, strict=True))
    return bool(wanted == live) or (live is None and not wanted) or _is_same_quantity(wanted, live)


def _is_same_quantity(wanted: Any, live: Any) -> bool:
    # The API server writes quantities in its own form: 1000m comes back as 1.
    try:
        return bool(api.quantity.parse(str(wanted)) == api.quantity.parse(str(live)))
    except ValueError:
        return False
