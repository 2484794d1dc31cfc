"""Erasure and pruning in the store: nothing goes that no entry accounts for.

Single entries lose what is kept of them in the transaction of the entry that says so. Of a bucket, or of many
entries, the record comes first: then the key is destroyed and the rows are removed, some at a time, so that a hub
that runs beside it waits for no more than that. A crash in between leaves something recorded that is not ended, and
whoever next opens the log for appending ends it (`complete`; in the stores of former logs a bucket is marked before:
`store_settle`). The other order could leave a destroyed key that no entry accounts for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_seeds import KEPT
from gateway.adapters.store_session import Session
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.erasure import Listed, Record
from gateway.exchangelog.fields import SALT_SIZE
from gateway.exchangelog.indices import Indices
from gateway.refusal import Code, Refusal

AT_ONCE: Final = (
    1_024  # entries of which one transaction removes something: the hub waits so long, and no longer
)
_ERASED: Final = "SELECT indices, salt FROM erased"
_BUCKETS: Final = "SELECT name, erased FROM buckets WHERE erased IS NOT NULL"
_MINIMUM: Final = "SELECT idx FROM minimum"
_ACCOUNTS: Final = "SELECT bucket, account FROM accounts"
_FORMER: Final = "SELECT origin, indices, salt, entry FROM former_erased"
_STANDING: Final = "SELECT idx FROM seeds WHERE idx BETWEEN ? AND ? ORDER BY idx"
_BELOW: Final = "SELECT (SELECT min(e.idx) FROM entries AS e WHERE e.idx < minimum.idx), idx FROM minimum"
_OF_ERASED: Final = """
SELECT DISTINCT idx FROM {table} WHERE bucket IN (SELECT name FROM buckets WHERE erased IS NOT NULL) LIMIT ?
"""
_LIST: Final = """
INSERT INTO erased VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET indices = excluded.indices, salt = excluded.salt
"""
_ERASE_BUCKET: Final = """
INSERT INTO buckets VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET erased = excluded.erased
"""
_SAY: Final = """
INSERT INTO former_erased VALUES (?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE
SET indices = excluded.indices, salt = excluded.salt, entry = excluded.entry
"""
_SPEND: Final = """
INSERT INTO spent SELECT authority, ticket FROM entries WHERE idx < ? AND ticket IS NOT NULL
ON CONFLICT DO NOTHING
"""


def record(connection: Session) -> Record:
    """What stands beside the tree as erased. Within a transaction when it must be of one moment."""
    rows: list[tuple[Any, ...]] = connection.execute(_BUCKETS).fetchall()
    lowest: list[tuple[Any, ...]] = connection.execute(_MINIMUM).fetchall() or [(0,)]
    buckets = {Bucket.parse(name): index for name, index in rows}
    accounts = {str(name): bytes(account) for name, account in connection.execute(_ACCOUNTS).fetchall()}
    return Record(listed(connection), buckets, lowest[0][0], accounts, said(connection))


def listed(connection: Session) -> Listed:
    """What was erased one by one of this log, by itself or by those that succeed it."""
    rows: list[tuple[Any, ...]] = connection.execute(_ERASED).fetchall() or [("", bytes(SALT_SIZE))]
    return Listed(Indices.parse(rows[0][0]), bytes(rows[0][1]))


def said(connection: Session) -> dict[str, tuple[Listed, int]]:
    """The same of logs that this one succeeds, by their origin, each with the entry that says so."""
    return {
        str(origin): (Listed(Indices.parse(indices), bytes(salt)), int(entry))
        for origin, indices, salt, entry in connection.execute(_FORMER).fetchall()
    }


def standing(connection: Session, wanted: Indices) -> Indices:
    """Those of which something is still kept."""
    found: list[tuple[Any, ...]] = [
        row for one in wanted.ranges for row in connection.execute(_STANDING, one).fetchall()
    ]
    return Indices.of((index, index) for (index,) in found)


def complete(connection: Session, keys: BucketKeys, progress: Callable[[int], None] = lambda _: None) -> None:
    """Ends what is recorded: destroys the keys of erased buckets, removes what was in them and what was pruned.

    `progress`: called with the number of entries done so far. Raises `ProofError` (LOG642).
    """
    rows: list[tuple[Any, ...]] = connection.execute(_BUCKETS).fetchall()
    for bucket in keys.held() & {Bucket.parse(name) for name, _ in rows}:
        keys.destroy(bucket)
    remove(connection, progress)


@dataclass(frozen=True, slots=True)
class EraseEntries:
    """Deletes what is kept of some entries. `before`, `after`: the list that the entry was made with."""

    indices: Indices
    before: Listed
    after: Listed

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: BUSY when another erasure came between."""
        if listed(connection) != self.before or standing(connection, self.indices) != self.indices:
            raise Refusal(Code.BUSY, "erasure")
        forget_entries(connection, self.indices, self.after)
        return index


@dataclass(frozen=True, slots=True)
class EraseOfFormer:
    """Says what is erased of a log that this one succeeds; there it goes afterwards (`store_settle.settle`).

    `before`: what was said of it, None when nothing was yet; `after`: the list that the entry was made with.
    """

    origin: str
    before: tuple[Listed, int] | None
    after: Listed

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: BUSY when another erasure came between."""
        if said(connection).get(self.origin) != self.before:
            raise Refusal(Code.BUSY, "erasure")
        connection.execute(_SAY, (self.origin, str(self.after.indices), self.after.salt, index))
        return index


@dataclass(frozen=True, slots=True)
class EraseBucket:
    """Lets nothing more into a bucket; key and rows go afterwards (`complete`). `count`: seeds of it in this log."""

    bucket: Bucket
    count: int

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: BUSY when something of it was erased meanwhile."""
        if counted(connection, self.bucket) != self.count:
            raise Refusal(Code.BUSY, "erasure")
        connection.execute(_ERASE_BUCKET, (str(self.bucket), index))  # it may be of former logs alone
        return index


@dataclass(frozen=True, slots=True)
class Prune:
    """Raises the minimum index; what is below it is removed afterwards (`complete`)."""

    minimum: int

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: BUSY when it was raised meanwhile."""
        connection.execute("UPDATE minimum SET idx = ? WHERE idx < ?", (self.minimum, self.minimum))
        if connection.changes() != 1:
            raise Refusal(Code.BUSY, "pruning")
        return index


def forget_entries(connection: Session, indices: Indices, after: Listed) -> None:
    """Within a transaction. `after`: what was erased one by one, these too."""
    for table in KEPT:
        connection.executemany(f"DELETE FROM {table} WHERE idx BETWEEN ? AND ?", indices.ranges)  # noqa: S608 - our own names
    connection.execute(_LIST, (str(after.indices), after.salt))


def remains(connection: Session) -> bool:
    """Whether something is left of an erased bucket, or below the minimum index."""
    of_erased = (connection.execute(_OF_ERASED.format(table=table), (1,)).fetchone() for table in KEPT)
    return any(of_erased) or connection.execute(_BELOW).fetchone()[0] is not None


def remove(connection: Session, progress: Callable[[int], None] = lambda _: None) -> None:
    """All of that, some at a time. `progress`: called with the number of entries done so far."""
    done = 0
    while some := _remove_erased(connection) or _remove_pruned(connection):
        done += some
        progress(done)


def _remove_erased(connection: Session) -> int:
    """Of how many entries of erased buckets something was removed; 0 when nothing is left."""
    for table in KEPT:
        some = connection.execute(_OF_ERASED.format(table=table), (AT_ONCE,)).fetchall()
        if some:
            with connection:
                connection.executemany(f"DELETE FROM {table} WHERE idx = ?", some)  # noqa: S608 - our own names
            return len(some)
    return 0


def _remove_pruned(connection: Session) -> int:
    """How many of the entries below the minimum index were removed, the lowest first; 0 when none is left.

    A ticket stays spent: its digest goes where claims are looked up as well.
    """
    rows: list[tuple[Any, ...]] = connection.execute(_BELOW).fetchall()
    ((first, minimum),) = rows
    if first is None:
        return 0
    end = min(first + AT_ONCE, minimum)
    with connection:
        connection.execute(_SPEND, (end,))
        for table in (*KEPT, "entries"):
            connection.execute(f"DELETE FROM {table} WHERE idx < ?", (end,))  # noqa: S608 - our own names
    return int(end - first)


def counted(connection: Session, bucket: Bucket) -> int:
    """Entries of the bucket that have their seed."""
    ((number,),) = connection.execute("SELECT count(*) FROM seeds WHERE bucket = ?", (str(bucket),))
    return int(number)
