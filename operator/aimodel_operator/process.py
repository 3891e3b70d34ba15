"""The operator as one process: builds every part once, runs them together, ends them in order.

    kopf watches AIModels ──┐
    child watches → cache ──┴→ Controller (only while the Lease is held) → Reconciler → API server, registry
    RollCall: does kopf still show every AIModel?

Called by `__main__`. A part that ends by itself ends the process with a non-zero code, so that Kubernetes starts it
anew; SIGTERM gives the Lease back and exits cleanly. An API server that is away ends nothing: the Lease is lost, the
workers stop, and all goes on when it is back.
"""

import asyncio
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path

from aimodel_operator.cluster import ApiCluster, ChildWatch, EventWriter, Lease, RegistryImages, RollCall, connect
from aimodel_operator.cluster.requests import Requests
from aimodel_operator.handlers import watch_models
from aimodel_operator.imagebuild import registry as image_registry
from aimodel_operator.imagebuild.credentials import DockerConfig
from aimodel_operator.imagebuild.errors import CredentialsError
from aimodel_operator.kinds import CHILDREN
from aimodel_operator.reconcile import Cache, Controller, Reconciler
from aimodel_operator.recorder import PassRecorder
from aimodel_operator.settings import Settings, SettingsError
from aimodel_operator.telemetry import Endpoint, Metrics

_log = logging.getLogger(__name__)
_LEASE = "aimodel-operator"
_WORKERS = 16
_LONGEST_SILENCE_S = 180.0
_RELEASE_LIMIT_S = 3.0


def registry_login(settings: Settings) -> DockerConfig:
    """The passwords of private registries; raises SettingsError when the Secret with them cannot be used."""
    if settings.docker_config is None:
        return DockerConfig()
    try:
        return DockerConfig.load(Path(settings.docker_config), "The Secret at DOCKER_CONFIG")
    except CredentialsError as exc:
        raise SettingsError(f"{exc} The chart value registry.credentialsSecret names it.") from exc


async def run(settings: Settings, login: DockerConfig) -> int:
    """Run until SIGTERM or until a part fails; returns the exit code."""
    client = await connect()
    async with (
        client,
        image_registry.connect(login, frozenset(settings.plain_http_registries)) as registry,
    ):
        operator = _Operator(settings, Requests(client), RegistryImages(registry))
        return await operator.run()


class _Operator:
    def __init__(self, settings: Settings, requests: Requests, images: RegistryImages) -> None:
        cache = Cache()
        self._settings = settings
        self._listed = asyncio.Event()
        self._lease = Lease(requests, settings.namespace, _LEASE, settings.pod_name)
        cluster = ApiCluster(requests, fence=self._lease.check)
        reconciler = Reconciler(cluster, images, cache, settings, lambda: datetime.now(UTC))
        self._metrics = Metrics(lambda: self._controller.backlog, lambda: len(tuple(self._controller.models)))
        recorder = PassRecorder(self._metrics, EventWriter(requests, settings.pod_name))
        self._controller = Controller(reconciler, recorder, _WORKERS)
        self._watches = [
            ChildWatch(requests, cache, kind, namespace, self._controller.child_changed)
            for kind in CHILDREN
            for namespace in (settings.watch_namespaces or (None,))
        ]
        self._roll_call = RollCall(
            cluster, settings.watch_namespaces, lambda: self._controller.models, self._controller.model_gone
        )
        self._endpoint = Endpoint(settings.http_port, self._dead_parts, self._unready_parts, self._metrics.exposition)

    async def run(self) -> int:
        await self._endpoint.start()
        stopping = asyncio.create_task(self._told_to_stop(), name="stopping")
        leading = asyncio.create_task(self._lead(), name="leader")
        parts = [asyncio.create_task(watch.run(), name="child watch") for watch in self._watches]
        parts.append(asyncio.create_task(self._roll_call.run(), name="roll call"))
        models = asyncio.create_task(self._watch_models(), name="models watch")
        try:
            everything = [stopping, models, leading, *parts]
            done, _ = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            return self._verdict(done, {stopping, models})
        finally:
            # The Lease first: a standby need not wait until kopf has put its own things in order.
            await _cancel([leading])
            await self._release()
            await _cancel([stopping, models, *parts])
            await self._endpoint.stop()

    async def _told_to_stop(self) -> None:
        """Wait for SIGTERM or SIGINT. kopf takes over both while it starts, and would end our tasks, not us."""
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for _ in range(2):
            for sign in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(sign, told.set)
            await _first_of(told, self._listed)
        await told.wait()

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_LIMIT_S):
                await self._lease.release()
        except TimeoutError:
            _log.warning("lease not released", extra={"error": "the API server does not answer"})

    async def _watch_models(self) -> None:
        # kopf looks once, at its start, for what the API server serves; without the CRD it would watch nothing.
        await self._roll_call.answered.wait()
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
        while True:
            await self._lease.acquire()
            await self._work_while_leading()

    async def _work_while_leading(self) -> None:
        self._metrics.leading.set(1)
        holding = asyncio.create_task(self._lease.hold(), name="lease")
        working = asyncio.create_task(self._controller.run(), name="controller")
        try:
            done, _ = await asyncio.wait([holding, working], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():  # kopf, when it fails, cancels every task that is younger than itself
                    task.result()
        finally:
            self._metrics.leading.set(0)
            await _cancel([working, holding])

    def _verdict(self, done: set[asyncio.Task[None]], clean: set[asyncio.Task[None]]) -> int:
        for task in done:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                _log.error("part failed", extra={"part": task.get_name(), "error": str(error)}, exc_info=error)
                return 1
        if done & clean:
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
        answered = self._listed.is_set() and self._roll_call.answered.is_set()
        models = [] if answered else ["aimodels cannot be listed: is the API server there and the CRD installed?"]
        return waiting + refused + models


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
