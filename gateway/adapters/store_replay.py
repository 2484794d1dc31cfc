"""The log with what the store still knows beside each entry: of which dossier it is, and how that stood then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self

import apsw

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_seeds import blind
from gateway.adapters.store_session import Session, StorePlace, Use, database_errors, unreadable
from gateway.adapters.store_work import ClaimKey, moment
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import AuthorityId, DossierNumber, DossierScope, Passage
from gateway.policy.explanation import Delivered

_CHUNK: Final = 1_024  # rows at a time, so that no read transaction stays open
_KNOWN: Final = 1_024  # dossiers that are kept in memory
_NAMED: Final = (
    2  # buckets whose dossiers can be found at once: a clock may have been set back over a month's end
)
# A database of the reader's own, in a file without a name as soon as it is large: the directory has more dossiers
# than memory should.
_NUMBERS: Final = """
CREATE TABLE numbers (digest BLOB PRIMARY KEY, number TEXT NOT NULL, bucket TEXT NOT NULL) WITHOUT ROWID
"""
_NAME: Final = "INSERT OR IGNORE INTO numbers VALUES (?,?,?)"
_FORGET: Final = "DELETE FROM numbers WHERE bucket = ?"
_NUMBER: Final = "SELECT number FROM numbers WHERE digest = ?"
_DOSSIERS: Final = "SELECT number FROM dossiers WHERE number > ? ORDER BY number LIMIT ?"
_RECORDED: Final = """
SELECT e.idx, e.leaf, e.view, s.bucket, s.dossier, n.accepted
FROM entries AS e
LEFT JOIN seeds AS s ON s.idx = e.idx
LEFT JOIN notifications AS n ON n.exchange = e.exchange AND e.kind = 'notification'
WHERE {which}
"""
_RANGE: Final = _RECORDED.format(which="e.idx > ? AND e.idx < ? ORDER BY e.idx LIMIT ?")
_OF_EXCHANGE: Final = _RECORDED.format(which="e.exchange = ? ORDER BY e.idx")
_DELIVERIES: Final = """
SELECT recipient, id, state, attempts, last_code FROM deliveries WHERE notification = ? ORDER BY position
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One entry, and what is known of it beside the tree."""

    index: int
    leaf: bytes
    view: bytes | None  # hash of the vector of released and withheld
    bucket: str | None  # None: seed, or key of the bucket, are gone, and with them which dossier it was
    dossier: bytes | None  # digest of its number; None: it is about none
    received: datetime | None  # of a notification: when the hub had it, and decided


class ReplayReader:
    """Reads entries, and the dossier directory as it was. Nothing read here is believed or checked."""

    def __init__(self, connection: Session, keys: BucketKeys) -> None:
        self._connection = connection
        self._keys = keys
        self._tickets = ClaimKey.of(connection)
        directory = Directory(connection)
        self._known = lru_cache(maxsize=_KNOWN)(lambda number: _known(directory, number))
        self._held = lru_cache(maxsize=None)(self._has_key)  # a log has twelve buckets in a year
        self._named: list[str] = []  # buckets whose dossiers can be found, the newest at the end
        self._numbers = apsw.Connection("")
        self._numbers.execute(_NUMBERS)

    @classmethod
    def open(cls, place: StorePlace, keys: BucketKeys) -> Self:
        """Raises `ProofError`."""
        return cls(connect(place, Use.READ), keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._numbers.close()
        self._connection.close()

    def size(self) -> int:
        """Entries under the present head. Raises `ProofError`."""
        for (size,) in self._rows("SELECT size FROM head", ()):
            return int(size)
        raise ProofError(Flaw.HEAD)

    def minimum(self) -> int:
        """The lowest index that is kept. Raises `ProofError`."""
        return next((int(index) for (index,) in self._rows("SELECT idx FROM minimum", ())), 0)

    def recorded(self, end: int) -> Iterator[Recorded]:
        """Every entry below `end`, in order. Raises `ProofError`."""
        after = -1
        while rows := self._rows(_RANGE, (after, end, _CHUNK)):
            yield from map(self._recorded, rows)
            after = rows[-1][0]

    def exchange(self, exchange: str) -> list[Recorded]:
        """The entries of one exchange. Raises `ProofError`."""
        return [self._recorded(row) for row in self._rows(_OF_EXCHANGE, (exchange,))]

    def deliveries(self, notification: str) -> list[Delivered]:
        """What became of a notification, by the queue. Raises `ProofError`."""
        return [Delivered(*row) for row in self._rows(_DELIVERIES, (notification,))]

    def exchange_at(self, index: int) -> str | None:
        """Of which exchange the entry is."""
        rows = self._rows("SELECT exchange FROM entries WHERE idx = ?", (index,))
        return next((str(exchange) for (exchange,) in rows), None)

    def exchange_of(self, authority: AuthorityId, ticket: str) -> str | None:
        """The exchange that claimed the ticket; None where none did."""
        claim = self._tickets.ticket(authority, ticket)
        rows = self._rows(
            "SELECT exchange FROM entries WHERE authority = ? AND ticket = ?", (authority, claim)
        )
        return next((str(exchange) for (exchange,) in rows), None)

    def dossier(self, recorded: Recorded) -> tuple[DossierScope, tuple[Passage, ...]] | None:
        """What the directory knows now, and the statuses that led there; None where it is not known which it is,
        or the directory has none. Raises `ProofError`.
        """
        if recorded.bucket is None or recorded.dossier is None:
            return None
        self._name(recorded.bucket)
        found = self._numbers.execute(_NUMBER, (recorded.dossier,)).fetchone()
        try:
            return None if found is None else self._known(DossierNumber(str(found[0])))
        except database_errors() as error:
            raise unreadable(error) from error

    def vector(self, vector_hash: bytes) -> bytes:
        """The vector of released and withheld. Raises `ProofError`."""
        for (vector,) in self._rows("SELECT vector FROM views WHERE hash = ?", (vector_hash,)):
            return bytes(vector)
        raise ProofError(Flaw.FIELD_FORM, "no vector")

    def _recorded(self, row: tuple[Any, ...]) -> Recorded:
        index, leaf, view, bucket, dossier, accepted = row
        return Recorded(
            index,
            bytes(leaf),
            None if view is None else bytes(view),
            str(bucket) if bucket is not None and self._held(str(bucket)) else None,
            None if dossier is None else bytes(dossier),
            None if accepted is None else moment(accepted),
        )

    def _name(self, bucket: str) -> None:
        """Makes the dossiers of the bucket findable, and forgets those of an earlier one."""
        if bucket in self._named:
            return
        if len(self._named) == _NAMED:
            self._numbers.execute(_FORGET, (self._named.pop(0),))
        parsed, after = Bucket.parse(bucket), ""
        while chunk := self._rows(_DOSSIERS, (after, _CHUNK)):
            rows = [
                (self._keys.digest(parsed, blind(DossierNumber(number))), number, bucket)
                for (number,) in chunk
            ]
            with self._numbers:
                self._numbers.executemany(_NAME, rows)
            after = chunk[-1][0]
        self._named.append(bucket)

    def _has_key(self, bucket: str) -> bool:
        try:
            self._keys.digest(Bucket.parse(bucket), b"")
        except ProofError as error:
            if error.flaw is not Flaw.BUCKET_KEY:
                raise
            return False
        return True

    def _rows(self, sql: str, bindings: Sequence[object] | dict[str, object]) -> list[tuple[Any, ...]]:
        """All rows at once: no read transaction stays open between two calls."""
        try:
            return self._connection.execute(sql, bindings).fetchall()
        except database_errors() as error:
            raise unreadable(error) from error


def _known(directory: Directory, number: DossierNumber) -> tuple[DossierScope, tuple[Passage, ...]] | None:
    scope = directory.get(number)
    return None if scope is None else (scope, directory.history(number))
