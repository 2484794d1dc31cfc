"""An identified caller's message → a request of the contract (PROTOCOL §6).

After this the Body is schema-valid, its blocks are read, its identifiers have correct check digits, and
it names its signer as customer. Whether it may be asked is for `policy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.agreement import identifiers
from gateway.agreement.load import Agreement
from gateway.agreement.messages import Question, read_question
from gateway.model import SERVICE, Addressing, Caller, Criteria, OperationName, Request
from gateway.refusal import Code, Refusal
from gateway.soap import names
from gateway.soap.xml import Element
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
    IDENTIFIER.
    """
    window = terms.window
    element = caller.verified.element[0]
    operation = _operation(element, agreement)
    _require_same_action(operation, soap_action, caller.verified.addressing)
    _require_this_service(terms.url, caller.verified.addressing)
    if caller.authority.signed_addressing and not _addressed(caller):
        raise Refusal(Code.NOT_SIGNED, "WS-Addressing")
    question = _question(element, agreement)
    if question.on_behalf is not None:
        raise Refusal(Code.RESERVED)
    if question.customer.enterprise != caller.authority.enterprise:  # attack I03
        raise Refusal(Code.CUSTOMER)
    if not now - window.past <= question.customer.sent <= now + window.future:
        raise Refusal(Code.TIMESTAMP_SENT)
    identifiers.check_ticket(question.customer.ticket)
    check_criteria(question.criteria, test_numbers=terms.test_numbers)
    return Request(
        caller=caller,
        operation=operation,
        ticket=question.customer.ticket,
        timestamp_sent=question.customer.sent,
        legal_context=question.legal_context,
        criteria=question.criteria,
    )


def check_criteria(criteria: Criteria, *, test_numbers: bool) -> None:
    """Check digits, which a schema cannot express. Raises Refusal: IDENTIFIER."""
    if criteria.dossier is not None:
        identifiers.check_dossier(criteria.dossier)
    if criteria.ssin is not None:
        identifiers.check_ssin(criteria.ssin, test_numbers=test_numbers)


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


def _question(element: Element, agreement: Agreement) -> Question:
    agreement.contract.validate(element, Code.SCHEMA)
    try:
        return read_question(element)
    except ValueError as error:  # a time without zone
        raise Refusal(Code.SCHEMA, "time zone") from error
