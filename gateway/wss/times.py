"""xsd:dateTime as it travels: strict reading, one way of writing (PROTOCOL §4.7)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_DATE_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)


def read(value: str, *, digits: int = 7) -> datetime:
    """An xsd:dateTime with a zone, in UTC. `fromisoformat` accepts far more forms (attack W07).

    `digits`: most of a second, up to nine. What is finer than a microsecond is cut off. Raises ValueError.
    """
    match = _DATE_TIME.fullmatch(value)
    if match is None or len(match[7] or "") > digits:
        raise ValueError(value)
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    microsecond = int((match[7] or "0").ljust(6, "0")[:6])
    zone = timezone(_offset(match[8], match[9], match[10])) if match[8] else UTC
    return datetime(year, month, day, hour, minute, second, microsecond, zone).astimezone(UTC)


def write(moment: datetime) -> str:
    """UTC with milliseconds and Z: .NET and WSS4J read three digits, some stacks no more."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def _offset(sign: str, hours: str, minutes: str) -> timedelta:
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if int(minutes) > 59 or offset > timedelta(hours=14):  # XML Schema part 2 §3.2.7.3
        raise ValueError(hours)
    return -offset if sign == "-" else offset
