"""Which authority gets a part in a dossier, by what the file says (PROTOCOL §13.3; CA of 2 February 2018, arts. 7-8).

A place that is named leads to an authority or the notification is refused: nobody is left out in silence. Who plays
a role alone has its part even while it is suspended, and so has the region once it is competent: what they are told
waits for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from gateway.agreement.course import Places, Step
from gateway.agreement.load import Agreement
from gateway.agreement.register import Register
from gateway.model import Authority, FieldId, Inscription, Role
from gateway.policy.written import Written
from gateway.refusal import Code, Refusal

_TRUE: Final = frozenset({"true", "1"})  # of xs:boolean
_REGION: Final = FieldId("G01.competentRegion")
_BY_CHOICE: Final = frozenset({Role.MUN, Role.CONS})  # many play them; one that is suspended gets no part


def competent(
    roles: Iterable[Role], written: Written, agreement: Agreement, register: Register, day: date
) -> Mapping[Role, Authority]:
    """The authority of each role; a role whose place is not named is left out.

    Raises Refusal: ROUTE_UNKNOWN when a named place leads to no authority, or a role that needs none has none.
    """
    found = {role: _competent(role, written, agreement, register, day) for role in roles}
    return {role: one for role, one in found.items() if one is not None}


def require_region(
    step: Step, written: Written, lines: Iterable[Inscription], register: Register, now: datetime
) -> None:
    """A step that routes to a region has found one, and a region that the file calls competent is that one.

    Competence never moves: a place of work in another region is another application's. A dossier is opened only with
    a region that is not suspended. `lines`: as the step leaves them.

    Raises Refusal: ROUTE_UNKNOWN.
    """
    said, regions = written.text(_REGION), [one for one in lines if one.role is Role.REG]
    names = {one.authority for one in regions if is_open(one, now)}
    usable = {one.id for one in register.active(Role.REG)} if step.opens else names
    left = any(one.until == now for one in regions)
    if Role.REG in step.inscribes and (left or names.isdisjoint(usable)):
        raise Refusal(Code.ROUTE_UNKNOWN, Role.REG.value)
    if said is not None and said not in {one.region for one in register.authorities if one.id in names}:
        raise Refusal(Code.ROUTE_UNKNOWN, _REGION)


def moved(
    lines: Sequence[Inscription], ends: frozenset[Role], new: Mapping[Role, Authority], now: datetime
) -> tuple[Inscription, ...]:
    """The directory's lines after a step: of each role one authority takes part, and who stays keeps its line."""
    kept = tuple(replace(one, until=now) if _leaves(one, ends, new, now) else one for one in lines)
    present = {(one.authority, one.role) for one in kept if is_open(one, now)}
    added = (
        Inscription(one.id, role, now, None) for role, one in new.items() if (one.id, role) not in present
    )
    return *kept, *added


def is_open(line: Inscription, now: datetime) -> bool:
    """Not ended yet."""
    return line.until is None or now < line.until


def _leaves(line: Inscription, ends: frozenset[Role], new: Mapping[Role, Authority], now: datetime) -> bool:
    successor = new.get(line.role)
    going = line.role in ends if successor is None else successor.id != line.authority
    return going and is_open(line, now)


def _competent(
    role: Role, written: Written, agreement: Agreement, register: Register, day: date
) -> Authority | None:
    field, known = agreement.routing.fields.get(role), _playing(role, register)
    if field is not None:
        named = _places(written, field, agreement.routing.main)
        if not named:
            return None
        keys = {_key(role, place, agreement.places, day) for place in named}
        known = tuple(one for one in known if _own(one) in keys) if len(keys) == 1 else ()
    if len(known) != 1:
        raise Refusal(Code.ROUTE_UNKNOWN, role.value)
    return known[0]


def _playing(role: Role, register: Register) -> Sequence[Authority]:
    """The authorities among which the one is found; of a role that one plays alone, a suspended one if there is no other."""
    active = register.active(role)
    if role in _BY_CHOICE:
        return active
    everybody = tuple(one for one in register.authorities if one.role is role)
    return everybody if role is Role.REG else active or everybody


def _places(written: Written, field: FieldId, main: FieldId | None) -> list[str]:
    """The places that count: those marked as main, else all."""
    told = [one for one in written.elements if field in one]
    marked = [one for one in told if main is not None and not _TRUE.isdisjoint(one.get(main, ()))]
    return [place for one in marked or told for place in one[field]]


def _key(role: Role, place: str, places: Places, day: date) -> str | None:
    """What the register must say of the authority of a place."""
    match role:
        case Role.REG:
            return places.region(place, day)
        case Role.MUN:
            return places.current(place, day)
        case _:
            return place


def _own(authority: Authority) -> str | None:
    """What the register says of an authority to tell it from others of its role."""
    match authority.role:
        case Role.REG:
            return authority.region
        case Role.MUN:
            return authority.nis
        case _:
            return authority.post
