"""How far each dossier of a sandbox has come: what the hub's dossier directory says, and who has told what.

The hub alone moves dossiers, by what it is told. `enter` is for a sandbox that begins where a story ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from gateway.adapters.store_directory import Directory
from gateway.agreement.identifiers import dossier_number
from gateway.loading import secret_key
from gateway.model import AuthorityId, DossierNumber, DossierScope, Inscription, Passage, Role
from gateway.policy.person import person_digest
from gateway.sandbox.files import notifications, read_files
from gateway.sandbox.place import Place

_LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)
_UNUSED, _LAST = 1001, 10**7  # sequence numbers from which new dossiers are numbered


class Records:
    """Read by the back offices' thread, written by the one that tells."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._statuses: dict[DossierNumber, str] = {}
        self._told: defaultdict[tuple[AuthorityId, DossierNumber], set[str]] = defaultdict(set)

    def status_of(self, number: DossierNumber) -> str:
        """The present status; "" for a dossier of which nothing was told yet."""
        return self._statuses.get(number, "")

    def told_by(self, name: AuthorityId, number: DossierNumber) -> Collection[str]:
        """The notifications that an authority has told."""
        return frozenset(self._told[name, number])

    def has_told(self, name: AuthorityId, number: DossierNumber, notification: str) -> None:
        """The hub has taken this notification in."""
        self._told[name, number].add(notification)
        self._statuses[number] = self.scope(number).status

    def scope(self, number: DossierNumber) -> DossierScope:
        """What the directory says of a dossier: no content."""
        with closing(self._directory(writes=False)) as directory:
            scope = directory.get(number)
        assert scope is not None  # something was told of it
        return scope

    def passages(self, number: DossierNumber) -> tuple[Passage, ...]:
        """The statuses that a dossier went through."""
        with closing(self._directory(writes=False)) as directory:
            return directory.history(number)

    def unused(self, count: int) -> list[DossierNumber]:
        """Numbers of dossiers that are not in the directory."""
        with closing(self._directory(writes=False)) as directory:
            numbers = (dossier_number(_LONG_AGO.year, sequence) for sequence in range(_UNUSED, _LAST))
            return list(islice((one for one in numbers if directory.get(one) is None), count))

    def enter(
        self, number: DossierNumber, procedure: str, status: str, ssin: str, inscribed: Iterable[str]
    ) -> None:
        """Enter a dossier in the directory, as the administrative command would, with everything told.

        One that is there from an earlier run stays as it is. `ssin`: the worker's; `inscribed`: the authorities
        that take part.
        """
        person = person_digest(secret_key(self._place.settings.keys.directory_key), ssin)
        lines = tuple(self._inscription(name) for name in inscribed)
        scope = DossierScope(number, "SINGLE_PERMIT", procedure, status, _LONG_AGO, lines, person)
        with closing(self._directory(writes=True)) as directory:
            before = directory.get(number)
            if before is None:
                directory.put(scope)
        self._statuses[number] = status if before is None else before.status
        for line in lines:
            file = read_files(line.authority).get(number)
            self._told[line.authority, number] |= frozenset() if file is None else notifications(file)

    def _directory(self, *, writes: bool) -> Directory:
        return Directory.open(self._place.settings.log.store, writes=writes)

    def _inscription(self, name: str) -> Inscription:
        authority = self._place.authority(name)
        assert authority.role is not None  # the hub takes no part
        return Inscription(authority.id, Role(authority.role), _LONG_AGO, None)
