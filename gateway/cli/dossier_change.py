"""What `gateway dossier put` is given, by options or by a file, and the scope that it makes of a dossier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.adapters.store_directory import Directory
from gateway.agreement.identifiers import check_dossier
from gateway.cli.dossier_person import stop
from gateway.model import AuthorityId, DossierNumber, DossierScope, Inscription, Role
from gateway.refusal import Refusal


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An inscription in a JSON file."""

    authority: str
    role: Role
    since: datetime | None = None  # from now on when left out
    until: datetime | None = None


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dossier in a JSON file: what `show --json` prints."""

    dossier: str
    permit_type: str
    procedure: str
    status: str
    status_since: datetime | None = None  # now when left out
    inscriptions: list[Line] | None = None  # left out: those that it has
    ssin: str | None = None  # never printed: the directory has no number, only a digest of it
    person: bool | None = None  # with no number: true or left out keeps whom it is bound to, false frees it
    resumes: str | None = None  # in a status that interrupts: the status that is resumed


def parse(path: Path) -> list[Described]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Described | list[Described])
    except OSError as error:
        stop("DOS003", f"{path}: {error.strerror}.", "Name an existing file.")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        stop("DOS004", f"{path}: {error}.", "Take the form from: gateway dossier show --json")
    return found if isinstance(found, list) else [found]


@dataclass(frozen=True, slots=True)
class Change:
    """The options of `put`."""

    number: str
    permit_type: str | None
    procedure: str | None
    status: str | None
    inscribe: list[str]
    remove: list[str]
    ssin: str | None


def changed(change: Change, directory: Directory, now: datetime) -> Described:
    """What the directory has of the dossier, with what the options say of it."""
    before = directory.get(_number(change.number)) if change.number else None
    permit_type = change.permit_type or (before and before.permit_type)
    procedure = change.procedure or (before and before.procedure)
    status = change.status or (before and before.status)
    if not (change.number and permit_type and procedure and status):
        stop(
            "DOS002",
            "The dossier is not described.",
            "A new one needs its number, --permit-type, --procedure and --status, or --file alone.",
        )
    since = before.status_since if before is not None and before.status == status else now
    lines = [] if before is None else [_line(one) for one in before.inscriptions]
    for text in change.remove:
        lines = _ended(lines, _inscription("--remove", text), change.number, now)
    held = {(one.authority, one.role) for one in lines if one.until is None or now < _aware(one.until)}
    new = dict.fromkeys((one.authority, one.role) for one in map(_added, change.inscribe))
    lines += [Line(*key, since=now) for key in new if key not in held]
    resumes = before.resumes if before is not None and before.status == status else None
    return Described(
        change.number, permit_type, procedure, status, since, lines, change.ssin, resumes=resumes
    )


def _ended(lines: list[Line], wanted: Line, number: str, now: datetime) -> list[Line]:
    """The same lines, the open one of this authority and role ended now."""
    found = [
        at
        for at, one in enumerate(lines)
        if (one.authority, one.role) == (wanted.authority, wanted.role)
        and (one.until is None or now < _aware(one.until))
    ]
    if not found:
        stop(
            "DOS015",
            f"{wanted.authority} is not inscribed as {wanted.role.value} in {number}.",
            "See who is: gateway dossier show",
        )
    return [msgspec.structs.replace(one, until=now) if at in found else one for at, one in enumerate(lines)]


def _line(one: Inscription) -> Line:
    return Line(one.authority, one.role, one.since, one.until)


def _added(text: str) -> Line:
    return _inscription("--inscribe", text)


def _inscription(option: str, text: str) -> Line:
    authority, _, role = text.partition(":")
    if role not in set(Role) or not authority:
        stop("DOS005", f"{option} {text} is not AUTHORITY:ROLE.", f"Roles are {', '.join(Role)}.")
    return Line(authority, Role(role))


def _number(text: str) -> DossierNumber:
    try:
        return check_dossier(text)
    except Refusal:
        stop("DOS006", f"{text} is no dossier number.", "Check its form and its check digits.")


def scoped(line: Described, directory: Directory, now: datetime) -> DossierScope:
    number = _number(line.dossier)
    if line.inscriptions is None:
        before = directory.get(number)
        inscriptions = () if before is None else before.inscriptions
    else:
        inscriptions = tuple(
            Inscription(
                AuthorityId(one.authority),
                one.role,
                _aware(one.since or now),
                one.until and _aware(one.until),
            )
            for one in line.inscriptions
        )
    since = _aware(line.status_since or now)
    return DossierScope(
        number,
        line.permit_type,
        line.procedure,
        line.status,
        since,
        inscriptions,
        resumes=line.resumes,
    )


def bound(
    line: Described, scope: DossierScope, directory: Directory, digest: Callable[[str], bytes] | None
) -> DossierScope:
    """The scope with its person: a new one, the one it has, or none."""
    if line.ssin is not None and digest is not None:
        return replace(scope, person=digest(line.ssin))
    before = directory.get(scope.dossier) if line.person is not False else None
    if line.person and (before is None or before.person is None):
        stop("DOS009", f"{scope.dossier} is bound to no person here.", "Give its ssin instead of person.")
    return replace(scope, person=None if before is None else before.person)


def _aware(time: datetime) -> datetime:
    """A time without a zone is UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)
