"""Seeds beside the entries: wrapped under the keys of their buckets, found by blind indices of dossier and person.

A seed and its digest go together: by themselves when they are erased one by one, with the key of their bucket
when the bucket is erased. What else is kept of an entry under its bucket joins by `idx`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_session import Session
from gateway.exchangelog.bucket import Bucket, bucket_of
from gateway.exchangelog.entry import Entry
from gateway.model import DossierNumber
from gateway.refusal import Code, Refusal

# Tables of what is kept of entries: each has `idx` and `bucket`, and an erasure deletes from all of them.
KEPT: Final = ("seeds", "contents", "messages")
INSERT: Final = "INSERT INTO seeds VALUES (?,?,?,?,?,?)"
_NEWEST: Final = "SELECT idx, bucket, subject FROM seeds ORDER BY idx DESC LIMIT 1"
_BUCKETS: Final = "SELECT name FROM buckets WHERE erased IS NULL ORDER BY name"


class Seeds:
    """Wraps what is new, within the transactions of the appender."""

    def __init__(self, keys: BucketKeys) -> None:
        self._keys = keys
        self._open: set[Bucket] = set()  # known to have a key, and not to be erased
        self._new: set[Bucket] = set()  # the same, if the transaction commits

    def bucket(self, connection: Session, entry: Entry) -> Bucket:
        """The entry's, once its key is durable. Raises `ProofError`; Refusal: LOG_UNAVAILABLE when it is erased."""
        found = bucket_of(entry.leaf)
        if found not in self._open and found not in self._new:
            self._begin(connection, found)
        return found

    def row(self, connection: Session, index: int, entry: Entry) -> tuple[Any, ...]:
        """What `INSERT` takes. Raises as `bucket`."""
        bucket = self.bucket(connection, entry)
        fields = entry.fields and self._keys.wrap(bucket, entry.fields.seed, fields_of(index))
        dossier = entry.dossier and self._keys.digest(bucket, blind(entry.dossier))
        person = entry.person and self._keys.digest(bucket, named(entry.person))
        subject = self._keys.wrap(bucket, entry.seed, subject_of(index))
        return index, str(bucket), subject, fields, dossier, person

    def committed(self) -> None:
        self._open |= self._new
        self._new.clear()

    def undone(self) -> None:
        """The transaction, or a part of it, was rolled back."""
        self._new.clear()

    def forget(self) -> None:
        """Another process has written: it may have erased a bucket."""
        self._open.clear()

    def _begin(self, connection: Session, bucket: Bucket) -> None:
        """An erased one takes nothing in."""
        connection.execute("INSERT INTO buckets (name) VALUES (?) ON CONFLICT DO NOTHING", (str(bucket),))
        if connection.changes():
            # At this point nothing is committed: a key without an entry does no harm, an entry without its key would.
            self._keys.make(bucket)
        row = connection.execute("SELECT erased FROM buckets WHERE name = ?", (str(bucket),)).fetchone()
        if row != (None,):  # only a clock that went back by months brings one
            raise Refusal(Code.LOG_UNAVAILABLE, "erased bucket")
        self._new.add(bucket)


def require_keys(connection: Session, keys: BucketKeys) -> None:
    """These are the keys of this log: the newest seed opens. Raises `ProofError` (LOG643, LOG644)."""
    for index, name, subject in connection.execute(_NEWEST):
        keys.unwrap(Bucket.parse(name), subject, subject_of(index))


def digests(connection: Session, keys: BucketKeys, dossier: DossierNumber) -> Sequence[bytes]:
    """What may stand beside the seeds of this dossier: one digest for each bucket. Raises `ProofError` (LOG643)."""
    return _in_each(connection, keys, blind(dossier))


def names(connection: Session, keys: BucketKeys, person: bytes) -> Sequence[bytes]:
    """The same for whom refusals and look-ups named. `person`: person digest. Raises `ProofError` (LOG643)."""
    return _in_each(connection, keys, named(person))


def _in_each(connection: Session, keys: BucketKeys, value: bytes) -> Sequence[bytes]:
    buckets = [Bucket.parse(name) for (name,) in connection.execute(_BUCKETS)]
    return [keys.digest(bucket, value) for bucket in buckets]


def due(connection: Session, years: int, now: datetime) -> set[Bucket]:
    """The buckets that are kept longer than their retention period of so many years."""
    names: list[tuple[Any, ...]] = connection.execute(_BUCKETS).fetchall()
    return {one for (name,) in names if (one := Bucket.parse(name)).due(years) <= now}


def blind(dossier: DossierNumber) -> bytes:
    """What the index of a bucket holds a digest of."""
    return f"dossier {dossier}".encode()


def named(person: bytes) -> bytes:
    """The same of a person digest (PROTOCOL §7.2): whom a refusal or a look-up named."""
    return b"person " + person


def subject_of(index: int) -> bytes:
    """What the seed of `subj` and `body` is wrapped with."""
    return b"subject %d" % index


def fields_of(index: int) -> bytes:
    """What the seed of the field records is wrapped with."""
    return b"fields %d" % index
