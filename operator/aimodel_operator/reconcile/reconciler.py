"""The reconcile path of one model, top to bottom.

    parse → observe → decide (asking the registry when it must) → render → diff → apply → assess → status

Called by `controller` with one model at a time per key. It waits for nothing: what is not done yet is noticed
by the next event, or after `Outcome.again_after_s`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aimodel_operator import api
from aimodel_operator.assess import assess, assess_invalid
from aimodel_operator.decide import Decision, decide
from aimodel_operator.kinds import AIMODEL, Obj, kind_of, labels_of, name_of
from aimodel_operator.observe import Facts, Finding, observe
from aimodel_operator.reconcile.cache import Cache
from aimodel_operator.reconcile.diff import IMMUTABLE, Action, Apply, Create, Delete, diff, for_live, is_repeatable
from aimodel_operator.reconcile.ports import (
    AlreadyExists,
    Cluster,
    ClusterError,
    Forbidden,
    Images,
    Invalid,
    NotFound,
    QuotaExceeded,
    Stale,
    Unavailable,
)
from aimodel_operator.render import render
from aimodel_operator.settings import Settings

_log = logging.getLogger(__name__)
_RETRY_REFUSED_S = 15.0
_RETRY_SOON_S = 2.0
_REASONS: tuple[tuple[type[ClusterError], api.Reason], ...] = (
    (QuotaExceeded, api.Reason.QUOTA_EXCEEDED),
    (Forbidden, api.Reason.FORBIDDEN),
    (Invalid, api.Reason.PARAMETER_INVALID),
)


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why a write was not done, and when to try again."""

    finding: Finding
    retry_s: float
    is_outdated: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass left: the AIModel as it now stands, and when to look again even if nothing happens."""

    model: Obj
    again_after_s: float | None = None


class Reconciler:
    """Carries one model a step towards its spec. Holds no state of its own but the shared cache."""

    def __init__(
        self, cluster: Cluster, images: Images, cache: Cache, settings: Settings, now: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._images = images
        self._cache = cache
        self._settings = settings
        self._now = now

    async def reconcile(self, obj: Obj) -> Outcome:
        """One pass over an AIModel as it was last seen; raises `ClusterError` when the API server fails us."""
        if obj["metadata"].get("deletionTimestamp"):
            return Outcome(obj)  # the owner references take everything along
        try:
            model = api.parse(obj)
        except api.SpecInvalid as exc:
            return await self._write_status(obj, assess_invalid(obj, str(exc), self._now()), None)
        facts = observe(model, self._cache.children(model.uid))
        facts, decision, actions = await self._plan(facts)
        if not all(is_repeatable(action) for action in actions):
            facts = observe(model, await self._read_fresh(model))
            facts, decision, actions = await self._plan(facts)
        problems = await self._act_all(actions)
        facts = observe(model, self._cache.children(model.uid))
        now = self._now()
        status = assess(facts, decision, tuple(problem.finding for problem in problems), now)
        return await self._write_status(obj, status, _again_after_s(problems, decision, now))

    async def _plan(self, facts: Facts) -> tuple[Facts, Decision, tuple[Action, ...]]:
        decision = decide(facts, self._settings, self._now())
        if decision.build.look_up is not None:
            facts = facts.with_registry_answer(await self._images.find(decision.build.look_up))
            decision = decide(facts, self._settings, self._now())
        wanted = render(facts, decision, self._settings)
        return facts, decision, diff(wanted, facts.children(), decision.obsolete)

    async def _read_fresh(self, model: api.AIModel) -> list[Obj]:
        children = await self._cluster.children(model.namespace, model.uid)
        seen = {(kind_of(obj), name_of(obj)) for obj in children}
        for ghost in self._cache.children(model.uid):
            if (kind_of(ghost), name_of(ghost)) not in seen:
                self._cache.remove(ghost)
        for obj in children:
            self._cache.put(obj)
        return children

    async def _act_all(self, actions: tuple[Action, ...]) -> list[_Problem]:
        problems: list[_Problem] = []
        for action in actions:
            problem = await self._apply(action)
            if problem is not None:
                problems.append(problem)
                if problem.is_outdated:
                    break  # the rest was decided on a view that is no longer true
        return problems

    async def _apply(self, action: Action) -> _Problem | None:
        """Do one write; what the API server refuses becomes a problem of this model and of no other write."""
        what = f"{action.obj['kind']} {name_of(action.obj)}"
        try:
            match action:
                case Create(obj):
                    self._cache.put(await self._cluster.create(obj))
                case Apply(obj):
                    self._cache.put(await self._cluster.apply(obj))
                case Delete(obj):
                    await self._cluster.delete(obj)
                    self._cache.remove(obj)
        except AlreadyExists:
            return await self._adopt(action.obj)
        except (Stale, NotFound) as exc:
            await self._refresh(action.obj)
            found = Finding(api.Reason.PROGRESSING, f"{what} changed while it was written and is read again: {exc}.")
            return _Problem(found, _RETRY_SOON_S, is_outdated=True)
        except Unavailable as exc:
            return _Problem(
                Finding(api.Reason.PROGRESSING, f"{what} could not be written and is tried again: {exc}."),
                _RETRY_SOON_S,
            )
        except (QuotaExceeded, Forbidden, Invalid) as exc:
            reason = next(reason for kind, reason in _REASONS if isinstance(exc, kind))
            return _Problem(Finding(reason, f"{what} was refused: {exc}."), _RETRY_REFUSED_S)
        fields = {"action": type(action).__name__, "kind": action.obj["kind"], "object": name_of(action.obj)}
        _log.info("wrote", extra=fields)
        return None

    async def _adopt(self, wanted: Obj) -> _Problem | None:
        """A create met an object: ours that the watch has not shown, that of a predecessor, or somebody else's."""
        try:
            live = await self._cluster.get(kind_of(wanted), wanted["metadata"]["namespace"], name_of(wanted))
        except NotFound:
            what = f"{wanted['kind']} {name_of(wanted)}"
            gone = Finding(api.Reason.PROGRESSING, f"{what} was there a moment ago and is made again.")
            return _Problem(gone, _RETRY_SOON_S, is_outdated=True)
        owners = {owner.get("uid") for owner in live["metadata"].get("ownerReferences", ())}
        if wanted["metadata"]["ownerReferences"][0]["uid"] in owners:
            return await self._take_back(wanted, live)
        return _conflict(wanted, live)

    async def _take_back(self, wanted: Obj, live: Obj) -> _Problem | None:
        """Our own object; if somebody took its labels it is in no watch of ours until they are back."""
        if labels_of(wanted).items() <= labels_of(live).items():
            self._cache.put(live)
            return None
        if kind_of(wanted) in IMMUTABLE:
            what = f"{wanted['kind']} {name_of(wanted)}"
            lost = Finding(api.Reason.NAME_CONFLICT, f"{what} has lost labels of the operator: delete it.")
            return _Problem(lost, _RETRY_REFUSED_S)
        return await self._apply(Apply(for_live(wanted, live)))

    async def _refresh(self, obj: Obj) -> None:
        try:
            self._cache.put(await self._cluster.get(kind_of(obj), obj["metadata"]["namespace"], name_of(obj)))
        except NotFound:
            self._cache.remove(obj)

    async def _write_status(self, obj: Obj, status: Obj, again_after_s: float | None) -> Outcome:
        if status == obj.get("status"):
            return Outcome(obj, again_after_s)
        metadata = {key: obj["metadata"][key] for key in ("name", "namespace", "uid")}
        written = await self._cluster.apply_status({**AIMODEL.stamp(), "metadata": metadata, "status": status})
        return Outcome(written, again_after_s)


def _conflict(wanted: Obj, live: Obj) -> _Problem:
    what = f"{wanted['kind']} {name_of(wanted)}"
    if labels_of(live).get(api.names.MODEL) == labels_of(wanted)[api.names.MODEL]:
        message = f"{what} belongs to an earlier AIModel of this name: waiting until it is deleted with its owner."
        return _Problem(Finding(api.Reason.NAME_CONFLICT, message), _RETRY_SOON_S)
    message = (
        f"{what} exists and does not belong to this AIModel: delete or rename it, or give the AIModel another name."
    )
    return _Problem(Finding(api.Reason.NAME_CONFLICT, message), _RETRY_REFUSED_S)


def _again_after_s(problems: list[_Problem], decision: Decision, now: datetime) -> float | None:
    due = decision.build.retry_at
    waits = [problem.retry_s for problem in problems]
    if due is not None:
        waits.append(max(0.1, (due - now).total_seconds()))
    return min(waits, default=None)
