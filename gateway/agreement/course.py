"""Courses: the process of each procedure as compiled data: what may be told when, and how long it may take.

A course is a table of steps; a step is one arrow of the process. Nothing here knows a type of permit: another
procedure is another table. Made by `load_course` only; whether a notification takes a step is decided in
`gateway.policy.notify`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from gateway.model import FieldId, LegalContext, OperationName, Role

RESUME: Final = "RESUME"  # in `after`: the status that was interrupted
Telling = tuple[Role, Role, LegalContext]  # who tells, who hears, and the context in which it hears


@dataclass(frozen=True, slots=True)
class Step:
    """One arrow: who tells what at which status, what comes of it, and who hears of it in which context."""

    operation: OperationName
    when: tuple[FieldId, str] | None  # the step is meant only when the payload has this value in this field
    senders: frozenset[Role]
    before: frozenset[str]  # statuses at which it may happen; empty: it opens the dossier
    after: str | None  # status that it leads to; RESUME; None: the status stays
    interrupts: bool  # the status before it is kept, to be resumed
    context: LegalContext  # that the sender invokes
    recipients: Mapping[Role, LegalContext]  # role → the context under which its authorities receive
    inscribes: tuple[Role, ...]  # roles whose authorities get their part in the dossier
    ends: frozenset[Role]  # roles whose part ends
    binds: bool  # an INSZ in the payload is from now on the person of the dossier
    basis: tuple[str, ...] = ()
    certainty: str = "J"
    note: str = ""
    allows: Mapping[FieldId, frozenset[str]] = field(
        default_factory=dict
    )  # outcomes that the payload may repeat

    @property
    def opens(self) -> bool:
        """Does it open the dossier?"""
        return not self.before

    def values(self, outcome: FieldId) -> frozenset[str]:
        """What a payload that takes the step may say in a field by which steps of the course are told apart."""
        own = {self.when[1]} if self.when is not None and self.when[0] == outcome else set()
        return self.allows.get(outcome, frozenset()) | own

    def tellings(self) -> Iterator[Telling]:
        """Who can hear of it from whom.

        Of a role that takes part once nobody is left to hear its own authority, unless the step brings in another.
        """
        for sender in sorted(self.senders):
            for role, context in self.recipients.items():
                if role is not sender or role in self.inscribes:
                    yield sender, role, context


@dataclass(frozen=True, slots=True)
class Deadline:
    """A term of a course: a dated rule. Which version applies is settled by the day on which the clock starts."""

    name: str  # "OVERALL_TERM"
    starts: frozenset[str]  # entry into one of these statuses starts the clock, again when it had ended
    ends: frozenset[str]  # entry into one of these ends it
    suspended: frozenset[str]  # while the dossier is in one of these the clock stands still
    days: int
    working: bool  # Belgian working days; else calendar days
    regions: frozenset[str] | None  # regions of the competent authority; None: every region
    permit_types: frozenset[str] | None  # None: every type of the course
    valid_from: date
    valid_until: date | None  # last day on which a clock may start under this rule
    basis: tuple[str, ...]
    certainty: str
    note: str


@dataclass(frozen=True, slots=True)
class Course:
    """The process of some procedures."""

    name: str
    permit_types: frozenset[str]
    procedures: frozenset[str]
    steps: tuple[Step, ...]
    deadlines: tuple[Deadline, ...]
    basis: tuple[str, ...]
    certainty: str

    @property
    def outcomes(self) -> frozenset[FieldId]:
        """The fields by which its steps are told apart: a payload may contradict no step in them."""
        return frozenset(step.when[0] for step in self.steps if step.when is not None)


@dataclass(frozen=True, slots=True)
class Routing:
    """Which field of a payload names the authority of a role; a role without one has a single authority."""

    fields: Mapping[Role, FieldId]  # REG: place of work, MUN: residence, CONS: post
    main: FieldId | None  # of several places of work the one that counts: boolean field beside the first


@dataclass(frozen=True, slots=True)
class NisRule:
    """A dated rule: municipalities whose NIS code begins so lie in this region, from until."""

    prefix: str
    region: str
    valid_from: date
    valid_until: date | None  # last day


@dataclass(frozen=True, slots=True)
class NisMerger:
    """From this day on the municipality is part of another, or has another code."""

    nis: str
    into: str
    since: date


@dataclass(frozen=True, slots=True)
class Places:
    """Dated knowledge of municipalities; the longest prefix that is valid on the day decides."""

    regions: tuple[NisRule, ...]
    mergers: tuple[NisMerger, ...]

    def current(self, nis: str, day: date) -> str:
        """The code under which the municipality is known on the day, after every merger."""
        for _ in self.mergers:  # each merger is taken at most once, so that a circle ends
            found = next((one for one in self.mergers if one.nis == nis and one.since <= day), None)
            if found is None:
                return nis
            nis = found.into
        return nis

    def region(self, nis: str, day: date) -> str | None:
        """The region, None when no rule of that day has one."""
        code = self.current(nis, day)
        valid = [
            one
            for one in self.regions
            if code.startswith(one.prefix)
            and one.valid_from <= day
            and (one.valid_until is None or day <= one.valid_until)
        ]
        return max(valid, key=lambda one: len(one.prefix)).region if valid else None
