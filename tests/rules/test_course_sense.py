"""What opens a dossier to whom, and what ends a clock, on every way through a course of a few invented steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from gateway.agreement.course import RESUME, Course, Deadline, Step
from gateway.agreement.course_sense import check_course
from gateway.agreement.finding import Findings
from gateway.model import Role
from tests.rules.test_deadlines import TERM
from tests.rules.test_policy_step import step

OPEN_TO = {
    Role.PLAT: frozenset({"SUBMITTED", "ADMISSIBLE", "INFO_REQUESTED", "PERMIT_GRANTED", "CLOSED"}),
    Role.MUN: frozenset({"PERMIT_GRANTED", "CLOSED"}),
}
SUBMIT = step("submit", Role.PLAT, before=frozenset(), after="SUBMITTED", inscribes=(Role.PLAT, Role.MUN))
GRANT = step("grant", Role.PLAT, before=frozenset({"SUBMITTED"}), after="PERMIT_GRANTED")
CLOSE = step("close", Role.PLAT, before=frozenset({"PERMIT_GRANTED"}), after="CLOSED")
GIVE_UP = step("close", Role.PLAT, before=frozenset({"SUBMITTED"}), after="CLOSED")
ASK = step("ask", Role.PLAT, before=frozenset({"SUBMITTED"}), after="INFO_REQUESTED", interrupts=True)
SUPPLY = step("supply", Role.PLAT, before=frozenset({"INFO_REQUESTED"}), after=RESUME)


def found(*steps: Step, deadlines: tuple[Deadline, ...] = ()) -> list[str]:
    findings = Findings("procedures.toml")
    course = Course("X", frozenset({"X"}), frozenset({"FIRST"}), steps, deadlines, ("B",), "J")
    check_course(course, OPEN_TO, "x", findings)
    return [f"{one.path}: {one.sentence}" for one in findings.found]


def opens(at: int) -> list[str]:
    return [f'x.steps[{at}]: "CLOSED" would open to role MUN what was never open to it']


def test_the_first_status_that_is_open_to_a_role_opens_the_dossier_to_it():
    assert found(SUBMIT, GRANT, CLOSE) == []


def test_an_end_that_others_come_to_by_an_open_status_opens_nothing():
    assert found(SUBMIT, GRANT, CLOSE, GIVE_UP) == opens(3)
    assert found(SUBMIT, GRANT, CLOSE, replace(GIVE_UP, ends=frozenset({Role.MUN}))) == []


def test_an_end_opens_nothing_even_if_nobody_comes_to_it_by_an_open_status():
    assert found(SUBMIT, GIVE_UP) == opens(1)
    assert found(replace(SUBMIT, inscribes=(Role.PLAT,)), GIVE_UP) == []


def test_a_step_may_mean_to_open_the_dossier_by_inscribing():
    assert found(SUBMIT, GRANT, CLOSE, replace(GIVE_UP, inscribes=(Role.MUN,))) == []


def test_a_part_that_ended_on_the_way_is_no_part():
    leave = step(
        "leave", Role.PLAT, before=frozenset({"SUBMITTED"}), after="ADMISSIBLE", ends=frozenset({Role.MUN})
    )
    assert found(SUBMIT, GRANT, CLOSE, leave, replace(GIVE_UP, before=frozenset({"ADMISSIBLE"}))) == []


def test_what_was_interrupted_is_followed_where_it_goes_on():
    late = replace(GIVE_UP, before=frozenset({"INFO_REQUESTED"}))
    assert found(SUBMIT, ASK, SUPPLY, GRANT, CLOSE, late) == opens(5)


CLOCK = replace(TERM, starts=frozenset({"SUBMITTED"}), suspended=frozenset(), valid_from=date(2020, 1, 1))


@pytest.mark.parametrize(
    ("ends", "sentences"),
    [
        ({"PERMIT_GRANTED", "CLOSED"}, 0),
        ({"CLOSED"}, 0),
        ({"PERMIT_GRANTED"}, 1),  # given up before
    ],
)
def test_a_clock_ends_on_every_way(ends: set[str], sentences: int):
    steps = (SUBMIT, GRANT, CLOSE, replace(GIVE_UP, ends=frozenset({Role.MUN})))
    assert len(found(*steps, deadlines=(replace(CLOCK, ends=frozenset(ends)),))) == sentences


def test_a_clock_that_starts_anew_ends_anew():
    """Each time that information is requested; a resumed status ends it."""
    asked = replace(CLOCK, starts=frozenset({"INFO_REQUESTED"}), ends=frozenset({"SUBMITTED"}))
    assert found(SUBMIT, ASK, SUPPLY, GRANT, CLOSE, deadlines=(asked,)) == []
    away = replace(GIVE_UP, before=frozenset({"INFO_REQUESTED"}), ends=frozenset({Role.MUN}))
    assert found(SUBMIT, ASK, SUPPLY, GRANT, CLOSE, away, deadlines=(asked,)) == [
        'x.deadlines[0].ends: the clock would never end: it can still run at "CLOSED"'
    ]
