"""The messages of the benchmark: what the requester asks, what the provider answers, both signed.

Every question has a ticket of its own, since the hub takes none twice; every answer echoes the question's
ticket and is signed for it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from gateway.agreement.messages import (
    Customer,
    Question,
    Status,
    answered,
    read_question,
    write_question,
    write_reply,
)
from gateway.bench.dossiers import dossier_number, kilobytes_of, payload
from gateway.model import (
    COMMON,
    DOSSIER,
    SERVICE,
    Criteria,
    Enterprise,
    LegalContext,
    OperationName,
    Outcome,
    SoapVersion,
    Ticket,
)
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey, sign
from gateway.wss.verify import verify

OPERATION: Final = OperationName("consultDossier")
CONTEXT: Final = LegalContext("WIB:WORK_DECISION")
ACTION: Final = f"{SERVICE}/{OPERATION}"
LIFETIME: Final = timedelta(minutes=5)
# Replies at 100 KB hold more declarations than the hub itself accepts from a peer.
READER_LIMITS: Final = Limits(namespaces=10_000)
_TICKET: Final = re.compile(rb"<(?:\w+:)?ticket(?:\s[^>]*)?>([A-Za-z0-9._-]{1,36})</")


@dataclass(frozen=True, slots=True)
class Asked:
    """One signed question, and the ticket that its reply must echo."""

    ticket: bytes
    message: bytes


def ask(kilobytes: float, requester: Enterprise, key: SigningKey) -> Asked:
    """A signed question for the dossier of this size."""
    now, ticket = datetime.now(UTC), str(uuid.uuid4())
    question = Question(
        OPERATION,
        Customer(Ticket(ticket), now, requester),
        None,
        CONTEXT,
        Criteria(dossier=dossier_number(kilobytes)),
    )
    message = sign(
        write_question(question), version=SoapVersion.V11, key=key, now=now, lifetime=LIFETIME, unique=ticket
    )
    return Asked(ticket.encode(), message)


def answer(message: bytes, key: SigningKey) -> bytes:
    """A provider's signed answer to the hub's question, which is read but not verified."""
    body = parse_verified(message)[1]
    question = read_question(body[0])
    assert question.criteria.dossier is not None  # the only question that the benchmark asks
    document = write_reply(question, "", _FOUND, (), _payload(kilobytes_of(question.criteria.dossier)))
    signed = sign(
        document,
        version=SoapVersion.V11,
        key=key,
        now=datetime.now(UTC),
        lifetime=LIFETIME,
        unique=str(uuid.uuid4()),
    )
    return compact(signed)


_FOUND: Final[Status] = answered(Outcome.DATA_FOUND, ())
_payload = cache(payload)
_DECLARED: Final[Mapping[bytes, bytes]] = {
    prefix: f' xmlns:{prefix.decode()}="{namespace}"'.encode()
    for prefix, namespace in ((b"c", COMMON), (b"d", DOSSIER))
}


def compact(message: bytes) -> bytes:
    """The same message with two namespaces declared once, on the Envelope, as SOAP stacks write them.

    Exclusive C14N puts the declarations back where they were, so the digests hold.
    """
    for declaration in _DECLARED.values():
        message = message.replace(declaration, b"")
    return message.replace(b"<soap:Envelope", b"<soap:Envelope" + b"".join(_DECLARED.values()), 1)


def plausible(reply: bytes, ticket: bytes) -> str | None:
    """What is wrong with a reply at first sight: cheap enough for every one. None: nothing."""
    if b"<ds:SignatureValue>" not in reply:
        return "the reply is not signed"
    found = _TICKET.search(reply)
    if found is None or found[1] != ticket:
        return "the reply does not echo the ticket"
    if b"DATA_FOUND" not in reply or b"<d:worker" not in reply:
        return "the reply holds no dossier"
    return None


def verified(reply: bytes, hub_certificates: frozenset[bytes]) -> None:
    """Verify a reply in full, as its requester would; done for a sample.

    Raises Refusal, or ValueError when somebody else signed.
    """
    result = verify(read(reply, READER_LIMITS), Window(), datetime.now(UTC))
    if result.certificate not in hub_certificates:
        raise ValueError("the reply is not signed by the hub")
