"""Taking notifications in: what was told before, and the one transaction that makes a new one durable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.sealing import Seal, belongs_to
from gateway.adapters.store_delivery import reading
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_releases import any_newer
from gateway.adapters.store_session import Session
from gateway.adapters.store_work import ClaimKey, moment
from gateway.broker.ports import Told
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import ProofError
from gateway.model import Accepted, AuthorityId, ExchangeId, Receipt, Ticket
from gateway.refusal import Code, Refusal

# A ticket may have been used for a question, too.
_TOLD: Final = """
SELECT e.exchange, n.accepted, c.bucket, c.digest, e.idx, (SELECT note FROM head) FROM entries e
LEFT JOIN notifications n ON n.exchange = e.exchange AND e.kind = 'notification'
LEFT JOIN contents c ON c.idx = e.idx
WHERE e.authority = ? AND e.ticket = ?
"""
_NOTIFICATION: Final = "INSERT INTO notifications VALUES (?,?,?,?,?,?,?,?)"
_CONTENT: Final = "INSERT INTO contents VALUES (?,?,?)"
_DELIVERY: Final = """
INSERT INTO deliveries (id, notification, recipient, context, dossier, due) VALUES (?,?,?,?,?,?)
"""


def told(  # noqa: PLR0913, PLR0917 - where it is looked for, and what
    connection: Session,
    keys: ClaimKey,
    bucket_keys: BucketKeys,
    origin: str,
    claim: tuple[AuthorityId, Ticket],
    content: bytes,
) -> Told | None:
    """The earlier acceptance under this ticket. Raises Refusal: TICKET, LOG_UNAVAILABLE."""
    sender, ticket = claim
    with reading("notifications"):
        row = connection.execute(_TOLD, (sender, keys.ticket(sender, ticket))).fetchone()
    if row is None:
        return None
    exchange, accepted, bucket, said, index, note = row
    # A question has no content here, nor has a notification that was erased: nobody can say any more that it is the same.
    if said is None or said != _digest(bucket_keys, Bucket.parse(bucket), content):
        raise Refusal(Code.TICKET)
    return Told(ExchangeId(exchange), moment(accepted), Receipt(origin, index, note))


@dataclass(frozen=True, slots=True)
class Accept:
    """What the acceptance of a notification changes beside the log."""

    exchange: ExchangeId
    accepted: Accepted
    bucket_keys: BucketKeys
    bucket: Bucket  # of its entry
    content: bytes  # SHA-256 of what was told
    sealed: bytes | None  # None: nobody is to receive it
    at: int  # instant of acceptance
    deliveries: tuple[ExchangeId, ...]

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: DOSSIER_CHANGED."""
        accepted, request = self.accepted, self.accepted.request
        sender = request.caller.authority.id
        if accepted.newest is not None and any_newer(
            connection, self.bucket_keys, accepted.scope.dossier, accepted.newest
        ):
            raise Refusal(Code.DOSSIER_CHANGED)
        Directory(connection).advance(accepted.scope, accepted.expected, request.operation)
        said = _digest(self.bucket_keys, self.bucket, self.content)
        connection.execute(_CONTENT, (index, str(self.bucket), said))
        row = (
            *(self.exchange, sender, request.operation, request.legal_context),
            *(accepted.revision, accepted.scope.status, self.at, self.sealed),
        )
        connection.execute(_NOTIFICATION, row)
        connection.executemany(_DELIVERY, self._rows())
        return index

    def _rows(self) -> Sequence[tuple[object, ...]]:
        dossier = self.accepted.scope.dossier
        return [
            (name, self.exchange, one.authority.id, one.legal_context, dossier, self.at)
            for name, one in zip(self.deliveries, self.accepted.recipients, strict=True)
        ]


def _digest(keys: BucketKeys, bucket: Bucket, content: bytes) -> bytes:
    """What is kept of what was told: few enough texts could be tried one by one. Raises Refusal: LOG_UNAVAILABLE."""
    try:
        return keys.digest(bucket, b"content " + content)
    except ProofError as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "bucket key") from error


def sealed(seal: Seal, exchange: ExchangeId, accepted: Accepted, payload: bytes) -> bytes | None:
    """The payload as it waits; None when nobody is to receive it."""
    if not accepted.recipients:
        return None
    request = accepted.request
    return seal.close(payload, belongs_to(exchange, request.caller.authority.id, request.operation))
