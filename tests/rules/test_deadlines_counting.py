"""Days counted by table agree with days counted one by one, on any dates and through any suspensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import DossierScope, Passage
from gateway.policy import counting
from gateway.policy.days import BELGIUM, is_working
from gateway.policy.deadlines import bucket, clocks_of, days_left, open_dossiers
from tests.rules.notify_world import register
from tests.rules.test_deadlines import GENERAL, TERM, WALLONIA, agreed, noon, of_region, passages, run

DAY = timedelta(days=1)
DAYS = st.dates(date(2023, 1, 1), date(2031, 12, 31))
GAPS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4)


def one_by_one(after: date, until: date, counts: Callable[[date], bool]) -> int:
    return sum(counts(after + n * DAY) for n in range(1, (until - after).days + 1))


def last_day(start: date, days: int, counts: Callable[[date], bool]) -> date:
    day = start
    while days > 0:
        day += DAY
        days -= counts(day)
    while not is_working(day):
        day += DAY
    return day


def suspensions(start: date, gaps: list[tuple[int, int]]) -> list[tuple[date, date]]:
    """So many days on, then so many days of standing still, and again."""
    found, day = [], start
    for running, still in gaps:
        found.append((day + running * DAY, day + (running + still) * DAY))
        day = found[-1][1]
    return found


def at_noon(day: date) -> datetime:
    return datetime.combine(day, time(12), BELGIUM)


@given(DAYS, st.integers(-400, 1500), st.booleans())
def test_days_between(after: date, length: int, working: bool):
    until = after + length * DAY
    expected = one_by_one(after, until, lambda day: not working or is_working(day))
    assert counting.count(after, until, working=working) == expected


@given(DAYS, st.integers(1, 700), st.booleans())
def test_so_many_days_later(start: date, days: int, working: bool):
    later = counting.later(start, days, working=working)
    assert counting.count(start, later, working=working) == days
    assert counting.count(start, later - DAY, working=working) == days - 1


@given(DAYS, st.integers(1, 200), GAPS, st.booleans(), st.integers(0, 500), st.booleans())
def test_a_clock_is_what_it_is_when_every_day_is_looked_at(
    start: date, days: int, gaps: list[tuple[int, int]], working: bool, after: int, ended: bool
):
    pauses = suspensions(start, gaps)
    until = max([start, *(end for _, end in pauses)]) + after * DAY
    entries = [("ADMISSIBLE", at_noon(start))]
    for since, end in pauses:
        entries += [("INFO_REQUESTED", at_noon(since)), ("ADMISSIBLE", at_noon(end))]
    entries += [("WITHDRAWN", at_noon(until))] if ended else []
    now = at_noon(until + (30 * DAY if ended else 0 * DAY))
    found = run(replace(TERM, days=days, working=working), now, *entries)

    def of_rule(day: date) -> bool:
        return not working or is_working(day)

    def counts(day: date) -> bool:
        return of_rule(day) and not any(since < day <= end for since, end in pauses)

    due, elapsed = last_day(start, days, counts), one_by_one(start, until, counts)
    left = one_by_one(until, due, of_rule) if until <= due else -max(1, one_by_one(due, until, of_rule))
    spent = one_by_one(start, until, of_rule)
    assert (found.due, found.elapsed, found.suspended, found.left) == (due, elapsed, spent - elapsed, left)


WAYS = st.lists(
    st.tuples(
        st.sampled_from(
            ["SUBMITTED", "ADMISSIBLE", "INFO_REQUESTED", "UNDER_REVIEW", "PERMIT_GRANTED", "WITHDRAWN"]
        ),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=8,
)
RULES = agreed(
    GENERAL, WALLONIA, replace(TERM, name="OTHER", starts=frozenset({"SUBMITTED"}), working=True, days=12)
)


@given(st.lists(st.tuples(WAYS, st.sampled_from(["WALLONIA", "FLANDERS"])), max_size=6), st.integers(0, 90))
def test_the_survey_says_what_the_clocks_of_each_dossier_say(told: list, after: int):
    dossiers: list[tuple[DossierScope, list[Passage]]] = []
    now = noon("2026-09-01") + after * DAY
    for way, region in told:
        day, entries = noon("2026-06-01"), []
        for status, gap in way:
            day += gap * DAY
            entries.append((status, day))
        dossiers.append((of_region(region, status=way[-1][0]), passages(*entries)))
    expected: dict[tuple[str, str, str], int] = {}
    for scope, gone in dossiers:
        if scope.status in {"SUBMITTED", "ADMISSIBLE"}:  # from the others nothing leads on
            left = days_left(clocks_of(scope, gone, RULES, register(), now))
            place = ("FIRST", scope.status, bucket(left))
            expected[place] = expected.get(place, 0) + 1
    assert open_dossiers(dossiers, RULES, register(), now) == expected
