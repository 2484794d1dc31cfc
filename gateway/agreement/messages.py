"""The KSZ-style blocks of every message, read and written (PROTOCOL §6.1).

Reading expects an element that was already validated against the contract. Writing produces exclusive
C14N, because `wss.sign` puts these very characters on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from gateway.model import (
    COMMON,
    SERVICE,
    AuthorityId,
    Criteria,
    DossierNumber,
    Enterprise,
    ExchangeId,
    LegalContext,
    OperationName,
    Outcome,
    Receipt,
    Role,
    Ticket,
)
from gateway.refusal import Refusal, Severity
from gateway.soap.xml import Element, text
from gateway.wss import times

_CRITERIA: Final = (  # element of the contract, member of Criteria; the order of the schema
    ("dossierNumber", "dossier"),
    ("operation", "operation"),
    ("source", "source"),
    ("ssin", "ssin"),
    ("periodStart", "period_start"),
    ("periodEnd", "period_end"),
    ("documentReference", "document_reference"),
    ("documentType", "document_type"),
    ("documentSha256", "document_sha256"),
    ("echo", "echo"),
)
FAULT: Final = f"{{{COMMON}}}exchangeFault"


@dataclass(frozen=True, slots=True)
class Customer:
    """informationCustomer: who asks, with its own ticket."""

    ticket: Ticket
    sent: datetime
    enterprise: Enterprise


@dataclass(frozen=True, slots=True)
class OnBehalf:
    """informationGateway of a forwarded request: for whom the hub asks."""

    exchange: ExchangeId
    received: datetime
    requester: Enterprise
    role: Role


@dataclass(frozen=True, slots=True)
class Status:
    """KSZ status block. Codes: PROTOCOL §10.2."""

    value: Outcome
    code: str
    description: str
    information: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it stands in the Body."""

    operation: OperationName
    customer: Customer
    on_behalf: OnBehalf | None
    legal_context: LegalContext
    criteria: Criteria


@dataclass(frozen=True, slots=True)
class Reply:
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
    """Raises ValueError when a time has no zone: XML Schema allows that, the protocol does not."""
    blocks = {_name(child): child for child in element}
    return Question(
        OperationName(_name(element)),
        _read_customer(blocks["informationCustomer"]),
        _read_on_behalf(blocks["informationGateway"]) if "informationGateway" in blocks else None,
        LegalContext(_text(blocks["legalContext"])),
        _read_criteria(blocks["criteria"]),
    )


def read_reply(element: Element) -> Reply:
    """The reply in a schema-valid response element."""
    blocks = {_name(child): child for child in element}
    last = element[-1]
    return Reply(
        Ticket(_texts(blocks["informationCustomer"])["ticket"]),
        LegalContext(_text(blocks["legalContext"])),
        _read_criteria(blocks["criteria"]),
        Outcome(_texts(blocks["status"])["value"]),
        None if _name(last) in {"status", "dataFilters"} else last,
    )


def write_question(question: Question) -> str:
    """The request element."""
    gateway = "" if question.on_behalf is None else _on_behalf(question.on_behalf)
    return _wrap(
        question.operation,
        _customer(question.customer)
        + gateway
        + f"<s:legalContext>{text(question.legal_context)}</s:legalContext>"
        + _criteria(question.criteria),
    )


def write_reply(
    question: Question, gateway: str, status: Status, filtered: tuple[str, ...], payload: str
) -> str:
    """The response element; `gateway` comes from `information_gateway`, "" on the provider's leg."""
    return _wrap(
        f"{question.operation}Response",
        _customer(question.customer)
        + gateway
        + f"<s:legalContext>{text(question.legal_context)}</s:legalContext>"
        + _criteria(question.criteria)
        + _status(status)
        + _filters(filtered)
        + payload,
    )


def information_gateway(exchange: ExchangeId, received: datetime, replied: datetime, receipt: Receipt) -> str:
    """The informationGateway of a reply: the hub's ticket, its two clocks, and where the log recorded it."""
    inner = (
        _c("ticketGateway", exchange)
        + _c("timestampReceive", times.write(received))
        + _c("timestampReply", times.write(replied))
        + f"<c:log{_C}>{_in('origin', receipt.origin)}{_in('index', str(receipt.index))}</c:log>"
    )
    return f"<s:informationGateway>{inner}</s:informationGateway>"


def write_fault(refusal: Refusal, exchange: ExchangeId, author: Enterprise, customer: Customer | None) -> str:
    """c:exchangeFault, the detail of a SOAP fault about the Body. Only validated text of the peer's is echoed."""
    row = refusal.code.row
    severity = "WARNING" if row.severity is Severity.TRANSIENT else "FATAL"
    about = f"{row.sentence} ({refusal.about})" if refusal.about else row.sentence
    asked = (
        ""
        if customer is None
        else f"<c:informationCustomer>{_customer_inner(customer)}</c:informationCustomer>"
    )
    return (
        f"<c:exchangeFault{_C}>{asked}<c:detail>{_in('severity', severity)}{_in('reasonCode', row.code)}"
        f"{_in('label', row.label)}{_in('diagnostic', about)}{_in('remedy', row.remedy)}"
        f"{_in('authorCode', author.cbe)}{_in('incident', exchange)}</c:detail></c:exchangeFault>"
    )


_C: Final = f' xmlns:c="{COMMON}"'


def _wrap(name: str, content: str) -> str:
    return f'<s:{name} xmlns:s="{SERVICE}">{content}</s:{name}>'


def _c(name: str, value: str) -> str:
    """A common-namespace element whose parent is in another namespace."""
    return f"<c:{name}{_C}>{text(value)}</c:{name}>"


def _in(name: str, value: str) -> str:
    """A common-namespace element whose parent declared the prefix."""
    return f"<c:{name}>{text(value)}</c:{name}>"


def _enterprise(enterprise: Enterprise) -> str:
    unit = "" if enterprise.unit is None else _in("unit", enterprise.unit)
    return _in("cbeNumber", enterprise.cbe) + unit


def _customer(customer: Customer) -> str:
    inner = _c("ticket", customer.ticket) + _c("timestampSent", times.write(customer.sent))
    identification = (
        f"<c:customerIdentification{_C}>{_enterprise(customer.enterprise)}</c:customerIdentification>"
    )
    return f"<s:informationCustomer>{inner}{identification}</s:informationCustomer>"


def _customer_inner(customer: Customer) -> str:
    return (
        _in("ticket", customer.ticket)
        + _in("timestampSent", times.write(customer.sent))
        + f"<c:customerIdentification>{_enterprise(customer.enterprise)}</c:customerIdentification>"
    )


def _on_behalf(block: OnBehalf) -> str:
    requester = f"<c:requester{_C}>{_enterprise(block.requester)}{_in('role', block.role)}</c:requester>"
    inner = (
        _c("ticketGateway", block.exchange) + _c("timestampReceive", times.write(block.received)) + requester
    )
    return f"<s:informationGateway>{inner}</s:informationGateway>"


@lru_cache(maxsize=4096)
def _filters(filtered: tuple[str, ...]) -> str:
    """The same for every reply of a view."""
    paths = "".join(f"<c:filteredElement{_C}>{text(path)}</c:filteredElement>" for path in filtered)
    return f"<s:dataFilters>{paths}</s:dataFilters>" if filtered else ""


def _criteria(criteria: Criteria) -> str:
    values = ((name, getattr(criteria, member)) for name, member in _CRITERIA)
    inner = "".join(f"<s:{name}>{text(value)}</s:{name}>" for name, value in values if value is not None)
    return f"<s:criteria>{inner}</s:criteria>"


def _status(status: Status) -> str:
    information = "".join(
        f"<c:information{_C}>{_in('fieldName', name)}{_in('fieldValue', value)}</c:information>"
        for name, value in status.information
    )
    inner = _c("value", status.value) + _c("code", status.code) + _c("description", status.description)
    return f"<s:status>{inner}{information}</s:status>"


def _read_customer(element: Element) -> Customer:
    values = _texts(element)
    return Customer(
        Ticket(values["ticket"]), times.read(values["timestampSent"]), _read_enterprise(element[-1])
    )


def _read_on_behalf(element: Element) -> OnBehalf:
    values, requester = _texts(element), element[-1]
    return OnBehalf(
        ExchangeId(values["ticketGateway"]),
        times.read(values["timestampReceive"]),
        _read_enterprise(requester),
        Role(_texts(requester)["role"]),
    )


def _read_enterprise(element: Element) -> Enterprise:
    values = _texts(element)
    return Enterprise(values["cbeNumber"], values.get("unit"))


def _read_criteria(element: Element) -> Criteria:
    values = _texts(element)
    found = {member: values.get(name) for name, member in _CRITERIA}
    return Criteria(
        dossier=None if found["dossier"] is None else DossierNumber(found["dossier"]),
        source=None if found["source"] is None else Role(found["source"]),
        ssin=found["ssin"],
        document_reference=found["document_reference"],
        document_type=found["document_type"],
        document_sha256=found["document_sha256"],
        echo=found["echo"],
        operation=None if found["operation"] is None else OperationName(found["operation"]),
        period_start=found["period_start"],
        period_end=found["period_end"],
    )


def _texts(parent: Element) -> dict[str, str]:
    return {_name(child): _text(child) for child in parent}


def _text(element: Element) -> str:
    return (element.text or "").strip()


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
