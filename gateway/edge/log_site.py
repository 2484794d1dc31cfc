"""The exchange log as static files over HTTP (C2SP tlog-tiles), for those who do not take the hub's word.

Checkpoint and hash tiles tell how much was exchanged and nothing else: every active authority may read them.
Entry bundles tell who asked whom, when and why: they are for the authorities named in the settings. What is
sent is not believed by its readers, so nothing is checked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import web

from gateway.adapters.metrics import Metrics
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_session import StorePlace
from gateway.edge.listener import SERVER, not_found
from gateway.edge.operational_log import OperationalLog
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.site import CHECKPOINT
from gateway.exchangelog.tile import TileId
from gateway.model import Authority, AuthorityId
from gateway.refusal import Code, Refusal

PREFIX: Final = "/log/"
METHODS: Final = ("GET", "HEAD")
# tlog-tiles: the checkpoint changes, everything else never does. Private: whose it is, the certificate says.
_CHECKPOINT: Final = {
    **SERVER,
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "private, no-cache",
}
_STATIC: Final = {
    **SERVER,
    "Content-Type": "application/octet-stream",
    "Cache-Control": "private, max-age=31536000, immutable",
}


def resource(path: str) -> str | None:
    """The resource that a request target names, as it was sent: each has one spelling. None: there is none."""
    name = path.removeprefix(PREFIX)
    if name == path:
        return None
    try:
        return name if name == CHECKPOINT else TileId.parse(name).path
    except ProofError:
        return None


class LogSite:
    """Reads the store in a thread of its own: a page that is not cached holds up no exchange."""

    def __init__(
        self, store: StorePlace, readers: Collection[AuthorityId], metrics: Metrics, log: OperationalLog
    ) -> None:
        """Raises `ProofError` when the store cannot be opened."""
        self._readers = readers
        self._metrics = metrics
        self._log = log
        self._reader = LogReader.open(store)
        self._thread = ThreadPoolExecutor(1, "log site")  # which alone uses the reader

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._reader.close()

    async def serve(self, method: str, name: str, peer: Authority) -> web.Response:
        """A resource, to this authority. Raises Refusal: METHOD, LOG_DENIED, LOG_UNAVAILABLE."""
        if method not in METHODS:
            raise Refusal(Code.METHOD)
        kind = _kind(name)
        # The hub's own certificate (no role) is nobody's here; a suspended authority gets nothing any more.
        if not peer.active or peer.role is None or (kind == "entries" and peer.id not in self._readers):
            raise Refusal(Code.LOG_DENIED)
        try:
            data = await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.resource, name)
        except ProofError as error:
            if error.flaw in {Flaw.TILE_PATH, Flaw.PRUNED}:  # beyond the tree, or no longer kept
                return not_found()
            if error.flaw is Flaw.DATABASE:  # its server has ended the session; the next look begins another
                raise Refusal(Code.LOG_UNAVAILABLE) from error
            raise
        self._metrics.log_read(peer.id, kind)
        if kind == "entries":  # who looked at the exchanges of others can be found out
            self._log.note("entries read", peer=peer.id, resource=name)
        return web.Response(body=data, headers=_CHECKPOINT if name == CHECKPOINT else _STATIC)


def _kind(name: str) -> str:
    if name == CHECKPOINT:
        return "checkpoint"
    return "tile" if TileId.parse(name).level is not None else "entries"
