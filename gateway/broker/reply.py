"""Outgoing messages: replies, faults and questions, built from the model and signed (PROTOCOL §11)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from gateway.agreement import messages, notices
from gateway.agreement.messages import Customer, Question
from gateway.broker.event import Event
from gateway.model import (
    SERVICE,
    Acknowledgement,
    Addressing,
    Authority,
    ExchangeId,
    Receipt,
    Released,
    Request,
    SoapVersion,
    Ticket,
)
from gateway.refusal import Category, Code, Refusal
from gateway.soap import fault, names
from gateway.wss.profile import Window
from gateway.wss.sign import Frame, Framing, Header, SigningKey, sign

# Without `about`: what is wrong with a certificate would be an oracle (§5.1), and what is wrong with an answer could
# name a field that the requester may not know to be there (§9.2).
_UNEXPLAINED: Final = frozenset({Category.IDENTITY, Category.PROVIDER})

SIGNING_SECONDS: Final = 10.0  # for one signature of a token, its turn included
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Signer:
    """The hub's signing keys by suite; the register says which suite an authority can verify.

    Every message that it makes raises Refusal, SIGNING_UNAVAILABLE, when the key's token does not sign.
    """

    keys: Mapping[str, SigningKey]
    hub: Authority
    window: Window
    beside: Executor | None = None  # where tokens are waited for; one thread is enough, for they take turns
    seconds: float = SIGNING_SECONDS

    async def reply(
        self, released: Released, receipt: Receipt, exchange: ExchangeId, received: datetime, now: datetime
    ) -> bytes:
        """The signed response to a released exchange."""
        body = _reply(released, receipt, exchange, received, now)
        return await self.response(released.permitted.request, body, exchange, now)

    def framing(
        self, released: Released, receipt: Receipt, exchange: ExchangeId, received: datetime, now: datetime
    ) -> Framing:
        """The response to a released document, open where the payload has the digest of the content."""
        request = released.permitted.request
        body = _reply(released, receipt, exchange, received, now)
        before, after = body.split(f">{request.criteria.document_sha256}</s:content>")
        return Framing(
            f"{before}>",
            f"</s:content>{after}",
            version=request.caller.verified.version,
            unique=exchange,
        )

    async def frame(self, framing: Framing, request: Request, exchange: ExchangeId, now: datetime) -> Frame:
        """That response signed, when the framing has had all of the content."""
        key = self.keys[request.caller.authority.suite]
        make = partial(
            framing.sign,
            key=key,
            now=now,
            lifetime=self.window.reply,
            addressing=_response_addressing(request, exchange),
        )
        return await self._made(key, make)

    async def receipt(
        self,
        request: Request,
        receipt: Receipt | None,
        exchange: ExchangeId,
        received: datetime,
        now: datetime,
    ) -> bytes:
        """The signed acknowledgement of a notification, or of a message that was acknowledged."""
        gateway = messages.information_gateway(exchange, received, now, receipt)
        body = notices.write_acknowledgement(echo(request), gateway, Acknowledgement.OK)
        return await self.response(request, body, exchange, now)

    async def response(self, request: Request, body: str, exchange: ExchangeId, now: datetime) -> bytes:
        """A response element to a request, signed: in its SOAP version, with addressing if it had any."""
        version, headers = request.caller.verified.version, _response_addressing(request, exchange)
        return await self._sign(body, request.caller.authority, version, headers, exchange, now)

    async def fault(self, refusal: Refusal, event: Event, now: datetime) -> bytes:
        """The signed fault, in the version of the request or, for what could not be parsed, SOAP 1.1."""
        version = event.envelope.version if event.envelope else SoapVersion.V11
        addressing = event.envelope.addressing if event.envelope else None
        customer = _customer(event.request) if event.request else None
        told = Refusal(refusal.code) if refusal.code.row.category in _UNEXPLAINED else refusal
        detail = messages.write_fault(told, event.exchange, self.hub.enterprise, customer)
        body = fault.write(told, event.exchange, version, detail)
        headers = _addressing(addressing, fault.action(told), event.exchange)
        return await self._sign(body, event.peer, version, headers, event.exchange, now)

    async def turned_away(
        self, refusal: Refusal, peer: Authority, version: SoapVersion, incident: ExchangeId, now: datetime
    ) -> bytes:
        """The signed fault to a message that was not read: of the message it repeats nothing."""
        detail = messages.write_fault(refusal, incident, self.hub.enterprise, None)
        body = fault.write(refusal, incident, version, detail)
        return await self._sign(body, peer, version, [], incident, now)

    async def question(self, body: str, provider: Authority, ticket: Ticket, now: datetime) -> bytes:
        """A signed request to a provider: SOAP 1.1 without addressing, which every stack reads."""
        return await self._sign(body, provider, SoapVersion.V11, [], ExchangeId(ticket), now)

    async def _sign(  # noqa: PLR0913, PLR0917 - every value that differs between the three messages
        self,
        body: str,
        recipient: Authority,
        version: SoapVersion,
        headers: list[Header],
        unique: ExchangeId,
        now: datetime,
    ) -> bytes:
        key = self.keys[recipient.suite]
        make = partial(
            sign,
            body,
            version=version,
            key=key,
            now=now,
            lifetime=self.window.reply,
            unique=unique,
            addressing=headers,
        )
        return await self._made(key, make)

    async def _made(self, key: SigningKey, make: Callable[[], T]) -> T:
        """A token may be a network away: the event loop does not wait for it. A key in memory signs at once."""
        if not key.held:
            return make()
        try:
            async with asyncio.timeout(self.seconds):
                return await asyncio.get_running_loop().run_in_executor(self.beside, make)
        except TimeoutError as error:  # should it sign after all, nobody takes that signature
            raise Refusal(Code.SIGNING_UNAVAILABLE) from error


def echo(request: Request) -> Question:
    """The blocks of a request as its response repeats them."""
    return Question(request.operation, _customer(request), None, request.legal_context, request.criteria)


def _reply(
    released: Released, receipt: Receipt, exchange: ExchangeId, received: datetime, now: datetime
) -> str:
    return messages.write_reply(
        echo(released.permitted.request),
        messages.information_gateway(exchange, received, now, receipt),
        messages.answered(released.outcome, released.unanswered),
        released.permitted.view.filtered,
        released.payload,
    )


def _customer(request: Request) -> Customer:
    enterprise = request.caller.authority.enterprise
    return Customer(request.ticket, request.timestamp_sent, enterprise, request.proof)


def _response_addressing(request: Request, exchange: ExchangeId) -> list[Header]:
    action = f"{SERVICE}/{request.operation}Response"
    return _addressing(request.caller.verified.addressing, action, exchange)


def _addressing(asked: Addressing | None, action: str, exchange: ExchangeId) -> list[Header]:
    """Addressing headers if the request had them: JAX-WS RI refuses a reply without."""
    if asked is None:
        return []
    headers = [
        Header("Action", action),
        Header("MessageID", f"urn:uuid:{exchange}"),
        Header("To", names.WSA_ANONYMOUS),
    ]
    if asked.message_id is not None:
        headers.append(Header("RelatesTo", asked.message_id))
    return headers
