"""`gateway agreement show --courses`: the process of each procedure, step by step, and how long it may take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Final

from gateway.agreement.course import Course, Deadline, Step
from gateway.cli.lines import write
from gateway.model import Role

_WIDTH: Final = 100  # columns, whatever the terminal: long lists of statuses go on below


def print_courses(courses: Iterable[Course], roles: list[Role]) -> None:
    """Of each course the steps in which one of the roles takes part, then every deadline."""
    for course in courses:
        write(
            f"{course.name}: {', '.join(sorted(course.permit_types))} · {', '.join(sorted(course.procedures))}"
        )
        for step in course.steps:
            if _concerns(step, roles):
                write("\n".join(["", *_step_lines(step)]))
        for deadline in course.deadlines:
            write("\n".join(["", *_deadline_lines(deadline)]))
        write("")


def course_facts(courses: Iterable[Course], roles: list[Role]) -> dict[str, object]:
    """The same, for machines."""
    return {
        course.name: {
            "permit_types": sorted(course.permit_types),
            "procedures": sorted(course.procedures),
            "basis": list(course.basis),
            "certainty": course.certainty,
            "steps": [_step(step) for step in course.steps if _concerns(step, roles)],
            "deadlines": [_deadline(one) for one in course.deadlines],
        }
        for course in courses
    }


def _concerns(step: Step, roles: list[Role]) -> bool:
    return not step.senders.isdisjoint(roles) or not step.recipients.keys().isdisjoint(roles)


def _step_lines(step: Step) -> Iterator[str]:
    """What is told; by whom; from which statuses to which; whose part begins (+) or ends (-); who hears of it."""
    when = "" if step.when is None else f" with {step.when[0]} = {step.when[1]}"
    yield f"  {step.operation}{when} [{step.certainty}]"
    yield f"      by {', '.join(sorted(step.senders))} ({step.context})"
    for field, values in step.allows.items():
        yield f"      may say {field} = {', '.join(sorted(values))}"
    parts = [f"+{role}" for role in step.inscribes] + [f"-{role}" for role in sorted(step.ends)]
    outcome = f"to {' '.join([step.after or 'the same status', *parts])}"
    if step.before:
        yield from _folded("from", sorted(step.before))
    yield f"      {outcome}"
    for role, context in step.recipients.items():
        yield f"      → {role} ({context})"


def _deadline_lines(one: Deadline) -> Iterator[str]:
    until = "" if one.valid_until is None else f" until {one.valid_until}"
    limits = sorted((one.regions or frozenset()) | (one.permit_types or frozenset()))
    yield f"  {one.name}: {one.days} {'working ' if one.working else ''}days [{one.certainty}]"
    yield f"      for {', '.join(limits) or 'all'}, in force from {one.valid_from}{until}"
    yield from _folded("starts at", sorted(one.starts))
    yield from _folded("stands still at", sorted(one.suspended))
    yield from _folded("ends at", sorted(one.ends))


def _folded(what: str, statuses: list[str]) -> list[str]:
    """No line for no status."""
    text = f"{what} {', '.join(statuses)}" if statuses else ""
    return wrap(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 10)


def _step(step: Step) -> dict[str, object]:
    return {
        "operation": step.operation,
        "when": None if step.when is None else {step.when[0]: step.when[1]},
        "senders": sorted(step.senders),
        "context": step.context,
        "before": sorted(step.before),
        "after": step.after,
        "allows": {field: sorted(values) for field, values in step.allows.items()},
        "interrupts": step.interrupts,
        "recipients": dict(step.recipients),
        "inscribes": list(step.inscribes),
        "ends": sorted(step.ends),
        "binds": step.binds,
        "basis": list(step.basis),
        "certainty": step.certainty,
        "note": step.note,
    }


def _deadline(one: Deadline) -> dict[str, object]:
    return {
        "name": one.name,
        "starts": sorted(one.starts),
        "ends": sorted(one.ends),
        "suspended": sorted(one.suspended),
        "days": one.days,
        "working": one.working,
        "regions": None if one.regions is None else sorted(one.regions),
        "permit_types": None if one.permit_types is None else sorted(one.permit_types),
        "valid_from": one.valid_from.isoformat(),
        "valid_until": None if one.valid_until is None else one.valid_until.isoformat(),
        "basis": list(one.basis),
        "certainty": one.certainty,
        "note": one.note,
    }
