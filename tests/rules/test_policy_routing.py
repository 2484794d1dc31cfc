"""Which authority gets a part in a dossier, by the places that the file names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

import pytest

from gateway.agreement.course import NisMerger, NisRule, Places, Routing, Step
from gateway.agreement.load import Agreement
from gateway.model import AuthorityId, FieldId, Inscription, LegalContext, OperationName, Role
from gateway.policy.routing import competent, moved, require_region
from gateway.policy.written import Written
from gateway.refusal import Code, Refusal
from tests.rules.agreement_files import shipped
from tests.rules.notify_world import party, register, suspended

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
TODAY = NOW.date()
WORK, MAIN = FieldId("G17.municipality"), FieldId("G17.main")
HOME, POST, REGION = FieldId("G07.municipality"), FieldId("G01.post"), FieldId("G01.competentRegion")
BRUSSELS, LIEGE, EUPEN, NAMUR = "21004", "62063", "63023", "92094"
SINCE = date(2018, 12, 24)


def rule(prefix: str, region: str, since: date = SINCE, until: date | None = None) -> NisRule:
    return NisRule(prefix, region, since, until)


PLACES = Places(
    (rule("21", "BRUSSELS"), rule("6", "WALLONIA"), rule("9", "WALLONIA"), rule("63023", "GERMAN_COMMUNITY")),
    (NisMerger("21099", BRUSSELS, date(2025, 1, 1)),),
)


@cache
def agreement() -> Agreement:
    routing = Routing({Role.REG: WORK, Role.MUN: HOME, Role.CONS: POST}, MAIN)
    return replace(shipped(), routing=routing, places=PLACES)


def told(*elements: Mapping[FieldId, str]) -> Written:
    return Written(tuple({field: (text,) for field, text in one.items()} for one in elements))


def route(role: Role, *elements: Mapping[FieldId, str], without: str = "", day: date = TODAY) -> str | None:
    found = competent([role], told(*elements), agreement(), suspended(without), day)
    return found[role].id if found else None


def unrouted(role: Role, *elements: Mapping[FieldId, str], without: str = "") -> bool:
    with pytest.raises(Refusal) as caught:
        route(role, *elements, without=without)
    return caught.value.code is Code.ROUTE_UNKNOWN


@pytest.mark.parametrize(
    ("nis", "region"), [(BRUSSELS, "BRUSSELS"), (LIEGE, "WALLONIA"), (EUPEN, "GERMAN_COMMUNITY")]
)
def test_the_place_of_work_leads_to_its_region(nis: str, region: str):
    assert route(Role.REG, {WORK: nis}) == region


def test_a_place_of_work_in_no_region_leads_nowhere():
    assert unrouted(Role.REG, {WORK: "00000"})


def test_of_several_places_of_work_the_main_one_counts():
    assert route(Role.REG, {WORK: BRUSSELS, MAIN: "false"}, {WORK: EUPEN, MAIN: "true"}) == "GERMAN_COMMUNITY"
    assert route(Role.REG, {WORK: BRUSSELS, MAIN: "1"}, {WORK: EUPEN}) == "BRUSSELS"


def test_of_several_places_of_work_in_several_regions_one_must_be_the_main_one():
    assert unrouted(Role.REG, {WORK: BRUSSELS}, {WORK: EUPEN})
    assert unrouted(Role.REG, {WORK: BRUSSELS, MAIN: "true"}, {WORK: EUPEN, MAIN: "true"})


def test_a_place_that_leads_nowhere_is_not_passed_over_for_one_that_leads_somewhere():
    assert unrouted(Role.REG, {WORK: BRUSSELS}, {WORK: "00000"})
    assert unrouted(Role.CONS, {POST: "RABAT"}, {POST: "PARIS"})


def test_several_places_of_work_in_one_region_need_no_main_one():
    assert route(Role.REG, {WORK: LIEGE}, {WORK: NAMUR}) == "WALLONIA"


def test_a_mark_beside_no_place_marks_nothing():
    assert route(Role.REG, {MAIN: "true"}, {WORK: EUPEN}) == "GERMAN_COMMUNITY"


def test_the_residence_leads_to_its_municipality_under_its_present_code():
    assert route(Role.MUN, {HOME: LIEGE}) == "MUN_LIEGE"
    assert route(Role.MUN, {HOME: "21099"}) == "MUN_BRUSSELS"


def test_before_a_merger_the_old_code_is_another_municipality():
    with pytest.raises(Refusal):
        route(Role.MUN, {HOME: "21099"}, day=date(2024, 12, 31))
    assert route(Role.MUN, {HOME: "21099"}, day=date(2025, 1, 1)) == "MUN_BRUSSELS"


def test_a_municipality_that_does_not_take_part_leads_nowhere():
    assert unrouted(Role.MUN, {HOME: NAMUR})


def test_the_post_that_is_named_gets_its_part():
    assert route(Role.CONS, {POST: "RABAT"}) == "POST_RABAT"
    assert unrouted(Role.CONS, {POST: "PARIS"})


@pytest.mark.parametrize("role", [Role.REG, Role.MUN, Role.CONS])
def test_a_place_that_is_not_named_leads_to_nobody(role: Role):
    assert route(role) is None


@pytest.mark.parametrize(
    ("role", "name"), [(Role.OE, "IMMIGRATION_OFFICE"), (Role.NSSO, "NSSO"), (Role.PLAT, "PLATFORM")]
)
def test_of_a_single_role_the_register_has_the_one(role: Role, name: str):
    assert route(role) == name


@pytest.mark.parametrize(
    ("role", "name"), [(Role.OE, "IMMIGRATION_OFFICE"), (Role.NSSO, "NSSO"), (Role.PLAT, "PLATFORM")]
)
def test_who_plays_a_role_alone_has_its_part_even_while_it_is_suspended(role: Role, name: str):
    assert route(role, without=name) == name
    gone = replace(
        register(), authorities=tuple(one for one in register().authorities if one.role is not role)
    )
    with pytest.raises(Refusal) as caught:
        competent([role], told(), agreement(), gone, TODAY)
    assert caught.value.code is Code.ROUTE_UNKNOWN


def test_of_a_single_role_the_active_line_goes_before_a_suspended_one():
    old = replace(party("NSSO"), id=AuthorityId("NSSO_BEFORE"), active=False)
    listed = replace(register(), authorities=(old, *register().authorities))
    assert competent([Role.NSSO], told(), agreement(), listed, TODAY)[Role.NSSO] == party("NSSO")


def test_a_suspended_municipality_or_post_gets_no_part():
    assert unrouted(Role.MUN, {HOME: LIEGE}, without="MUN_LIEGE")
    assert unrouted(Role.CONS, {POST: "RABAT"}, without="POST_RABAT")
    assert route(Role.MUN, {HOME: LIEGE}, without="MUN_BRUSSELS") == "MUN_LIEGE"


def line(name: str, role: Role, since: datetime = NOW - timedelta(days=9), until: datetime | None = None):
    return Inscription(AuthorityId(name), role, since, until)


def test_a_newcomer_is_inscribed_from_now_on():
    assert moved((), frozenset(), {Role.REG: party("BRUSSELS")}, NOW) == (line("BRUSSELS", Role.REG, NOW),)


def test_who_takes_part_already_keeps_its_line():
    lines = (line("BRUSSELS", Role.REG),)
    assert moved(lines, frozenset(), {Role.REG: party("BRUSSELS")}, NOW) == lines


def test_another_authority_of_the_role_takes_over():
    after = moved((line("MUN_LIEGE", Role.MUN),), frozenset(), {Role.MUN: party("MUN_EUPEN")}, NOW)
    assert after == (line("MUN_LIEGE", Role.MUN, until=NOW), line("MUN_EUPEN", Role.MUN, NOW))


def test_a_part_ends_and_others_stay():
    lines = (line("MUN_LIEGE", Role.MUN), line("BRUSSELS", Role.REG))
    assert moved(lines, frozenset({Role.MUN}), {}, NOW) == (line("MUN_LIEGE", Role.MUN, until=NOW), lines[1])


def test_a_part_that_would_end_and_begin_at_once_goes_on():
    lines = (line("MUN_LIEGE", Role.MUN),)
    assert moved(lines, frozenset({Role.MUN}), {Role.MUN: party("MUN_LIEGE")}, NOW) == lines


def test_a_part_that_ended_is_left_as_it_ended_and_may_begin_again():
    ended = line("MUN_LIEGE", Role.MUN, until=NOW - timedelta(days=1))
    assert moved((ended,), frozenset({Role.MUN}), {}, NOW) == (ended,)
    assert moved((ended,), frozenset(), {Role.MUN: party("MUN_LIEGE")}, NOW) == (
        ended,
        line("MUN_LIEGE", Role.MUN, NOW),
    )


STEP = Step(
    operation=OperationName("submitApplication"),
    when=None,
    senders=frozenset({Role.PLAT}),
    before=frozenset(),
    after="SUBMITTED",
    interrupts=False,
    context=LegalContext("WIB:ADMISSIBILITY"),
    recipients={},
    inscribes=(Role.REG,),
    ends=frozenset(),
    binds=False,
)


LATER = replace(STEP, before=frozenset({"INFO_REQUESTED"}), after="RESUME")


def regional(step: Step, written: Written, *lines: Inscription, without: str = "") -> Code | None:
    try:
        require_region(step, written, lines, suspended(without), NOW)
    except Refusal as refusal:
        return refusal.code
    return None


def test_a_step_that_routes_to_a_region_must_find_one():
    assert regional(STEP, told()) is Code.ROUTE_UNKNOWN
    assert regional(STEP, told(), line("BRUSSELS", Role.REG)) is None
    assert regional(replace(STEP, inscribes=()), told()) is None


def test_the_region_that_the_file_calls_competent_must_be_the_one():
    here = line("BRUSSELS", Role.REG)
    assert regional(STEP, told({REGION: "BRUSSELS"}), here) is None
    assert regional(STEP, told({REGION: "FLANDERS"}), here) is Code.ROUTE_UNKNOWN


def test_a_region_whose_part_ended_is_not_competent():
    ended = line("BRUSSELS", Role.REG, until=NOW)
    assert regional(STEP, told({REGION: "BRUSSELS"}), ended) is Code.ROUTE_UNKNOWN


def test_a_dossier_is_opened_only_with_a_region_that_is_not_suspended():
    here = line("BRUSSELS", Role.REG)
    assert regional(STEP, told(), here, without="BRUSSELS") is Code.ROUTE_UNKNOWN
    assert regional(STEP, told(), here, without="FLANDERS") is None
    assert regional(LATER, told(), here, without="BRUSSELS") is None


def after(*elements: Mapping[FieldId, str], without: str = "") -> Code | None:
    """What comes of it that the platform names a place of work in a dossier of Brussels."""
    written = told(*elements)
    try:
        new = competent([Role.REG], written, agreement(), suspended(without), TODAY)
    except Refusal as refusal:
        return refusal.code
    lines = moved((line("BRUSSELS", Role.REG),), frozenset(), new, NOW)
    return regional(LATER, written, *lines, without=without)


def test_a_place_of_work_that_is_told_later_lies_in_the_region_that_is_competent():
    assert after({WORK: BRUSSELS}) is None
    assert after({WORK: LIEGE}) is Code.ROUTE_UNKNOWN
    assert after({WORK: LIEGE}, {WORK: BRUSSELS, MAIN: "true"}) is None
    assert after() is None
    assert after({WORK: BRUSSELS}, without="BRUSSELS") is None  # it will hear of it
