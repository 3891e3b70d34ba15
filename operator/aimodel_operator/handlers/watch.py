"""Runs kopf as the watcher of AIModels: one raw-event handler, no finalizers, no annotations, no peering.

kopf keeps the watch alive (bookmarks, reconnects, paged lists); what an event means is decided elsewhere. An error
inside a watch other than 410 ends kopf, and with it the process; a watch that shows nothing any more ends neither,
and `cluster.RollCall` notices.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import kopf

from aimodel_operator import api
from aimodel_operator.kinds import AIMODEL, Obj


async def watch_models(
    namespaces: Sequence[str],
    seen: Callable[[Obj], None],
    gone: Callable[[Obj], None],
    listed: asyncio.Event,
) -> None:
    """Watch until cancelled; `listed` is set once kopf is up."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        # Named here, as kopf's own search would import every Kubernetes client it finds.
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            return kopf.login_with_service_account(**kwargs)
        return kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(api.GROUP, api.VERSION, api.PLURAL, registry=registry)
    async def model_event(*, event: kopf.RawEvent, **_: Any) -> None:
        obj: Obj = {**AIMODEL.stamp(), **event["object"]}
        if event["type"] == "DELETED":
            gone(obj)
        else:
            seen(obj)

    await kopf.operator(
        registry=registry,
        settings=_settings(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        ready_flag=listed,
    )


class _EndlessBackoffs:
    """Delays between attempts of kopf's requests, without an end: with its own, kopf gives up after 54 seconds."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.2, 0.5, 1.0), itertools.repeat(2.0))


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _EndlessBackoffs()
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.inactivity_timeout = 90
    settings.watching.chunk_size = 500
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.scanning.disabled = True
    return settings
