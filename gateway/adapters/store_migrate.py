"""The way of a PostgreSQL database to the newest version of the tables (Alembic).

Loaded when it is needed, once in the life of a version: it takes more than half a second, and 24 MB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.adapters.postgres_uri import PostgresUri
from gateway.exchangelog.flaw import Flaw, ProofError

_SCRIPTS: Final = Path(__file__).with_name("migrations")
_ROLE: Final = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
_LOCK: Final = "SELECT pg_advisory_xact_lock(1464418887)"  # "WIBG": one migration at a time


_GRANTS: Final = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "REVOKE UPDATE ON entries, views, claim_key FROM {role}",
    "REVOKE INSERT, DELETE ON head, minimum, claim_key FROM {role}",
    "REVOKE DELETE ON tiles, views FROM {role}",
    "REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}",
)


def migrate(place: PostgresUri, role: str | None = None) -> None:
    """Brings the tables to the newest version, all or nothing. Raises `ProofError` (LOG512, LOG517, LOG521).

    `role`: is granted what a hub needs, which for entries is to add and read them, and to remove what was pruned.
    """
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(place.conninfo()), poolclass=NullPool
    )
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(_LOCK)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if role is not None:
                _grant(connection, role)
    except SQLAlchemyError as error:
        raise ProofError(Flaw.DATABASE, f"{place}: {type(error).__name__}") from error
    except CommandError as error:  # tables that this program does not know
        raise ProofError(Flaw.SCHEMA, f"{place}: {type(error).__name__}") from error


def _grant(connection: Connection, role: str) -> None:
    """Raises `ProofError` (LOG521)."""
    if connection.execute(_ROLE, {"role": role}).first() is None:
        raise ProofError(Flaw.ROLE, role)
    name = connection.dialect.identifier_preparer.quote_identifier(role)
    for statement in _GRANTS:
        connection.exec_driver_sql(statement.format(role=name))
