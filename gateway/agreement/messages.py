"""Consultations and faults as messages, read and written (PROTOCOL §6.1). Their blocks are of `blocks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.agreement import blocks
from gateway.agreement.blocks import Customer, OnBehalf, Status, information_gateway
from gateway.model import (
    COMMON,
    AuthorityId,
    Criteria,
    Enterprise,
    ExchangeId,
    LegalContext,
    OperationName,
    Outcome,
    Ticket,
)
from gateway.refusal import Refusal, Severity
from gateway.soap.xml import Element

__all__ = [
    "FAULT",
    "Customer",
    "OnBehalf",
    "Question",
    "Reply",
    "Status",
    "answered",
    "information_gateway",
    "read_question",
    "read_reply",
    "write_fault",
    "write_question",
    "write_reply",
]

FAULT: Final = f"{{{COMMON}}}exchangeFault"


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it stands in the Body."""

    operation: OperationName
    customer: Customer
    on_behalf: OnBehalf | None
    legal_context: LegalContext
    criteria: Criteria


class Reply(msgspec.Struct, frozen=True):
    """A response as it stands in the Body; `payload` is its last element."""

    ticket: Ticket
    legal_context: LegalContext
    criteria: Criteria
    outcome: Outcome
    payload: Element | None


def answered(outcome: Outcome, missing: tuple[AuthorityId, ...]) -> Status:
    """The status of a reply: complete, without data, or incomplete with the sources that are missing."""
    if missing:
        names = tuple(("MISSING_SOURCE", str(authority)) for authority in missing)
        return Status(outcome, "WIB00200", "Some sources did not answer; the reply is incomplete.", names)
    match outcome:
        case Outcome.DATA_FOUND:
            return Status(outcome, "WIB00000", "Treatment successful.")
        case Outcome.NO_DATA_FOUND:
            return Status(outcome, "WIB00100", "No data found.")
        case Outcome.NO_RESULT:
            return Status(outcome, "WIB00300", "The source could not produce a result.")


def read_question(element: Element) -> Question:
    """The blocks with which every request begins.

    Raises ValueError when a time has no zone: XML Schema allows that, the protocol does not.
    """
    found = {blocks.name_of(child): child for child in element}
    gateway = found.get("informationGateway")
    return Question(
        OperationName(blocks.name_of(element)),
        blocks.read_customer(found["informationCustomer"]),
        None if gateway is None else blocks.read_on_behalf(gateway),
        LegalContext(blocks.text_of(found["legalContext"])),
        blocks.read_criteria(found["criteria"]),
    )


def read_reply(element: Element) -> Reply:
    """The reply in a schema-valid response element."""
    found = {blocks.name_of(child): child for child in element}
    last = element[-1]
    return Reply(
        Ticket(blocks.texts(found["informationCustomer"])["ticket"]),
        LegalContext(blocks.text_of(found["legalContext"])),
        blocks.read_criteria(found["criteria"]),
        Outcome(blocks.texts(found["status"])["value"]),
        None if blocks.name_of(last) in {"status", "dataFilters"} else last,
    )


def write_question(question: Question) -> str:
    """The request element."""
    return blocks.message(question.operation, begin_request(question))


def begin_request(question: Question) -> str:
    """The blocks with which every request begins."""
    return (
        blocks.write_customer(question.customer)
        + blocks.write_on_behalf(question.on_behalf)
        + blocks.write_legal_context(question.legal_context)
        + blocks.write_criteria(question.criteria)
    )


def begin_response(question: Question, gateway: str) -> str:
    """The blocks with which every response begins; `gateway` as for `write_reply`."""
    return (
        blocks.write_customer(question.customer)
        + gateway
        + blocks.write_legal_context(question.legal_context)
        + blocks.write_criteria(question.criteria)
    )


def write_reply(
    question: Question, gateway: str, status: Status, filtered: tuple[str, ...], payload: str
) -> str:
    """The response element; `gateway` comes from `information_gateway`, "" on the provider's leg."""
    content = begin_response(question, gateway) + blocks.write_status(status)
    return blocks.message(f"{question.operation}Response", content + blocks.write_filters(filtered) + payload)


def write_fault(refusal: Refusal, exchange: ExchangeId, author: Enterprise, customer: Customer | None) -> str:
    """c:exchangeFault, the detail of a SOAP fault about the Body. Only validated text of the peer's is echoed."""
    row = refusal.code.row
    detail = (
        blocks.inner("severity", "WARNING" if row.severity is Severity.TRANSIENT else "FATAL")
        + blocks.inner("reasonCode", row.code)
        + blocks.inner("label", row.label)
        + blocks.inner("diagnostic", f"{row.sentence} ({refusal.about})" if refusal.about else row.sentence)
        + blocks.inner("remedy", row.remedy)
        + blocks.inner("authorCode", author.cbe)
        + blocks.inner("incident", exchange)
        + ("" if refusal.retry_after is None else blocks.inner("retryAfter", str(refusal.retry_after)))
    )
    asked = "" if customer is None else blocks.write_customer_of_fault(customer)
    return f"<c:exchangeFault{blocks.DECLARED}>{asked}<c:detail>{detail}</c:detail></c:exchangeFault>"
