"""What every module of the store needs of a database, and nothing of which one it is.

SQL is written once, in what SQLite and PostgreSQL have in common, with `?` or `:name` for values. Where they differ,
`PerEngine` holds both statements side by side. An apsw connection has this very form, so that SQLite pays nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias

import apsw

from gateway.adapters.postgres_uri import PostgresUri
from gateway.exchangelog.flaw import Flaw, ProofError

StorePlace: TypeAlias = Path | PostgresUri
Bindings: TypeAlias = Sequence[object] | Mapping[str, object]

AT_ONCE: Final = 1_024  # rows in memory, of many


def database_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """For `except`: whatever a database fails with, and `others`.

    psycopg is loaded by who opens a store on a server: before, nobody raises its errors.
    """
    psycopg = sys.modules.get("psycopg")
    return (*others, apsw.Error) if psycopg is None else (*others, apsw.Error, psycopg.Error)


class Occupied(apsw.BusyError):
    """Another process did not end its turn in time. Nothing was begun, and the session is as good as before."""


class Use(Enum):
    """What a session is for."""

    APPEND = "append"  # writes; of SQLite it alone moves the write-ahead log into the file
    WRITE = "write"  # writes beside the appender
    READ = "read"  # never writes anything


class Begin(Enum):
    """How a transaction begins."""

    SNAPSHOT = "snapshot"  # everything is read as of one moment
    WRITE = "write"  # leaves the head alone: other nodes append meanwhile
    EXCLUSIVE = "exclusive"  # nobody else appends, or changes the directory, until it ends


class PerEngine(str):
    """A statement of SQLite that reads otherwise in PostgreSQL."""

    __slots__ = ("postgresql",)
    postgresql: str

    def __new__(cls, sqlite: str, postgresql: str) -> Self:
        one = super().__new__(cls, sqlite)
        one.postgresql = postgresql
        return one

    @classmethod
    def of(cls, template: str, **parts: str) -> Self:
        """A statement with parts, some of which differ."""
        return cls(
            template.format(**parts),
            template.format(**{name: postgresql(part) for name, part in parts.items()}),
        )


def postgresql(sql: str) -> str:
    """As PostgreSQL is told it."""
    return sql.postgresql if isinstance(sql, PerEngine) else sql


class Rows(Protocol):
    """What a statement gave."""

    def __iter__(self) -> Iterator[Any]: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Session(Protocol):
    """One connection to the database of a store. Not for several threads at once. Raises `database_errors`."""

    def execute(self, statements: str, bindings: Any = ..., /) -> Rows: ...

    def executemany(self, statements: str, bindings: Iterable[Any], /) -> object: ...

    def insert(self, statement: str, rows: Sequence[Any], /) -> int:
        """How many of the rows went in: those in conflict with others do not, where the statement lets them."""
        ...

    def stream(self, query: str, /) -> Iterator[Any]:
        """Rows of which there may be many: some are in memory at a time. Within a transaction."""
        ...

    def copy(self, table: str, rows: Sequence[Sequence[object]], /) -> None:
        """Many rows at once, in the order of the columns."""
        ...

    def changes(self) -> int:
        """Rows that the last INSERT, UPDATE or DELETE has changed."""
        ...

    def begin(self, kind: Begin) -> None:
        """Raises `Occupied`, one of `database_errors`, when another process does not end its turn."""
        ...

    def stand_in_line(self) -> None:
        """From now on `begin` waits for the turns of others however long they take, in order of arrival, until `give_up`."""
        ...

    def give_up(self) -> bool:
        """From another thread: whether `begin` has waited for too long; it raises `Occupied` then, once it can."""
        ...

    def commit(self) -> None:
        """Returns when everything is on stable storage. Raised: it may be, or not."""
        ...

    def roll_back(self) -> None: ...

    @property
    def in_transaction(self) -> bool: ...

    def __enter__(self) -> Any:
        """A transaction, or a part of one that is undone by itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None: ...

    def settle(self) -> None:
        """What durability needs once, before the first commit. Raises `ProofError`, OSError."""
        ...

    def forget(self) -> bool:
        """Nothing of what was deleted is left in old pages. False while somebody still reads them."""
        ...

    def take_time(self) -> None:
        """From now on a statement may take long: for those who read the whole log, and not for a hub."""
        ...

    def close(self) -> None: ...


def unreadable(error: Exception, place: StorePlace | None = None) -> ProofError:
    """What a database's error is in the terms of a log: LOG508 for damaged pages, LOG512 for no connection,
    LOG520 for one that somebody holds, else LOG501.
    """
    flaw = Flaw.UNREADABLE
    if isinstance(error, apsw.CorruptError):
        flaw = Flaw.CORRUPT
    elif isinstance(error, apsw.BusyError):
        flaw = Flaw.OCCUPIED
    elif not isinstance(error, apsw.Error) and isinstance(error, database_errors()):
        flaw = _of_a_server(error)
    name = type(error).__name__
    return ProofError(flaw, name if place is None else f"{place}: {name}")


def _of_a_server(error: Exception) -> Flaw:
    from psycopg import OperationalError, errors  # noqa: PLC0415 - its error is there: it is loaded

    if isinstance(error, errors.DataCorrupted | errors.IndexCorrupted):
        return Flaw.CORRUPT
    return Flaw.DATABASE if isinstance(error, OperationalError) else Flaw.UNREADABLE


@contextmanager
def snapshot(session: Session) -> Iterator[None]:
    """Everything that is read within is of one moment; within a transaction it is so anyhow. Raises `database_errors`."""
    if session.in_transaction:
        yield
        return
    session.begin(Begin.SNAPSHOT)
    try:
        yield
    finally:
        session.roll_back()  # there is nothing to commit


def chunks(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """Some of many rows at a time."""
    while some := list(islice(rows, AT_ONCE)):
        yield some


def placeholders(values: Sequence[object]) -> str:
    """For `IN`."""
    return ",".join("?" * len(values))
