"""The operator as one process: builds every part once, runs them together, ends them in order.

    kopf watches AIModels ──┐
    child watches → cache ──┴→ Controller (only while the Lease is held) → Reconciler → API server, registry

Called by `__main__`. A part that ends by itself ends the process with a non-zero code, so that Kubernetes
starts it anew; SIGTERM (kopf owns the signal handlers) gives the Lease back and exits cleanly.
"""

import asyncio
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from aimodel_operator.cluster import ApiCluster, ChildWatch, EventWriter, Lease, RegistryImages, connect
from aimodel_operator.cluster.requests import Requests
from aimodel_operator.handlers import watch_models
from aimodel_operator.imagebuild import registry as image_registry
from aimodel_operator.imagebuild.credentials import DockerConfig
from aimodel_operator.kinds import CHILDREN
from aimodel_operator.observe import Cache
from aimodel_operator.reconcile import Controller, Reconciler
from aimodel_operator.recorder import PassRecorder
from aimodel_operator.settings import Settings
from aimodel_operator.telemetry import Endpoint, Metrics

_log = logging.getLogger(__name__)
_LEASE = "aimodel-operator"
_LONGEST_SILENCE_S = 180.0


async def run(settings: Settings) -> int:
    """Run until SIGTERM or until a part fails; returns the exit code."""
    client = await connect()
    async with (
        client,
        image_registry.connect(_credentials(), frozenset(settings.plain_http_registries)) as registry,
    ):
        operator = _Operator(settings, Requests(client), RegistryImages(registry))
        return await operator.run()


def _credentials() -> DockerConfig:
    folder = os.environ.get("DOCKER_CONFIG")
    path = Path(folder) / "config.json" if folder else None
    return DockerConfig.parse(path.read_bytes()) if path is not None and path.exists() else DockerConfig()


class _Operator:
    def __init__(self, settings: Settings, requests: Requests, images: RegistryImages) -> None:
        cache = Cache()
        self._settings = settings
        self._listed = asyncio.Event()
        self._lease = Lease(requests, settings.namespace, _LEASE, settings.pod_name)
        reconciler = Reconciler(ApiCluster(requests), images, cache, settings, lambda: datetime.now(UTC))
        self._metrics = Metrics(lambda: self._controller.backlog, lambda: len(tuple(self._controller.models)))
        recorder = PassRecorder(self._metrics, EventWriter(requests, settings.pod_name))
        self._controller = Controller(reconciler, recorder, settings.workers)
        self._watches = [
            ChildWatch(requests, cache, kind, namespace, self._controller.child_changed)
            for kind in CHILDREN
            for namespace in (settings.watch_namespaces or (None,))
        ]
        self._endpoint = Endpoint(settings.http_port, self._dead_parts, self._unready_parts, self._metrics.exposition)

    async def run(self) -> int:
        await self._endpoint.start()
        stopping = asyncio.create_task(self._watch_models(), name="models watch")
        parts = [asyncio.create_task(self._lead(), name="leader")]
        parts += [asyncio.create_task(watch.run(), name="child watch") for watch in self._watches]
        try:
            done, _ = await asyncio.wait([stopping, *parts], return_when=asyncio.FIRST_COMPLETED)
            return self._verdict(done, stopping)
        finally:
            await _cancel([stopping, *parts])
            await self._lease.release()
            await self._endpoint.stop()

    async def _watch_models(self) -> None:
        await watch_models(
            self._settings.watch_namespaces,
            self._controller.model_seen,
            self._controller.model_gone,
            self._listed,
        )

    async def _lead(self) -> None:
        await self._listed.wait()
        for watch in self._watches:
            await watch.synced.wait()
        await self._lease.acquire()
        self._metrics.leading.set(1)
        holding = asyncio.create_task(self._lease.hold(), name="lease")
        working = asyncio.create_task(self._controller.run(), name="controller")
        try:
            await asyncio.wait([holding, working], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._metrics.leading.set(0)
            await _cancel([working, holding])

    def _verdict(self, done: set[asyncio.Task[None]], stopping: asyncio.Task[None]) -> int:
        for task in done:
            error = task.exception()
            if error is not None:
                _log.error("part failed", extra={"part": task.get_name(), "error": str(error)}, exc_info=error)
                return 1
        if stopping in done:
            _log.info("stopping")
            return 0
        _log.error("part ended", extra={"part": ", ".join(task.get_name() for task in done)})
        return 1

    def _dead_parts(self) -> list[str]:
        return [
            f"watch of {watch.kind.plural} has heard nothing for {watch.silent_s():.0f} s"
            for watch in self._watches
            if watch.silent_s() > _LONGEST_SILENCE_S and not watch.is_refused
        ]

    def _unready_parts(self) -> list[str]:
        waiting = [f"{watch.kind.plural} not listed yet" for watch in self._watches if not watch.synced.is_set()]
        refused = [f"watch of {watch.kind.plural} is failing" for watch in self._watches if watch.is_refused]
        models = [] if self._listed.is_set() else ["aimodels not watched yet"]
        return waiting + refused + models


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
