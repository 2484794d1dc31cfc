"""A hub moves from a file to a server: everything is copied, byte for byte, and the log goes on there and nowhere else.

Two heads under one key would be a fork. So the old store is closed for good in the moment before the new one is
committed; when that fails, the same command may be repeated, for the same database alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.adapters import store_file, store_postgres
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store_edge import load_edge
from gateway.adapters.store_postgres import PostgresSession
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_session import Begin, Session, Use, chunks, database_errors, unreadable
from gateway.adapters.store_witnessed import Freeze, Frozen, frozen, moved_to
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import NoteKey

# In an order in which each finds what it refers to. `spent` comes after the entries: a ticket in it takes no entry.
_TABLES: Final = (
    *(
        "head",
        "claim_key",
        "cosigned",
        "views",
        "entries",
        "spent",
        "buckets",
        "seeds",
        "contents",
        "messages",
    ),
    *(
        "tiles",
        "erased",
        "minimum",
        "former_erased",
        "accounts",
        "dossiers",
        "inscriptions",
        "passages",
        "agreements",
        "payload_key",
    ),
    *("notifications", "deliveries", "documents", "trusted", "trusted_since", "answers"),
)
_POSITIONS: Final = """
SELECT setval(pg_get_serial_sequence('deliveries', 'position'), coalesce(max(position), 0) + 1, false) FROM deliveries
"""


def copy(  # noqa: PLR0913 - from where, to where, whose, and who watches
    old: Path,
    new: PostgresUri,
    verifiers: Sequence[NoteKey],
    keys: BucketKeys,
    now: int,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Checkpoint:
    """The checkpoint under which the log goes on, the same in both. A hub that runs on the old store takes no entry any more.

    `now`: seconds since 1970. `progress`: called with the number of entries copied so far. Raises `ProofError`: LOG507
    when the database has a log already, what froze the old store, and whatever is wrong with the log.
    """
    try:
        with (
            closing(store_file.connect(old, Use.WRITE)) as source,
            closing(store_postgres.begin(new)) as target,
        ):
            source.begin(Begin.EXCLUSIVE)
            _require_open(source, new)
            edge = load_edge(source, verifiers)
            target.take_time()
            target.begin(Begin.WRITE)
            _require_empty(target, new)
            _copy_all(source, target, progress)
            _require_whole(LogReader(target, keys), verifiers)
            _close(source, Frozen(now, _note(source), moved_to(str(new))))
            target.commit()
    except database_errors() as error:
        raise unreadable(error, new) from error
    return Checkpoint(verifiers[0].name, edge.size, edge.root())


def _require_open(source: Session, new: PostgresUri) -> None:
    found = frozen(source)
    if found is not None and found.theirs != moved_to(str(new)):
        raise ProofError(found.flaw)


def _require_empty(target: Session, new: PostgresUri) -> None:
    for table in _TABLES:
        if target.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None:  # noqa: S608 - our own names
            raise ProofError(Flaw.STORE_EXISTS, f"{new}: {table}")


def _copy_all(source: Session, target: PostgresSession, progress: Callable[[int], None]) -> None:
    for table in _TABLES:
        done = 0
        for some in chunks(source.stream(f"SELECT * FROM {table}")):  # noqa: S608 - our own names
            target.copy(table, some)
            done += len(some)
            if table == "entries":
                progress(done)
    target.execute(_POSITIONS)


def _require_whole(log: LogReader, verifiers: Sequence[NoteKey]) -> None:
    """Every entry, tile and seed, as `gateway log verify` has it."""
    for finding in audit(log, log.head(), verifiers):
        if finding.fails:
            raise ProofError(finding.flaw, finding.about)


def _close(source: Session, why: Frozen) -> None:
    """From here on the old store takes no entry, whatever becomes of the new one."""
    if frozen(source) is None:
        Freeze(why).apply(source, 0)
    source.commit()


def _note(source: Session) -> bytes:
    ((note,),) = source.execute("SELECT note FROM head")
    return bytes(note)
