"""A log goes on under another name: the old one ends, and a new store begins with an entry that names it.

The new store takes over what the hub works with: directory, agreements, uploaded documents, and every ticket that was
used, digested as it was. Entries stay in the old store, which is only read from then on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect
from gateway.adapters.store_file import sync_directory
from gateway.adapters.store_log import Log, load_edge, new_log
from gateway.adapters.store_session import DatabaseError, Use, unreadable
from gateway.adapters.store_witnessed import Freeze, Frozen, frozen
from gateway.adapters.store_work import Work
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import NoteKey, Signer
from gateway.refusal import Refusal

_OUTSTANDING: Final = "SELECT count(*) FROM deliveries WHERE state <> 'settled'"
_CARRY: Final = (
    "INSERT INTO main.agreements SELECT * FROM old.agreements",
    "INSERT INTO main.payload_key SELECT * FROM old.payload_key",
    "INSERT INTO main.documents SELECT * FROM old.documents",
    "INSERT INTO main.dossiers SELECT * FROM old.dossiers",
    "INSERT INTO main.inscriptions SELECT * FROM old.inscriptions",
    "INSERT INTO main.passages SELECT * FROM old.passages",
    "UPDATE main.claim_key SET key = (SELECT key FROM old.claim_key)",
    "INSERT INTO main.spent SELECT authority, ticket FROM old.spent",
    "INSERT OR IGNORE INTO main.spent SELECT authority, ticket FROM old.entries WHERE ticket IS NOT NULL",
)


def end(path: Path, verifiers: Sequence[NoteKey], now: int) -> Checkpoint:
    """The last checkpoint of a log that takes no entry any more from now on; one that was frozen stays so.

    `now`: seconds since 1970. Raises `ProofError`: LOG717 while deliveries wait.
    """
    connection = connect(path, Use.WRITE)
    try:
        with connection:  # one transaction: no hub appends in between
            connection.execute("UPDATE head SET size = size")  # the write lock, before anything is read
            ((waiting,),) = connection.execute(_OUTSTANDING)
            if waiting:
                raise ProofError(Flaw.OUTSTANDING, str(waiting))
            edge = load_edge(connection, verifiers)
            ((note,),) = connection.execute("SELECT note FROM head")
            if frozen(connection) is None:
                Freeze(Frozen(now, bytes(note), b"")).apply(connection, edge.size)
    except DatabaseError as error:
        raise unreadable(error, path) from error
    finally:
        connection.close()
    return Checkpoint(verifiers[0].name, edge.size, edge.root())


def begin(
    path: Path, signers: Sequence[Signer], bucket_keys: BucketKeys, first: Entry, old: Path | None
) -> None:
    """The store of the successor, whole or not at all. `old`: what it takes over from. Raises `ProofError`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".new-") as directory:
            staged = Path(directory, path.name)
            new_log(staged, signers)
            if old is not None:
                _carry(old, staged)
            with contextlib.closing(Log.open(staged, signers, bucket_keys)) as log:
                (outcome,) = log.append([Work(first)])
            if isinstance(outcome, Refusal):  # the key in a token does not sign
                raise ProofError(Flaw.UNSIGNED, str(path))
            os.link(staged, path)
        sync_directory(path.parent)
    except FileExistsError as error:
        raise ProofError(Flaw.STORE_EXISTS, str(path)) from error
    except DatabaseError as error:
        raise unreadable(error, path) from error
    except OSError as error:
        raise ProofError(Flaw.UNREADABLE, f"{path}: {type(error).__name__}") from error


def _carry(old: Path, new: Path) -> None:
    connect(old, Use.READ).close()  # a store of this version
    connection = connect(new, Use.WRITE)
    try:
        connection.execute("ATTACH ? AS old", (str(old),))
        with connection:
            for statement in _CARRY:
                connection.execute(statement)
    finally:
        connection.close()
