"""Who learns of each pass: the metrics always, the people by an Event when the reason under Ready changes."""

import asyncio

from aimodel_operator.cluster import EventWriter
from aimodel_operator.kinds import Obj
from aimodel_operator.reconcile.reconciler import Outcome
from aimodel_operator.telemetry import Metrics


class PassRecorder:
    """Implements `reconcile.controller.Recorder`."""

    def __init__(self, metrics: Metrics, events: EventWriter) -> None:
        self._metrics = metrics
        self._events = events
        self._writing: set[asyncio.Task[None]] = set()

    def reconciled(self, obj: Obj, outcome: Outcome, seconds: float) -> None:
        """Count the pass and tell of a new reason."""
        self._metrics.passes.labels("ok").inc()
        self._metrics.pass_seconds.observe(seconds)
        before, after = _ready(obj.get("status") or {}), _ready(outcome.model.get("status") or {})
        if after and (before.get("reason"), before.get("status")) != (after["reason"], after["status"]):
            is_warning = after["status"] != "True" and after["reason"] != "Progressing"
            task = asyncio.get_running_loop().create_task(
                self._events.write(obj, after["reason"], after["message"], is_warning=is_warning)
            )
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    def failed(self, obj: Obj, error: Exception, seconds: float) -> None:
        """Count the pass; the controller has logged it."""
        self._metrics.passes.labels("error").inc()
        self._metrics.pass_seconds.observe(seconds)


def _ready(status: Obj) -> Obj:
    return next((entry for entry in status.get("conditions", ()) if entry["type"] == "Ready"), {})
