"""Counting days without walking over them: calendar days by arithmetic, working days by a table for each year."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import lru_cache

from gateway.policy.days import is_working


def count(after: date, until: date, *, working: bool) -> int:
    """How many days after the one, up to and with the other; of them the working days, if so."""
    if until <= after:
        return 0
    return _through(until) - _through(after) + _between(after, until) if working else (until - after).days


def later(day: date, days: int, *, working: bool) -> date:
    """The day on which so many days (at least 1) have passed since that day."""
    if not working:
        return day + timedelta(days=days)
    year, missing = day.year, days + _through(day)
    while missing > _table(year)[-1]:
        missing -= _table(year)[-1]
        year += 1
    return date(year, 1, 1) + timedelta(days=bisect_left(_table(year), missing))


def on_working_day(day: date) -> date:
    """The day itself, or the first working day after it."""
    return day if is_working(day) else later(day, 1, working=True)


def paused(after: date, until: date, pauses: Iterable[tuple[date, date]], *, working: bool) -> int:
    """How many of the days that `count` counts fall in a pause: after its first day, up to and with its last.

    `pauses`: in order of time.
    """
    found = 0
    for since, end in pauses:
        start, last = max(since, after), min(end, until)
        found += count(start, last, working=working)
        after = max(after, last)
    return found


def due(start: date, days: int, pauses: Sequence[tuple[date, date]], *, working: bool) -> date:
    """The last of so many days after the first, those of pauses left out, moved on to a working day.

    `pauses`: as `paused`.
    """
    last = later(start, days, working=working)
    for since, end in pauses:
        resumed = max(since, start)
        if resumed < last and resumed < end:
            last = later(end, count(resumed, last, working=working), working=working)
            start = end
    return on_working_day(last)


def _through(day: date) -> int:
    """Working days of the year up to and with the day."""
    return _table(day.year)[day.timetuple().tm_yday - 1]


def _between(one: date, other: date) -> int:
    """Working days of the years from that of the one to before that of the other."""
    return sum(_table(year)[-1] for year in range(one.year, other.year))


@lru_cache(maxsize=256)
def _table(year: int) -> Sequence[int]:
    """For each day of the year: the working days up to and with it."""
    day, found, passed = date(year, 1, 1), [], 0
    while day.year == year:
        passed += is_working(day)
        found.append(passed)
        day += timedelta(days=1)
    return tuple(found)
