"""The operations listener, on a port of its own: metrics and health, in plain HTTP for the inside network."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from gateway.adapters.metrics import CONTENT_TYPE, Metrics

Readiness = Callable[[], str | None]  # why the hub is not ready; None when it is


def operations(metrics: Metrics, readiness: Readiness) -> web.Application:
    """`/metrics`, `/healthz` (the process answers), `/readyz` (an exchange would be recorded)."""

    async def serve_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def serve_health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def serve_readiness(_: web.Request) -> web.Response:
        reason = readiness()
        return web.Response(text=f"{reason or 'ready'}\n", status=503 if reason else 200)

    application = web.Application()
    application.router.add_get("/metrics", serve_metrics)
    application.router.add_get("/healthz", serve_health)
    application.router.add_get("/readyz", serve_readiness)
    return application
