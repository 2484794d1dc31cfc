"""`gateway agreement`: does it compile, who may see what, what may be told when, and what would change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.agreement.course import Course
from gateway.agreement.load import Agreement, Cell, Group, load_agreement
from gateway.cli import agreement_diff, agreement_sign, agreement_simulate
from gateway.cli.agreement_courses import course_facts, print_courses
from gateway.cli.lines import write
from gateway.model import Role
from gateway.reading import contract_files

app = typer.Typer(no_args_is_help=True)
app.command()(agreement_diff.diff)
app.command()(agreement_simulate.simulate)
app.command()(agreement_sign.sign)
app.command()(agreement_sign.signatures)

Contracts = Annotated[
    Path, typer.Option("--contracts", help="Directory with agreement.toml and the files beside it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_DEFAULT = Path("contracts")
_LEGEND: Final = """\
P, R   provides, receives the whole group; with names in brackets: only these
R*     receives more in some legal contexts: receive_under, shown with --json
P*     provides more in some notifications: provide_in, shown with --json
-      neither
C L J  a published source shows this flow; likely; judgement of the drafters
"""


@app.command()
def check(contracts: Contracts = _DEFAULT, as_json: AsJson = False) -> None:
    """Compile the agreement with its schemas; every reference must resolve."""
    agreement = load_agreement(contract_files(contracts))
    facts = {
        "id": agreement.id,
        "revision": agreement.revision,
        "number": agreement.number,
        "operations": len(agreement.operations),
        "contexts": len(agreement.contexts),
        "groups": len(agreement.groups),
        "fields": sum(len(group.fields) for group in agreement.groups.values()),
        "cells": sum(len(group.cells) for group in agreement.groups.values()),
        "courses": len(agreement.courses),
        "steps": sum(len(course.steps) for course in agreement.courses.values()),
        "deadlines": sum(len(course.deadlines) for course in agreement.courses.values()),
    }
    if as_json:
        write(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        write(f"{name:<12}{value}")


@app.command()
def show(
    contracts: Contracts = _DEFAULT,
    role: Annotated[Role | None, typer.Option("--role", help="Only this role.")] = None,
    courses: Annotated[
        bool, typer.Option("--courses", help="The process of each procedure and its deadlines instead.")
    ] = False,
    course: Annotated[
        str | None, typer.Option("--course", help="Of --courses only this one, such as SINGLE_PERMIT_FIRST.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the permitted-view matrix: what each role may provide (P) and receive (R) of each field group.

    With --courses: of each procedure who tells what at which status, and who hears of it in which legal context.
    """
    agreement = load_agreement(contract_files(contracts))
    roles = list(Role) if role is None else [role]
    if courses or course is not None:
        chosen = _courses(agreement, course)
        if as_json:
            write(json.dumps(course_facts(chosen, roles), indent=2))
        else:
            print_courses(chosen, roles)
        return
    if as_json:
        write(json.dumps(_matrix(agreement, roles), indent=2))
        return
    table = Table("Group", *roles, title=escape(f"{agreement.title}, revision {agreement.number}"))
    for group in agreement.groups.values():
        cells = (_cell(group, group.cells[one]) for one in roles)
        table.add_row(escape(f"{group.code} {group.name}"), *cells)
    console = Console()
    with console.capture() as shown:
        console.print(table)
    write(f"{shown.get()}{_LEGEND}".removesuffix("\n"))


def _courses(agreement: Agreement, name: str | None) -> list[Course]:
    if name is None:
        return list(agreement.courses.values())
    if name not in agreement.courses:
        raise typer.BadParameter(f"{name} is none of {', '.join(agreement.courses)}.", param_hint="--course")
    return [agreement.courses[name]]


def _matrix(agreement: Agreement, roles: list[Role]) -> dict[str, dict[str, dict[str, object]]]:
    return {
        group.code: {
            str(one): {
                "provide": sorted(group.cells[one].provide),
                "provide_in": {name: sorted(fields) for name, fields in group.cells[one].provide_in.items()},
                "receive": sorted(group.cells[one].receive),
                "receive_under": {
                    context: sorted(fields) for context, fields in group.cells[one].receive_under.items()
                },
                "basis": list(group.cells[one].source.basis),
                "certainty": group.cells[one].source.certainty,
            }
            for one in roles
        }
        for group in agreement.groups.values()
    }


def _cell(group: Group, cell: Cell) -> str:
    """`P`, `R`, or `R(number,expiryDate)` where only a part is granted; `P*` and `R*` say that there is more."""
    shown = [
        f"{letter}{_part(group, fields)}"
        for letter, fields in (("P", cell.provide), ("R", cell.receive))
        if fields
    ]
    if cell.provide_in:
        shown.append("P*")
    if cell.receive_under:
        shown.append("R*")
    return f"{' '.join(shown) or '-'} [dim]{cell.source.certainty}[/dim]"


def _part(group: Group, fields: frozenset[str]) -> str:
    if fields == frozenset(group.fields):
        return ""
    return f"({','.join(sorted(field.partition('.')[2] for field in fields))})"
