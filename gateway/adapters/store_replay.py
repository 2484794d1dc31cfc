"""The log with what the store still knows beside each entry: of which dossier it is, and how that stood then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import apsw

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_file import Use, connect, unreadable
from gateway.adapters.store_seeds import blind
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
# A temporary table, in a file of its own as soon as it is large: the directory has more dossiers than memory should.
_NUMBERS: Final = """
CREATE TEMP TABLE numbers (digest BLOB PRIMARY KEY, number TEXT NOT NULL, bucket TEXT NOT NULL) WITHOUT ROWID
"""
_NAME: Final = """
INSERT OR IGNORE INTO temp.numbers SELECT digest(:bucket, number), number, :bucket FROM main.dossiers
"""
_FORGET: Final = "DELETE FROM temp.numbers WHERE bucket = ?"
_NUMBER: Final = "SELECT number FROM temp.numbers WHERE digest = ?"
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
    seeded: bool  # False: seed or bucket are erased, and with them which dossier it was
    about: bool  # a dossier
    dossier: DossierNumber | None  # None: it is about none, or the directory has no such dossier
    received: datetime | None  # of a notification: when the hub had it, and decided


class ReplayReader:
    """Reads entries, and the dossier directory as it was. Nothing read here is believed or checked."""

    def __init__(self, connection: apsw.Connection, keys: BucketKeys) -> None:
        self._connection = connection
        self._keys = keys
        self._tickets = ClaimKey.of(connection)
        directory = Directory(connection)
        self._known = lru_cache(maxsize=_KNOWN)(lambda number: _known(directory, number))
        self._named: dict[str, bool] = {}  # bucket → whether its key is there; the newest at the end
        connection.create_scalar_function("digest", self._digest, 2, deterministic=True)
        self._rows(_NUMBERS, ())

    @classmethod
    def open(cls, path: Path, keys: BucketKeys) -> Self:
        """Raises `ProofError`."""
        return cls(connect(path, Use.READ), keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

    def dossier(self, number: DossierNumber) -> tuple[DossierScope, tuple[Passage, ...]] | None:
        """What the directory knows now, and the statuses that led there. Raises `ProofError`."""
        try:
            return self._known(number)
        except apsw.Error as error:
            raise unreadable(error) from error

    def vector(self, vector_hash: bytes) -> bytes:
        """The vector of released and withheld. Raises `ProofError`."""
        for (vector,) in self._rows("SELECT vector FROM views WHERE hash = ?", (vector_hash,)):
            return bytes(vector)
        raise ProofError(Flaw.FIELD_FORM, "no vector")

    def _recorded(self, row: tuple[Any, ...]) -> Recorded:
        index, leaf, view, bucket, digest, accepted = row
        seeded = bucket is not None and self._name(str(bucket))
        return Recorded(
            index,
            bytes(leaf),
            None if view is None else bytes(view),
            seeded,
            digest is not None,
            self._number(bytes(digest)) if seeded and digest is not None else None,
            None if accepted is None else moment(accepted),
        )

    def _name(self, bucket: str) -> bool:
        """Makes the dossiers of the bucket findable. False when its key is gone, and with it what tells them."""
        if bucket not in self._named:
            if len(self._named) == _NAMED:
                oldest = next(iter(self._named))
                self._rows(_FORGET, (oldest,))
                del self._named[oldest]
            self._named[bucket] = self._has_key(bucket)
            if self._named[bucket]:
                self._rows(_NAME, {"bucket": bucket})
        return self._named[bucket]

    def _has_key(self, bucket: str) -> bool:
        try:
            self._keys.digest(Bucket.parse(bucket), b"")
        except ProofError as error:
            if error.flaw is not Flaw.BUCKET_KEY:
                raise
            return False
        return True

    def _digest(self, *arguments: Any) -> bytes:
        """For SQL: what stands beside a seed of this bucket that is about this dossier."""
        bucket, number = arguments
        return self._keys.digest(Bucket.parse(str(bucket)), blind(DossierNumber(str(number))))

    def _number(self, digest: bytes) -> DossierNumber | None:
        return next((DossierNumber(str(number)) for (number,) in self._rows(_NUMBER, (digest,))), None)

    def _rows(self, sql: str, bindings: Sequence[object] | dict[str, object]) -> list[tuple[Any, ...]]:
        """All rows at once: no read transaction stays open between two calls."""
        try:
            return self._connection.execute(sql, bindings).fetchall()
        except apsw.Error as error:
            raise unreadable(error) from error


def _known(directory: Directory, number: DossierNumber) -> tuple[DossierScope, tuple[Passage, ...]] | None:
    scope = directory.get(number)
    return None if scope is None else (scope, directory.history(number))
