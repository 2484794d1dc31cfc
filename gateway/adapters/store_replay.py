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

from gateway.adapters.store_directory import Directory
from gateway.adapters.store_file import Use, connect, unreadable
from gateway.adapters.store_work import ClaimKey, moment
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import AuthorityId, DossierNumber, DossierScope, Passage
from gateway.policy.explanation import Delivered

_CHUNK: Final = 1_024  # rows at a time, so that no read transaction stays open
_KNOWN: Final = 1_024  # dossiers that are kept in memory
# A temporary table, in a file of its own as soon as it is large: the directory has more dossiers than memory should.
_NUMBERS: Final = """
CREATE TEMP TABLE numbers (digest BLOB PRIMARY KEY, number TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO temp.numbers SELECT digest(number), number FROM main.dossiers;
"""
_RECORDED: Final = """
SELECT e.idx, e.leaf, e.view, s.idx IS NOT NULL, s.dossier, known.number, n.accepted
FROM entries AS e
LEFT JOIN seeds AS s ON s.idx = e.idx
LEFT JOIN temp.numbers AS known ON known.digest = s.dossier
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
    seeded: bool  # False: erased, and with the seed the dossier
    about: bool  # a dossier
    dossier: DossierNumber | None  # None: it is about none, or the directory has no such dossier
    received: datetime | None  # of a notification: when the hub had it, and decided


class ReplayReader:
    """Reads entries, and the dossier directory as it was. Nothing read here is believed or checked."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._keys = ClaimKey.of(connection)
        directory = Directory(connection)
        self._known = lru_cache(maxsize=_KNOWN)(lambda number: _known(directory, number))
        _name_dossiers(connection)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises `ProofError`."""
        return cls(connect(path, Use.READ))

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

    def recorded(self, end: int) -> Iterator[Recorded]:
        """Every entry below `end`, in order. Raises `ProofError`."""
        after = -1
        while rows := self._rows(_RANGE, (after, end, _CHUNK)):
            yield from map(_recorded, rows)
            after = rows[-1][0]

    def exchange(self, exchange: str) -> list[Recorded]:
        """The entries of one exchange. Raises `ProofError`."""
        return [_recorded(row) for row in self._rows(_OF_EXCHANGE, (exchange,))]

    def deliveries(self, notification: str) -> list[Delivered]:
        """What became of a notification, by the queue. Raises `ProofError`."""
        return [Delivered(*row) for row in self._rows(_DELIVERIES, (notification,))]

    def exchange_at(self, index: int) -> str | None:
        """Of which exchange the entry is."""
        rows = self._rows("SELECT exchange FROM entries WHERE idx = ?", (index,))
        return next((str(exchange) for (exchange,) in rows), None)

    def exchange_of(self, authority: AuthorityId, ticket: str) -> str | None:
        """The exchange that claimed the ticket; None where none did."""
        claim = self._keys.ticket(authority, ticket)
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

    def _rows(self, sql: str, bindings: Sequence[object]) -> list[tuple[Any, ...]]:
        """All rows at once: no read transaction stays open between two calls."""
        try:
            return self._connection.execute(sql, bindings).fetchall()
        except apsw.Error as error:
            raise unreadable(error) from error


def _name_dossiers(connection: apsw.Connection) -> None:
    """Finds dossiers by what stands beside seeds."""
    keys = ClaimKey.of(connection)

    def digest(*numbers: apsw.SQLiteValue) -> bytes:
        return keys.dossier(str(numbers[0]))

    connection.create_scalar_function("digest", digest, 1, deterministic=True)
    try:
        connection.execute(_NUMBERS)
    except apsw.Error as error:
        raise unreadable(error) from error


def _known(directory: Directory, number: DossierNumber) -> tuple[DossierScope, tuple[Passage, ...]] | None:
    scope = directory.get(number)
    return None if scope is None else (scope, directory.history(number))


def _recorded(row: tuple[Any, ...]) -> Recorded:
    index, leaf, view, seeded, dossier, number, accepted = row
    return Recorded(
        index,
        bytes(leaf),
        None if view is None else bytes(view),
        bool(seeded),
        dossier is not None,
        None if number is None else DossierNumber(str(number)),
        None if accepted is None else moment(accepted),
    )
