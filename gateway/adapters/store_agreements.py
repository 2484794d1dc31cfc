"""What the store remembers of the hub: under which agreement it serves, under which key payloads wait."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.adapters.sealing import Seal
from gateway.adapters.store_connect import connect
from gateway.adapters.store_delivery import reading
from gateway.adapters.store_session import (
    Begin,
    Session,
    StorePlace,
    Use,
    database_errors,
    placeholders,
    snapshot,
    unreadable,
)
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import OF_THE_LOG
from gateway.refusal import Code, Refusal

# Later than all before, though a clock went back or another node's is ahead: what served last is found by it.
_REMEMBER: Final = """
INSERT INTO agreements SELECT :revision, :files, max(moment)
FROM (SELECT CAST(:now AS BIGINT) AS moment UNION ALL SELECT remembered + 1 FROM agreements) AS moments WHERE true
ON CONFLICT (revision) DO UPDATE SET remembered = excluded.remembered
"""
_LAST: Final = "SELECT revision, files FROM agreements ORDER BY remembered DESC LIMIT 1"
_ABOUT_IT: Final = [kind.value for kind in OF_THE_LOG]
# What there is in a log only once a hub has served: entries of exchanges, though they were pruned.
_SERVED: Final = f"""
SELECT 1 FROM entries WHERE kind NOT IN ({placeholders(_ABOUT_IT)}) UNION ALL SELECT 1 FROM minimum WHERE idx > 0 LIMIT 1
"""  # noqa: S608 - our own words
_SEALED: Final = """
SELECT 1 FROM notifications WHERE sealed IS NOT NULL UNION ALL SELECT 1 FROM documents LIMIT 1
"""
_TAKE: Final = """
INSERT INTO payload_key VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET known = excluded.known
"""
_MALFORMED: Final = (zlib.error, msgspec.DecodeError)
_KNOWN: Final = b"payload key"  # the text, and what it is authenticated with


@dataclass(frozen=True, slots=True)
class Remember:
    """The hub serves under this agreement from now on."""

    revision: str
    files: bytes  # packed
    now: int

    def apply(self, connection: Session, index: int) -> None:  # noqa: ARG002 - an effect's form
        """The files of a revision are stored once."""
        bindings = {"revision": self.revision, "files": self.files, "now": self.now}
        connection.execute(_REMEMBER, bindings)


def packed(files: Mapping[str, bytes]) -> bytes:
    """As they are stored."""
    return zlib.compress(msgspec.msgpack.encode(dict(files)))


def _unpacked(files: bytes) -> dict[str, bytes]:
    """Raises `_MALFORMED`."""
    return msgspec.msgpack.decode(zlib.decompress(files), type=dict[str, bytes])


def agreement(connection: Session, revision: str) -> Mapping[str, bytes] | None:
    """The files of a revision, None when the hub never served under it. Raises Refusal."""
    with reading("agreement"):
        row = connection.execute("SELECT files FROM agreements WHERE revision = ?", (revision,)).fetchone()
    try:
        return None if row is None else _unpacked(row[0])
    except _MALFORMED as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "agreement") from error


def last(place: StorePlace) -> tuple[str, Mapping[str, bytes]] | None:
    """The revision under which a hub on this store served last, and its files; None where there is no store, or none has
    served yet. Whoever relies on them compares the revision.

    Raises `ProofError`, LOG522 when one must have served: what was in force before is never taken to be nothing.
    """
    try:
        connection = connect(place, Use.READ)
    except ProofError as error:
        if error.flaw is Flaw.NO_STORE:
            return None
        raise
    with contextlib.closing(connection):
        try:
            with snapshot(connection):  # another node may serve for the first time
                row = connection.execute(_LAST).fetchone()
                if row is None and connection.execute(_SERVED, _ABOUT_IT).fetchone() is None:
                    return None
        except database_errors() as error:
            raise unreadable(error, place) from error
    if row is None:
        raise ProofError(Flaw.IN_FORCE, str(place))
    try:
        return row[0], _unpacked(row[1])
    except _MALFORMED as error:
        raise ProofError(Flaw.IN_FORCE, f"{place}: {row[0]}") from error


def require_key(place: StorePlace, seal: Seal) -> None:
    """The key is that under which payloads and documents wait; without any it may be a new one. Raises `ProofError`.

    Found at the start: under another key every delivery would fail, one by one.
    """
    with contextlib.closing(connect(place, Use.WRITE)) as connection:
        try:
            connection.begin(Begin.EXCLUSIVE)
            if not _is_known(connection, seal):
                known = seal.close(_KNOWN, _KNOWN)
                connection.execute(_TAKE, (known,))
            connection.commit()
        except database_errors() as error:
            raise unreadable(error, place) from error


def compare_key(place: StorePlace, seal: Seal) -> None:
    """As `require_key`, but a new key is not taken: a look changes nothing. Raises `ProofError`."""
    with contextlib.closing(connect(place, Use.READ)) as connection:
        try:
            _is_known(connection, seal)
        except database_errors() as error:
            raise unreadable(error, place) from error


def _is_known(connection: Session, seal: Seal) -> bool:
    """False for a new key, which may be one as long as nothing is sealed. Raises `ProofError` when something is."""
    row = connection.execute("SELECT known FROM payload_key").fetchone()
    if row is None:
        return False
    try:
        seal.open(row[0], _KNOWN)
    except ProofError:
        if connection.execute(_SEALED).fetchone():
            raise
        return False
    return True
