"""`gateway agreement show --courses`: the process of each procedure, step by step, and how long it may take."""

from __future__ import annotations

from rich.console import Console
from rich.table import Column, Table

from gateway.agreement.course import Course, Deadline, Step
from gateway.agreement.load import Agreement
from gateway.model import Role


def print_courses(agreement: Agreement, roles: list[Role]) -> None:
    """Of each course the steps in which one of the roles takes part, and every deadline."""
    console = Console()
    for course in agreement.courses.values():
        console.print(_steps(course, roles))
        if course.deadlines:
            console.print(_deadlines(course))


def course_facts(agreement: Agreement, roles: list[Role]) -> dict[str, object]:
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
        for course in agreement.courses.values()
    }


def _concerns(step: Step, roles: list[Role]) -> bool:
    return not step.senders.isdisjoint(roles) or not step.recipients.keys().isdisjoint(roles)


def _steps(course: Course, roles: list[Role]) -> Table:
    dossiers = f"{', '.join(sorted(course.permit_types))} · {', '.join(sorted(course.procedures))}"
    table = _table("Step", "Who", "From", "To", "Who hears", title=f"{course.name}: {dossiers}")
    for step in course.steps:
        if _concerns(step, roles):
            table.add_row(
                f"{_told(step)}\n[dim]{step.certainty}[/dim]",
                f"{', '.join(sorted(step.senders))}\n[dim]{step.context}[/dim]",
                "\n".join(sorted(step.before)) or "-",
                _outcome(step),
                "\n".join(f"{role} [dim]{context}[/dim]" for role, context in step.recipients.items()),
            )
    return table


def _table(*columns: str, title: str) -> Table:
    """Names are long: a narrow terminal breaks them, and loses none."""
    return Table(*(Column(name, overflow="fold") for name in columns), title=title, show_lines=True)


def _told(step: Step) -> str:
    return step.operation if step.when is None else f"{step.operation}\n{step.when[0]} = {step.when[1]}"


def _outcome(step: Step) -> str:
    """The status that it leads to, and whose part in the dossier begins (+) or ends (-)."""
    parts = [f"+{role}" for role in step.inscribes] + [f"-{role}" for role in sorted(step.ends)]
    return "\n".join([step.after or "stays", " ".join(parts)]).rstrip()


def _deadlines(course: Course) -> Table:
    table = _table("Deadline", "Starts", "Ends", "Stands still", "Term", "For", "Holds", title=course.name)
    for one in course.deadlines:
        limits = sorted((one.regions or frozenset()) | (one.permit_types or frozenset()))
        table.add_row(
            f"{one.name} [dim]{one.certainty}[/dim]",
            "\n".join(sorted(one.starts)),
            "\n".join(sorted(one.ends)),
            "\n".join(sorted(one.suspended)),
            f"{one.days} {'working ' if one.working else ''}days",
            "\n".join(limits) or "all",
            f"{one.valid_from} -\n{one.valid_until or ''}",
        )
    return table


def _step(step: Step) -> dict[str, object]:
    return {
        "operation": step.operation,
        "when": None if step.when is None else {step.when[0]: step.when[1]},
        "senders": sorted(step.senders),
        "context": step.context,
        "before": sorted(step.before),
        "after": step.after,
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
