"""One log ends and another begins: what the new store takes over from the old one, and what it does not.

Taken over is what the hub works with: directory, agreements, uploaded documents, and which tickets are spent. Entries,
and the seeds beside them, stay in the old store, which is only read from then on. Either may be a file or a database.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect, creating
from gateway.adapters.store_edge import load_edge
from gateway.adapters.store_log import begin_log, first_entry
from gateway.adapters.store_session import (
    Session,
    StorePlace,
    Use,
    chunks,
    database_errors,
    snapshot,
    unreadable,
)
from gateway.adapters.store_witnessed import Freeze, Frozen, frozen
from gateway.adapters.store_work import CLAIM_KEY_SIZE
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Ending
from gateway.exchangelog.note import NoteKey, Signer
from gateway.refusal import Refusal

_OUTSTANDING: Final = "SELECT count(*) FROM deliveries WHERE state <> 'settled'"
# Table of the new store → what it has of the old one, in an order in which each finds what it refers to.
_CARRIED: Final[Mapping[str, str]] = {
    **{
        table: f"SELECT * FROM {table}"  # noqa: S608 - our own names
        for table in ("agreements", "payload_key", "documents", "dossiers", "inscriptions", "passages")
    },
    "spent": """
SELECT authority, ticket FROM spent UNION SELECT authority, ticket FROM entries WHERE ticket IS NOT NULL
""",
}


def end(place: StorePlace, verifiers: Sequence[NoteKey], ending: Ending, now: int) -> tuple[Checkpoint, int]:
    """The last checkpoint of a log that takes no entry any more from now on, and how many deliveries wait in it for good;
    one that was frozen stays so.

    `now`: seconds since 1970. Raises `ProofError`: LOG717 while deliveries wait that can still be made or dropped, LOG518
    for a log that goes on elsewhere, LOG713 for one that was frozen and is said to have ended in order.
    """
    with _translated(place), contextlib.closing(connect(place, Use.WRITE)) as connection:
        connection.settle()
        with connection:  # one transaction: no hub appends in between
            connection.execute("UPDATE head SET size = size")  # the write lock, before anything is read
            before = frozen(connection)
            _require_endable(before, ending)
            ((waiting,),) = connection.execute(_OUTSTANDING)
            if waiting and before is None:  # of a frozen log nothing can be delivered or dropped
                raise ProofError(Flaw.OUTSTANDING, str(waiting))
            edge = load_edge(connection, verifiers)
            ((note,),) = connection.execute("SELECT note FROM head")
            if before is None:
                Freeze(Frozen(now, bytes(note), b"")).apply(connection, edge.size)
    return Checkpoint(verifiers[0].name, edge.size, edge.root()), int(waiting)


def _require_endable(before: Frozen | None, ending: Ending) -> None:
    """Raises `ProofError`."""
    if before is None or before.flaw is Flaw.ENDED:
        return
    if before.flaw is Flaw.MOVED or ending is Ending.ENDED:
        raise ProofError(before.flaw)


def begin(
    place: StorePlace,
    signers: Sequence[Signer],
    bucket_keys: BucketKeys,
    first: Entry,
    old: StorePlace | None,
) -> None:
    """The store of the successor, whole or not at all. `old`: what it takes over from. Raises `ProofError`."""
    try:
        with _taken_over(old) as (claim_key, carry), creating(place) as session:
            session.take_time()
            begin_log(session, place, signers, claim_key)
            carry(session)
            first_entry(session, signers, bucket_keys, first)
    except Refusal as refusal:  # the key in a token does not sign
        raise ProofError(Flaw.UNSIGNED, str(place)) from refusal


@contextlib.contextmanager
def _taken_over(old: StorePlace | None) -> Iterator[tuple[bytes, Callable[[Session], None]]]:
    """The key of the claims, and what fills the other tables of the new store."""
    if old is None:
        yield os.urandom(CLAIM_KEY_SIZE), lambda _: None
        return
    with contextlib.closing(connect(old, Use.READ)) as source:
        source.take_time()
        with _translated(old), snapshot(source):
            ((key,),) = source.execute("SELECT key FROM claim_key")
            yield bytes(key), lambda target: _carry(source, old, target)


def _carry(source: Session, old: StorePlace, target: Session) -> None:
    for table, query in _CARRIED.items():
        for some in _read(source, old, query):
            target.copy(table, some)


def _read(source: Session, old: StorePlace, query: str) -> Iterator[list[Any]]:
    with _translated(old):  # whoever takes the rows tells of the new store
        yield from chunks(source.stream(query))


@contextlib.contextmanager
def _translated(place: StorePlace) -> Iterator[None]:
    try:
        yield
    except database_errors() as error:
        raise unreadable(error, place) from error
    except OSError as error:
        raise ProofError(Flaw.UNREADABLE, f"{place}: {error.strerror}") from error
