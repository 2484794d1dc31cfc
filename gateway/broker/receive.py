"""The first half of every path: bytes from the wire to a request of the contract (PROTOCOL §3–§6).

The same four stages whatever is asked or told, so that no pattern of exchange can skip one.
"""

from __future__ import annotations

from gateway.agreement.admit import admit
from gateway.broker.event import Event
from gateway.broker.rules import Received, Rules
from gateway.identity.authority import identify
from gateway.model import Request
from gateway.refusal import Code, Refusal
from gateway.soap.envelope import read
from gateway.wss.verify import verify


def receive(message: Received, event: Event, rules: Rules) -> Request:
    """The request in a message. Raises Refusal; what is known of the caller by then stands in `event`."""
    with event.stage("read"):  # §3 bytes → Envelope
        event.envelope = envelope = read(message.data, rules.limits)
        if envelope.version is not message.version:
            raise Refusal(Code.MEDIA_TYPE)
    with event.stage("verify"):  # §4 → Verified
        verified = verify(envelope, rules.terms.window, message.received)
    with event.stage("identify"):  # §5 → Caller
        event.caller = caller = identify(
            verified, event.peer, rules.certificates, rules.register, message.received
        )
    with event.stage("admit"):  # §6 → Request
        event.request = request = admit(
            caller, message.soap_action, rules.agreement, rules.terms, message.received
        )
    return request
