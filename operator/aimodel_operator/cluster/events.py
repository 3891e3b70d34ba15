"""Events of an AIModel in the cluster: one when the word under Reason changes, none in between.

Called with every new status; writing is best effort, as an Event is news and never the state itself.
"""

import hashlib
import logging
from datetime import UTC, datetime

from aimodel_operator.cluster.requests import Requests
from aimodel_operator.kinds import EVENT, Obj
from aimodel_operator.reconcile.ports import ClusterError

_log = logging.getLogger(__name__)
_CONTROLLER = "aimodel.dev/operator"


class EventWriter:
    """Writes `events.k8s.io/v1` Events about AIModels."""

    def __init__(self, requests: Requests, instance: str) -> None:
        self._requests = requests
        self._instance = instance

    async def write(self, model: Obj, reason: str, message: str, *, is_warning: bool) -> None:
        """Write one Event; a refusal is logged and otherwise ignored."""
        metadata, now = model["metadata"], datetime.now(UTC)
        distinct = hashlib.sha256(f"{metadata['uid']}{reason}{now.timestamp()}".encode()).hexdigest()[:16]
        event = {
            **EVENT.stamp(),
            "metadata": {"name": f"{metadata['name']}.{distinct}", "namespace": metadata["namespace"]},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": _CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "reason": reason,
            "note": message[:1024],
            "type": "Warning" if is_warning else "Normal",
            "regarding": {
                "apiVersion": model["apiVersion"],
                "kind": model["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
        }
        try:
            await self._requests.send("POST", EVENT.path(metadata["namespace"]), event)
        except ClusterError as exc:
            _log.info("event not written", extra={"error": str(exc), "reason": reason})
