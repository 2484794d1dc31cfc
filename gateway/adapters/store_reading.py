"""Look-ups of a hub that runs: where they are made, and how long they may take."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store_connect import connect
from gateway.adapters.store_session import Session, StorePlace, Use, database_errors
from gateway.exchangelog.flaw import ProofError
from gateway.refusal import Code, Refusal

if TYPE_CHECKING:  # and psycopg with it, for those who have a server
    from gateway.adapters.store_postgres import PostgresSession

T = TypeVar("T")

SESSIONS: Final = 4  # for reading, each with its thread
READ_SECONDS: Final = 10.0  # from asking to the answer
_AT_ONCE_SECONDS: Final = 1.0  # what fails later has waited for its server, and is not tried again


class Reads(Protocol):
    """Where a look is made."""

    async def look(self, at: Callable[[Session], T]) -> T:
        """Raises as `at` does, which tells of its database by `Refusal`: LOG_UNAVAILABLE; that, too, without an answer in time."""
        ...

    def renew(self, known: int) -> None:
        """The log was opened anew, perhaps on another server, and has so many entries for sure."""
        ...

    def close(self) -> None: ...


def reads(place: StorePlace, sessions: int = SESSIONS) -> Reads:
    """`sessions`: at most so many on a server. Raises `ProofError`."""
    return _Apart(place, sessions) if isinstance(place, PostgresUri) else _AtOnce(connect(place, Use.READ))


class _AtOnce:
    """In the event loop: a look-up by key in pages that are cached is less work than handing it to a thread."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def look(self, at: Callable[[Session], T]) -> T:
        return at(self._session)

    def renew(self, known: int) -> None:
        """A file is where it was."""

    def close(self) -> None:
        self._session.close()


class _Apart:
    """In threads, each with a session of its own."""

    def __init__(self, place: PostgresUri, sessions: int) -> None:
        self._place = place
        self._known = 0
        self._threads = ThreadPoolExecutor(sessions, "store-read")
        self._mine = threading.local()
        self._sessions: list[PostgresSession] = []

    async def look(self, at: Callable[[Session], T]) -> T:
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, at)
        except (TimeoutError, RuntimeError) as error:  # RuntimeError: the threads have ended
            raise Refusal(Code.LOG_UNAVAILABLE, "store") from error

    def renew(self, known: int) -> None:
        self._known = known
        for session in self._sessions:
            session.stale = True

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _look(self, at: Callable[[Session], T]) -> T:
        from gateway.adapters import store_postgres  # noqa: PLC0415 - see above

        if not hasattr(self._mine, "session"):
            try:
                session = store_postgres.connect(self._place, Use.READ)
            except ProofError as error:
                raise Refusal(Code.LOG_UNAVAILABLE, "store") from error
            session.known = lambda: self._known
            self._mine.session = session
            self._sessions.append(session)
        mine: PostgresSession = self._mine.session
        begun = monotonic()
        try:
            return at(mine)
        except database_errors(Refusal):
            if not mine.broken or monotonic() - begun > _AT_ONCE_SECONDS:
                raise
        return at(mine)  # it was ended while nobody used it; a look changes nothing
