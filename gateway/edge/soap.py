"""The SOAP listener: HTTP in, bounded and typed, to the broker; its signed bytes out (PROTOCOL §2).

Nothing is decided here but what HTTP alone can decide. A peer without a place in the register gets a bare
refusal and no parser. One event per request becomes one log line and the metrics.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web
from multidict import CIMultiDictProxy

from gateway.adapters.metrics import Metrics
from gateway.broker.consult import Broker, Received
from gateway.broker.event import Event, trace
from gateway.edge.operational_log import OperationalLog
from gateway.model import Authority, ExchangeId, SoapVersion
from gateway.refusal import Code, Refusal

PATH: Final = "/soap/v1"
_MEDIA: Final = {"text/xml": SoapVersion.V11, "application/soap+xml": SoapVersion.V12}
_RETRY_AFTER: Final = "1"  # seconds

ServedContract = Callable[[Authority], Mapping[str, bytes]]  # query string → document
Recognise = Callable[[bytes, datetime], Authority]  # DER of the TLS certificate; raises Refusal


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one request, and all of them together, may use."""

    body_bytes: int
    body_seconds: float
    in_flight: int


class SoapEdge:
    """The handlers of the SOAP listener."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        broker: Broker,
        recognise: Recognise,
        served: ServedContract,
        metrics: Metrics,
        log: OperationalLog,
        limits: HttpLimits,
        clock: Callable[[], datetime],
    ) -> None:
        self._broker = broker
        self._recognise = recognise
        self._served = served
        self._metrics = metrics
        self._log = log
        self._limits = limits
        self._clock = clock
        self._in_flight = 0

    def application(self) -> web.Application:
        """Exact routes only; anything else is 404 (attack H21)."""
        application = web.Application(client_max_size=self._limits.body_bytes)
        application.router.add_route("*", PATH, self.handle)
        return application

    async def handle(self, http: web.Request) -> web.Response:
        """Serve one HTTP request."""
        try:
            peer = self._recognise(_tls_certificate(http), self._clock())
            if http.method == "GET" and http.query_string:
                return self._contract(http, peer)
            return await self._exchange(http, peer)
        except Refusal as refusal:
            self._metrics.refused_on_the_wire(refusal.code.row.label)
            self._log.refused_on_the_wire(refusal)
            return _bare(refusal)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - a bug outside the path; aiohttp would log the peer's own text
            self._metrics.refused_on_the_wire(Code.INTERNAL.row.label)
            self._log.note("failed", trace=trace(error))
            return _bare(Refusal(Code.INTERNAL))

    async def _exchange(self, http: web.Request, peer: Authority) -> web.Response:
        version = _version(http)
        action = _soap_action(http.headers, version)
        if self._in_flight >= self._limits.in_flight:
            raise Refusal(Code.BUSY)
        self._in_flight += 1
        self._metrics.in_flight(self._in_flight)
        try:
            data = await self._body(http)
            received = Received(data, version, action, self._clock())
            event = Event(ExchangeId(str(uuid.uuid4())), peer, len(data))
            return await self._answer(received, event)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight(self._in_flight)

    async def _answer(self, received: Received, event: Event) -> web.Response:
        try:
            reply = await self._broker.answer(received, event)
        except Refusal as refusal:  # one that HTTP alone expresses; it is counted with its event, once
            return _bare(refusal)
        finally:
            self._metrics.emit(event)
            self._log.emit(event)
        version = event.envelope.version if event.envelope else SoapVersion.V11
        content_type = "text/xml" if version is SoapVersion.V11 else "application/soap+xml"
        return web.Response(
            body=reply, status=500 if event.code else 200, content_type=content_type, charset="utf-8"
        )

    async def _body(self, http: web.Request) -> bytes:
        if (http.content_length or 0) > self._limits.body_bytes:
            raise Refusal(Code.TOO_LARGE)
        try:
            async with asyncio.timeout(self._limits.body_seconds):  # attack H17
                return await http.read()
        except (TimeoutError, ConnectionError) as error:  # it took too long, or the peer went away
            raise Refusal(Code.TOO_SLOW) from error
        except web.HTTPRequestEntityTooLarge as error:
            raise Refusal(Code.TOO_LARGE) from error

    def _contract(self, http: web.Request, peer: Authority) -> web.Response:
        """`?wsdl`, `?singleWsdl`, `?xsd=NAME`: the contract as this authority may see it."""
        document = self._served(peer).get(http.query_string)
        if document is None:
            raise web.HTTPNotFound
        return web.Response(body=document, content_type="text/xml", charset="utf-8")


def _tls_certificate(http: web.Request) -> bytes:
    ssl_object = http.transport.get_extra_info("ssl_object") if http.transport else None
    der = ssl_object.getpeercert(binary_form=True) if ssl_object else None
    if not isinstance(der, bytes):
        raise Refusal(Code.STRANGER)
    return der


def _version(http: web.Request) -> SoapVersion:
    """The SOAP version that method, media type, charset and encoding promise. Raises Refusal."""
    if http.method != "POST":
        raise Refusal(Code.METHOD)
    if "Content-Encoding" in http.headers:  # an unknown one would arrive undecoded (attack H09)
        raise Refusal(Code.CONTENT_ENCODING)
    version = _MEDIA.get(http.content_type)
    if version is None or len(http.headers.getall("Content-Type", [])) != 1:
        raise Refusal(Code.MEDIA_TYPE)
    if (http.charset or "utf-8").lower() != "utf-8":
        raise Refusal(Code.MEDIA_TYPE, "charset")
    return version


def _soap_action(headers: CIMultiDictProxy[str], version: SoapVersion) -> str | None:
    """The unsigned hint of SOAP 1.1 §6.1.1, or of the `action` parameter of SOAP 1.2; None if absent or empty."""
    values = headers.getall("SOAPAction", [])
    if len(values) > 1:
        raise Refusal(Code.ACTION)
    if values and values[0].strip('" '):
        return values[0].strip('" ')
    return _action_parameter(headers.get("Content-Type", "")) if version is SoapVersion.V12 else None


def _action_parameter(content_type: str) -> str | None:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "action":
            return value.strip().strip('"') or None
    return None


def _bare(refusal: Refusal) -> web.Response:
    """A refusal before any message was understood: HTTP alone, code and remedy in plain text."""
    row = refusal.code.row
    headers = {"Connection": "close"}
    if refusal.code is Code.METHOD:
        headers["Allow"] = "POST"
    if refusal.code is Code.BUSY:
        headers["Retry-After"] = _RETRY_AFTER
    status = row.http if row.http != 500 or refusal.code is Code.INTERNAL else 400
    return web.Response(
        text=f"{row.code} {row.label}: {row.sentence} {row.remedy}\n", status=status, headers=headers
    )
