"""A recipient's verified message → the acknowledgement of this very delivery (PROTOCOL §13).

As with answers: the recipient must acknowledge what it was sent, in the contract's form. Anything else is no
acknowledgement, and the notification is sent again.
"""

from __future__ import annotations

from gateway.agreement.load import Agreement
from gateway.agreement.notices import read_acknowledgement
from gateway.model import SERVICE, Acknowledgement, Caller, Criteria, Delivery, Ticket
from gateway.refusal import Code, Refusal


def acknowledged(caller: Caller, asked: Ticket, delivery: Delivery, agreement: Agreement) -> bytes:
    """The recipient's signature. `asked`: the ticket that the hub gave the message.

    Raises Refusal: PROVIDER_FAULT (also for NOK), PROVIDER_MISMATCH, PROVIDER_SCHEMA.
    """
    element = caller.verified.element[0]
    if element.tag == f"{{{caller.verified.version.value}}}Fault":
        raise Refusal(Code.PROVIDER_FAULT)
    if element.tag != f"{{{SERVICE}}}{delivery.notification.operation}Response":
        raise Refusal(Code.PROVIDER_MISMATCH, "operation")
    agreement.contract.validate(element, Code.PROVIDER_SCHEMA)
    answer = read_acknowledgement(element)
    if answer.ticket != asked or answer.legal_context != delivery.legal_context:
        raise Refusal(Code.PROVIDER_MISMATCH, "ticket")
    if answer.criteria != Criteria(delivery.notification.dossier):
        raise Refusal(Code.PROVIDER_MISMATCH, "criteria")
    if answer.value is not Acknowledgement.OK:
        raise Refusal(Code.PROVIDER_FAULT, "NOK")
    return caller.verified.signature
