"""Erasure and pruning in the store: nothing goes that no entry accounts for.

Single entries lose what is kept of them in the transaction of the entry that says so. Of a bucket, or of many
entries, the record comes first: then the key is destroyed and the rows are removed, some at a time, so that a hub
that runs beside it waits for no more than that. A crash in between leaves something recorded that is not ended, and
whoever next opens the log for appending ends it (`complete`). The other order could leave a destroyed key that no
entry accounts for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_seeds import KEPT
from gateway.adapters.store_session import Session
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.erasure import Record
from gateway.exchangelog.fields import SALT_SIZE
from gateway.exchangelog.indices import Indices
from gateway.refusal import Code, Refusal

AT_ONCE: Final = (
    1_024  # entries of which one transaction removes something: the hub waits so long, and no longer
)
_ERASED: Final = "SELECT indices, salt FROM erased"
_BUCKETS: Final = "SELECT name, erased FROM buckets WHERE erased IS NOT NULL"
_MINIMUM: Final = "SELECT idx FROM minimum"
_STANDING: Final = "SELECT idx FROM seeds WHERE idx BETWEEN ? AND ? ORDER BY idx"
_BELOW: Final = "SELECT (SELECT min(e.idx) FROM entries AS e WHERE e.idx < minimum.idx), idx FROM minimum"
_OF_ERASED: Final = """
SELECT DISTINCT idx FROM {table} WHERE bucket IN (SELECT name FROM buckets WHERE erased IS NOT NULL) LIMIT ?
"""
_ERASE: Final = """
INSERT INTO erased VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET indices = excluded.indices, salt = excluded.salt
"""
_SPEND: Final = """
INSERT INTO spent SELECT authority, ticket FROM entries WHERE idx < ? AND ticket IS NOT NULL
ON CONFLICT DO NOTHING
"""


def record(connection: Session) -> Record:
    """What stands beside the tree as erased. Within a transaction when it must be of one moment."""
    one: list[tuple[Any, ...]] = connection.execute(_ERASED).fetchall() or [("", bytes(SALT_SIZE))]
    rows: list[tuple[Any, ...]] = connection.execute(_BUCKETS).fetchall()
    lowest: list[tuple[Any, ...]] = connection.execute(_MINIMUM).fetchall() or [(0,)]
    buckets = {Bucket.parse(name): index for name, index in rows}
    return Record(Indices.parse(one[0][0]), one[0][1], buckets, lowest[0][0])


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
    done = 0
    while some := _remove_erased(connection) or _remove_pruned(connection):
        done += some
        progress(done)


@dataclass(frozen=True, slots=True)
class EraseEntries:
    """Deletes what is kept of some entries. `before`, `after`: the record that the entry was made with."""

    indices: Indices
    before: Record
    after: Record

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: BUSY when another erasure came between."""
        if record(connection) != self.before or standing(connection, self.indices) != self.indices:
            raise Refusal(Code.BUSY, "erasure")
        for table in KEPT:
            connection.executemany(f"DELETE FROM {table} WHERE idx BETWEEN ? AND ?", self.indices.ranges)  # noqa: S608 - our own names
        connection.execute(_ERASE, (str(self.after.indices), self.after.salt))
        return index


@dataclass(frozen=True, slots=True)
class EraseBucket:
    """Lets nothing more into a bucket; key and rows go afterwards (`complete`). `count`: of the entry."""

    bucket: Bucket
    count: int

    def apply(self, connection: Session, index: int) -> int:
        """Raises Refusal: BUSY when something of it was erased meanwhile."""
        if counted(connection, self.bucket) != self.count:
            raise Refusal(Code.BUSY, "erasure")
        connection.execute("UPDATE buckets SET erased = ? WHERE name = ?", (index, str(self.bucket)))
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
