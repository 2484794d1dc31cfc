"""How long a dossier may still take. Every date here was counted by hand on a Belgian calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.course import Course, Deadline, Step
from gateway.agreement.identifiers import dossier_number
from gateway.agreement.load import Agreement
from gateway.cli.account import _clock
from gateway.model import AuthorityId, DossierScope, Inscription, LegalContext, OperationName, Passage, Role
from gateway.policy.days import BELGIUM, is_working
from gateway.policy.deadlines import Running, bucket, clocks, clocks_of, days_left, open_dossiers
from tests.rules.agreement_files import shipped
from tests.rules.notify_world import register

TERM = Deadline(
    name="TERM",
    starts=frozenset({"ADMISSIBLE"}),
    ends=frozenset({"PERMIT_GRANTED", "WITHDRAWN"}),
    suspended=frozenset({"INFO_REQUESTED"}),
    days=15,
    working=False,
    regions=None,
    permit_types=None,
    valid_from=date(2020, 1, 1),
    valid_until=None,
    basis=("B",),
    certainty="C",
    note="",
)
LATER = datetime(2040, 1, 1, tzinfo=UTC)


def course(*deadlines: Deadline) -> Course:
    return Course("FIRST", frozenset({"SINGLE_PERMIT"}), frozenset({"FIRST"}), (), deadlines, ("B",), "C")


def noon(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), time(12), BELGIUM).astimezone(UTC)


def passages(*entries: tuple[str, str | datetime]) -> list[Passage]:
    return [
        Passage(status, at if isinstance(at, datetime) else noon(at), OperationName("tell"))
        for status, at in entries
    ]


def run(rule: Deadline, now: str | datetime, *entries: tuple[str, str | datetime]) -> Running:
    at = now if isinstance(now, datetime) else noon(now)
    (found,) = clocks(course(rule), passages(*entries), None, "SINGLE_PERMIT", at)
    return found


@pytest.mark.parametrize(
    ("started", "days", "due"),
    [
        ("2026-06-01", 15, "2026-06-16"),  # Monday → Tuesday
        ("2026-06-05", 15, "2026-06-22"),  # would end on a Saturday
        ("2026-06-06", 15, "2026-06-22"),  # would end on a Sunday
        ("2026-03-27", 10, "2026-04-07"),  # Easter Monday
        ("2026-04-16", 15, "2026-05-04"),  # 1 May, a Friday
        ("2026-05-04", 10, "2026-05-15"),  # Ascension Day
        ("2026-05-10", 15, "2026-05-26"),  # Whit Monday
        ("2026-07-11", 10, "2026-07-22"),  # 21 July
        ("2025-08-01", 14, "2025-08-18"),  # 15 August, a Friday
        ("2026-10-27", 15, "2026-11-12"),  # 11 November
        ("2026-12-15", 10, "2026-12-28"),  # Christmas Day, a Friday
        ("2025-12-02", 30, "2026-01-02"),  # New Year's Day
        ("2025-10-01", 120, "2026-01-29"),  # across the year
        ("2028-02-01", 30, "2028-03-02"),  # across a 29 February
    ],
)
def test_calendar_days_end_on_a_working_day(started: str, days: int, due: str):
    found = run(replace(TERM, days=days), started, ("ADMISSIBLE", started))
    assert found.due == date.fromisoformat(due)


@pytest.mark.parametrize(
    ("started", "days", "due"),
    [
        ("2026-06-01", 5, "2026-06-08"),  # over a weekend
        ("2026-06-06", 1, "2026-06-08"),  # started on a Saturday
        ("2026-04-02", 5, "2026-04-10"),  # Good Friday counts, Easter Monday does not
        ("2026-04-30", 2, "2026-05-05"),  # 1 May
        ("2026-05-04", 15, "2026-05-27"),  # Ascension Day and Whit Monday
        ("2026-07-20", 1, "2026-07-22"),  # 21 July
        ("2025-08-13", 3, "2025-08-19"),  # 15 August
        ("2026-11-09", 3, "2026-11-13"),  # 11 November; 1 November was a Sunday
        ("2026-12-22", 8, "2027-01-05"),  # Christmas and New Year
    ],
)
def test_working_days_leave_out_weekends_and_public_holidays(started: str, days: int, due: str):
    found = run(replace(TERM, days=days, working=True), started, ("ADMISSIBLE", started))
    assert found.due == date.fromisoformat(due)


def test_public_holidays_are_those_of_the_law_and_no_others():
    weekdays = (date(2025, 1, 1) + timedelta(days=n) for n in range(365))
    off = [day for day in weekdays if day.weekday() < 5 and not is_working(day)]
    assert [day.isoformat()[5:] for day in off] == [
        *("01-01", "04-21", "05-01", "05-29", "06-09", "07-21", "08-15", "11-11", "12-25"),
    ]  # and All Saints' Day, which was a Saturday


@pytest.mark.parametrize(
    ("utc", "due"),
    [
        ("2026-03-28T22:59", "2026-04-07"),  # still the 28th in Brussels; 7 April
        ("2026-03-28T23:30", "2026-04-08"),  # the 29th, in winter time
        ("2026-03-29T21:59", "2026-04-08"),  # still the 29th, in summer time since the morning
        ("2026-03-29T22:30", "2026-04-09"),
        ("2026-10-24T22:30", "2026-11-04"),  # the 25th, in summer time
        ("2026-10-25T22:30", "2026-11-04"),  # still the 25th, in winter time
        ("2026-10-25T23:30", "2026-11-05"),
    ],
)
def test_days_are_those_of_brussels_through_both_changes_of_the_clock(utc: str, due: str):
    started = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert run(replace(TERM, days=10), started, ("ADMISSIBLE", started)).due == date.fromisoformat(due)


def test_an_account_names_the_day_in_brussels_on_which_a_term_began():
    started = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
    assert "since 2026-04-01, due" in _clock(run(TERM, started, ("ADMISSIBLE", started)))


@pytest.mark.parametrize(
    ("now", "left"),
    [
        ("2026-06-01", 15),
        ("2026-06-15", 1),
        (datetime(2026, 6, 16, 21, 59, tzinfo=UTC), 0),  # the last minute of the last day
        (datetime(2026, 6, 16, 22, 0, tzinfo=UTC), -1),
        ("2026-06-20", -4),
    ],
)
def test_a_term_ends_with_the_last_hour_of_its_last_day(now: str | datetime, left: int):
    found = run(TERM, now, ("ADMISSIBLE", "2026-06-01"))
    assert (found.left, found.overdue, found.ended) == (left, left < 0, None)


@pytest.mark.parametrize(
    ("now", "left"), [("2026-06-05", 1), ("2026-06-07", 1), ("2026-06-08", 0), ("2026-06-09", -1)]
)
def test_working_days_left_do_not_count_the_weekend(now: str, left: int):
    found = run(replace(TERM, days=5, working=True), now, ("ADMISSIBLE", "2026-06-01"))
    assert found.left == left


def test_too_late_on_a_day_that_is_no_working_day_is_too_late():
    rule = replace(TERM, days=4, working=True)
    assert not run(rule, "2026-06-05", ("ADMISSIBLE", "2026-06-01")).overdue
    assert run(rule, "2026-06-06", ("ADMISSIBLE", "2026-06-01")).overdue


@pytest.mark.parametrize(
    ("working", "days", "asked", "answered", "due", "suspended"),
    [
        (False, 20, "2026-06-10", "2026-06-15", "2026-06-26", 5),  # the 11th to the 15th
        (
            False,
            20,
            "2026-06-10",
            "2026-06-10",
            "2026-06-22",
            0,
        ),  # asked and answered on one day; 21 is a Sunday
        (True, 5, "2026-06-04", "2026-06-09", "2026-06-11", 3),  # 5, 8 and 9 June
        (True, 5, "2026-06-05", "2026-06-07", "2026-06-08", 0),  # a weekend costs no working day
        (True, 5, "2026-06-05", "2026-06-08", "2026-06-09", 1),
    ],
)
def test_no_day_passes_while_information_is_asked_for(
    working: bool, days: int, asked: str, answered: str, due: str, suspended: int
):
    found = run(
        replace(TERM, days=days, working=working),
        "2026-06-15",
        ("ADMISSIBLE", "2026-06-01"),
        ("INFO_REQUESTED", asked),
        ("ADMISSIBLE", answered),
    )
    assert (found.due, found.suspended) == (date.fromisoformat(due), suspended)
    assert not found.stands_still


def test_suspensions_add_up():
    found = run(
        replace(TERM, days=20),
        "2026-06-30",
        ("ADMISSIBLE", "2026-06-01"),
        ("INFO_REQUESTED", "2026-06-03"),
        ("ADMISSIBLE", "2026-06-05"),
        ("INFO_REQUESTED", "2026-06-08"),
        ("UNDER_REVIEW", "2026-06-12"),
    )
    assert (found.suspended, found.due) == (6, date(2026, 6, 29))  # 27 June is a Saturday


def test_what_is_left_stays_while_the_clock_stands_still():
    entries = ("ADMISSIBLE", "2026-06-01"), ("INFO_REQUESTED", "2026-06-10")
    rule = replace(TERM, days=21)
    early, late = run(rule, "2026-06-12", *entries), run(rule, "2026-06-15", *entries)
    assert early.stands_still
    assert late.stands_still
    assert (early.elapsed, early.left, early.due) == (9, 12, date(2026, 6, 24))
    assert (late.elapsed, late.left, late.suspended) == (9, 14, 5)  # 27 June is a Saturday: the 29th
    assert late.due == date(2026, 6, 29)


def test_a_clock_that_ended_tells_how_long_it_took():
    found = run(TERM, "2026-12-01", ("ADMISSIBLE", "2026-06-01"), ("PERMIT_GRANTED", "2026-06-12"))
    assert (found.ended, found.elapsed, found.left) == (noon("2026-06-12"), 11, 4)
    assert not found.overdue


def test_a_clock_that_ended_too_late_stays_overdue_by_so_much():
    found = run(TERM, "2026-12-01", ("ADMISSIBLE", "2026-06-01"), ("PERMIT_GRANTED", "2026-06-18"))
    assert (found.left, found.overdue, found.elapsed) == (-2, True, 17)


def test_a_withdrawal_during_suspension_ends_the_clock():
    found = run(
        TERM,
        "2026-12-01",
        ("ADMISSIBLE", "2026-06-01"),
        ("INFO_REQUESTED", "2026-06-05"),
        ("WITHDRAWN", "2026-06-09"),
    )
    assert (found.elapsed, found.suspended, found.stands_still) == (4, 4, False)
    assert found.ended == noon("2026-06-09")


def test_returning_to_the_first_status_does_not_start_the_clock_again():
    found = run(
        TERM,
        "2026-06-10",
        ("ADMISSIBLE", "2026-06-01"),
        ("UNDER_REVIEW", "2026-06-03"),
        ("ADMISSIBLE", "2026-06-05"),
    )
    assert found.started == noon("2026-06-01")


def test_each_request_for_information_has_a_term_of_its_own():
    supply = replace(TERM, name="SUPPLY", starts=TERM.suspended, ends=TERM.starts, suspended=frozenset())
    gone = passages(
        ("ADMISSIBLE", "2026-06-01"),
        ("INFO_REQUESTED", "2026-06-02"),
        ("ADMISSIBLE", "2026-06-04"),
        ("INFO_REQUESTED", "2026-06-08"),
    )
    first, second = clocks(course(supply), gone, None, "SINGLE_PERMIT", noon("2026-06-10"))
    assert (first.started, first.ended) == (noon("2026-06-02"), noon("2026-06-04"))
    assert (second.started, second.ended) == (noon("2026-06-08"), None)


def test_telling_the_present_status_again_is_no_entry():
    supply = replace(TERM, ends=frozenset({"UNDER_REVIEW"}), starts=frozenset({"ADMISSIBLE", "UNDER_REVIEW"}))
    gone = passages(
        ("ADMISSIBLE", "2026-06-01"), ("UNDER_REVIEW", "2026-06-02"), ("UNDER_REVIEW", "2026-06-03")
    )
    assert len(clocks(course(supply), gone, None, "SINGLE_PERMIT", LATER)) == 1


OLD = replace(TERM, days=120, valid_until=date(2026, 5, 20))
NEW = replace(TERM, days=90, valid_from=date(2026, 5, 21))


@pytest.mark.parametrize(
    ("started", "days"), [("2026-05-20T21:59", 120), ("2026-05-20T22:00", 90), ("2026-05-21T10:00", 90)]
)
def test_the_day_on_which_a_clock_starts_settles_its_rule(started: str, days: int):
    at = datetime.fromisoformat(started).replace(tzinfo=UTC)
    (found,) = clocks(course(OLD, NEW), passages(("ADMISSIBLE", at)), None, "SINGLE_PERMIT", LATER)
    assert found.rule.days == days


def test_before_any_version_of_a_rule_there_is_no_clock():
    gone = passages(("ADMISSIBLE", "2026-05-20"))
    assert clocks(course(NEW), gone, None, "SINGLE_PERMIT", LATER) == []
    assert len(clocks(course(OLD), gone, None, "SINGLE_PERMIT", LATER)) == 1


WALLONIA = replace(TERM, days=15, working=True, regions=frozenset({"WALLONIA"}))
GENERAL = replace(TERM, days=30)


@pytest.mark.parametrize(("region", "days"), [("WALLONIA", 15), ("FLANDERS", 30), (None, 30)])
def test_a_region_may_have_a_rule_of_its_own(region: str | None, days: int):
    for rules in ((GENERAL, WALLONIA), (WALLONIA, GENERAL)):
        gone = passages(("ADMISSIBLE", "2026-06-01"))
        (found,) = clocks(course(*rules), gone, region, "SINGLE_PERMIT", LATER)
        assert found.rule.days == days


def test_a_type_of_permit_may_have_a_rule_of_its_own():
    blue = replace(TERM, days=90, permit_types=frozenset({"BLUE_CARD"}))
    gone = passages(("ADMISSIBLE", "2026-06-01"))
    days = [
        clocks(course(GENERAL, blue), gone, None, kind, LATER)[0].rule.days for kind in ("BLUE_CARD", "X")
    ]
    assert days == [90, 30]


def test_what_happened_after_the_moment_asked_about_is_not_known():
    gone = passages(("ADMISSIBLE", "2026-06-01"), ("PERMIT_GRANTED", "2026-06-12"))
    assert clocks(course(TERM), gone, None, "SINGLE_PERMIT", noon("2026-05-31")) == []
    (found,) = clocks(course(TERM), gone, None, "SINGLE_PERMIT", noon("2026-06-11"))
    assert (found.ended, found.left) == (None, 5)


def test_a_course_has_a_clock_for_each_term_that_started_in_order():
    first = replace(TERM, name="ADMISSIBILITY", starts=frozenset({"SUBMITTED"}), ends=TERM.starts)
    never = replace(TERM, name="CARD", starts=frozenset({"REGISTERED"}))
    gone = passages(("SUBMITTED", "2026-05-01"), ("ADMISSIBLE", "2026-06-01"))
    found = clocks(course(never, TERM, first), gone, None, "SINGLE_PERMIT", noon("2026-06-11"))
    assert [one.name for one in found] == ["ADMISSIBILITY", "TERM"]
    assert days_left(found) == 5
    assert days_left(found[:1]) is None


@pytest.mark.parametrize(
    ("left", "label"),
    [
        (None, "none"),
        (-1, "overdue"),
        (0, "0-7"),
        (7, "0-7"),
        (8, "8-30"),
        (30, "8-30"),
        (31, "31-60"),
        (60, "31-60"),
        (61, "61+"),
        (365, "61+"),
    ],
)
def test_days_left_are_told_by_their_bucket(left: int | None, label: str):
    assert bucket(left) == label


DAYS = st.dates(date(2024, 1, 1), date(2030, 12, 31))


@given(DAYS, st.integers(1, 150), st.booleans(), st.integers(0, 300))
def test_what_elapsed_and_what_is_left_make_the_whole_term(start: date, days: int, working: bool, after: int):
    rule = replace(TERM, days=days, working=working)
    found = run(
        rule, noon((start + timedelta(days=after)).isoformat()), ("ADMISSIBLE", noon(start.isoformat()))
    )
    assert is_working(found.due)
    moved = 0 if working else (found.due - start).days - days
    assert 0 <= moved <= 4  # never longer than the weekend of Christmas or Easter
    if found.left >= 0:
        assert found.elapsed + found.left == days + moved
    else:
        assert found.due < start + timedelta(days=after)


@given(DAYS, st.integers(1, 60), st.integers(0, 30), st.integers(0, 30))
def test_a_suspension_lengthens_a_term_by_its_days(start: date, days: int, before: int, length: int):
    asked, answered = start + timedelta(days=before), start + timedelta(days=before + length)
    entries = [("ADMISSIBLE", noon(start.isoformat()))]
    plain = run(replace(TERM, days=days), noon(start.isoformat()), *entries)
    entries += [("INFO_REQUESTED", noon(asked.isoformat())), ("ADMISSIBLE", noon(answered.isoformat()))]
    found = run(replace(TERM, days=days), LATER, *entries)
    nominal = start + timedelta(days=days + (length if before < days else 0))
    expected = next(nominal + timedelta(days=n) for n in range(9) if is_working(nominal + timedelta(days=n)))
    assert found.due == expected
    assert found.due >= plain.due


ON = Step(
    operation=OperationName("tell"),
    when=None,
    senders=frozenset({Role.REG}),
    before=frozenset({"SUBMITTED", "ADMISSIBLE"}),
    after="UNDER_REVIEW",
    interrupts=False,
    context=LegalContext("WIB:ADMISSIBILITY"),
    recipients={},
    inscribes=(),
    ends=frozenset(),
    binds=False,
)
STAYS = replace(ON, before=frozenset({"PERMIT_GRANTED"}), after=None)


def of_region(
    name: str, *, since: datetime | None = None, until: datetime | None = None, status: str = "ADMISSIBLE"
) -> DossierScope:
    at = noon("2026-06-01")
    here = Inscription(AuthorityId(name), Role.REG, since or at, until)
    return DossierScope(dossier_number(2026, 1), "SINGLE_PERMIT", "FIRST", status, at, (here,))


def agreed(*rules: Deadline) -> Agreement:
    one = replace(course(*rules), steps=(ON, STAYS))
    return replace(shipped(), courses={"FIRST": one})


def test_the_region_is_that_of_the_authority_that_is_competent_at_the_moment():
    now, rules = noon("2026-06-10"), agreed(GENERAL, WALLONIA)
    gone = passages(("ADMISSIBLE", "2026-06-01"))
    days = [
        clocks_of(scope, gone, rules, register(), now)[0].rule.days
        for scope in (
            of_region("WALLONIA"),
            of_region("FLANDERS"),
            of_region("WALLONIA", until=now),
            of_region("WALLONIA", since=now + timedelta(days=1)),
            of_region("GONE_FROM_THE_REGISTER"),
        )
    ]
    assert days == [15, 30, 30, 30, 30]


def test_a_dossier_without_a_course_has_no_clocks():
    strange = replace(of_region("WALLONIA"), permit_type="OTHER")
    gone = passages(("ADMISSIBLE", "2026-06-01"))
    assert clocks_of(strange, gone, agreed(TERM), register(), LATER) == []


def test_open_dossiers_are_counted_by_course_status_and_days_left():
    now, gone = noon("2026-06-10"), passages(("ADMISSIBLE", "2026-06-01"))
    dossiers = [
        (of_region("FLANDERS"), gone),
        (of_region("BRUSSELS"), gone),
        (of_region("BRUSSELS", status="SUBMITTED"), passages(("SUBMITTED", "2026-06-01"))),
        (of_region("BRUSSELS", status="PERMIT_GRANTED"), gone),  # from here nothing leads on
        (of_region("BRUSSELS", status="CLOSED"), gone),
        (replace(of_region("BRUSSELS"), permit_type="OTHER"), gone),
    ]
    assert open_dossiers(dossiers, agreed(TERM), register(), now) == {
        ("FIRST", "ADMISSIBLE", "0-7"): 2,
        ("FIRST", "SUBMITTED", "none"): 1,
    }
