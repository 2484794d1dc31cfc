"""The shape of contracts/procedures.toml and contracts/places.toml: strict, unknown keys refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

from msgspec import field

from gateway.agreement.rows import Certainty, Row


class CourseRow(Row, frozen=True):
    """[courses.X] of procedures.toml; each step and each deadline is decoded by itself."""

    permit_types: list[str]
    procedures: list[str]
    steps: list[Any]
    basis: list[str]
    certainty: Certainty
    deadlines: list[Any] = field(default_factory=list)


class StepRow(Row, frozen=True):
    """[[courses.X.steps]]"""

    operation: str
    senders: list[str]
    context: str
    recipients: dict[str, str]
    basis: list[str]
    certainty: Certainty
    when: dict[str, str] = field(default_factory=dict)
    allows: dict[str, list[str]] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    after: str | None = None
    interrupts: bool = False
    inscribes: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    binds: bool = False
    note: str = ""


class DeadlineRow(Row, frozen=True):
    """[[courses.X.deadlines]]"""

    name: str
    starts: list[str]
    ends: list[str]
    days: int
    working: bool
    valid_from: dt.date
    basis: list[str]
    certainty: Certainty
    suspended: list[str] = field(default_factory=list)
    regions: list[str] | None = None
    permit_types: list[str] | None = None
    valid_until: dt.date | None = None
    note: str = ""


class RegionRow(Row, frozen=True):
    """[[region]] of places.toml"""

    prefixes: list[str]
    region: str
    valid_from: dt.date
    certainty: Certainty
    valid_until: dt.date | None = None


class MergerRow(Row, frozen=True, rename={"codes": "from"}):
    """[[merger]] of places.toml"""

    codes: list[str]
    into: str
    since: dt.date
    certainty: Certainty
