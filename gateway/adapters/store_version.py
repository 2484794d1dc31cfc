"""Which version of the tables a PostgreSQL database has; `store_migrate` brings it to the newest."""

from __future__ import annotations

from typing import Any, Final, Protocol

REVISION: Final = "0002"  # the newest, which this program needs
_FOUND: Final = "SELECT to_regclass('alembic_version') IS NOT NULL"


class _Executing(Protocol):
    def execute(self, statements: str, bindings: Any = ..., /) -> Any: ...


def revision_of(session: _Executing) -> str | None:
    """Of the tables that are there; None without any."""
    if session.execute(_FOUND).fetchone() != (True,):
        return None
    row = session.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])
