"""A row of the queue and the delivery that it is: what `store_queue` and `store_mailbox` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from gateway.adapters.sealing import Seal, belongs_to
from gateway.adapters.store_session import Session, database_errors
from gateway.adapters.store_work import moment
from gateway.exchangelog.leaf import Leaf
from gateway.model import (
    AuthorityId,
    Delivery,
    DossierNumber,
    ExchangeId,
    LegalContext,
    Notification,
    OperationName,
)
from gateway.refusal import Code, Refusal

# Of `recorded`: which releases stand in the log.
SENT: Final = 1  # to an endpoint, whether or not it was reached
FETCHED: Final = 2  # to a mailbox's owner


class Row(NamedTuple):
    """A row of the view `outstanding`: a delivery that is not settled, its payload sealed."""

    position: int
    id: ExchangeId
    recipient: AuthorityId
    context: LegalContext
    attempts: int
    recorded: int
    dossier: DossierNumber
    exchange: ExchangeId
    sender: AuthorityId
    operation: OperationName
    revision: str
    status: str
    accepted: int
    sealed: bytes | None
    state: str
    due: int
    lease_until: int
    last_code: str | None

    def opened(self, seal: Seal) -> Delivery:
        """Raises `ProofError` (LOG511)."""
        about = belongs_to(self.exchange, self.sender, self.operation)
        return self._delivery(seal.open(self.sealed or b"", about))

    def unopened(self) -> Delivery:
        """For a delivery that ends: what is purged need not be readable."""
        return self._delivery(b"")

    def _delivery(self, payload: bytes) -> Delivery:
        notification = Notification(
            exchange=self.exchange,
            sender=self.sender,
            operation=self.operation,
            dossier=self.dossier,
            accepted=moment(self.accepted),
            revision=self.revision,
            status=self.status,
            payload=payload,
        )
        return Delivery(
            id=self.id,
            notification=notification,
            recipient=self.recipient,
            legal_context=self.context,
            attempts=self.attempts,
            recorded=bool(self.recorded),
            fetched=bool(self.recorded & FETCHED),
        )


@contextmanager
def reading(what: str) -> Iterator[None]:
    """A table that cannot be read is a log that is unavailable: nothing is decided on half of it."""
    try:
        yield
    except database_errors() as error:
        raise Refusal(Code.LOG_UNAVAILABLE, what) from error


# With the entry, how many of its recipients stand before this one.
_ACCEPTANCE: Final = """
SELECT e.leaf, (SELECT count(*) FROM deliveries AS before
                WHERE before.notification = d.notification AND before.position < d.position)
FROM deliveries AS d JOIN entries AS e ON e.exchange = d.notification
WHERE d.id = ? AND e.kind = 'notification'
"""


def parties(connection: Session, delivery: ExchangeId) -> tuple[str, str]:
    """Sender and recipient as the entry of the notification names them. Raises `database_errors`, ProofError."""
    rows: list[tuple[Any, ...]] = connection.execute(_ACCEPTANCE, (delivery,)).fetchall()
    ((leaf, place),) = rows
    told = Leaf.parse(leaf)
    return told.caller, told.to[place]
