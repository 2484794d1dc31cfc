"""What both listeners share: deadlines before a request is there, and plain answers in words of our own.

aiohttp reads HTTP. Left alone it would wait an hour for a request, print what a peer sent together with a
traceback, quote it in its answer, and tell its version. All of that is set right here, once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from gateway.edge.operational_log import LibraryLines, OperationalLog
from gateway.refusal import Code, Refusal

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
OnRefusal = Callable[[Refusal, BaseException | None], None]  # the refusal, and what the parser raised

SERVER: Final = {"Server": "gateway"}  # without it aiohttp names itself, Python, and both versions
_MAX_FIELD: Final = 4096  # bytes of one header field
_RETRY_AFTER: Final = "1"  # seconds


class Listener(web.Server):
    """Makes one protocol for each connection: the factory that `loop.create_server` takes.

    A connection that brings no complete request header within `header_seconds` of its start, or of the
    reply before, is closed (attack H16). That is aiohttp's keep-alive timer, which runs until a header is
    complete, not until the first byte.
    """

    def __init__(
        self, handler: Handler, log: OperationalLog, refused: OnRefusal, *, header_seconds: float
    ) -> None:
        super().__init__(handler)
        self.header_seconds: Final = header_seconds
        self.refused: Final = refused
        # In no hierarchy, so that no other handler prints it.
        self._words = logging.Logger("aiohttp.server", logging.WARNING)  # noqa: LOG001 - see above
        self._words.addHandler(LibraryLines(log))

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            logger=self._words,
            access_log=None,
            keepalive_timeout=self.header_seconds,
            max_field_size=_MAX_FIELD,
            auto_decompress=False,  # a compressed body is refused by its header (attacks H08–H10)
        )


class _Connection(web.RequestHandler):
    """One connection. Differs from its base in what it says of bytes that are no HTTP."""

    __slots__ = ("_listener",)

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - the parser's, empty
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the peer
    ) -> web.StreamResponse:
        """Answer, instead of aiohttp's own page, with a bare refusal; tell only the type of the exception."""
        refusal = Refusal(Code.HTTP if status < 500 else Code.INTERNAL)
        self._listener.refused(refusal, exc)
        return bare(refusal)


def bare(refusal: Refusal) -> web.Response:
    """A refusal before any message was understood: HTTP alone, code and remedy in plain text."""
    row = refusal.code.row
    headers = {**SERVER, "Connection": "close"}
    if refusal.code is Code.METHOD:
        headers["Allow"] = "POST"
    if row.http == 503:
        headers["Retry-After"] = _RETRY_AFTER
    status = row.http if row.http != 500 or refusal.code is Code.INTERNAL else 400
    return web.Response(
        text=f"{row.code} {row.label}: {row.sentence} {row.remedy}\n", status=status, headers=headers
    )


def not_found() -> web.Response:
    """404, the same for every path and document that is not there."""
    return web.Response(text="404: Not Found\n", status=404, headers=SERVER)
