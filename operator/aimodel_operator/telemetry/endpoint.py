"""The operator's own HTTP port: `/livez`, `/readyz` and `/metrics`.

Alive means that no part of the process is dead or deaf; an API server that is away keeps us alive but not
ready. Ready means that every watch has listed once (a standby is ready: it could take over).
"""

from collections.abc import Callable

from aiohttp import web


class Endpoint:
    """Serves three paths; `complaints` tells what is wrong, nothing when all is well."""

    def __init__(
        self,
        port: int,
        liveness: Callable[[], list[str]],
        readiness: Callable[[], list[str]],
        metrics: Callable[[], bytes],
    ) -> None:
        self._port = port
        self._liveness = liveness
        self._readiness = readiness
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Bind and serve until `stop`."""
        app = web.Application()
        app.router.add_get("/livez", lambda _: _answer(self._liveness()))
        app.router.add_get("/readyz", lambda _: _answer(self._readiness()))
        app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, None, self._port).start()

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _scrape(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4"})


async def _answer(complaints: list[str]) -> web.Response:
    text = "\n".join(complaints) if complaints else "ok"
    return web.Response(text=f"{text}\n", status=503 if complaints else 200)
