"""The store as one SQLite file, made and opened. It holds the exchange log, the dossier directory and the queue.

Trusted for: durability after COMMIT, and uniqueness of tickets. Not trusted for integrity: whoever can write
to the file can change it, and `gateway log verify` or anybody with a checkpoint finds out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import apsw

from gateway.adapters.durable import sync_directory
from gateway.adapters.store_schema import APPLICATION_ID, SCHEMA, UPGRADES, VERSION
from gateway.adapters.store_session import Begin, Occupied, Use, placeholders, unreadable
from gateway.adapters.store_turn import Turn
from gateway.exchangelog.flaw import Flaw, ProofError

# Before 3.51.3 two connections that write and checkpoint in WAL mode can corrupt the file (WAL-reset race).
MIN_SQLITE: Final = (3, 51, 3)
BUSY_MS: Final = 5_000  # milliseconds that anybody waits for whoever writes out of turn


_BEGIN: Final = {Begin.SNAPSHOT: "BEGIN", Begin.WRITE: "BEGIN IMMEDIATE", Begin.EXCLUSIVE: "BEGIN IMMEDIATE"}


class SqliteSession(apsw.Connection):
    """A `store_session.Session` on a file."""

    _turn: Turn | None = None
    _in_line = False

    def take_turns(self) -> None:
        """From now on whoever writes waits for whoever wrote before."""
        self._turn = Turn(Path(self.filename).parent)

    def begin(self, kind: Begin) -> None:
        if self._turn is not None and kind is not Begin.SNAPSHOT:
            self._turn.take_in_line() if self._in_line else self._turn.take()
        try:
            self.execute(_BEGIN[kind])
        except apsw.BusyError as error:  # somebody writes out of turn
            self._pass_on()
            raise Occupied from error
        except apsw.Error:
            self._pass_on()
            raise

    def stand_in_line(self) -> None:
        self._in_line = True

    def give_up(self) -> bool:
        turn = self._turn  # which `close` takes away
        return turn is not None and turn.give_up()

    def insert(self, statement: str, rows: Sequence[Any], /) -> int:
        before = self.total_changes()
        self.executemany(statement, rows)
        return self.total_changes() - before

    def stream(self, query: str, /) -> Iterator[Any]:
        return self.execute(query)

    def copy(self, table: str, rows: Sequence[Sequence[object]], /) -> None:
        if rows:
            self.executemany(f"INSERT INTO {table} VALUES ({placeholders(rows[0])})", rows)  # noqa: S608 - our own names

    def commit(self) -> None:
        try:
            self.execute("COMMIT")
        finally:
            self._pass_on()

    def roll_back(self) -> None:
        try:
            self.execute("ROLLBACK")
        finally:
            self._pass_on()

    def settle(self) -> None:
        """SQLite does this too, at the first commit, but takes no notice of an error: without its name in the
        directory the write-ahead log, and what was acknowledged in it, would be gone after a power failure.
        """
        sync_directory(Path(self.filename).parent)

    def forget(self) -> bool:
        try:
            self.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return False
        return True

    def take_time(self) -> None:
        """Nobody limits it here."""

    def close(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - of apsw
        super().close(force)
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    def _pass_on(self) -> None:
        if self._turn is not None:
            self._turn.pass_on()


def connect(path: Path, use: Use) -> SqliteSession:
    """A connection to an existing store. Raises `ProofError` (LOG501, LOG502, LOG506, LOG508)."""
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < MIN_SQLITE:
        raise ProofError(Flaw.LIBRARY)
    _require(path)
    try:
        connection = _open_for_reading(path) if use is Use.READ else _open_for_writing(path)
        version = _version(connection)
        if use is not Use.READ:
            _set_durability(connection)
        if version in UPGRADES:
            _read_as_new(connection, version) if use is Use.READ else _upgrade(connection)
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


@contextmanager
def creating(path: Path) -> Iterator[SqliteSession]:
    """Within the one transaction that fills a new store, readable by its owner only; it appears afterwards, whole or not
    at all. Raises `ProofError`: LOG507 for a file that is there already, which is left alone.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".new-") as directory:
            new = Path(directory, path.name)
            new.touch(mode=0o600)
            with _filling(new) as connection:
                yield connection
            _appear(new, path)
        sync_directory(path.parent)
    except (apsw.Error, OSError) as error:
        raise ProofError(Flaw.UNREADABLE, f"{path}: {type(error).__name__}") from error


def _appear(new: Path, path: Path) -> None:
    try:
        os.link(new, path)
    except FileExistsError as error:
        raise ProofError(Flaw.STORE_EXISTS, str(path)) from error


@contextmanager
def _filling(path: Path) -> Iterator[SqliteSession]:
    connection = _open_for_writing(path)
    try:
        _set_durability(connection)
        with connection:
            connection.execute(SCHEMA)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", VERSION)
            yield connection
        # The same happens when it is closed, but then nobody hears that the disk failed.
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()


def _open_for_writing(path: Path) -> SqliteSession:
    connection = SqliteSession(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_MS)
    connection.take_turns()
    return connection


def _open_for_reading(path: Path) -> SqliteSession:
    connection = SqliteSession(str(path), flags=apsw.SQLITE_OPEN_READONLY)
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
        return SqliteSession(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    return connection


def _set_durability(connection: apsw.Connection) -> None:
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")  # COMMIT returns after fsync of the write-ahead log
    connection.pragma("foreign_keys", 1)
    connection.pragma("secure_delete", 1)  # an erased seed or purged payload leaves no copy in free pages


def _version(connection: SqliteSession) -> int:
    """Raises `ProofError` (LOG501)."""
    found = int(connection.pragma("user_version"))
    if connection.pragma("application_id") != APPLICATION_ID or found not in {VERSION, *UPGRADES}:
        raise ProofError(Flaw.UNREADABLE, "not a store of this version")
    return found


def _upgrade(connection: SqliteSession) -> None:
    """Whoever writes to an older store makes it one of this version; another process may have been first."""
    with connection:
        connection.execute("UPDATE head SET size = size")  # the write lock, before anything is read
        version = _version(connection)
        if version in UPGRADES:
            connection.execute(UPGRADES[version])
            connection.pragma("user_version", VERSION)


def _read_as_new(connection: SqliteSession, version: int) -> None:
    """An older store is read as it is, on a medium that nobody can write, too: what it has not is empty."""
    connection.execute(UPGRADES[version].replace("CREATE TABLE", "CREATE TEMP TABLE"))
