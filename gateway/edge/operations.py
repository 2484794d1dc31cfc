"""The operations listener, on a port of its own: metrics and health, in plain HTTP for the inside network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.adapters.metrics import CONTENT_TYPE
from gateway.edge.listener import SERVER, Handler, not_found

Exposition = Callable[[], Awaitable[bytes]]  # what Prometheus scrapes
Readiness = Callable[[], str | None]  # why the hub is not ready; None when it is


def operations(exposed: Exposition, readiness: Readiness) -> Handler:
    """`/metrics`, `/healthz` (the process answers), `/readyz` (an exchange would be recorded)."""

    async def exposition() -> web.Response:
        return web.Response(body=await exposed(), headers={**SERVER, "Content-Type": CONTENT_TYPE})

    async def health() -> web.Response:
        return web.Response(text="ok\n", headers=SERVER)

    async def ready() -> web.Response:
        reason = readiness()
        return web.Response(text=f"{reason or 'ready'}\n", status=503 if reason else 200, headers=SERVER)

    pages = {"/metrics": exposition, "/healthz": health, "/readyz": ready}

    async def serve(http: web.BaseRequest) -> web.Response:
        page = pages.get(http.rel_url.raw_path) if http.method in {"GET", "HEAD"} else None
        return await page() if page else not_found()

    return serve
