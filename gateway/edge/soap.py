"""The SOAP listener: HTTP in, bounded and typed, to the broker; its signed bytes out (PROTOCOL §2).

Nothing is decided here but what HTTP alone can decide. A peer without a place in the register gets a bare
refusal and no parser. One event per request becomes one log line and the metrics.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import HttpVersion11, StreamReader, web
from multidict import CIMultiDictProxy

from gateway.adapters.metrics import Metrics
from gateway.agreement.terms import Agreement
from gateway.broker.content import Arrived, Attachment, arrived
from gateway.broker.document import Parcel
from gateway.broker.event import Event, trace
from gateway.broker.exchange import Broker
from gateway.broker.reply import Signer
from gateway.broker.rules import Received, Rules, RulesInForce
from gateway.edge import log_site
from gateway.edge.admission import Admission, Place
from gateway.edge.listener import SERVER, bare, come_back, not_found
from gateway.edge.operational_log import OperationalLog
from gateway.edge.turned_away import TurnedAway
from gateway.exchangelog.exchange_id import new_exchange_id
from gateway.identity.chain import Usage
from gateway.model import Authority, AuthorityId, SoapVersion
from gateway.refusal import Code, Refusal
from gateway.soap import mime

PATH: Final = "/soap/v1"
_HEADERS: Final = {version: {**SERVER, "Content-Type": mime.media_type(version)} for version in SoapVersion}
_CERTIFICATES: Final = "certificates"
_PEM: Final = {**SERVER, "Content-Type": "application/pem-certificate-chain"}  # RFC 8555 §9.1
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_TURNED_AWAY: Final = frozenset({Code.BUSY, Code.QUOTA})

Promised = tuple[SoapVersion, str | None, mime.Package | None]
ServedContract = Callable[[Agreement, Authority], Mapping[str, bytes]]  # query string → document


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one request may use."""

    body_bytes: int
    body_seconds: float
    document_bytes: int  # of one document that is attached
    document_seconds: float  # to receive a document; again to send a reply that holds one


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
            _require_framing(http)
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
            promised = _promised(http)
            with self._admission.place(peer.id, self._size(http)) as place:
                return await self._exchange(http, peer, rules, promised, place)
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
        version = _version(http)
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
        self, http: web.BaseRequest, peer: Authority, rules: Rules, promised: Promised, place: Place
    ) -> web.StreamResponse:
        version, action, package = promised
        action = _soap_action(http.headers) or action
        came = await self._receive(http, package)
        await self._admission.turn(place)
        mtom = package is not None or _reads_packages(http.headers)
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
        return rules.recognise(_tls_certificate(transport), Usage.TLS_CLIENT, self._clock()), rules

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

    async def _receive(self, http: web.BaseRequest, package: mime.Package | None) -> Arrived:
        """The message; its attachment, if it has one, is read by whoever takes one."""
        limits = self._limits
        most = limits.body_bytes if package is None else limits.body_bytes + limits.document_bytes
        if (http.content_length or 0) > most:
            raise Refusal(Code.TOO_LARGE)
        expected = _expects_continue(http)
        with _reading():
            if package is None and http.content.is_eof():  # it came together with its header
                return Arrived(_whole(http.content, most), None)
            async with asyncio.timeout(limits.body_seconds):  # attack H17
                if expected:
                    await http.writer.write(_CONTINUE)
                if package is None:
                    return Arrived(b"".join([chunk async for chunk in _chunks(http.content, most)]), None)
                came = await arrived(_chunks(http.content, most), package, limits.body_bytes)
        if came.attachment is None:
            return came
        content = _bounded(came.attachment.content, limits)
        return Arrived(came.message, Attachment(came.attachment.id, content))

    def _document(self, query: str, peer: Authority, rules: Rules) -> web.Response:
        """`?wsdl`, `?singleWsdl`, `?xsd=NAME`: the contract as this authority may see it. `?certificates`."""
        if query == _CERTIFICATES:
            return web.Response(body=rules.announced, headers=_PEM)
        document = self._served(rules.agreement, peer).get(query)
        return web.Response(body=document, headers=_HEADERS[SoapVersion.V11]) if document else not_found()


def _whole(content: StreamReader, most: int) -> bytes:
    """A body that is here. Raises Refusal, and what the parser found wrong with it."""
    data = content.read_nowait()
    if len(data) > most:
        raise Refusal(Code.TOO_LARGE)
    return data


async def _chunks(content: StreamReader, most: int) -> AsyncIterator[bytes]:
    size = 0
    while chunk := await content.readany():  # a chunked body has no length to check before (attack H07)
        size += len(chunk)
        if size > most:
            raise Refusal(Code.TOO_LARGE)
        yield chunk


async def _bounded(chunks: AsyncIterator[bytes], limits: HttpLimits) -> AsyncIterator[bytes]:
    """The chunks of an attachment, so many bytes in so many seconds."""
    end, size = asyncio.get_running_loop().time() + limits.document_seconds, 0
    while True:
        with _reading():
            async with asyncio.timeout_at(end):
                chunk = await anext(chunks, None)
        if chunk is None:
            return
        size += len(chunk)
        if size > limits.document_bytes:
            raise Refusal(Code.TOO_LARGE)
        yield chunk


@contextmanager
def _reading() -> Iterator[None]:
    """What can go wrong while a request is read."""
    try:
        yield
    except (TimeoutError, ConnectionError) as error:  # it took too long, or the peer went away
        raise Refusal(Code.TOO_SLOW) from error
    except web.RequestPayloadError as error:  # chunks that are none (attack H14)
        raise Refusal(Code.HTTP) from error


async def _taken(http: web.BaseRequest, reply: web.Response) -> web.Response:
    """The reply, once its peer has taken it: what is not taken is memory, so it keeps its slot (attack H18)."""
    with suppress(
        ConnectionError
    ):  # the peer left: it was told nothing, and what was recorded stands (attack H19)
        await reply.prepare(http)
        await reply.write_eof()
    return reply


def _tls_certificate(transport: asyncio.BaseTransport | None) -> bytes:
    ssl_object = transport.get_extra_info("ssl_object") if transport else None
    der = ssl_object.getpeercert(binary_form=True) if ssl_object else None
    if not isinstance(der, bytes):
        raise Refusal(Code.STRANGER)
    return der


def _require_framing(http: web.BaseRequest) -> None:
    """HTTP/1.1, and no other transfer coding than chunked: aiohttp would pass on what is inside (attack H12)."""
    codings = http.headers.getall("Transfer-Encoding", ())
    if http.version != HttpVersion11 or (codings and [one.lower() for one in codings] != ["chunked"]):
        raise Refusal(Code.HTTP)


def _version(http: web.BaseRequest) -> SoapVersion:
    """The SOAP version of a message that is not read; 1.1 where the headers do not say."""
    try:
        return _promised(http)[0]
    except Refusal:
        return SoapVersion.V11


def _promised(http: web.BaseRequest) -> Promised:
    """What method and headers promise: the SOAP version, the action that the media type names, and the MTOM
    package around the message if there is one. Raises Refusal.
    """
    if http.method != "POST":
        raise Refusal(Code.METHOD)
    if "Content-Encoding" in http.headers:  # an unknown one would arrive undecoded (attack H09)
        raise Refusal(Code.CONTENT_ENCODING)
    types = http.headers.getall("Content-Type", ())
    if len(types) != 1:
        raise Refusal(Code.MEDIA_TYPE)
    if types[0].lower().startswith(mime.PACKAGE):
        package = mime.read_type(types[0])
        return package.version, package.action, package
    return *mime.read_message_type(types[0]), None


def _reads_packages(headers: CIMultiDictProxy[str]) -> bool:
    """Whether Accept names what MTOM travels in; `*/*` does not, for most who send it cannot read it."""
    ranges = (one for value in headers.getall("Accept", []) for one in value.split(","))
    return any(one.partition(";")[0].strip().lower() == mime.PACKAGE for one in ranges)


def _expects_continue(http: web.BaseRequest) -> bool:
    """RFC 9110 §10.1.1: 100-continue is the only expectation there is."""
    expectations = http.headers.getall("Expect", ())
    if expectations and [one.lower() for one in expectations] != ["100-continue"]:
        raise Refusal(Code.HTTP)
    return bool(expectations)


def _soap_action(headers: CIMultiDictProxy[str]) -> str | None:
    """The unsigned hint of SOAP 1.1 §6.1.1; None if absent or empty."""
    values = headers.getall("SOAPAction", [])
    if len(values) > 1:
        raise Refusal(Code.ACTION)
    return values[0].strip('" ') or None if values else None
