"""What a back office was told: its notifications, in the order in which it took them over. In memory only."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.agreement.notices import Notice
from gateway.model import DossierNumber, ExchangeId, LegalContext, OperationName, Ticket
from gateway.soap.xml import Element


@dataclass(frozen=True, slots=True)
class Received:
    """One notification as it reached its recipient."""

    ticket: Ticket  # the hub's: of this delivery
    exchange: ExchangeId  # of the notification
    operation: OperationName
    legal_context: LegalContext
    dossier: DossierNumber
    filtered: tuple[str, ...]  # what the hub declares as withheld
    payload: Element | None  # None when nothing of it was for this recipient


class Inbox:
    """Written by the thread that serves, read by others: entries are only ever added."""

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self.attempts = 0  # deliveries that arrived, taken over or not

    def take(self, notice: Notice) -> None:
        """Take a notification over. One whose ticket is known came before, and is not entered again."""
        question = notice.question
        assert question.on_behalf is not None  # the back office accepts no other
        assert question.criteria.dossier is not None  # the contract
        if any(one.ticket == question.customer.ticket for one in self.messages):
            return
        self.messages.append(
            Received(
                question.customer.ticket,
                question.on_behalf.exchange,
                question.operation,
                question.legal_context,
                question.criteria.dossier,
                notice.filtered,
                notice.payload,
            )
        )

    def of(self, exchange: str) -> Received | None:
        """What this office received of a notification; None while it has nothing."""
        return next((one for one in list(self.messages) if one.exchange == exchange), None)
