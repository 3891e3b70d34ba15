"""The queue and the workers: which model is reconciled when.

`handlers` and the watches of `cluster` tell it that something happened to a model; a worker then looks at the
model as it is now. One model that fails is tried again with a growing delay and delays no other.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Protocol

from aimodel_operator.kinds import Obj, version_of
from aimodel_operator.reconcile.ports import ClusterError, NotFound, Unavailable
from aimodel_operator.reconcile.reconciler import Outcome, Reconciler
from aimodel_operator.reconcile.work_queue import WorkQueue

_log = logging.getLogger(__name__)
_LONGEST_OUTAGE_DELAY_S = 3.0
"""While the API server is away the cause is not the model: no reason to make it wait once the server is back."""
_LONGEST_DELAY_S = 60.0


class Recorder(Protocol):
    """Who is told how passes went: metrics and Events."""

    def reconciled(self, obj: Obj, outcome: Outcome, seconds: float) -> None:
        """A pass ended well."""

    def failed(self, obj: Obj, error: Exception, seconds: float) -> None:
        """A pass broke off and will be tried again."""


class Controller:
    """Holds the AIModels as last seen, by UID, and reconciles those that something happened to."""

    def __init__(self, reconciler: Reconciler, recorder: Recorder, workers: int) -> None:
        self._reconciler = reconciler
        self._recorder = recorder
        self._workers = workers
        self._models: dict[str, Obj] = {}
        self._queue: WorkQueue[str] = WorkQueue()

    @property
    def models(self) -> Iterable[Obj]:
        """Every AIModel as last seen."""
        return tuple(self._models.values())

    @property
    def backlog(self) -> int:
        """How many models wait for a worker."""
        return len(self._queue)

    def model_seen(self, obj: Obj) -> None:
        """An AIModel was added or changed."""
        uid = obj["metadata"]["uid"]
        held = self._models.get(uid)
        if held is None or version_of(held) < version_of(obj):
            self._models[uid] = obj
            self._queue.add(uid)

    def model_gone(self, obj: Obj) -> None:
        """An AIModel was deleted; its children follow by their owner references."""
        uid = obj["metadata"]["uid"]
        self._models.pop(uid, None)
        self._queue.forget(uid)

    def child_changed(self, owner_uid: str) -> None:
        """A child of a model was added, changed or deleted."""
        if owner_uid in self._models:
            self._queue.add(owner_uid)

    async def run(self) -> None:
        """Work until cancelled; may be run again afterwards and goes on where it was."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            uid = await self._queue.take()
            obj = self._models.get(uid)
            if obj is None:
                self._queue.done(uid)
                continue
            await self._reconcile(uid, obj)

    async def _reconcile(self, uid: str, obj: Obj) -> None:
        started = time.monotonic()
        try:
            outcome = await self._reconciler.reconcile(obj)
        except asyncio.CancelledError:
            self._queue.add(uid)
            self._queue.done(uid)
            raise
        except NotFound:
            # The model (or its namespace) went away under us; its deletion is on its way through the watch.
            self._queue.done(uid)
        except Exception as exc:  # noqa: BLE001 - one model must never end a worker
            is_outage = isinstance(exc, Unavailable)
            delay_s = self._queue.failed(uid, _LONGEST_OUTAGE_DELAY_S if is_outage else _LONGEST_DELAY_S)
            expected = isinstance(exc, ClusterError)
            _log.warning(
                "reconcile failed",
                extra=_who(obj, error=str(exc), again_after_s=delay_s),
                exc_info=not expected,
            )
            self._recorder.failed(obj, exc, time.monotonic() - started)
        else:
            self._remember(outcome.model)
            self._queue.done(uid)
            if outcome.again_after_s is not None:
                self._queue.add_after(uid, outcome.again_after_s)
            self._recorder.reconciled(obj, outcome, time.monotonic() - started)

    def _remember(self, written: Obj) -> None:
        # The next pass compares with the status that was just written, even if the watch has not shown it yet.
        uid = written["metadata"]["uid"]
        held = self._models.get(uid)
        if held is not None and version_of(held) < version_of(written):
            self._models[uid] = written


def _who(obj: Obj, **more: object) -> dict[str, object]:
    metadata = obj["metadata"]
    return {"namespace": metadata["namespace"], "model": metadata["name"], **more}
