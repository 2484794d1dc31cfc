"""The dossier directory: which authority plays which role in which dossier, since when, and of whom. No content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import apsw

from gateway.adapters.store_file import Use, connect, unreadable
from gateway.model import AuthorityId, DossierNumber, DossierScope, Inscription, Role

_DOSSIER = "SELECT number, permit_type, procedure, status, status_since, person FROM dossiers"
_INSCRIPTIONS = "SELECT authority, role, since, until FROM inscriptions WHERE dossier = ? ORDER BY position"


class Directory:
    """Look-ups and changes on one connection. Not for several threads at once."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path, *, writes: bool) -> Directory:
        """Beside a running hub or without one. Raises `ProofError`."""
        return cls(connect(path, Use.WRITE if writes else Use.READ))

    def get(self, dossier: DossierNumber) -> DossierScope | None:
        row = self._connection.execute(f"{_DOSSIER} WHERE number = ?", (dossier,)).fetchone()
        return None if row is None else self._scope(row)

    def all(self, authority: AuthorityId | None = None) -> Iterator[DossierScope]:
        """Every dossier, or those in which the authority is inscribed, by number."""
        only = (
            ""
            if authority is None
            else " WHERE number IN (SELECT dossier FROM inscriptions WHERE authority = ?)"
        )
        bindings = () if authority is None else (authority,)
        for row in self._connection.execute(f"{_DOSSIER}{only} ORDER BY number", bindings).fetchall():
            yield self._scope(row)

    @contextmanager
    def change(self) -> Iterator[None]:
        """What is read and put inside is one change: all of it or nothing, and nobody writes in between.

        The hub's entries wait meanwhile. Raises `ProofError`.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except apsw.Error as error:
            raise unreadable(error) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def put(self, scope: DossierScope) -> None:
        """Replaces what is known of the dossier; durable on return, or with `change`. Raises `ProofError`."""
        if not self._connection.in_transaction:
            with self.change():
                self.put(scope)
            return
        dossier = (
            *(scope.dossier, scope.permit_type, scope.procedure, scope.status),
            *(_text(scope.status_since), scope.person),
        )
        inscriptions = [
            (scope.dossier, position, one.authority, one.role.value, _text(one.since), _text(one.until))
            for position, one in enumerate(scope.inscriptions)
        ]
        try:
            self._connection.execute("DELETE FROM dossiers WHERE number = ?", (scope.dossier,))
            self._connection.execute("INSERT INTO dossiers VALUES (?,?,?,?,?,?)", dossier)
            self._connection.executemany("INSERT INTO inscriptions VALUES (?,?,?,?,?,?)", inscriptions)
        except apsw.Error as error:
            raise unreadable(error) from error

    def close(self) -> None:
        self._connection.close()

    def _scope(self, row: tuple[apsw.SQLiteValue, ...]) -> DossierScope:
        number, permit_type, procedure, status, since = map(str, row[:5])
        person = row[5] if isinstance(row[5], bytes) else None
        inscriptions = tuple(
            Inscription(
                AuthorityId(str(authority)), Role(role), _time(start), None if end is None else _time(end)
            )
            for authority, role, start, end in self._connection.execute(_INSCRIPTIONS, (number,))
        )
        return DossierScope(
            DossierNumber(number), permit_type, procedure, status, _time(since), inscriptions, person
        )


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat()


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text))
