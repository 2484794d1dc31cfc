"""What makes no sense in a course as a whole.

What is never reached, never begun or never ended, what could be meant twice, and what would open a dossier to
somebody whom it never concerned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from gateway.agreement.course import RESUME, Course, Deadline, Step
from gateway.agreement.course_walk import Move, moves
from gateway.agreement.finding import Findings
from gateway.model import Role

_NO_STATUS: Final = frozenset({None, RESUME})


def check_pairs(courses: Mapping[str, Course], findings: Findings) -> None:
    """A pair of permit type and procedure has at most one course."""
    for one, other in combinations(courses.values(), 2):
        if one.permit_types & other.permit_types and one.procedures & other.procedures:
            findings.add(f"courses.{other.name}", f"{one.name} has dossiers of the same type and procedure")


def check_course(
    course: Course, statuses: Mapping[Role, frozenset[str]], path: str, findings: Findings
) -> None:
    """Every step can be taken, by somebody who takes part, and only one is meant; every deadline runs and ends.

    `statuses`: those at which a dossier is open to a role.
    """
    if not any(step.opens for step in course.steps):
        findings.add(f"{path}.steps", "no step opens a dossier")
    reached, parts = _reached(course.steps), {role for step in course.steps for role in step.inscribes}
    for n, step in enumerate(course.steps):
        _check_step(step, course.steps, f"{path}.steps[{n}]", findings)
        for status in sorted(step.before - reached):
            findings.add(f"{path}.steps[{n}].before", f'status "{status}" is never reached')
        for role in sorted({*step.senders, *step.recipients, *step.ends} - parts):
            findings.add(f"{path}.steps[{n}]", f"role {role} never gets a part in the dossier")
        for field in sorted(set(step.allows) - course.outcomes):
            findings.add(f"{path}.steps[{n}].allows", f"no step is told apart by {field}")
    _check_ambiguity(course.steps, path, findings)
    for n, deadline in enumerate(course.deadlines):
        _check_deadline(deadline, reached, f"{path}.deadlines[{n}]", findings)
        _check_end(deadline, course.steps, f"{path}.deadlines[{n}]", findings)
    for role in sorted(parts):
        _check_opened(role, statuses.get(role, frozenset()), course.steps, path, findings)
    _check_versions(course.deadlines, path, findings)


def _reached(steps: Iterable[Step]) -> frozenset[str]:
    """Every status that some way through the course leads to; what is resumed was reached before."""
    reached: frozenset[str] = frozenset()
    while True:
        taken = (step for step in steps if step.opens or step.before & reached)
        after = reached | {step.after for step in taken if step.after is not None and step.after != RESUME}
        if after == reached:
            return reached
        reached = after


def _check_step(step: Step, steps: Iterable[Step], path: str, findings: Findings) -> None:
    if not step.senders:
        findings.add(f"{path}.senders", "nobody tells it")
    if step.opens and step.after in _NO_STATUS:
        findings.add(f"{path}.after", "a step that opens the dossier gives it a status")
    if step.opens and not step.senders <= set(step.inscribes):
        findings.add(f"{path}.inscribes", "who opens a dossier gets a part in it")
    if step.interrupts and (step.opens or step.after in _NO_STATUS):
        findings.add(f"{path}.interrupts", "only a status that leads to another can be interrupted")
    if step.after == RESUME:
        interrupting = {one.after for one in steps if one.interrupts}
        if not step.before or not step.before <= interrupting:
            findings.add(
                f"{path}.after", "no step interrupts a status to get there: there is nothing to resume"
            )


def _check_ambiguity(steps: Iterable[Step], path: str, findings: Findings) -> None:
    for (_, one), (n, other) in combinations(enumerate(steps), 2):
        same = (one.operation, one.context) == (other.operation, other.context)
        at_once = one.before & other.before or (one.opens and other.opens)
        if same and one.senders & other.senders and at_once and _alike_meant(one, other):
            findings.add(f"{path}.steps[{n}]", "another step is meant by the same message at the same status")


def _alike_meant(one: Step, other: Step) -> bool:
    """Is no value needed for either, or may one payload have those of both? The order in the file would decide."""
    if one.when is None or other.when is None:
        return one.when is other.when
    return one.when[1] in other.values(one.when[0]) and other.when[1] in one.values(other.when[0])


def _check_deadline(deadline: Deadline, reached: frozenset[str], path: str, findings: Findings) -> None:
    for name in ("starts", "ends", "suspended"):
        statuses: frozenset[str] = getattr(deadline, name)
        if not statuses and name != "suspended":
            findings.add(f"{path}.{name}", "no status")
        for status in sorted(statuses - reached):
            findings.add(f"{path}.{name}", f'status "{status}" is never reached')
    if deadline.starts & deadline.ends:
        findings.add(f"{path}.ends", "what starts a clock does not end it")


def _check_versions(deadlines: Iterable[Deadline], path: str, findings: Findings) -> None:
    """The more particular rule goes before the general, the newer before the older; two alike are one too many."""
    for (_, one), (n, other) in combinations(enumerate(deadlines), 2):
        if (
            (one.name, one.valid_from) == (other.name, other.valid_from)
            and _alike(one.regions, other.regions)
            and _alike(one.permit_types, other.permit_types)
        ):
            findings.add(f"{path}.deadlines[{n}]", f"another rule of {one.name} begins on the same day")


def _alike(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    """Do both rules hold for some same thing, the one as particular as the other?"""
    if one is None or other is None:
        return one is other
    return bool(one & other)


def _check_opened(
    role: Role, statuses: frozenset[str], steps: tuple[Step, ...], path: str, findings: Findings
) -> None:
    """A status that does not tell how far the dossier came opens it only to whom it was open before.

    Such a status is one that other ways enter after the dossier was open to the role, or one with which it ends. A
    step that inscribes the role means to open the dossier to it.
    """

    def remember(memory: tuple[bool, bool], step: Step, status: str, _: bool) -> Iterator[tuple[bool, bool]]:  # noqa: FBT001 - as `moves` calls it
        part, opened = memory
        keeps = part and role not in step.ends
        for has in {keeps, keeps or role in step.inscribes}:  # nobody, where the file names no place
            yield has, opened or (has and status in statuses)

    def was_open(move: Move[tuple[bool, bool]]) -> bool:
        return move.before is not None and move.before.memory[1]

    opening = [
        one
        for one in moves(steps, remember, start=(False, False))
        if one.enters and one.after.memory[0] and one.after.status in statuses
    ]
    later = {one.after.status for one in opening if was_open(one)} | _last(steps)
    found = {
        (one.at, one.after.status)
        for one in opening
        if not was_open(one) and one.after.status in later and role not in steps[one.at].inscribes
    }
    for at, status in sorted(found):
        findings.add(f"{path}.steps[{at}]", f'"{status}" would open to role {role} what was never open to it')


def _last(steps: Iterable[Step]) -> set[str]:
    """The statuses from which nothing leads on."""
    leaving = {status for step in steps for status in step.before if step.after not in {None, status}}
    return {step.after for step in steps if step.after is not None and step.after != RESUME} - leaving


def _check_end(deadline: Deadline, steps: tuple[Step, ...], path: str, findings: Findings) -> None:
    """No clock runs on in a dossier in which nothing more can happen."""

    def remember(runs: bool, _: Step, status: str, enters: bool) -> Iterator[bool]:  # noqa: FBT001 - as `moves` calls it
        yield (status not in deadline.ends if runs else status in deadline.starts) if enters else runs

    last = _last(steps)
    ended = {one.after.status for one in moves(steps, remember, start=False) if one.after.memory}
    for status in sorted(ended & last):
        findings.add(f"{path}.ends", f'the clock would never end: it can still run at "{status}"')
