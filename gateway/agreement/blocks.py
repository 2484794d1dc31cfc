"""The KSZ-style blocks of which every message is made, read and written (PROTOCOL §6.1).

Reading expects an element that was already validated against the contract. Writing produces exclusive
C14N, because `wss.sign` puts these very characters on the wire. What a whole message looks like is for
`messages` and `notices`.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import b2a_base64
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from gateway.model import (
    COMMON,
    SERVICE,
    Acknowledgement,
    Criteria,
    DossierNumber,
    Enterprise,
    EntryProof,
    ExchangeId,
    LegalContext,
    OperationName,
    Outcome,
    Receipt,
    Role,
    Ticket,
)
from gateway.soap.xml import Element, text
from gateway.wss import times

DECLARED: Final = f' xmlns:c="{COMMON}"'
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
    ("messageId", "message"),
    ("after", "after"),
    ("waitSeconds", "wait_seconds"),
)
CRITERIA: Final = frozenset(name for name, _ in _CRITERIA)  # what a question can be asked with


@dataclass(frozen=True, slots=True)
class Customer:
    """informationCustomer: who asks or tells, with its own ticket."""

    ticket: Ticket
    sent: datetime
    enterprise: Enterprise
    proof: bool = False  # asks for the proof of the entry


class OnBehalf(msgspec.Struct, frozen=True):
    """informationGateway of a message that the hub sends on: for whom it asks, or whose notification it brings."""

    exchange: ExchangeId
    received: datetime
    requester: Enterprise
    role: Role
    receipt: Receipt | None = None  # of a delivery: where its release is recorded


class Status(msgspec.Struct, frozen=True):
    """KSZ status block. Codes: PROTOCOL §10.2."""

    value: Outcome | Acknowledgement
    code: str
    description: str
    information: tuple[tuple[str, str], ...] = ()


def message(name: str, content: str) -> str:
    """The element of a message, which is in canonical form when its content is."""
    return f'<s:{name} xmlns:s="{SERVICE}">{content}</s:{name}>'


def common(name: str, value: str) -> str:
    """A common-namespace element whose parent is in another namespace."""
    return f"<c:{name}{DECLARED}>{text(value)}</c:{name}>"


def inner(name: str, value: str) -> str:
    """A common-namespace element whose parent declared the prefix."""
    return f"<c:{name}>{text(value)}</c:{name}>"


def service(name: str, value: str) -> str:
    """An element of the service, inside a message."""
    return f"<s:{name}>{text(value)}</s:{name}>"


def write_customer(customer: Customer) -> str:
    """The informationCustomer block."""
    identification = (
        f"<c:customerIdentification{DECLARED}>{_enterprise(customer.enterprise)}</c:customerIdentification>"
    )
    sent = common("timestampSent", times.write(customer.sent))
    asked = common("proofRequested", "true") if customer.proof else ""
    return f"<s:informationCustomer>{common('ticket', customer.ticket)}{sent}{identification}{asked}</s:informationCustomer>"


def write_customer_of_fault(customer: Customer) -> str:
    """The informationCustomer block inside c:exchangeFault."""
    ticket, sent = inner("ticket", customer.ticket), inner("timestampSent", times.write(customer.sent))
    identification = (
        f"<c:customerIdentification>{_enterprise(customer.enterprise)}</c:customerIdentification>"
    )
    return f"<c:informationCustomer>{ticket}{sent}{identification}</c:informationCustomer>"


def write_on_behalf(block: OnBehalf | None) -> str:
    """The informationGateway block of a message that the hub sends on; "" for None."""
    if block is None:
        return ""
    party = f"{_enterprise(block.requester)}{inner('role', block.role)}"
    content = (
        common("ticketGateway", block.exchange)
        + common("timestampReceive", times.write(block.received))
        + f"<c:requester{DECLARED}>{party}</c:requester>"
        + _write_receipt(block.receipt)
    )
    return f"<s:informationGateway>{content}</s:informationGateway>"


def information_gateway(
    exchange: ExchangeId, received: datetime, replied: datetime, receipt: Receipt | None
) -> str:
    """The informationGateway block of a reply: the hub's ticket, its two clocks, and where the log recorded it.

    `receipt`: None when there was nothing to record.
    """
    content = (
        common("ticketGateway", exchange)
        + common("timestampReceive", times.write(received))
        + common("timestampReply", times.write(replied))
        + _write_receipt(receipt)
    )
    return f"<s:informationGateway>{content}</s:informationGateway>"


def _write_receipt(receipt: Receipt | None) -> str:
    if receipt is None:
        return ""
    place = inner("origin", receipt.origin) + inner("index", str(receipt.index))
    proof = "" if receipt.proof is None else f"<c:proof>{_proof(receipt.proof)}</c:proof>"
    return f"<c:log{DECLARED}>{place}{_binary('checkpoint', receipt.checkpoint)}{proof}</c:log>"


def _proof(proof: EntryProof) -> str:
    seed = "" if proof.seed is None else _binary("seed", proof.seed)
    released = "".join(
        f"<c:released>{inner('path', path)}{inner('digest', digest)}</c:released>"
        for path, digest in proof.released
    )
    withheld = "".join(
        f"<c:withheld>{inner('path', path)}{inner('reason', reason)}</c:withheld>"
        for path, reason in proof.withheld
    )
    return _binary("tlogProof", proof.tlog) + seed + released + withheld


def _binary(name: str, data: bytes) -> str:
    return f"<c:{name}>{b2a_base64(data, newline=False).decode('ascii')}</c:{name}>"


def write_legal_context(context: LegalContext) -> str:
    """The legalContext block."""
    return service("legalContext", context)


def write_sender(enterprise: Enterprise) -> str:
    """The sender of a message in a mailbox."""
    unit = "" if enterprise.unit is None else common("unit", enterprise.unit)
    return f"<s:sender>{common('cbeNumber', enterprise.cbe)}{unit}</s:sender>"


@lru_cache(maxsize=4096)
def write_filters(filtered: tuple[str, ...]) -> str:
    """The dataFilters block, the same for every message of a view; "" when nothing is declared."""
    paths = "".join(common("filteredElement", path) for path in filtered)
    return f"<s:dataFilters>{paths}</s:dataFilters>" if filtered else ""


def write_criteria(criteria: Criteria) -> str:
    """The criteria block. Waiting no second is the same as not naming any."""
    values = ((name, getattr(criteria, member)) for name, member in _CRITERIA)
    content = "".join(service(name, str(value)) for name, value in values if value)
    return f"<s:criteria>{content}</s:criteria>"


def write_status(status: Status) -> str:
    """The status block."""
    information = "".join(
        f"<c:information{DECLARED}>{inner('fieldName', name)}{inner('fieldValue', value)}</c:information>"
        for name, value in status.information
    )
    content = (
        common("value", status.value)
        + common("code", status.code)
        + common("description", status.description)
        + information
    )
    return f"<s:status>{content}</s:status>"


def read_customer(element: Element) -> Customer:
    """Raises ValueError when the time has no zone: XML Schema allows that, the protocol does not."""
    values = texts(element)
    sent = times.read(values["timestampSent"], digits=9)  # java.time.Instant writes nine
    proof = values.get("proofRequested") in {"true", "1"}  # XML Schema's two words for it
    return Customer(Ticket(values["ticket"]), sent, _read_enterprise(element[2]), proof)


def read_on_behalf(element: Element) -> OnBehalf:
    """Raises ValueError as `read_customer`."""
    values, party = texts(element), element[2]
    return OnBehalf(
        ExchangeId(values["ticketGateway"]),
        times.read(values["timestampReceive"], digits=9),
        _read_enterprise(party),
        Role(texts(party)["role"]),
        read_receipt(element),
    )


def _bytes(value: str) -> bytes:
    """Of an xs:base64Binary, in which some stacks break lines. Raises ValueError."""
    return b64decode("".join(value.split()), validate=True)


def read_receipt(element: Element) -> Receipt | None:
    """What an informationGateway block says of the entry of its message; None when it names none."""
    log = {name_of(child): child for child in element}.get("log")
    if log is None:
        return None
    values, last = texts(log), log[-1]
    proof = _read_proof(last) if name_of(last) == "proof" else None
    return Receipt(values["origin"], int(values["index"]), _bytes(values["checkpoint"]), proof)


def _read_proof(element: Element) -> EntryProof:
    values = texts(element)
    pairs: dict[str, list[tuple[str, str]]] = {"released": [], "withheld": []}
    for child in element:
        if name_of(child) in pairs:
            pairs[name_of(child)].append((text_of(child[0]), text_of(child[1])))
    return EntryProof(
        _bytes(values["tlogProof"]),
        _bytes(values["seed"]) if "seed" in values else None,
        tuple(pairs["released"]),
        tuple(pairs["withheld"]),
    )


def read_criteria(element: Element) -> Criteria:
    """What a message is about."""
    values = texts(element)
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
        message=None if found["message"] is None else ExchangeId(found["message"]),
        after=None if found["after"] is None else ExchangeId(found["after"]),
        wait_seconds=int(found["wait_seconds"] or 0),
    )


def texts(parent: Element) -> dict[str, str]:
    """The texts of a block's elements by their names."""
    return {name_of(child): text_of(child) for child in parent}


def text_of(element: Element) -> str:
    """Without the white space that XML Schema collapses."""
    return (element.text or "").strip()


def name_of(element: Element) -> str:
    """Without its namespace, which the contract's validation settled."""
    return str(element.tag).rpartition("}")[2]


def _enterprise(enterprise: Enterprise) -> str:
    unit = "" if enterprise.unit is None else inner("unit", enterprise.unit)
    return inner("cbeNumber", enterprise.cbe) + unit


def _read_enterprise(element: Element) -> Enterprise:
    values = texts(element)
    return Enterprise(values["cbeNumber"], values.get("unit"))
