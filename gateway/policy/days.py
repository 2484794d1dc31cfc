"""Belgian days: which day it is, and which days are working days."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

BELGIUM: Final = ZoneInfo("Europe/Brussels")
_SATURDAY: Final = 5  # of date.weekday


def day_of(time: datetime) -> date:
    """The day that it is in Belgium: an event just after midnight there is of the new day."""
    return time.astimezone(BELGIUM).date()


def is_working(day: date) -> bool:
    """Working days are all days but public holidays, Sundays and Saturdays (Regulation 1182/71, art. 2(2)).

    Public holidays are those of the law (art. 2(1)): the Act of 4 January 1974 and the Royal Decree of
    18 April 1974, art. 1, which the library knows. Holidays of a Community or of the administration are none.
    """
    return day.weekday() < _SATURDAY and day not in _public_holidays(day.year)


@lru_cache(maxsize=256)
def _public_holidays(year: int) -> frozenset[date]:
    from holidays import country_holidays  # noqa: PLC0415 - all calendars of the world, for those who count days

    return frozenset(country_holidays("BE", years=year))
