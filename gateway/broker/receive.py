"""The first half of every path: bytes from the wire to a request of the contract (PROTOCOL §3–§6).

The same four stages whatever is asked or told, so that no pattern of exchange can skip one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.agreement.admit import admit
from gateway.agreement.load import Agreement
from gateway.broker.content import Attachment, in_pieces
from gateway.broker.event import Event
from gateway.broker.rules import Received
from gateway.identity.authority import identify
from gateway.model import SERVICE, Authority, Envelope, OperationName, Pattern, Request, Verified
from gateway.refusal import Code, Refusal
from gateway.soap.envelope import place_of_content, read, read_message
from gateway.soap.xml import Element
from gateway.wss.verify import Unfinished, verify

Take = Callable[[bytes], Awaitable[None]]  # the next piece of a content


def receive(message: Received, event: Event) -> Request:
    """The request in a message. Raises Refusal; what is known of the caller by then stands in `event`."""
    with event.stage("read"):  # §3 bytes → Envelope
        event.envelope = envelope = read(message.data, message.rules.limits)
        _require_promised(envelope, message)
    with event.stage("verify"):  # §4 → Verified
        verified = verify(envelope, message.rules.terms.window, message.received)
    return _admitted(verified, message, event)


async def receive_attached(
    message: Received, attachment: Attachment, event: Event, take: Take
) -> tuple[Request, Element]:
    """The same of a message with an attachment, every piece of which is given to `take`.

    Returns besides the element whose content that is, with its SHA-256 in hexadecimal as text. Of the attachment
    nothing is read when the operation takes none, or the peer may not call it, or before a signature verified. Raises as `receive`, and what
    `take` raises.
    """
    with event.stage("read"):  # §3 bytes → Envelope
        event.envelope = envelope = read_message(message.data, message.rules.limits)
        _require_promised(envelope, message)
        _require_attachable(envelope, event.peer, message.rules.agreement)
        place = place_of_content(envelope, attachment.id)
    with event.stage("verify"):
        unfinished = Unfinished(envelope, place, message.rules.terms.window, message.received)
    with event.stage("read"):
        async for piece in in_pieces(attachment.content):
            event.size += len(piece)
            await take(piece)
            await asyncio.to_thread(unfinished.update, piece)
    with event.stage("verify"):  # §4 → Verified
        verified = unfinished.finish()
    return _admitted(verified, message, event), place


def _admitted(verified: Verified, message: Received, event: Event) -> Request:
    rules = message.rules
    with event.stage("identify"):  # §5 → Caller
        event.caller = caller = identify(
            verified, event.peer, rules.certificates, rules.register, message.received
        )
    with event.stage("admit"):  # §6 → Request
        event.request = request = admit(
            caller, message.soap_action, rules.agreement, rules.terms, message.received
        )
    return request


def _require_promised(envelope: Envelope, message: Received) -> None:
    if envelope.version is not message.version:
        raise Refusal(Code.MEDIA_TYPE)


def _require_attachable(envelope: Envelope, peer: Authority, agreement: Agreement) -> None:
    """By what nobody has verified yet, which can only make the hub read less.

    Who may never upload takes no room on the disk. Raises Refusal: MULTIPART, SUSPENDED, OPERATION_DENIED.
    """
    namespace, _, name = str(envelope.body[0].tag).removeprefix("{").rpartition("}")
    operation = agreement.operations.get(OperationName(name))
    if namespace != SERVICE or operation is None or operation.pattern is not Pattern.UPLOAD:
        raise Refusal(Code.MULTIPART, "attachment")
    if not peer.active:
        raise Refusal(Code.SUSPENDED)
    if peer.role not in operation.requesters:
        raise Refusal(Code.OPERATION_DENIED)
