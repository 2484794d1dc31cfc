"""The operator's hands on the queue, beside a running hub or without one: look, try again, give up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect
from gateway.adapters.store_delivery import Row, parties
from gateway.adapters.store_queue import Settle
from gateway.adapters.store_session import Session, StorePlace, Use, database_errors, unreadable
from gateway.adapters.store_settle import open_settled
from gateway.adapters.store_work import Work, instant
from gateway.exchangelog import entry
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.entry import Settling
from gateway.exchangelog.form import DropReason
from gateway.exchangelog.note import Signer
from gateway.model import AuthorityId, ExchangeId, Settlement
from gateway.refusal import Refusal

_LISTED: Final = """
SELECT * FROM outstanding
WHERE (CAST(:recipient AS TEXT) IS NULL OR recipient = :recipient) AND (:dead = 0 OR state = 'dead')
ORDER BY position
"""
_ONE: Final = "SELECT * FROM outstanding WHERE id = ?"
_SETTLED: Final = "SELECT notification FROM deliveries WHERE id = ? AND state = 'settled'"
# Of each delivery that is not its dossier's first to this recipient: the first, for which it waits.
_BEHIND: Final = """
SELECT id, held FROM (SELECT later.id, (
  SELECT first.id FROM deliveries AS first
  WHERE first.recipient = later.recipient AND first.dossier = later.dossier AND first.state <> 'settled'
    AND first.position < later.position
  ORDER BY first.position LIMIT 1
) AS held FROM deliveries AS later WHERE later.state <> 'settled') AS behind WHERE held IS NOT NULL
"""
_RETRY: Final = "UPDATE deliveries SET state = 'waiting', due = ?, lease_until = 0 WHERE id = ? AND state = 'dead' RETURNING id"
_IN_FORCE: Final = "SELECT revision FROM agreements ORDER BY remembered DESC LIMIT 1"


class OperatorQueue:
    """The queue as the operator sees it; payloads stay sealed."""

    def __init__(self, place: StorePlace, connection: Session) -> None:
        self._place = place
        self._connection = connection

    @classmethod
    def open(cls, place: StorePlace, *, writes: bool = False) -> Self:
        """Raises `ProofError`."""
        return cls(place, connect(place, Use.WRITE if writes else Use.READ))

    def close(self) -> None:
        self._connection.close()

    def listed(self, recipient: AuthorityId | None = None, *, dead: bool = False) -> Sequence[Row]:
        """What is not settled, in the order of acceptance. Raises `ProofError`."""
        found = self._query(_LISTED, {"recipient": recipient, "dead": int(dead)})
        return [Row(*row) for row in found]

    def one(self, delivery: str) -> Row | None:
        """A delivery that is not settled. Raises `ProofError`."""
        return next((Row(*row) for row in self._query(_ONE, (delivery,))), None)

    def behind(self) -> Mapping[str, str]:
        """What is held back → the earlier delivery of its dossier that must end first. Raises `ProofError`."""
        return dict(self._query(_BEHIND))

    def settled(self, delivery: str) -> ExchangeId | None:
        """The notification of a delivery that has ended; None when there was none. Raises `ProofError`."""
        return next((ExchangeId(one) for (one,) in self._query(_SETTLED, (delivery,))), None)

    def retry(self, delivery: str, now: datetime) -> bool:
        """Make a dead delivery due; False when it is not dead (any more). Raises `ProofError`."""
        return bool(self._query(_RETRY, (instant(now), delivery)))

    def drop(  # noqa: PLR0913, PLR0917 - what ends, why, and in which log
        self,
        row: Row,
        reason: DropReason,
        signers: Sequence[Signer],
        keys: BucketKeys,
        now: datetime,
        pinned: Checkpoint | None = None,
        former: Sequence[StorePlace] = (),
    ) -> int:
        """End a delivery undelivered, with its entry of the log; the index of that.

        `pinned`: what the log must extend; `former`: stores of the logs that it succeeds. Raises `ProofError`, and `Refusal` (MESSAGE_UNKNOWN) when it was settled meanwhile.
        """
        made = entry.settled(self._dropped(row, reason), row.id, now, os.urandom)
        with contextlib.closing(open_settled(self._place, signers, keys, pinned, former=former)) as log:
            try:
                (outcome,) = log.append([Work(made, Settle(row.id))])
            except database_errors() as error:
                raise unreadable(error, self._place) from error
        if isinstance(outcome, Refusal):
            raise outcome
        return int(outcome)

    def _dropped(self, row: Row, reason: DropReason) -> Settling:
        """By the entry of the notification: the parties may have left the register since."""
        try:
            sender, recipient = parties(self._connection, row.id)
        except database_errors() as error:
            raise unreadable(error, self._place) from error
        in_force = next((revision for (revision,) in self._query(_IN_FORCE)), row.revision)
        return Settling(
            sender=sender,
            recipient=recipient,
            operation=row.operation,
            legal_context=row.context,
            notification=ExchangeId(row.exchange),
            dossier=row.dossier,
            revision=row.revision,
            in_force=in_force,
            settlement=Settlement.DROPPED,
            reason=reason,
        )

    def _query(self, sql: str, bindings: Sequence[object] | dict[str, object] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, bindings).fetchall()
        except database_errors() as error:
            raise unreadable(error, self._place) from error
