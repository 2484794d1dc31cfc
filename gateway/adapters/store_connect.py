"""Opens the database that the settings name, whichever it is.

What a server needs is loaded where there is one: psycopg takes a tenth of a second of every start.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from gateway.adapters import store_file
from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store_session import Session, StorePlace, Use
from gateway.exchangelog.flaw import Flaw, ProofError


def connect(place: StorePlace, use: Use) -> Session:
    """A session on an existing store. Raises `ProofError` (LOG501, LOG502, LOG506, LOG508, LOG512 to LOG517)."""
    if isinstance(place, PostgresUri):
        from gateway.adapters import store_postgres  # noqa: PLC0415 - as the head of this file says

        return store_postgres.connect(place, use)
    return store_file.connect(place, use)


def exists(place: StorePlace) -> bool:
    """Whether there is a log already, or something else in its place. Raises `ProofError`."""
    if isinstance(place, Path):
        try:
            return place.exists()
        except OSError as error:
            raise ProofError(Flaw.UNREADABLE, f"{place}: {error.strerror}") from error
    try:
        connect(place, Use.READ).close()
    except ProofError as error:
        if error.flaw is not Flaw.NO_STORE:
            raise
        return False
    return True


def prepare(place: StorePlace) -> None:
    """Makes of a new store what can be there without harm: the tables of a database. Raises `ProofError`."""
    if isinstance(place, PostgresUri):
        from gateway.adapters import store_postgres  # noqa: PLC0415 - as the head of this file says

        store_postgres.begin(place).close()


def creating(place: StorePlace) -> AbstractContextManager[Session]:
    """Within the one transaction that fills a new store, which is there afterwards, whole or not at all. Raises `ProofError`."""
    if isinstance(place, PostgresUri):
        from gateway.adapters import store_postgres  # noqa: PLC0415 - as the head of this file says

        return store_postgres.creating(place)
    return store_file.creating(place)
