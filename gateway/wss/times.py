"""xsd:dateTime as it travels: strict reading, one way of writing (PROTOCOL §4.7)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_DATE_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.([0-9]{1,9}))?"
    r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"  # XML Schema part 2 §3.2.7.3
)


def read(value: str, *, digits: int = 7) -> datetime:
    """An xsd:dateTime with a zone, in UTC. `fromisoformat` alone accepts far more forms (attack W07).

    `digits`: most of a second, up to nine. What is finer than a microsecond is cut off. Raises ValueError.
    """
    match = _DATE_TIME.fullmatch(value)
    if match is None or len(match[1] or "") > digits:
        raise ValueError(value)
    return datetime.fromisoformat(value).astimezone(UTC)


def write(moment: datetime) -> str:
    """UTC with milliseconds and Z: .NET and WSS4J read three digits, some stacks no more."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
