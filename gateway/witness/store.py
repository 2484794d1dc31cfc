"""What a witness has cosigned, in a SQLite file: checked and stored in one transaction, durable before it answers.

Trusted for: never to go back. A witness without its memory would cosign a second history under the same key, so
a lost file is never made again (`create` is for a new key), and one of another key is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import apsw

from gateway.adapters.durable import sync_directory
from gateway.adapters.store_file import BUSY_MS
from gateway.adapters.store_session import unreadable
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.cosignature import Cosigner, CosignerKey
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Note
from gateway.exchangelog.quorum import LogKey
from gateway.exchangelog.witness import (
    AddCheckpoint,
    Latest,
    WitnessError,
    named,
    require_consistent,
    signed_by_log,
)

MAX_EVIDENCE: Final = 100  # checkpoints kept for each log: whoever has its key could sign any number
MAX_UNPROVED: Final = 10  # for each log, apart: anybody can send what it signed with a wrong proof
_APPLICATION_ID: Final = 0x57494257  # "WIBW"
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE witness (id INTEGER PRIMARY KEY CHECK (id = 1), vkey TEXT NOT NULL) STRICT;
CREATE TABLE logs (
  origin TEXT PRIMARY KEY,
  size INTEGER NOT NULL, root BLOB NOT NULL,
  note BLOB NOT NULL,                     -- the checkpoint with the log's signatures and the cosignature
  cosigned INTEGER NOT NULL               -- seconds since 1970
) STRICT;
CREATE TABLE evidence (                   -- signed by a log, and not shown to follow from what was cosigned of it
  digest BLOB PRIMARY KEY,                -- of the checkpoint's text: what stands around it anybody can change
  origin TEXT NOT NULL, received INTEGER NOT NULL,
  code TEXT NOT NULL, request BLOB NOT NULL,
  against BLOB                            -- what had been cosigned then; NULL: a pin
) STRICT;
"""
# Two roots of one size, with that size as the old one or not: what only the log's key can make.
_FORKED: Final = {"fork": Flaw.FORK.row.code, "stale": Flaw.RANGE.row.code}
_KEEP: Final = """
INSERT OR IGNORE INTO evidence SELECT :digest, :origin, :now, :code, :request,
  (SELECT note FROM logs WHERE origin = :origin)
WHERE (SELECT count(*) FROM evidence WHERE origin = :origin AND (code IN (:fork, :stale)) = :forked) < :most
"""
_SETTLE: Final = "DELETE FROM evidence WHERE digest = :digest AND code NOT IN (:fork, :stale)"


@dataclass(frozen=True, slots=True)
class Kept:
    """A request that contradicts what was cosigned, or whose proof from there does not hold."""

    origin: str
    received: int
    code: str
    request: bytes
    against: bytes | None

    @property
    def forked(self) -> bool:
        """The log signed two roots of one size. Otherwise somebody sent a checkpoint of it with a wrong proof."""
        return self.code in _FORKED.values()


def create(path: Path, key: CosignerKey) -> None:
    """The memory of a witness that has cosigned nothing. Raises `ProofError` (LOG709, LOG501)."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".new-") as directory:
            new = Path(directory, path.name)
            new.touch(mode=0o600)
            connection = _connect(new)
            with connection:
                connection.execute(_SCHEMA)
                connection.execute("INSERT INTO witness VALUES (1, ?)", (key.vkey,))
                connection.pragma("application_id", _APPLICATION_ID)
                connection.pragma("user_version", _VERSION)
            connection.close()
            os.link(new, path)
        sync_directory(path.parent)
    except FileExistsError as error:
        raise ProofError(Flaw.WITNESS_EXISTS, str(path)) from error
    except (apsw.Error, OSError) as error:
        raise ProofError(Flaw.UNREADABLE, f"{path}: {type(error).__name__}") from error


class WitnessStore:
    """One witness's memory. Used by one thread at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path, key: CosignerKey) -> WitnessStore:
        """Raises `ProofError`: LOG708 when it is not there, or belongs to another key."""
        if not path.is_file():
            raise ProofError(Flaw.WITNESS_STORE, str(path))
        try:
            connection = _connect(path)
            found = (connection.pragma("application_id"), connection.pragma("user_version"))
            if found != (_APPLICATION_ID, _VERSION):
                raise ProofError(Flaw.WITNESS_STORE, f"{path}: not of a witness of this version")
            owner = connection.execute("SELECT vkey FROM witness").fetchall()
        except apsw.Error as error:
            raise unreadable(error, path) from error
        if owner != [(key.vkey,)]:
            raise ProofError(Flaw.WITNESS_STORE, f"{path}: of another key")
        return cls(connection)

    def close(self) -> None:
        self._connection.close()

    def cosign(
        self,
        data: bytes,
        known: Mapping[str, Sequence[LogKey]],
        pins: Mapping[str, Checkpoint],
        cosigner: Cosigner,
        now: int,
    ) -> tuple[Checkpoint, str]:
        """The checkpoint of a request, durable here as the latest, and the cosignature's line.

        `now`: seconds since 1970. Raises WitnessError, also 503 for a clock that went back; `ProofError` when the
        file fails: then nothing was cosigned.
        """
        request, checkpoint = named(data, known)
        refused: WitnessError | None = None
        try:
            with self._transaction():
                try:
                    line = self._cosigned(request, checkpoint, known[checkpoint.origin], pins, cosigner, now)
                except WitnessError as error:
                    refused = error
                    if error.evidence:
                        self._keep(checkpoint, error.flaw.row.code, data, now)
        except apsw.Error as error:
            raise unreadable(error) from error
        if refused is not None:
            raise refused
        # From here on the line may leave: whatever happens, it stays the latest.
        return checkpoint, line

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Durable at its end, or undone: what is read afterwards, and may be served, is never half of it."""
        # IMMEDIATE: from here on nobody else changes what the request is held against.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            # SQLite leaves it open when a reader of the file holds up the COMMIT for longer than BUSY_MS.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _cosigned(  # noqa: PLR0913, PLR0917 - what is cosigned, against what, and by whom
        self,
        request: AddCheckpoint,
        checkpoint: Checkpoint,
        keys: Sequence[LogKey],
        pins: Mapping[str, Checkpoint],
        cosigner: Cosigner,
        now: int,
    ) -> str:
        require_consistent(request, checkpoint, self._latest(checkpoint.origin, pins))
        if now < self._last_time():
            raise WitnessError(503, Flaw.WITNESS_CLOCK)
        signed = signed_by_log(request.note, keys)
        signature = cosigner.sign(signed.text, now)
        note = Note(signed.text, (*signed.signatures, signature)).serialise()
        self._connection.execute(
            "INSERT OR REPLACE INTO logs VALUES (?,?,?,?,?)",
            (checkpoint.origin, checkpoint.size, checkpoint.root, note, now),
        )
        self._settle(checkpoint)
        return signature.line

    def _latest(self, origin: str, pins: Mapping[str, Checkpoint]) -> Latest:
        for size, root in self._connection.execute("SELECT size, root FROM logs WHERE origin = ?", (origin,)):
            return Latest(size, bytes(root))
        pin = pins.get(origin)
        return Latest() if pin is None else Latest(pin.size, pin.root)

    def _last_time(self) -> int:
        ((last,),) = self._connection.execute("SELECT coalesce(max(cosigned), 0) FROM logs")
        return int(last)

    def _keep(self, checkpoint: Checkpoint, code: str, request: bytes, now: int) -> None:
        forked = code in _FORKED.values()
        if forked:
            self._settle(checkpoint)
        values = {"digest": _digest(checkpoint), "origin": checkpoint.origin, "now": now, "code": code}
        bound = {"forked": forked, "most": MAX_EVIDENCE if forked else MAX_UNPROVED}
        self._connection.execute(_KEEP, {**values, **bound, **_FORKED, "request": request})

    def _settle(self, checkpoint: Checkpoint) -> None:
        """Whether it follows from what was cosigned is known now: that a proof was wrong tells nothing any more."""
        self._connection.execute(_SETTLE, {"digest": _digest(checkpoint), **_FORKED})

    def checkpoint(self, origin: str) -> bytes | None:
        """What was last cosigned of a log, verbatim. Raises `ProofError`."""
        rows = self._query("SELECT note FROM logs WHERE origin = ?", (origin,))
        return bytes(rows[0][0]) if rows else None

    def evidence(self) -> list[Kept]:
        """In the order of their coming. Raises `ProofError`."""
        rows = self._query("SELECT origin, received, code, request, against FROM evidence ORDER BY rowid")
        return [Kept(*row) for row in rows]

    def _query(self, sql: str, bindings: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, bindings).fetchall()
        except apsw.Error as error:
            raise unreadable(error) from error


def _digest(checkpoint: Checkpoint) -> bytes:
    return sha256(checkpoint.text.encode()).digest()


def _connect(path: Path) -> apsw.Connection:
    """A rollback journal, not a write-ahead log: commits are few, and a copy of the one file is a whole copy."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("journal_mode", "delete")
    connection.pragma("synchronous", "EXTRA")  # durable also when the journal's removal is what a crash takes
    return connection
