"""The queue: deliveries that wait, and what becomes of them.

Several processes may drain it. A lease is taken by one statement that selects and marks; where rows are locked one
by one it passes over those that another node is changing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from gateway.adapters.store_delivery import Row, reading
from gateway.adapters.store_session import PerEngine, Session, placeholders
from gateway.adapters.store_work import moment
from gateway.broker.ports import Depth
from gateway.model import AuthorityId, ExchangeId
from gateway.refusal import Code, Refusal

_ANY_DUE: Final = "SELECT 1 FROM foremost WHERE state = 'waiting' AND recipient = ? AND due <= ? LIMIT 1"
_LEASE: Final = PerEngine.of(
    """
UPDATE deliveries SET due = :until, lease_until = :until WHERE position IN (
  SELECT position FROM foremost WHERE state = 'waiting' AND recipient = :recipient AND due <= :now
  ORDER BY due, position LIMIT :limit {others}
) RETURNING position
""",
    others=PerEngine("", "FOR UPDATE SKIP LOCKED"),
)
_LEASED: Final = "SELECT * FROM outstanding WHERE position IN ({some}) ORDER BY position"
_RECORD: Final = "UPDATE deliveries SET recorded = recorded | ? WHERE id = ? AND state <> 'settled'"
_RECORDED: Final = "SELECT idx, (SELECT note FROM head) FROM entries WHERE exchange = ? AND kind = 'delivery'"
_POSTPONE: Final = """
UPDATE deliveries SET attempts = attempts + 1, due = ?, lease_until = 0, last_code = ?
WHERE id = ? AND state = 'waiting'
"""
_BURY: Final = """
UPDATE deliveries SET attempts = attempts + 1, state = 'dead', lease_until = 0, last_code = ?
WHERE id = ? AND state = 'waiting'
"""
_SETTLE: Final = """
UPDATE deliveries SET state = 'settled', dossier = NULL, lease_until = 0
WHERE id = ? AND state <> 'settled' RETURNING notification
"""
_PURGE: Final = """
UPDATE notifications SET sealed = NULL WHERE exchange = :of
AND NOT EXISTS (SELECT 1 FROM deliveries WHERE notification = :of AND state <> 'settled')
"""
# By the index of what is not settled: looked for every ten minutes only, and also where the payload is gone.
_OVERDUE: Final = "SELECT * FROM outstanding WHERE accepted < ? ORDER BY position LIMIT ?"
_DEPTH: Final = """
SELECT waits.recipient, waits.waiting, waits.dead, n.accepted FROM (
  SELECT recipient, min(position) AS oldest,
    count(*) FILTER (WHERE state = 'waiting') AS waiting, count(*) FILTER (WHERE state = 'dead') AS dead
  FROM deliveries WHERE state <> 'settled' GROUP BY recipient
) AS waits
JOIN deliveries AS d ON d.position = waits.oldest JOIN notifications AS n ON n.exchange = d.notification
ORDER BY waits.recipient
"""


def any_due(connection: Session, recipients: Collection[AuthorityId], now: int) -> bool:
    """Whether a lease would give anything: asked often, and mostly it would not. Raises Refusal."""
    with reading("queue"):
        return any(connection.execute(_ANY_DUE, (name, now)).fetchone() for name in recipients)


def overdue(connection: Session, accepted_before: int, limit: int) -> list[Row]:
    """Deliveries that are not settled though they were accepted before. Raises Refusal."""
    with reading("queue"):
        rows: list[tuple[Any, ...]] = connection.execute(_OVERDUE, (accepted_before, limit)).fetchall()
    return [Row(*row) for row in rows]


def depth(connection: Session) -> list[Depth]:
    """What waits, by recipient. Raises Refusal."""
    with reading("queue"):
        rows: list[tuple[Any, ...]] = connection.execute(_DEPTH).fetchall()
    return [Depth(AuthorityId(name), waiting, dead, moment(oldest)) for name, waiting, dead, oldest in rows]


def recorded(connection: Session, delivery: ExchangeId) -> tuple[int, bytes] | None:
    """Index of a delivery's release, and the present checkpoint. Raises Refusal: LOG_UNAVAILABLE."""
    with reading("log"):
        row: tuple[int, bytes] | None = connection.execute(_RECORDED, (delivery,)).fetchone()
    return row


@dataclass(frozen=True, slots=True)
class Lease:
    """Takes what is due."""

    recipients: Collection[AuthorityId]
    now: int
    until: int
    limit: int

    def apply(self, connection: Session, index: int) -> list[Row]:  # noqa: ARG002 - an effect's form
        """The deliveries that are now whoever's this is, in the order of acceptance."""
        positions: list[int] = []
        for name in self.recipients:
            left = self.limit - len(positions)
            bindings = {"recipient": name, "now": self.now, "until": self.until, "limit": left}
            positions += [position for (position,) in connection.execute(_LEASE, bindings)]
        if not positions:
            return []
        return [
            Row(*row) for row in connection.execute(_LEASED.format(some=placeholders(positions)), positions)
        ]


@dataclass(frozen=True, slots=True)
class Record:
    """The release of a delivery stands in the log."""

    delivery: ExchangeId
    release: int  # SENT or FETCHED

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: MESSAGE_UNKNOWN when it was settled meanwhile; then nothing may be released."""
        connection.execute(_RECORD, (self.release, self.delivery))
        if connection.changes() == 0:
            raise Refusal(Code.MESSAGE_UNKNOWN)
        return index


@dataclass(frozen=True, slots=True)
class Postpone:
    """An attempt failed: it is due again later."""

    delivery: ExchangeId
    due: int
    code: str

    def apply(self, connection: Session, index: int) -> None:  # noqa: ARG002 - an effect's form
        """Nothing, when it was settled meanwhile."""
        connection.execute(_POSTPONE, (self.due, self.code, self.delivery))


@dataclass(frozen=True, slots=True)
class Bury:
    """An attempt failed, and it is not tried again by itself."""

    delivery: ExchangeId
    code: str

    def apply(self, connection: Session, index: int) -> None:  # noqa: ARG002 - an effect's form
        """Nothing, when it was settled meanwhile."""
        connection.execute(_BURY, (self.code, self.delivery))


@dataclass(frozen=True, slots=True)
class Settle:
    """A delivery ends; the last of a notification takes the payload with it."""

    delivery: ExchangeId

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: MESSAGE_UNKNOWN when it is settled already, or never was."""
        row = connection.execute(_SETTLE, (self.delivery,)).fetchone()
        if row is None:
            raise Refusal(Code.MESSAGE_UNKNOWN)
        connection.execute(_PURGE, {"of": row[0]})
        return index
