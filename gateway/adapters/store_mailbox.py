"""Deliveries as their recipient's mailbox: the same rows, taken one by one by whoever they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.adapters.store_delivery import Row, reading
from gateway.adapters.store_session import Session
from gateway.adapters.store_work import moment
from gateway.broker.ports import Waiting
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.model import AuthorityId, ExchangeId, LegalContext, OperationName, Settlement
from gateway.refusal import Code, Refusal

_WAITING: Final = """
SELECT d.id, n.operation, d.context, n.accepted, n.sender
FROM foremost AS d JOIN notifications AS n ON n.exchange = d.notification
WHERE d.state = 'waiting' AND d.recipient = :recipient AND d.position > :after AND d.lease_until <= :now
ORDER BY d.position LIMIT :limit
"""  # not by `due`: the pauses between attempts are those of an endpoint that it has no more
_POSITION: Final = "SELECT position FROM deliveries WHERE id = ? AND recipient = ?"
_TAKE: Final = """
UPDATE deliveries SET due = :until, lease_until = :until, attempts = attempts + 1 WHERE position = (
  SELECT position FROM foremost
  WHERE id = :id AND recipient = :recipient AND state = 'waiting' AND lease_until <= :now
) AND state = 'waiting' AND lease_until <= :now RETURNING position
"""  # once more, for a node that had to wait for another to take it
_STATE: Final = "SELECT state, lease_until FROM deliveries WHERE id = ? AND recipient = ?"
_TAKEN: Final = "SELECT * FROM outstanding WHERE position = ?"
_FIND: Final = "SELECT * FROM outstanding WHERE id = ?"
# An acknowledged message has its settlement under the exchange that acknowledged it; any other end of a
# delivery, and an endpoint's acknowledgement, has it under the delivery's own id.
_ENDED: Final = "SELECT leaf FROM entries WHERE exchange = ? AND kind = 'settlement'"


def waiting(
    connection: Session, recipient: AuthorityId, after: ExchangeId | None, limit: int, now: int
) -> list[Waiting]:
    """What may be fetched now. Raises Refusal: MESSAGE_UNKNOWN when `after` is none of the recipient's."""
    with reading("mailbox"):
        bindings = {"recipient": recipient, "after": 0, "now": now, "limit": limit}
        if after is not None:
            row = connection.execute(_POSITION, (after, recipient)).fetchone()
            if row is None:
                raise Refusal(Code.MESSAGE_UNKNOWN, "after")
            bindings["after"] = row[0]
        rows: list[tuple[Any, ...]] = connection.execute(_WAITING, bindings).fetchall()
    return [
        Waiting(
            ExchangeId(message),
            OperationName(operation),
            LegalContext(context),
            moment(accepted),
            AuthorityId(sender),
        )
        for message, operation, context, accepted, sender in rows
    ]


def find(connection: Session, recipient: AuthorityId, message: ExchangeId) -> Row | None:
    """A message, None when it was acknowledged.

    Raises Refusal: MESSAGE_UNKNOWN if it never was the recipient's, or ended without being taken over.
    """
    with reading("mailbox"):
        if connection.execute(_STATE, (message, recipient)).fetchone() is None:
            raise Refusal(Code.MESSAGE_UNKNOWN)
        row = connection.execute(_FIND, (message,)).fetchone()
        if row is not None:
            return Row(*row)
        ended = connection.execute(_ENDED, (message,)).fetchone()
    if ended is not None and _decision(ended[0]) != Settlement.ACKNOWLEDGED:
        raise Refusal(Code.MESSAGE_UNKNOWN)
    return None


def _decision(leaf: bytes) -> str:
    try:
        return Leaf.parse(leaf).decision
    except ProofError as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "mailbox") from error


@dataclass(frozen=True, slots=True)
class Take:
    """Leases one message."""

    recipient: AuthorityId
    message: ExchangeId
    now: int
    until: int

    def apply(self, connection: Session, index: int) -> Row:  # noqa: ARG002 - an effect's form
        """Raises Refusal: MESSAGE_UNKNOWN, MESSAGE_LEASED, MESSAGE_ORDER."""
        bindings = {
            "id": self.message,
            "recipient": self.recipient,
            "now": self.now,
            "until": self.until,
        }
        taken = connection.execute(_TAKE, bindings).fetchone()
        if taken is None:
            raise Refusal(self._why(connection))
        (row,) = connection.execute(_TAKEN, taken)
        return Row(*row)

    def _why(self, connection: Session) -> Code:
        row = connection.execute(_STATE, (self.message, self.recipient)).fetchone()
        if row is None or row[0] != "waiting":
            return Code.MESSAGE_UNKNOWN
        return Code.MESSAGE_LEASED if row[1] > self.now else Code.MESSAGE_ORDER
