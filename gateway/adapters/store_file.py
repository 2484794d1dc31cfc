"""The store's file, made and opened. It holds the exchange log, the dossier directory and the queue.

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

from gateway.adapters.store_schema import APPLICATION_ID, SCHEMA, VERSION
from gateway.exchangelog.flaw import Flaw, ProofError

# Before 3.51.3 two connections that write and checkpoint in WAL mode can corrupt the file (WAL-reset race).
MIN_SQLITE: Final = (3, 51, 3)
BUSY_MS: Final = 5_000  # milliseconds a writer waits for another process, such as `gateway dossier put`


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
        sync_directory(path.parent)
    except (apsw.Error, OSError) as error:
        raise ProofError(Flaw.UNREADABLE, f"{path}: {type(error).__name__}") from error
    return True


def _fill(path: Path, root: bytes, note: bytes) -> None:
    connection = _open_for_writing(path)
    _set_durability(connection)
    with connection:
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO head VALUES (1, 0, ?, ?)", (root, note))
        connection.execute("INSERT INTO minimum VALUES (1, 0)")
        connection.execute("INSERT INTO claim_key VALUES (1, ?)", (os.urandom(32),))
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", VERSION)
    # The same happens when it is closed, but then nobody hears that the disk failed.
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable. Raises `OSError`."""
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
    connection.pragma("secure_delete", 1)  # an erased seed or purged payload leaves no copy in free pages


def _check_format(connection: apsw.Connection) -> None:
    found = (connection.pragma("application_id"), connection.pragma("user_version"))
    if found != (APPLICATION_ID, VERSION):
        raise ProofError(Flaw.UNREADABLE, "not a store of this version")
