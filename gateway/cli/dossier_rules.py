"""What the agreement and the register say a dossier of the directory may be: a mistake here would deny silently."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer

from gateway.agreement.register import Register
from gateway.cli.dossier_person import stop
from gateway.cli.log_place import find
from gateway.model import DossierScope, FieldId, Inscription, Passage, Role
from gateway.policy.routing import is_open

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_PERMIT_TYPE = re.compile(r"[A-Z_]{1,32}")  # an open code: a new type needs no new schema


@dataclass(frozen=True, slots=True)
class Rules:
    """The words that a dossier may have, and who may be inscribed."""

    statuses: frozenset[str]
    procedures: frozenset[str]
    register: Register

    @classmethod
    def of(cls, config: Path) -> Rules:
        """Those of a hub's settings. Raises `ProofError`, ConfigError, AgreementError, each naming its file."""
        place = find(None, config)
        contract = place.contract()
        assert place.register is not None  # with settings there are both
        assert contract is not None
        return cls(
            contract.values_of(FieldId("G01.status")),
            contract.values_of(FieldId("G01.procedure")),
            place.register,
        )

    def check(self, scope: DossierScope, passed: Sequence[Passage], now: datetime) -> None:
        """Ends the command with the first thing that is wrong. `passed`: the statuses that the dossier went through."""
        _require_times(scope, passed, now)
        _require(scope.dossier, "status", scope.status, self.statuses)
        if scope.resumes is not None:
            _require(scope.dossier, "status to resume", scope.resumes, self.statuses)
        _require(scope.dossier, "procedure", scope.procedure, self.procedures)
        if not _PERMIT_TYPE.fullmatch(scope.permit_type):
            stop(
                "DOS011",
                f"{scope.dossier}: {scope.permit_type!r} is no permit type.",
                "It is a code in capitals, such as SINGLE_PERMIT or BLUE_CARD.",
            )
        for one in scope.inscriptions:
            if is_open(one, now):  # who took part once may have left the register since
                self._require_party(one)
        _require_one_of_each(scope, now)

    def _require_party(self, line: Inscription) -> None:
        authority = self.register.by_id.get(line.authority)
        if authority is None or authority.role is not line.role:
            fit = ", ".join(one.id for one in self.register.authorities if one.role is line.role)
            stop(
                "DOS012",
                f"{line.authority}:{line.role.value} is not in the register.",
                f"The register has as {line.role.value}: {fit or 'nobody'}.",
            )


def _require(number: str, what: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        stop("DOS011", f"{number}: {value!r} is no {what}.", f"Give one of {', '.join(sorted(known))}.")


def _require_times(scope: DossierScope, passed: Sequence[Passage], now: datetime) -> None:
    """A status holds from when it is entered, and terms are reckoned by statuses in the order of their times."""
    begun = (scope.status_since, *(one.since for one in scope.inscriptions))
    ended = [(one.since, one.until) for one in scope.inscriptions if one.until is not None]
    if not all(_FIRST <= one <= now for one in begun):
        what = "a status or an inscription begins at a time that has not come, or before 1970"
    elif not all(since <= until <= _LAST for since, until in ended):
        what = "an inscription ends before it begins, or beyond the calendar"
    elif passed and scope.status_since < passed[-1].since:
        what = f"its status is {passed[-1].status} since {passed[-1].since.isoformat()}, and none came about before that"
    else:
        return
    stop("DOS019", f"{scope.dossier}: {what}.", "Correct status_since, since and until in the file.")


def _require_one_of_each(scope: DossierScope, now: datetime) -> None:
    """A question goes to the one authority that is inscribed in the source's role (PROTOCOL §7.3)."""
    open_lines = [one for one in scope.inscriptions if is_open(one, now)]
    for role in Role:
        found = [one.authority for one in open_lines if one.role is role]
        if len(found) > 1:
            stop(
                "DOS013",
                f"{scope.dossier} would have {len(found)} authorities as {role.value}: {', '.join(found)}.",
                f"One for each role; end another with --remove {found[0]}:{role.value}",
            )
    if not any(one.role is Role.PLAT for one in open_lines):
        typer.echo(
            f"DOS014: Nobody is inscribed as PLAT in {scope.dossier}: consultDossier has nobody to ask. "
            "Add it with --inscribe PLATFORM:PLAT",
            err=True,
        )
