"""The store's file: SQLite schema and connections. One file holds the exchange log and the dossier directory.

Trusted for: durability after COMMIT, and uniqueness of tickets. Not trusted for integrity: whoever can write
to the file can change it, and `gateway log verify` or anybody with a checkpoint finds out.
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import apsw

from gateway.exchangelog.flaw import Flaw, ProofError

APPLICATION_ID: Final = 0x57494247  # "WIBG" in SQLite's header
SCHEMA_VERSION: Final = 2
# Before 3.51.3 two connections that write and checkpoint in WAL mode can corrupt the file (WAL-reset race).
MIN_SQLITE: Final = (3, 51, 3)
BUSY_MS: Final = 5_000  # milliseconds a writer waits for another process, such as `gateway dossier put`

SCHEMA = """
CREATE TABLE head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  size INTEGER NOT NULL, root BLOB NOT NULL,
  note BLOB NOT NULL                      -- the signed checkpoint, verbatim
) STRICT;
CREATE TABLE views (                      -- vector of released and withheld, once per view
  hash BLOB PRIMARY KEY, vector BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
  idx INTEGER PRIMARY KEY,
  exchange TEXT NOT NULL, kind TEXT NOT NULL,   -- copies from the leaf, for look-ups
  leaf BLOB NOT NULL,
  authority TEXT, ticket BLOB,            -- replay claim of a request: the ticket digested under the key of claims
  view BLOB REFERENCES views (hash), digests BLOB
) STRICT;
CREATE TABLE claim_key (                  -- random, made with the store
  id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX exchanges ON entries (exchange, kind);
CREATE UNIQUE INDEX claims ON entries (authority, ticket) WHERE ticket IS NOT NULL;
CREATE TABLE seeds (                      -- apart from the entries: erasing a row leaves the tree as it is
  idx INTEGER PRIMARY KEY REFERENCES entries (idx),
  subject BLOB NOT NULL, fields BLOB
) STRICT;
CREATE TABLE tiles (
  level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL,
  PRIMARY KEY (level, n)
) STRICT;
-- Against mistakes, not against an adversary.
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT raise(ABORT, 'entries are immutable'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries BEGIN SELECT raise(ABORT, 'entries are immutable'); END;

CREATE TABLE dossiers (
  number TEXT PRIMARY KEY, permit_type TEXT NOT NULL, procedure TEXT NOT NULL,
  status TEXT NOT NULL, status_since TEXT NOT NULL,
  person BLOB CHECK (length(person) = 32)  -- keyed digest of the worker's INSZ; the key is not in this file
) STRICT, WITHOUT ROWID;
CREATE TABLE inscriptions (
  dossier TEXT NOT NULL REFERENCES dossiers (number) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  authority TEXT NOT NULL, role TEXT NOT NULL, since TEXT NOT NULL, until TEXT,
  PRIMARY KEY (dossier, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX inscribed ON inscriptions (authority, dossier);
"""


class Use(Enum):
    """What a connection is for."""

    APPEND = "append"  # writes, and alone moves the write-ahead log into the file
    WRITE = "write"  # writes beside the appender
    READ = "read"  # never writes anything


def connect(path: Path, use: Use) -> apsw.Connection:
    """A connection to an existing store. Raises `ProofError` (LOG501, LOG502, LOG506, LOG508)."""
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < MIN_SQLITE:
        raise ProofError(Flaw.LIBRARY)
    _require(path)
    try:
        connection = _open_for_reading(path) if use is Use.READ else _open_for_writing(path)
        _check_format(connection)
        if use is not Use.READ:
            _set_durability(connection)
        if use is not Use.APPEND:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.wal_autocheckpoint(0)
    except apsw.Error as error:
        raise unreadable(error, path) from error
    return connection


def _require(path: Path) -> None:
    """SQLite says the same of no file, of no permission and of many other things."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProofError(Flaw.NO_STORE, str(path)) from error
    except OSError as error:
        raise ProofError(Flaw.UNREADABLE, f"{path}: {error.strerror}") from error


def unreadable(error: apsw.Error, path: Path | None = None) -> ProofError:
    """What SQLite's error is in the terms of a log: LOG508 for damaged pages, else LOG501."""
    flaw = Flaw.CORRUPT if isinstance(error, apsw.CorruptError) else Flaw.UNREADABLE
    name = type(error).__name__
    return ProofError(flaw, name if path is None else f"{path}: {name}")


def create(path: Path, root: bytes, note: bytes) -> bool:
    """A new store with an empty log, readable by its owner only; it appears whole or not at all.

    False when there is a file already, which is left alone. Raises `ProofError`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".new-") as directory:
            new = Path(directory, path.name)
            new.touch(mode=0o600)
            _fill(new, root, note)
            try:
                os.link(new, path)
            except FileExistsError:
                return False
        _sync_directory(path.parent)
    except (apsw.Error, OSError) as error:
        raise ProofError(Flaw.UNREADABLE, f"{path}: {type(error).__name__}") from error
    return True


def _fill(path: Path, root: bytes, note: bytes) -> None:
    connection = _open_for_writing(path)
    _set_durability(connection)
    with connection:
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO head VALUES (1, 0, ?, ?)", (root, note))
        connection.execute("INSERT INTO claim_key VALUES (1, ?)", (os.urandom(32),))
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)
    connection.close()  # moves the write-ahead log into the file, with fsync


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_for_writing(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def _open_for_reading(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_MS)
    try:
        connection.execute("SELECT 1 FROM head").fetchall()
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        # A directory in which nothing may be written, such as a copy on read-only media: with no
        # write-ahead log beside it the file is complete and can be read as it is.
        connection.close()
        ahead = path.with_name(path.name + "-wal")
        if ahead.exists() and ahead.stat().st_size:
            raise
        uri = f"{path.absolute().as_uri()}?immutable=1"
        return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    return connection


def _set_durability(connection: apsw.Connection) -> None:
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")  # COMMIT returns after fsync of the write-ahead log
    connection.pragma("foreign_keys", 1)
    connection.pragma("secure_delete", 1)  # an erased seed leaves no copy in free pages


def _check_format(connection: apsw.Connection) -> None:
    found = (connection.pragma("application_id"), connection.pragma("user_version"))
    if found != (APPLICATION_ID, SCHEMA_VERSION):
        raise ProofError(Flaw.UNREADABLE, "not a store of this version")
