"""A recipient's verified message → the acknowledgement of this very delivery (PROTOCOL §13).

As with answers: the recipient must acknowledge what it was sent, in the form of a contract. Anything else is no
acknowledgement, and the notification is sent again.
"""

from __future__ import annotations

from gateway.agreement.load import Agreement
from gateway.agreement.notices import read_acknowledgement
from gateway.model import SERVICE, Acknowledgement, Caller, Criteria, Delivery, Ticket
from gateway.refusal import Code, Refusal
from gateway.soap.xml import Element


def acknowledged(
    caller: Caller, asked: Ticket, delivery: Delivery, agreement: Agreement, in_force: Agreement
) -> bytes:
    """The recipient's signature. `asked`: the ticket that the hub gave the message.

    `agreement`: by which the notification was accepted; a recipient may have moved on to the one `in_force`.
    Raises Refusal: PROVIDER_FAULT (also for NOK), PROVIDER_MISMATCH, PROVIDER_SCHEMA.
    """
    element = caller.verified.element[0]
    if element.tag == f"{{{caller.verified.version.value}}}Fault":
        raise Refusal(Code.PROVIDER_FAULT)
    if element.tag != f"{{{SERVICE}}}{delivery.notification.operation}Response":
        raise Refusal(Code.PROVIDER_MISMATCH, "operation")
    _require_contract(element, agreement, in_force)
    answer = read_acknowledgement(element)
    if answer.ticket != asked or answer.legal_context != delivery.legal_context:
        raise Refusal(Code.PROVIDER_MISMATCH, "ticket")
    if answer.criteria != Criteria(delivery.notification.dossier):
        raise Refusal(Code.PROVIDER_MISMATCH, "criteria")
    if answer.value is not Acknowledgement.OK:
        raise Refusal(Code.PROVIDER_FAULT, "NOK")
    return caller.verified.signature


def _require_contract(element: Element, agreement: Agreement, in_force: Agreement) -> None:
    """Of either. Raises Refusal: PROVIDER_SCHEMA."""
    try:
        agreement.contract.validate(element, Code.PROVIDER_SCHEMA)
    except Refusal:
        in_force.contract.validate(element, Code.PROVIDER_SCHEMA)
