"""Notifications and the mailbox as messages, read and written (PROTOCOL §13, §14). Their blocks are of `blocks`.

A notification is a request that ends with what it tells; its response is an acknowledgement and says no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.agreement import blocks
from gateway.agreement.blocks import Status
from gateway.agreement.messages import Question, answered, begin_request, begin_response, read_question
from gateway.model import (
    Acknowledgement,
    Criteria,
    DossierNumber,
    Enterprise,
    ExchangeId,
    LegalContext,
    OperationName,
    Outcome,
    Ticket,
)
from gateway.soap.xml import Element
from gateway.wss import times


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification as it stands in the Body; `payload` is its last element."""

    question: Question
    filtered: tuple[str, ...]  # what is withheld from its recipient; () from a sender
    payload: Element | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The response to a notification as it stands in the Body."""

    ticket: Ticket
    legal_context: LegalContext
    criteria: Criteria
    value: Acknowledgement


@dataclass(frozen=True, slots=True)
class Heading:
    """A message in a mailbox, without what it tells."""

    operation: OperationName
    legal_context: LegalContext  # under which its recipient receives it
    accepted: datetime
    sender: Enterprise


def read_notification(element: Element) -> Notice:
    """The notification in a schema-valid request element. Raises ValueError as `read_question`."""
    filters = [child for child in element if blocks.name_of(child) == "dataFilters"]
    last = element[-1]
    return Notice(
        read_question(element),
        tuple(blocks.text_of(path) for child in filters for path in child),
        None if blocks.name_of(last) in {"criteria", "dataFilters"} else last,
    )


def write_notification(question: Question, filtered: tuple[str, ...], payload: str) -> str:
    """The request element; `payload` is canonical where the prefix s is declared."""
    content = begin_request(question) + blocks.write_filters(filtered) + payload
    return blocks.message(question.operation, content)


def read_acknowledgement(element: Element) -> Acknowledged:
    """The acknowledgement in a schema-valid response element."""
    found = {blocks.name_of(child): child for child in element}
    return Acknowledged(
        Ticket(blocks.texts(found["informationCustomer"])["ticket"]),
        LegalContext(blocks.text_of(found["legalContext"])),
        blocks.read_criteria(found["criteria"]),
        Acknowledgement(blocks.texts(found["status"])["value"]),
    )


def write_acknowledgement(question: Question, gateway: str, value: Acknowledgement) -> str:
    """The response element; `gateway` comes from `information_gateway`, "" on the recipient's leg."""
    content = begin_response(question, gateway) + blocks.write_status(status(value))
    return blocks.message(f"{question.operation}Response", content)


def listed(messages: Sequence[object]) -> Status:
    """The status of a list of messages."""
    return answered(Outcome.DATA_FOUND if messages else Outcome.NO_DATA_FOUND, ())


def write_messages(messages: Sequence[tuple[ExchangeId, Heading]], *, more: bool) -> str:
    """The payload of listMessages, at most 50 messages; "" without any, as of every reply without data."""
    if not messages:
        return ""
    rows = "".join(
        f"<s:message>{blocks.service('messageId', message)}{_heading(heading)}</s:message>"
        for message, heading in messages
    )
    return f"<s:messages>{rows}{blocks.service('more', 'true' if more else 'false')}</s:messages>"


def write_message(  # noqa: PLR0913, PLR0917 - each block of the response is one
    question: Question,
    gateway: str,
    heading: Heading,
    dossier: DossierNumber,
    filtered: tuple[str, ...],
    payload: str,
) -> str:
    """The response of fetchMessage; `payload` as for `write_notification`, "" when the view releases nothing.

    Its recipient learns here alone which dossier it is about: the payload need not say so.
    """
    content = (
        begin_response(question, gateway)
        + blocks.write_status(answered(Outcome.DATA_FOUND, ()))
        + blocks.write_filters(filtered)
        + f"<s:notification>{_heading(heading)}{blocks.service('dossierNumber', dossier)}</s:notification>"
        + payload
    )
    return blocks.message(f"{question.operation}Response", content)


def _heading(heading: Heading) -> str:
    return (
        blocks.service("operation", heading.operation)
        + blocks.write_legal_context(heading.legal_context)
        + blocks.service("acceptedAt", times.write(heading.accepted))
        + blocks.write_sender(heading.sender)
    )


def status(value: Acknowledgement) -> Status:
    """The status of an acknowledgement. Codes: PROTOCOL §10.2."""
    match value:
        case Acknowledgement.OK:
            return Status(value, "WIB00000", "Treatment successful.")
        case Acknowledgement.NOK:
            return Status(value, "WIB00400", "The notification could not be taken over.")
