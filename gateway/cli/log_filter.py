"""What `gateway log list` is narrowed to: a value that no entry can have is a mistake, and is told."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.adapters.store_filter import About, Filter
from gateway.agreement.identifiers import check_dossier
from gateway.cli.log_place import Place
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import ACCEPTED, ERASED, INCOMPLETE, PERMITTED, PRUNED, RELEASED, Kind
from gateway.exchangelog.question import Outcome
from gateway.model import DossierNumber, Settlement
from gateway.refusal import Code, Refusal

# What an entry may say but for refusal codes.
DECISIONS: Final = (
    *(PERMITTED, RELEASED, INCOMPLETE, ACCEPTED, ERASED, PRUNED),
    *(one.value for one in Settlement),
)
_ENTERPRISE = re.compile(r"\d{10}(/[A-Za-z0-9][A-Za-z0-9 .-]{0,63})?", re.ASCII)
_CONTEXT = re.compile(r"[A-Z]{1,16}:[A-Z_]{1,47}", re.ASCII)
_ID = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_OPERATION = re.compile(r"[a-z][A-Za-z0-9]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of the command, as typed."""

    kind: str | None = None
    authority: str | None = None
    sender: str | None = None
    recipient: str | None = None
    operation: str | None = None
    context: str | None = None
    code: str | None = None
    outcome: str | None = None
    since: datetime | None = None  # UTC
    until: datetime | None = None
    field: str | None = None
    notification: str | None = None


def understood(wanted: Wanted, place: Place, party: str | None = None, about: About | None = None) -> Filter:
    """`party`: whose exchanges are shown, None for all. Raises `ProofError` (LOG510), naming what could be given
    instead.
    """
    return Filter(
        kind=_one_of("--kind", wanted.kind, list(Kind)),
        authority=_enterprise("--authority", wanted.authority, place),
        sender=_enterprise("--from", wanted.sender, place),
        recipient=_enterprise("--to", wanted.recipient, place),
        operation=_operation(wanted.operation, place),
        context=_context(wanted.context),
        code=_one_of("--code", wanted.code, [*DECISIONS, *(one.row.code for one in Code)]),
        outcome=_one_of("--outcome", wanted.outcome, list(Outcome)),
        since=_moment(wanted.since),
        until=_moment(wanted.until),
        paths=_paths(wanted.field, place),
        notification=_id(wanted.notification),
        party=party,
        about=about,
    )


def known_authority(option: str, name: str, place: Place) -> str:
    """An id of the register, or without settings of its form. Raises `ProofError` (LOG510), which names the option."""
    ids = [one for one in place.parties if place.register is None or one != place.register.hub.id]
    if ids and name not in ids:
        raise _unknown(option, name, f"the register has {_listed(ids)}")
    if not _ID.fullmatch(name):
        raise _unknown(option, name, "an id of the register, such as BRUSSELS")
    return name


def _enterprise(option: str, name: str | None, place: Place) -> str | None:
    if name is None:
        return None
    parties = place.parties
    numbers = {part for one in parties.values() for part in (one, one.partition("/")[0])}
    if name in parties:
        return parties[name]
    if name in numbers or (not parties and _ENTERPRISE.fullmatch(name)):
        return name
    if parties:
        raise _unknown(option, name, f"the register has {_listed(parties)}, and their numbers")
    raise _unknown(option, name, "ten digits, or ten digits/UNIT; an id of the register needs --config")


def _operation(name: str | None, place: Place) -> str | None:
    contract = None if name is None else place.contract()
    if name is None or (contract is None and _OPERATION.fullmatch(name)):
        return name
    return _one_of("--operation", name, [] if contract is None else sorted(contract.messages))


def _context(name: str | None) -> str | None:
    """Of its form: an entry may have one that the agreement has no more."""
    if name is None or _CONTEXT.fullmatch(name):
        return name
    raise _unknown("--context", name, "a legal context, such as WIB:WORK_DECISION")


def _moment(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds")[:23]


def _id(notification: str | None) -> str | None:
    try:
        return None if notification is None else str(uuid.UUID(notification))
    except ValueError:
        raise _unknown("--notification", str(notification), "the id that its entry has") from None


def dossier_number(number: str) -> DossierNumber:
    """Raises `ProofError` (LOG510)."""
    try:
        return check_dossier(number)
    except Refusal:
        raise _unknown("--dossier", number, "WIB-YYYY-NNNNNNN-CC with its check digits") from None


def one_of(option: str, value: str, known: Collection[str]) -> str:
    """Raises `ProofError` (LOG510)."""
    if value in known:
        return value
    raise _unknown(option, value, f"one of {_listed(known)}")


def _paths(field: str | None, place: Place) -> frozenset[str] | None:
    if field is None:
        return None
    fields = place.fields()
    if not fields:
        raise ProofError(
            Flaw.PLACE_MISSING, "--field needs --config, whose contracts say which path is which field"
        )
    found = frozenset(path for path, one in fields.items() if field in {one, one.partition(".")[0]})
    if found:
        return found
    groups = sorted({one.partition(".")[0] for one in fields.values()})
    group = field.partition(".")[0]
    inside = sorted({one for one in fields.values() if one.startswith(f"{group}.")})
    raise _unknown("--field", field, f"one of {_listed(inside or groups)}")


def _one_of(option: str, value: str | None, known: Collection[str]) -> str | None:
    return None if value is None else one_of(option, value, known)


def _unknown(option: str, value: str, instead: str) -> ProofError:
    return ProofError(Flaw.UNKNOWN_VALUE, f"{option} {value!r}; {instead}")


def _listed(values: Iterable[str]) -> str:
    return ", ".join(map(str, values))
