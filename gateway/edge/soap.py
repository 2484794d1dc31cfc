"""The SOAP listener: HTTP in, bounded and typed, to the broker; its signed bytes out (PROTOCOL §2).

Nothing is decided here but what HTTP alone can decide. A peer without a place in the register gets a bare
refusal and no parser. One event per request becomes one log line and the metrics.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from aiohttp import web

from gateway.adapters.metrics import Metrics
from gateway.agreement.terms import Agreement
from gateway.broker.document import Parcel
from gateway.broker.event import Event, trace
from gateway.broker.exchange import Broker
from gateway.broker.reply import Signer
from gateway.broker.rules import Received, Rules, RulesInForce
from gateway.edge import log_site
from gateway.edge.admission import Admission, Place
from gateway.edge.incoming import (
    HttpLimits,
    Promised,
    promised,
    promised_version,
    reads_packages,
    receive,
    require_framing,
    soap_action,
    tls_certificate,
)
from gateway.edge.listener import SERVER, bare, come_back, not_found
from gateway.edge.operational_log import OperationalLog
from gateway.edge.turned_away import TurnedAway
from gateway.exchangelog.exchange_id import new_exchange_id
from gateway.identity.chain import Usage
from gateway.model import PATH, Authority, AuthorityId, SoapVersion
from gateway.refusal import Code, Refusal
from gateway.soap import mime

_HEADERS: Final = {version: {**SERVER, "Content-Type": mime.media_type(version)} for version in SoapVersion}
_CERTIFICATES: Final = "certificates"
_PEM: Final = {**SERVER, "Content-Type": "application/pem-certificate-chain"}  # RFC 8555 §9.1

_TURNED_AWAY: Final = frozenset({Code.BUSY, Code.QUOTA})

ServedContract = Callable[[Agreement, Authority], Mapping[str, bytes]]  # query string → document


class SoapEdge:
    """What the SOAP listener does with each request. Owns nothing but its collaborators."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        broker: Broker,
        in_force: RulesInForce,
        served: ServedContract,
        site: log_site.LogSite,
        metrics: Metrics,
        log: OperationalLog,
        limits: HttpLimits,
        admission: Admission,
        clock: Callable[[], datetime],
    ) -> None:
        self._broker = broker
        self._in_force = in_force
        self._served = served
        self._site = site
        self._metrics = metrics
        self._log = log
        self._limits = limits
        self._admission = admission
        self._turned_away = TurnedAway(clock, os.urandom, log)
        self._clock = clock

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Serve one HTTP request. The target is compared as it was sent; what is none of ours is 404 (attack H21).

        Only a contract document has a query: nothing in a URL can override what a message says (attack H27).
        """
        path, mark, query = http.raw_path.partition("?")
        resource = None if mark else log_site.resource(path)
        if resource is None and (path != PATH or (mark and http.method != "GET")):
            return not_found()
        peer = None
        try:
            require_framing(http)
            peer, rules = self._recognise(http.transport)
            if resource is None and not query:
                return await self._message(http, peer, rules)
            with self._admission.place(peer.id, 0) as place:
                await self._admission.turn(place)
                if resource is not None:
                    return await _taken(http, await self._site.serve(http.method, resource, peer))
                return await _taken(http, self._document(query, peer, rules))
        except Refusal as refusal:
            self.refused(refusal, peer=peer)
            return bare(refusal, ("POST",) if resource is None else log_site.METHODS)
        except Exception as error:  # noqa: BLE001 - a bug outside the path; aiohttp would log the peer's own text
            self._metrics.refused_on_the_wire(Code.INTERNAL.row.label)
            self._log.note("failed", trace=trace(error))
            return bare(Refusal(Code.INTERNAL))

    def owner(self, transport: asyncio.BaseTransport) -> AuthorityId | None:
        """Whose connection it is; None: a stranger's."""
        try:
            return self._recognise(transport)[0].id
        except Refusal:
            return None

    def refused(
        self, refusal: Refusal, error: BaseException | None = None, *, peer: Authority | None = None
    ) -> None:
        """Count and tell a bare refusal: ours, or the HTTP parser's with its `error`."""
        self._metrics.refused_on_the_wire(refusal.code.row.label)
        self._log.refused_on_the_wire(refusal, peer, error)

    async def _message(self, http: web.BaseRequest, peer: Authority, rules: Rules) -> web.StreamResponse:
        """One message, if it may come in. Raises Refusal: what HTTP alone expresses."""
        try:
            self._admission.charge(peer.id, rules.agreement.quota(peer))
            says = promised(http)
            with self._admission.place(peer.id, self._size(http)) as place:
                return await self._exchange(http, peer, rules, says, place)
        except Refusal as refusal:
            if refusal.code not in _TURNED_AWAY:
                raise
            return await self._turn_away(http, refusal, peer, rules.signer)

    async def _turn_away(
        self, http: web.BaseRequest, refusal: Refusal, peer: Authority, signer: Signer
    ) -> web.Response:
        """Say to a message that was not read when to come again. Raises Refusal: SIGNING_UNAVAILABLE."""
        self._metrics.turned_away(peer.id, refusal.code.row.label)
        await asyncio.sleep(self._admission.patience(peer.id))
        version = promised_version(http)
        fault = await self._turned_away.fault(refusal, peer, version, signer)
        headers = {**_HEADERS[version], **come_back(refusal.retry_after)}
        if (
            "Expect" in http.headers
        ):  # whether the body follows is for the peer to choose, and not to be guessed
            headers["Connection"] = "close"
        return await _taken(http, web.Response(body=fault, status=500, headers=headers))

    def _size(self, http: web.BaseRequest) -> int:
        """Bytes that the message will have at most, without what is attached to it."""
        length, most = http.content_length, self._limits.body_bytes
        return most if length is None else min(length, most)

    async def _exchange(
        self, http: web.BaseRequest, peer: Authority, rules: Rules, says: Promised, place: Place
    ) -> web.StreamResponse:
        version, named, package = says
        action = soap_action(http.headers, named)
        came = await receive(http, package, self._limits)
        await self._admission.turn(place)
        mtom = package is not None or reads_packages(http.headers)
        if rules is not self._in_force.rules:  # the message took its time
            peer, rules = self._recognise(http.transport)
        now = self._clock()
        received = Received(rules, came.message, version, action, now, mtom, came.attachment)
        event = Event(new_exchange_id(now, os.urandom), peer, len(came.message))
        reply = await self._answer(received, event)
        if isinstance(reply, Parcel):
            return await self._stream(http, reply, event)
        return await _taken(http, reply)

    def _recognise(self, transport: asyncio.BaseTransport | None) -> tuple[Authority, Rules]:
        """Who the peer is, by the rules in force, and those rules. Raises Refusal: STRANGER."""
        rules = self._in_force.rules
        return rules.recognise(tls_certificate(transport), Usage.TLS_CLIENT, self._clock()), rules

    async def _answer(self, received: Received, event: Event) -> web.Response | Parcel:
        try:
            reply = await self._broker.answer(received, event)
        except Refusal as refusal:  # one that HTTP alone expresses; it is counted with its event, once
            return bare(refusal)
        finally:
            self._metrics.emit(event)
            self._log.emit(event)
        if isinstance(reply, Parcel):
            return reply
        version = event.envelope.version if event.envelope else SoapVersion.V11
        headers = {**_HEADERS[version], **come_back(event.retry_after)} if event.code else _HEADERS[version]
        return web.Response(body=reply, status=500 if event.code else 200, headers=headers)

    async def _stream(self, http: web.BaseRequest, parcel: Parcel, event: Event) -> web.StreamResponse:
        """Send a document. When that fails half-way there is nothing to say any more: the connection is cut."""
        response = web.StreamResponse(headers={**SERVER, "Content-Type": parcel.media})
        response.content_length = parcel.size
        try:
            async with asyncio.timeout(self._limits.document_seconds):
                await response.prepare(http)
                async for piece in parcel.stream():
                    await response.write(piece)
        except Exception as error:  # noqa: BLE001 - too slow, gone, the disk, a bug: no second answer may follow
            self._log.note("cut off", exchange=event.exchange, trace=trace(error))
            if http.transport is not None:
                http.transport.abort()
        finally:
            await parcel.close()
        return response

    def _document(self, query: str, peer: Authority, rules: Rules) -> web.Response:
        """`?wsdl`, `?singleWsdl`, `?xsd=NAME`: the contract as this authority may see it. `?certificates`."""
        if query == _CERTIFICATES:
            return web.Response(body=rules.announced, headers=_PEM)
        document = self._served(rules.agreement, peer).get(query)
        return web.Response(body=document, headers=_HEADERS[SoapVersion.V11]) if document else not_found()


async def _taken(http: web.BaseRequest, reply: web.Response) -> web.Response:
    """The reply, once its peer has taken it: what is not taken is memory, so it keeps its slot (attack H18)."""
    with suppress(
        ConnectionError
    ):  # the peer left: it was told nothing, and what was recorded stands (attack H19)
        await reply.prepare(http)
        await reply.write_eof()
    return reply
