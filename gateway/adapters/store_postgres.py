"""The store in a PostgreSQL database, 15 or newer, which several nodes share.

Trusted for: durability after COMMIT, and uniqueness of tickets. Not trusted for integrity: whoever administers the
database can change it, and `gateway log verify` or anybody with a checkpoint finds out. A statement that is not
answered in time ends its session; what became of a COMMIT is then unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store_session import AT_ONCE, Begin, Use, postgresql, unreadable
from gateway.adapters.store_version import REVISION, revision_of
from gateway.exchangelog.flaw import Flaw, ProofError

MIN_SERVER: Final = 150_000  # as PostgreSQL counts: 15.0
CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 10.0  # for one statement; a look at the whole log takes many
_SERVER_SECONDS: Final = 9  # the server gives up first, and can say why
_IDLE_SECONDS: Final = 12  # whoever is cut off holds up all others so long; a token may sign for ten
_DURABLE: Final = frozenset({"on", "remote_apply"})  # of synchronous_commit

_BEGIN: Final = {
    Begin.SNAPSHOT: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    Begin.WRITE: "BEGIN",
    Begin.EXCLUSIVE: "BEGIN",
}
_TURN: Final = "SELECT 1 FROM head FOR UPDATE"
_SIZE: Final = "SELECT size FROM head"
_SERVER: Final = """
SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery(),
       current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')
"""
# Within a pipeline the server counts no idle time: whoever is cut off there would keep the head for ever. It calls such a
# session idle as long as what has come of the pipeline runs nothing.
_CUT_OFF: Final = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE usename = current_user AND state IN ('active', 'idle in transaction') AND wait_event = 'ClientRead'
  AND state_change < clock_timestamp() - interval '{_IDLE_SECONDS} s'
  AND relation = to_regclass('head') AND mode = 'RowShareLock' AND granted
"""  # noqa: S608 - our own number
_BEGUN: Final = "SELECT 1 FROM head UNION ALL SELECT 1 FROM claim_key"  # a head that is gone must be missed
_NAMED: Final = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")


class _Bounded(psycopg.Connection[tuple[Any, ...]]):
    """Gives up on a server that does not answer: a session that waits for ever would stop the hub."""

    patient = False  # set: it is waited for as long as it takes

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        if not self.patient:
            options.setdefault("timeout", ANSWER_SECONDS)
        try:
            return super().wait(gen, *arguments, **options)
        except errors._WaitTimeout as error:  # noqa: SLF001 - psycopg has no public name for it
            self.pgconn.finish()  # in the middle of a statement: of no use any more
            raise psycopg.OperationalError("no answer in time") from error


class PostgresSession:
    """A `store_session.Session` on a server.

    One for reading takes a new connection when its own is broken or stale, for nothing is lost with it. One that writes
    is used no more: what became of its last statement is unknown.
    """

    def __init__(self, place: PostgresUri, use: Use) -> None:
        self._place = place
        self._use = use
        self._within = 0  # `with` blocks that are open
        self._warned = self._patient = False
        self.stale = False  # set: take a new connection before the next statement
        self.known: Callable[[], int] = lambda: 0  # entries that the log must have on a new connection
        self._connect()

    def _connect(self) -> None:
        self._connection = _open(self._place, self._use)
        self._connection.add_notice_handler(self._hear)
        self._cursor = self._connection.cursor(binary=True)
        if self._use is not Use.READ:
            self._connection.execute(_CUT_OFF)
        self.stale = False
        if self._patient:
            self._wait_longer()

    def _wait_longer(self) -> None:
        self._connection.patient = True
        self._connection.execute("SET statement_timeout = 0")
        self._connection.execute("SET idle_in_transaction_session_timeout = 0")

    def _renew(self) -> None:
        """A server that was left behind after a failover may still answer."""
        if not (self.stale or self._connection.closed) or self._use is not Use.READ or self.in_transaction:
            return
        self._connection.close()
        self._connect()
        known = self.known()
        if known and self._connection.execute(_SIZE).fetchone() < (known,):  # type: ignore[operator]
            self._connection.close()
            raise psycopg.OperationalError("the log on this server lacks entries")

    def execute(self, statements: str, bindings: Any = (), /) -> psycopg.Cursor[tuple[Any, ...]]:
        self._renew()
        self._cursor = self._connection.execute(_translated(statements), bindings, binary=True)
        return self._cursor

    def executemany(self, statements: str, bindings: Iterable[Any], /) -> None:
        rows = list(bindings)
        if rows:
            self._cursor = self._connection.cursor(binary=True)
            self._cursor.executemany(_translated(statements), rows)

    def insert(self, statement: str, rows: Sequence[Any], /) -> int:
        self.executemany(statement, rows)
        return self.changes() if rows else 0

    def stream(self, query: str, /) -> Iterator[tuple[Any, ...]]:
        with self._connection.cursor("stream", binary=True) as cursor:
            cursor.itersize = AT_ONCE
            yield from cursor.execute(_translated(query), binary=True)

    def changes(self) -> int:
        return self._cursor.rowcount

    def begin(self, kind: Begin) -> None:
        self._renew()
        self._connection.execute(_BEGIN[kind])
        if kind is Begin.EXCLUSIVE:
            self._connection.execute(_TURN)

    def stand_in_line(self) -> None:
        """The server has a line."""

    def give_up(self) -> bool:
        """The server ends a wait by itself."""
        return False

    def commit(self) -> None:
        """A warning is a failure: it tells that the standby was not waited for to the end."""
        self._warned = False
        status = self._connection.execute("COMMIT").statusmessage
        if status != "COMMIT" or self._warned:  # ROLLBACK: a statement had failed before
            raise psycopg.OperationalError("not committed as asked")

    def roll_back(self) -> None:
        if not self._connection.closed:  # otherwise the server has done so
            self._connection.execute("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        return self._connection.info.transaction_status in {
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        }

    def __enter__(self) -> Self:
        self._connection.execute(f"SAVEPOINT s{self._within}" if self.in_transaction else "BEGIN")
        self._within += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._within -= 1
        outermost = self._within == 0
        if kind is None:
            self.commit() if outermost else self._connection.execute(f"RELEASE s{self._within}")
        elif not self._connection.closed:
            self._connection.execute("ROLLBACK" if outermost else f"ROLLBACK TO s{self._within}")

    def settle(self) -> None:
        """Raises `ProofError` (LOG513 to LOG516)."""
        require_durable(self)

    def forget(self) -> bool:
        """Row versions that nobody can see any more are removed, and their pages with them where those were the last."""
        self.take_time()
        self._warned = False
        for table in ("seeds", "contents", "messages", "entries", "erased", "former_erased"):
            self._connection.execute(f"VACUUM {table}")
        return not self._warned  # whoever does not own them is warned that nothing was done

    def copy(self, table: str, rows: Sequence[Sequence[object]], /) -> None:
        with self._connection.cursor() as cursor:
            with cursor.copy(f"COPY {table} FROM STDIN".encode()) as stream:
                for row in rows:
                    stream.write_row(row)
            if cursor.rowcount != len(rows):
                raise psycopg.IntegrityError(table)

    def take_time(self) -> None:
        if not self._patient:
            self._patient = True
            self._wait_longer()

    @property
    def broken(self) -> bool:
        """Its server has ended it, or did not answer."""
        return self._connection.closed

    def close(self) -> None:
        self._connection.close()

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        self._warned = self._warned or notice.severity_nonlocalized == "WARNING"


def connect(place: PostgresUri, use: Use) -> PostgresSession:
    """A session on an existing store. Raises `ProofError` (LOG506, LOG512, LOG513, LOG516, LOG517)."""
    session = _connect(place, use)
    with _closed_on_error(session, place):
        _require_begun(session, place)
    return session


def _connect(place: PostgresUri, use: Use) -> PostgresSession:
    """To the tables, whether or not there is a log in them."""
    try:
        session = PostgresSession(place, use)
    except psycopg.Error as error:
        raise unreadable(error, place) from error
    with _closed_on_error(session, place):
        require_server(session)
        _require_tables(session, place)
    return session


@contextmanager
def _closed_on_error(session: PostgresSession, place: PostgresUri) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        session.close()
        raise unreadable(error, place) from error
    except ProofError:
        session.close()
        raise


def _require_tables(session: PostgresSession, place: PostgresUri) -> None:
    found = revision_of(session)
    if found is None:
        raise ProofError(Flaw.NO_STORE, str(place))
    if found != REVISION:
        raise ProofError(Flaw.SCHEMA, f"{place}: {found}, not {REVISION}")


def _require_begun(session: PostgresSession, place: PostgresUri) -> None:
    if session.execute(_BEGUN).fetchone() is None:
        raise ProofError(Flaw.NO_STORE, str(place))


@contextmanager
def creating(place: PostgresUri) -> Iterator[PostgresSession]:
    """Within the one transaction that fills a new store; its tables are made where the database has none.

    Raises `ProofError`.
    """
    session = begin(place)
    try:
        with session:
            yield session
    except psycopg.Error as error:
        raise unreadable(error, place) from error
    finally:
        session.close()


def begin(place: PostgresUri) -> PostgresSession:
    """To a database for a new log; its tables are made where it has none. Raises `ProofError`."""
    from gateway.adapters.store_migrate import migrate  # noqa: PLC0415 - what takes long to load is needed here alone

    migrate(place)
    session = _connect(place, Use.APPEND)
    with _closed_on_error(session, place):
        session.settle()
    return session


def require_server(session: PostgresSession) -> None:
    """Raises `ProofError` (LOG513, LOG516)."""
    ((version, encoding, *_),) = session.execute(_SERVER)
    if version < MIN_SERVER:
        raise ProofError(Flaw.SERVER_VERSION, str(version))
    if encoding != "UTF8":
        raise ProofError(Flaw.SERVER_ENCODING, str(encoding))


def require_durable(session: PostgresSession) -> None:
    """The server keeps what it has committed. Raises `ProofError` (LOG514, LOG515)."""
    ((_, _, recovering, fsync, pages, commit),) = session.execute(_SERVER)
    if recovering:
        raise ProofError(Flaw.SERVER_STANDBY)
    for name, value in (("fsync", fsync), ("full_page_writes", pages)):
        if value != "on":
            raise ProofError(Flaw.SERVER_DURABILITY, f"{name} = {value}")
    if commit not in _DURABLE:
        raise ProofError(Flaw.SERVER_DURABILITY, f"synchronous_commit = {commit}")


def _open(place: PostgresUri, use: Use) -> _Bounded:
    writes = use is not Use.READ
    return _Bounded.connect(
        place.conninfo(
            connect_timeout=CONNECT_SECONDS,
            target_session_attrs="read-write" if writes else place.target,
            application_name="wib-gateway",
            client_encoding="UTF8",
            tcp_user_timeout=int(ANSWER_SECONDS * 1_000),
            options=f"-c statement_timeout={_SERVER_SECONDS}s -c lock_timeout={_SERVER_SECONDS}s"
            f" -c idle_in_transaction_session_timeout={_IDLE_SECONDS if writes else 60}s -c timezone=UTC"
            + ("" if writes else " -c default_transaction_read_only=on"),
        ),
        autocommit=True,
    )


@lru_cache(maxsize=512)
def _text(statement: str) -> bytes:
    """With the placeholders of psycopg."""
    return _NAMED.sub(r"%(\1)s", statement.replace("%", "%%").replace("?", "%s")).encode()


def _translated(statement: str) -> bytes:
    return _text(postgresql(statement))
