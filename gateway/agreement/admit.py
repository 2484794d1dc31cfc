"""An identified caller's message → a request of the contract (PROTOCOL §6).

After this the Body is schema-valid, its blocks are read, its identifiers have correct check digits, and
it names its signer as customer. What a notification tells is of the dossier that it names. Whether it may be
asked or told is for `policy`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from gateway.agreement import identifiers
from gateway.agreement.answer import leaves
from gateway.agreement.blocks import write_criteria
from gateway.agreement.load import Agreement
from gateway.agreement.notices import Notice, read_notification
from gateway.agreement.schema import Messages
from gateway.model import SERVICE, Addressing, Caller, Criteria, OperationName, Request
from gateway.refusal import Code, Refusal
from gateway.soap import names
from gateway.soap.xml import Element, canonical
from gateway.wss.profile import Window


@dataclass(frozen=True, slots=True)
class Terms:
    """What a deployment fixes about requests."""

    url: str  # where the service is, as its WSDL says; the only address that wsa:To may name
    window: Window
    test_numbers: bool  # accept identifiers that can be no person's


def admit(
    caller: Caller, soap_action: str | None, agreement: Agreement, terms: Terms, now: datetime
) -> Request:
    """`soap_action`: the unsigned HTTP header, None when absent or empty; it decides nothing.

    Raises Refusal: OPERATION, ACTION, ADDRESSING, NOT_SIGNED, SCHEMA, RESERVED, CUSTOMER, TIMESTAMP_SENT,
    IDENTIFIER, PAYLOAD_REQUIRED.
    """
    window = terms.window
    element = caller.verified.element[0]
    operation = _operation(element, agreement)
    _require_same_action(operation, soap_action, caller.verified.addressing)
    _require_this_service(terms.url, caller.verified.addressing)
    if caller.authority.signed_addressing and not _addressed(caller):
        raise Refusal(Code.NOT_SIGNED, "WS-Addressing")
    notice = _read(element, caller, agreement)
    question = notice.question
    if question.on_behalf is not None or notice.filtered:  # the hub's to write, on its way to others
        raise Refusal(Code.RESERVED)
    if question.customer.enterprise != caller.authority.enterprise:  # attack I03
        raise Refusal(Code.CUSTOMER)
    if not now - window.past <= question.customer.sent <= now + window.future:
        raise Refusal(Code.TIMESTAMP_SENT)
    identifiers.check_ticket(question.customer.ticket)
    check_criteria(question.criteria, test_numbers=terms.test_numbers)
    messages = agreement.contract.messages[operation]
    if messages.notification:
        check_told(notice, messages, test_numbers=terms.test_numbers)
    return Request(
        caller=caller,
        operation=operation,
        ticket=question.customer.ticket,
        timestamp_sent=question.customer.sent,
        legal_context=question.legal_context,
        criteria=question.criteria,
        payload=notice.payload,
        proof=question.customer.proof,
    )


def content(request: Request) -> bytes:
    """SHA-256 of everything that a request says but for who sent it when: what a repeated ticket is compared by.

    The payload counts in its canonical form, so that another prefix or indentation is another content: a sender
    repeats the message that it has stored, and does not write it anew.
    """
    digest = hashlib.sha256()
    payload = b"" if request.payload is None else canonical(request.payload)
    said = (request.operation, request.legal_context, write_criteria(request.criteria))
    for part in (*(text.encode() for text in said), payload):
        digest.update(len(part).to_bytes(8, "big") + part)  # framed: no two requests give the same input
    return digest.digest()


def check_criteria(criteria: Criteria, *, test_numbers: bool) -> None:
    """Check digits, which a schema cannot express. Raises Refusal: IDENTIFIER."""
    if criteria.dossier is not None:
        identifiers.check_dossier(criteria.dossier)
    if criteria.ssin is not None:
        identifiers.check_ssin(criteria.ssin, test_numbers=test_numbers)


def check_told(notice: Notice, messages: Messages, *, test_numbers: bool) -> None:
    """It tells something, of the dossier that it names. Raises Refusal: PAYLOAD_REQUIRED, IDENTIFIER."""
    told = [] if notice.payload is None else leaves(messages.payload, notice.payload)
    if not told:
        raise Refusal(Code.PAYLOAD_REQUIRED)
    for leaf, value in told:
        if leaf.field == "G01.dossierNumber" and value != notice.question.criteria.dossier:
            raise Refusal(Code.PAYLOAD_REQUIRED, "dossierNumber")
        if leaf.name == "ssin":
            identifiers.check_ssin(value, test_numbers=test_numbers)
        elif leaf.name == "cbeNumber":
            identifiers.check_cbe(value)


def _operation(element: Element, agreement: Agreement) -> OperationName:
    namespace, _, name = str(element.tag).removeprefix("{").rpartition("}")
    if namespace != SERVICE or name not in agreement.operations:
        raise Refusal(Code.OPERATION)
    return OperationName(name)


def _require_same_action(
    operation: OperationName, soap_action: str | None, addressing: Addressing | None
) -> None:
    """Dispatch is on the Body; an action that names something else is an attack or an error (H04, W21)."""
    expected = f"{SERVICE}/{operation}"
    stated = {soap_action, addressing.action if addressing else None} - {None}
    if stated - {expected}:
        raise Refusal(Code.ACTION)


def _require_this_service(url: str, addressing: Addressing | None) -> None:
    """A message meant for another gateway, such as the test environment's, is not for us (attacks W20, G04)."""
    if addressing is not None and addressing.to not in {None, url, names.WSA_ANONYMOUS}:
        raise Refusal(Code.ADDRESSING, "To")


def _addressed(caller: Caller) -> bool:
    return caller.verified.addressing is not None and caller.verified.addressing_signed


def _read(element: Element, caller: Caller, agreement: Agreement) -> Notice:
    """Every request reads as a notification: one that only asks tells nothing."""
    role = caller.authority.role
    agreement.contract.validate(
        element, Code.SCHEMA, lambda: agreement.visible(role) if role is not None else frozenset()
    )
    try:
        return read_notification(element)
    except ValueError as error:  # a time without zone
        raise Refusal(Code.SCHEMA, "time zone") from error
