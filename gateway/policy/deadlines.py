"""How long a dossier may still take: the terms of its course, by the statuses it went through (PROTOCOL §15).

How days are counted: Regulation (EEC, Euratom) No 1182/71, with which the Judicial Code (arts. 52, 53) agrees.

- Days, working days and public holidays are those of `days`.
- The day of the event that starts a term does not count (art. 3(1)). A term of days ends with the last hour of its
  last day (art. 3(2)(b)): what happens on that day is in time.
- A term that ends on a Saturday, a Sunday or a public holiday ends on the next working day (art. 3(4)).
- While a term is suspended no day of it passes. The day on which it is suspended still counts; the day on which the
  dossier goes on does not: it is the day of an event.

What follows from the end of a term is for the authorities: it is shown here, and nothing is decided by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from gateway.agreement.course import Course, Deadline
from gateway.agreement.load import Agreement
from gateway.agreement.register import Register
from gateway.model import DossierScope, Passage, Role
from gateway.policy import counting
from gateway.policy.days import day_of
from gateway.policy.routing import is_open


@dataclass(frozen=True, slots=True)
class Running:
    """A clock of one dossier: a term that started, and perhaps ended. Days are those of its rule."""

    rule: Deadline  # the version that held on the day on which the clock started
    started: datetime
    ended: datetime | None  # None: open
    due: date  # last day; while the clock stands still, as if it went on tomorrow
    elapsed: int  # days that counted, until the end or until now
    suspended: int  # days that did not, because the clock stood still
    stands_still: bool  # it does so now
    left: int  # days from the end, or from now, until the due date; negative: days too late

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def overdue(self) -> bool:
        """Did the due date pass before the end, or before now?"""
        return self.left < 0


def clocks(
    course: Course, passages: Sequence[Passage], region: str | None, permit_type: str, now: datetime
) -> list[Running]:
    """Every clock of the dossier that started by `now`, in the order in which they started.

    A term starts anew when its status is entered again after it ended: each request for information has its own.
    `passages`: in order of time. `region`: of the competent authority; None when there is none.
    """
    runs = _runs_of(course, passages, region, permit_type, now)
    return sorted((_clock(run, now) for run in runs), key=lambda one: (one.started, one.due, one.name))


def clocks_of(
    scope: DossierScope, passages: Sequence[Passage], agreement: Agreement, register: Register, now: datetime
) -> list[Running]:
    """The clocks of a dossier by the agreement; none when the agreement has no course for it."""
    course = agreement.course(scope.permit_type, scope.procedure)
    if course is None:
        return []
    return clocks(course, passages, _region(scope, register, now), scope.permit_type, now)


def open_dossiers(
    dossiers: Iterable[tuple[DossierScope, Sequence[Passage]]],
    agreement: Agreement,
    register: Register,
    now: datetime,
) -> Mapping[tuple[str, str, str], int]:
    """How many dossiers stand where: (course, status, bucket of days left) → count.

    A dossier is open while some step of its course leads on from its status.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    leading = {course.name: _leading(course) for course in agreement.courses.values()}
    for scope, passages in dossiers:
        course = agreement.course(scope.permit_type, scope.procedure)
        if course is not None and scope.status in leading[course.name]:
            runs = _runs_of(course, passages, _region(scope, register, now), scope.permit_type, now)
            left = days_left(_clock(run, now) for run in runs if run.ended is None)
            found[course.name, scope.status, bucket(left)] += 1
    return found


def days_left(running: Iterable[Running]) -> int | None:
    """Of the open clock that ends first; None when none is open."""
    first = min((one for one in running if one.ended is None), key=lambda one: one.due, default=None)
    return None if first is None else first.left


def bucket(left: int | None) -> str:
    """The label of a metric for so many days left: a dossier must not be known by its day."""
    if left is None:
        return "none"
    if left < 0:
        return "overdue"
    return next((name for name, last in (("0-7", 7), ("8-30", 30), ("31-60", 60)) if left <= last), "61+")


@dataclass(slots=True)
class _Run:
    """From the entry that starts a term to the one that ends it, as far as the passages tell."""

    rule: Deadline
    started: datetime
    pauses: list[tuple[datetime, datetime | None]] = field(default_factory=list)  # None: it stands still
    ended: datetime | None = None

    def enter(self, status: str, at: datetime) -> None:
        if self.pauses and self.pauses[-1][1] is None:
            self.pauses[-1] = self.pauses[-1][0], at
        if status in self.rule.ends:
            self.ended = at
        elif status in self.rule.suspended:
            self.pauses.append((at, None))


def _leading(course: Course) -> frozenset[str]:
    """The statuses from which some step leads on."""
    return frozenset(
        status for step in course.steps for status in step.before if step.after not in {None, status}
    )


def _region(scope: DossierScope, register: Register, now: datetime) -> str | None:
    """Of the authority that is competent at the moment."""
    regions = (
        register.by_id[one.authority].region
        for one in scope.inscriptions
        if one.role is Role.REG and one.since <= now and is_open(one, now) and one.authority in register.by_id
    )
    return next(regions, None)


def _runs_of(
    course: Course, passages: Iterable[Passage], region: str | None, permit_type: str, now: datetime
) -> Iterator[_Run]:
    """Each time that a term of the course ran in such a dossier."""
    rules: dict[str, list[Deadline]] = {}
    for rule in course.deadlines:
        if _concerns(rule.regions, region) and _concerns(rule.permit_types, permit_type):
            rules.setdefault(rule.name, []).append(rule)
    entries = list(_entries(passages, now))
    return (run for versions in rules.values() for run in _runs(versions, entries))


def _entries(passages: Iterable[Passage], now: datetime) -> Iterator[tuple[str, datetime]]:
    """Status and time of each entry into a status; telling the status that a dossier has is none."""
    before = None
    for one in passages:
        if one.since <= now and one.status != before:
            yield one.status, one.since
        before = one.status


def _concerns(named: frozenset[str] | None, value: str | None) -> bool:
    return named is None or value in named


def _runs(versions: Iterable[Deadline], entries: Iterable[tuple[str, datetime]]) -> list[_Run]:
    """Each time that the term ran. `versions`: of one term, for such a dossier."""
    runs: list[_Run] = []
    starting = frozenset[str]().union(*(one.starts for one in versions))
    for status, at in entries:
        if runs and runs[-1].ended is None:
            runs[-1].enter(status, at)
        elif status in starting:
            rule = _version(versions, day_of(at))
            if rule is not None and status in rule.starts:
                runs.append(_Run(rule, at))
    return runs


def _version(versions: Iterable[Deadline], day: date) -> Deadline | None:
    """The version that holds on the day; a more particular one goes before a general, a newer before an older."""
    held = (
        one
        for one in versions
        if one.valid_from <= day and (one.valid_until is None or day <= one.valid_until)
    )
    return max(
        held,
        key=lambda one: (one.permit_types is not None, one.regions is not None, one.valid_from),
        default=None,
    )


def _clock(run: _Run, now: datetime) -> Running:
    rule, start = run.rule, day_of(run.started)
    until = day_of(run.ended or now)
    pauses = [(day_of(since), day_of(end or now)) for since, end in run.pauses]
    last = counting.due(start, rule.days, pauses, working=rule.working)
    suspended = counting.paused(start, until, pauses, working=rule.working)
    return Running(
        rule=rule,
        started=run.started,
        ended=run.ended,
        due=last,
        elapsed=counting.count(start, until, working=rule.working) - suspended,
        suspended=suspended,
        stands_still=bool(run.pauses) and run.pauses[-1][1] is None,
        left=_left(until, last, working=rule.working),
    )


def _left(until: date, last: date, *, working: bool) -> int:
    """Days until the last one; a day too late is one even when it is no working day."""
    if until <= last:
        return counting.count(until, last, working=working)
    return -max(1, counting.count(last, until, working=working))
