"""What both listeners share: deadlines around a request, and plain answers in words of our own.

aiohttp reads HTTP. Left alone it would wait an hour for a request and for ever for a reply to be read, print
what a peer sent together with a traceback, quote it in its answer, and tell its version. All of that is set
right here, once. How many connections there may be is for `connections`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import ERROR, _ErrInfo

from gateway.edge.connections import ConnectionLimits, Cut, Shares, Watch
from gateway.edge.operational_log import LibraryLines, OperationalLog
from gateway.refusal import Code, Refusal

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Owner = Callable[[asyncio.BaseTransport], str | None]  # the authority at the other end; None: nobody known
OnRefusal = Callable[[Refusal, BaseException | None], None]  # the refusal, and what the parser raised

SERVER: Final = {"Server": "gateway"}  # without it aiohttp names itself, Python, and both versions
_MAX_LINE: Final = 4096  # bytes of the request line
_MAX_FIELD: Final = 4096  # bytes of one header field
_MAX_FIELDS: Final = 64  # of one request, so that all together have at most 256 KiB
_UNREAD: Final = 64 * 1024  # bytes written to a peer that it has not taken; beyond that writing waits for it
_BARE: Final = {Code.BUSY: 503, Code.QUOTA: 429}  # status where no signed fault can be given (RFC 6585 §4)


def nobody(transport: asyncio.BaseTransport) -> str | None:  # noqa: ARG001 - an Owner
    """The owner of a connection that shows no certificate."""
    return None


class Listener(web.Server):
    """Makes one protocol for each connection.

    A connection that brings no complete request header within `header_seconds` of its start, or of the
    reply before, is closed (attack H16). That is aiohttp's keep-alive timer, which runs until a header is
    complete, not until the first byte. One that does not take what was written to it within `reply_seconds`
    is cut off (attack H18).

    `draining`: set it, and every further reply says that it ends its connection. Who keeps connections makes a new
    one, which a balancer leads elsewhere; none is closed under a request that is on its way.
    """

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        handler: Handler,
        log: OperationalLog,
        refused: OnRefusal,
        *,
        owner: Owner,
        limits: ConnectionLimits,
        watch: Watch,
    ) -> None:
        super().__init__(handler, request_factory=self._request)
        self.draining = False
        self.refused: Final = refused
        self.owner: Final = owner
        self.limits: Final = limits
        self.watch: Final = watch
        self.shares: Final = Shares(limits.of_an_authority)  # all that nobody knows have one together
        # In no hierarchy, so that no other handler prints it.
        self._words = logging.Logger("aiohttp.server", logging.WARNING)  # noqa: LOG001 - see above
        self._words.addHandler(LibraryLines(log))

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if message is ERROR:  # it is answered in the version that this server speaks (RFC 9110 §2.5)
            message = message._replace(version=HttpVersion11)
        if self.draining:  # as if the client had asked for it (RFC 9112 §9.6)
            message = message._replace(should_close=True)
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop)

    def connection(self, ended: asyncio.Future[None]) -> web.RequestHandler:
        """The protocol of one connection, which fulfils `ended` when nothing is left of it."""
        return _Connection(
            self,
            ended,
            loop=asyncio.get_running_loop(),
            logger=self._words,
            access_log=None,
            keepalive_timeout=self.limits.header_seconds,
            lingering_time=self.limits.header_seconds,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_FIELD,
            max_headers=_MAX_FIELDS,
            auto_decompress=False,  # a compressed body is refused by its header (attacks H08–H10)
        )


class _Connection(web.RequestHandler):
    """One connection. Differs from its base in what it says of bytes that are no HTTP, and in its patience."""

    __slots__ = ("_broken", "_ended", "_leaving", "_listener", "_owner", "_patience", "_placed")

    def __init__(self, listener: Listener, ended: asyncio.Future[None], **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._ended = ended
        self._owner: str | None = None
        self._broken = False  # what came last was no HTTP
        self._placed = False  # it has one of its owner's places
        self._leaving = False  # it will be closed, once everything is taken
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done: the connection takes a place of its authority, or ends."""
        to_peer = cast("asyncio.Transport", transport)
        self._owner = self._listener.owner(transport)
        self._placed = self._listener.shares.take(self._owner)
        if not self._placed:  # attack H30
            self._listener.watch.cut(Cut.AUTHORITY)
            to_peer.abort()
            return
        to_peer.set_write_buffer_limits(_UNREAD)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._be_patient(None)
        if self._placed:
            self._placed = False
            self._listener.shares.give_back(self._owner)
        if not self._ended.done():
            self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Nothing follows bytes that are no HTTP: aiohttp would find a new error in each piece, and keep them all."""
        if not self._broken:
            super().data_received(data)
            self._broken = bool(self._messages) and isinstance(self._messages[-1][0], _ErrInfo)

    def pause_writing(self) -> None:
        """More is written than the peer has taken: its time begins."""
        super().pause_writing()
        self._be_patient(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._leaving:
            self._be_patient(None)

    async def start(self) -> None:
        """Serve until the connection is to be closed. That waits for what the peer has not taken, so it has its time."""
        transport = self.transport
        try:
            await super().start()
        finally:
            self._leaving = True
            if self._placed:
                self._be_patient(transport)

    def _be_patient(self, transport: asyncio.Transport | None) -> None:
        """Give the peer of `transport` its time to take what was written; None: it needs none any more."""
        if self._patience is not None:
            self._patience.cancel()
        seconds = self._listener.limits.reply_seconds
        self._patience = self._loop.call_later(seconds, self._cut_off, transport) if transport else None

    def _cut_off(self, transport: asyncio.Transport) -> None:
        self._listener.watch.cut(Cut.REPLY)
        transport.abort()

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


def bare(refusal: Refusal, methods: Sequence[str] = ("POST",)) -> web.Response:
    """A refusal before any message was understood: HTTP alone, code and remedy in plain text.

    `methods`: that the target of the request has.
    """
    row = refusal.code.row
    headers = {**SERVER, "Connection": "close"}
    if refusal.code is Code.METHOD:
        headers["Allow"] = ", ".join(methods)
    headers |= come_back(refusal.retry_after)
    status = row.http if row.http != 500 or refusal.code is Code.INTERNAL else _BARE.get(refusal.code, 400)
    return web.Response(
        text=f"{row.code} {row.label}: {row.sentence} {row.remedy}\n", status=status, headers=headers
    )


def come_back(seconds: int | None) -> dict[str, str]:
    """The header field that says when to try again (RFC 9110 §10.2.3)."""
    return {} if seconds is None else {"Retry-After": str(seconds)}


def not_found() -> web.Response:
    """404, the same for every path and document that is not there."""
    return web.Response(text="404: Not Found\n", status=404, headers=SERVER)
