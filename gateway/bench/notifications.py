"""What is told in the benchmark: a platform transfers a file, two endpoints or a mailbox receive it.

`transferApplication` leaves a dossier's status as it is, so that one dossier can be told of any number of times.
To endpoints it goes while a dossier is under review (to the region and the Immigration Office), to a mailbox when
the permit is granted (to the municipality).
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Final

from gateway.agreement import notices
from gateway.agreement.messages import Customer, Question, read_question, write_question
from gateway.bench.dossiers import payload, posted_number, told_number
from gateway.bench.messages import LIFETIME, Asked, compact
from gateway.model import (
    Acknowledgement,
    Criteria,
    DossierNumber,
    Enterprise,
    ExchangeId,
    LegalContext,
    OperationName,
    SoapVersion,
    Ticket,
)
from gateway.soap.xml import parse_verified
from gateway.wss.sign import SigningKey, sign

TRANSFER: Final = OperationName("transferApplication")
LIST: Final = OperationName("listMessages")
FETCH: Final = OperationName("fetchMessage")
ACKNOWLEDGE: Final = OperationName("acknowledgeMessage")
_TOLD: Final = LegalContext("WIB:RESIDENCE_DECISION")
_POSTED: Final = LegalContext("WIB:MUNICIPAL_REGISTRATION")
# The exchange of the sender's notification: in the receipt, and in what each recipient gets.
_EXCHANGE: Final = re.compile(rb"<(?:\w+:)?ticketGateway(?:\s[^>]*)?>([0-9a-f-]{36})</")
_MESSAGE: Final = re.compile(rb"<(?:\w+:)?messageId(?:\s[^>]*)?>([0-9a-f-]{36})</")


def tell(kilobytes: float, lane: int, sender: Enterprise, key: SigningKey) -> Asked:
    """A signed notification for two endpoints."""
    return _told(told_number(lane), _TOLD, kilobytes, sender, key)


def post(kilobytes: float, lane: int, sender: Enterprise, key: SigningKey) -> Asked:
    """A signed notification for a mailbox."""
    return _told(posted_number(lane), _POSTED, kilobytes, sender, key)


def visit(operation: OperationName, message: str | None, owner: Enterprise, key: SigningKey) -> Asked:
    """A signed request of a mailbox's owner; `message`: what it fetches or acknowledges."""
    criteria = Criteria(None, message=None if message is None else ExchangeId(message))
    question = _question(operation, owner, _POSTED, criteria)
    return _signed(question, write_question(question), key)


def acknowledge(message: bytes, key: SigningKey) -> bytes:
    """A recipient's signed acknowledgement of what the hub delivered, which is read but not verified."""
    question = replace(read_question(parse_verified(message)[1][0]), on_behalf=None)
    return _sign(notices.write_acknowledgement(question, "", Acknowledgement.OK), key, str(uuid.uuid4()))


def exchange_of(message: bytes) -> bytes:
    """Which notification a receipt or a delivery is about. Raises ValueError when it does not say."""
    found = _EXCHANGE.search(message)
    if found is None:
        raise ValueError("no exchange is named")
    return found[1]


def messages_in(reply: bytes) -> list[str]:
    """What a list of a mailbox names."""
    return [one.decode() for one in _MESSAGE.findall(reply)]


def _told(
    number: DossierNumber, context: LegalContext, kilobytes: float, sender: Enterprise, key: SigningKey
) -> Asked:
    question = _question(TRANSFER, sender, context, Criteria(number))
    asked = _signed(question, notices.write_notification(question, (), _payload(kilobytes, number)), key)
    return Asked(asked.ticket, compact(asked.message))


_payload = cache(payload)


def _question(
    operation: OperationName, customer: Enterprise, context: LegalContext, criteria: Criteria
) -> Question:
    ticket = Ticket(str(uuid.uuid4()))
    return Question(operation, Customer(ticket, datetime.now(UTC), customer), None, context, criteria)


def _signed(question: Question, body: str, key: SigningKey) -> Asked:
    ticket = question.customer.ticket
    return Asked(ticket.encode(), _sign(body, key, ticket))


def _sign(body: str, key: SigningKey, unique: str) -> bytes:
    now = datetime.now(UTC)
    return sign(body, version=SoapVersion.V11, key=key, now=now, lifetime=LIFETIME, unique=unique)
