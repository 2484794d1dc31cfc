"""The dossier directory: who plays which role in which dossier and when, and what it went through. No content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from gateway.adapters.store_connect import connect
from gateway.adapters.store_session import (
    Begin,
    PerEngine,
    Session,
    StorePlace,
    Use,
    database_errors,
    unreadable,
)
from gateway.model import AuthorityId, DossierNumber, DossierScope, Inscription, OperationName, Passage, Role
from gateway.refusal import Code, Refusal

# One statement, so one snapshot; and what a read costs here is less its rows than that it begins.
_DOSSIER = """
SELECT number, permit_type, procedure, status, status_since, person, resumes, version,
  (SELECT {array} FROM inscriptions WHERE dossier = number)
FROM dossiers{which}
"""
_ARRAY = PerEngine(
    "json_group_array(json_array(authority, role, since, until) ORDER BY position)",
    "coalesce(json_agg(json_build_array(authority, role, since, until) ORDER BY position), '[]')::text",
)
_ONE = PerEngine.of(_DOSSIER, array=_ARRAY, which=" WHERE number = ?")
_ALL = PerEngine.of(_DOSSIER, array=_ARRAY, which=" ORDER BY number")
_OF_AUTHORITY = PerEngine.of(
    _DOSSIER,
    array=_ARRAY,
    which=" WHERE number IN (SELECT dossier FROM inscriptions WHERE authority = ?) ORDER BY number",
)
_OF_PERSON = "SELECT number FROM dossiers WHERE person = ? ORDER BY number"
_PASSAGES = "SELECT status, since, operation FROM passages WHERE dossier = ? ORDER BY n"
_LAST_PASSAGE = "SELECT n, status, since FROM passages WHERE dossier = ? ORDER BY n DESC LIMIT 1"
_ENTER = """
INSERT INTO dossiers VALUES (:number, :type, :procedure, :status, :since, :person, :resumes, 1)
ON CONFLICT DO NOTHING
"""
_ADVANCE = """
UPDATE dossiers SET permit_type = :type, procedure = :procedure, status = :status, status_since = :since,
  person = :person, resumes = :resumes, version = version + 1
WHERE number = :number AND version = :expected
"""


class Directory:
    """Look-ups and changes on one connection. Not for several threads at once."""

    def __init__(self, connection: Session) -> None:
        self._connection = connection

    @classmethod
    def open(cls, place: StorePlace, *, writes: bool) -> Directory:
        """Beside a running hub or without one. Raises `ProofError`."""
        return cls(connect(place, Use.WRITE if writes else Use.READ))

    def get(self, dossier: DossierNumber) -> DossierScope | None:
        row = self._connection.execute(_ONE, (dossier,)).fetchone()
        return None if row is None else _scope(row)

    def all(self, authority: AuthorityId | None = None) -> Iterator[DossierScope]:
        """Every dossier, or those in which the authority is inscribed, by number."""
        statement, bindings = (_ALL, ()) if authority is None else (_OF_AUTHORITY, (authority,))
        for row in self._connection.execute(statement, bindings).fetchall():
            yield _scope(row)

    def of_person(self, person: bytes) -> tuple[DossierNumber, ...]:
        """The dossiers that are bound to this person digest, by number. Raises `ProofError`."""
        try:
            found = self._connection.execute(_OF_PERSON, (person,)).fetchall()
        except database_errors() as error:
            raise unreadable(error) from error
        return tuple(DossierNumber(str(number)) for (number,) in found)

    @contextmanager
    def change(self) -> Iterator[None]:
        """What is read and put inside is one change: all of it or nothing, and nobody writes in between.

        The hub's entries wait meanwhile. Raises `ProofError`.
        """
        try:
            self._connection.begin(Begin.EXCLUSIVE)
            yield
            self._connection.commit()
        except database_errors() as error:
            raise unreadable(error) from error
        finally:
            if self._connection.in_transaction:
                self._connection.roll_back()

    def put(self, scope: DossierScope) -> None:
        """Replaces what is known of the dossier, by hand; durable on return, or with `change`.

        Its version is one more than it was, whatever `scope` says: a notification that was decided on the old
        one is refused. Raises `ProofError`.
        """
        if not self._connection.in_transaction:
            with self.change():
                self.put(scope)
            return
        try:
            before = self.get(scope.dossier)
            self.advance(scope, 0 if before is None else before.version, None)
        except database_errors() as error:
            raise unreadable(error) from error

    def advance(self, scope: DossierScope, expected: int, operation: OperationName | None) -> None:
        """Replaces version `expected` of the dossier, 0 for one that is not known; within a transaction.

        `operation`: that leads to its status, None by hand. Raises `Refusal` (DOSSIER_CHANGED).
        """
        change = {
            "number": scope.dossier,
            "type": scope.permit_type,
            "procedure": scope.procedure,
            "status": scope.status,
            "since": _text(scope.status_since),
            "person": scope.person,
            "resumes": scope.resumes,
            "expected": expected,
        }
        self._connection.execute(_ADVANCE if expected else _ENTER, change)
        if self._connection.changes() == 0:
            raise Refusal(Code.DOSSIER_CHANGED)
        self._connection.execute("DELETE FROM inscriptions WHERE dossier = ?", (scope.dossier,))
        self._connection.executemany(
            "INSERT INTO inscriptions VALUES (?,?,?,?,?,?)",
            [
                (scope.dossier, position, one.authority, one.role.value, _text(one.since), _text(one.until))
                for position, one in enumerate(scope.inscriptions)
            ],
        )
        self._pass(scope, operation)

    def history(self, dossier: DossierNumber) -> tuple[Passage, ...]:
        """The statuses that it went through, in order."""
        return tuple(
            Passage(str(status), _time(since), None if operation is None else OperationName(str(operation)))
            for status, since, operation in self._connection.execute(_PASSAGES, (dossier,))
        )

    def _pass(self, scope: DossierScope, operation: OperationName | None) -> None:
        """A status is gone through once for each time that it began."""
        last = self._connection.execute(_LAST_PASSAGE, (scope.dossier,)).fetchone()
        now = scope.status, _text(scope.status_since)
        if last is None or last[1:] != now:
            n = 0 if last is None else last[0] + 1
            self._connection.execute(
                "INSERT INTO passages VALUES (?,?,?,?,?)", (scope.dossier, n, *now, operation)
            )

    def close(self) -> None:
        self._connection.close()


def _scope(row: tuple[Any, ...]) -> DossierScope:
    number, permit_type, procedure, status, since = map(str, row[:5])
    person, resumes, version, inscribed = row[5:]
    inscriptions = tuple(
        Inscription(AuthorityId(authority), Role(role), _time(start), None if end is None else _time(end))
        for authority, role, start, end in json.loads(inscribed)
    )
    return DossierScope(
        dossier=DossierNumber(number),
        permit_type=permit_type,
        procedure=procedure,
        status=status,
        status_since=_time(since),
        inscriptions=inscriptions,
        person=person,
        resumes=resumes,
        version=version,
    )


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat()


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text))
