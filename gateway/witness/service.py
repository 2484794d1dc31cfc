"""The requests of a witness over HTTP: add-checkpoint for logs, the latest checkpoint for anybody.

Requests are not authenticated but by the log's signature in them; the body says nothing else that is believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from aiohttp import web

from gateway.broker.event import trace
from gateway.edge.listener import SERVER, not_found
from gateway.edge.operational_log import OperationalLog
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.witness import MAX_REQUEST, SIZE_TYPE, WitnessError, monitored, write_size
from gateway.witness.settings import KnownLog
from gateway.witness.store import WitnessStore

T = TypeVar("T")
_BODY_SECONDS: Final = 10.0  # from the headers to the last byte of a request
_ADD: Final = "/add-checkpoint"
_RETRY_AFTER: Final = "5"  # seconds


class WitnessService:
    """Owns the store and the one thread that uses it."""

    def __init__(
        self,
        store: WitnessStore,
        cosigner: Cosigner,
        logs: Mapping[str, KnownLog],
        log: OperationalLog,
        clock: Callable[[], int],
    ) -> None:
        """`clock`: seconds since 1970."""
        self._store = store
        self._cosigner = cosigner
        self._keys = {origin: one.keys for origin, one in logs.items()}
        self._pins = {origin: one.pinned for origin, one in logs.items() if one.pinned is not None}
        self._pages = {f"/{monitored(origin)}": origin for origin in logs}
        self._log = log
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "witness")

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        path = http.rel_url.raw_path
        if http.method == "POST" and path == _ADD:
            return await self._add(http)
        if http.method in {"GET", "HEAD"} and path in self._pages:
            return await self._latest(self._pages[path])
        if http.method in {"GET", "HEAD"} and path == "/healthz":
            return _text("ok\n")
        return not_found()

    def close(self) -> None:
        """Once no request is under way."""
        self._thread.shutdown()
        self._store.close()

    async def _add(self, http: web.BaseRequest) -> web.StreamResponse:
        try:
            data = await _body(http)
            checkpoint, line = await self._in_thread(
                lambda: self._store.cosign(data, self._keys, self._pins, self._cosigner, self._clock())
            )
        except WitnessError as error:
            self._log.note("not cosigned", status=error.status, code=error.flaw.row.code)
            return _refused(error)
        except ProofError as error:
            return self._failed(error.flaw)
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing was cosigned
            self._log.note("failed", trace=trace(error))
            return self._failed(Flaw.UNREADABLE)
        self._log.note("cosigned", origin=checkpoint.origin, size=checkpoint.size)
        return _text(line)

    async def _latest(self, origin: str) -> web.StreamResponse:
        try:
            note = await self._in_thread(lambda: self._store.checkpoint(origin))
        except ProofError as error:
            return self._failed(error.flaw)
        return not_found() if note is None else _text(note.decode())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _failed(self, flaw: Flaw) -> web.Response:
        self._log.note("not cosigned", status=503, code=flaw.row.code)
        return _refused(WitnessError(503, flaw))


async def _body(http: web.BaseRequest) -> bytes:
    """Raises WitnessError for one that is too long, too slow or packed."""
    if "Content-Encoding" in http.headers:
        raise WitnessError(400, Flaw.REQUEST_FORM)
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in http.content.iter_any():
                data += part
                if len(data) > MAX_REQUEST:
                    raise WitnessError(413, Flaw.REQUEST_FORM)
    except (TimeoutError, OSError) as error:
        raise WitnessError(408, Flaw.REQUEST_FORM) from error
    return bytes(data)


def _refused(error: WitnessError) -> web.Response:
    if error.latest is not None:
        headers = {**SERVER, "Content-Type": SIZE_TYPE}
        return web.Response(body=write_size(error.latest), status=error.status, headers=headers)
    row = error.flaw.row
    response = _text(f"{row.code}: {row.sentence}\n", status=error.status)
    if error.status == 503:
        response.headers["Retry-After"] = _RETRY_AFTER
    if error.status in {408, 413}:  # what is left of the body is not read
        response.force_close()
    return response


def _text(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, headers=SERVER)
