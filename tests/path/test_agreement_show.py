"""`gateway agreement show`: every letter of the table is explained below it; no arrow of a course is lost."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from gateway.cli.agreement import app
from tests.rules.agreement_files import ROOT, shipped


def show(*arguments, columns=400):
    command = ["show", "--contracts", str(ROOT / "contracts"), *arguments]
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, command)
    assert result.exit_code == 0
    return result.output


def test_every_letter_of_the_table_is_explained():
    table, _, legend = show().partition("P, R   ")
    letters = set(re.findall(r"(?<=[ │])(?:[PR](?=[( ])|[PR]\*|-|[CLJ])(?=[ (│])", table))
    assert letters == {"P", "R", "P*", "R*", "-", "C", "L", "J"}
    explained = {word for line in f"P, R   {legend}".splitlines() for word in re.split(r",? ", line[:7])}
    assert letters <= explained


@pytest.mark.parametrize("name", list(shipped().courses))
def test_a_course_is_shown_whole(name):
    course, shown = shipped().courses[name], show("--courses")
    table = shown.partition(f"{name}: ")[2].partition("\n┏")[2].partition("└")[0]
    rows = [row for row in table.split("├") if "│" in row]
    assert len(rows) == len(course.steps)
    for row, step in zip(rows, course.steps, strict=True):
        words = {step.operation, step.context, step.certainty, *step.senders, *step.before}
        words |= {f"{role} {context}" for role, context in step.recipients.items()}
        words |= {f"+{role}" for role in step.inscribes} | {f"-{role}" for role in step.ends}
        assert all(word in row for word in words), (step.operation, row)
        assert (step.after or "stays") in row
    for deadline in course.deadlines:
        assert f"{deadline.name} {deadline.certainty}" in shown


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_narrow_terminal_loses_nothing(columns):
    assert "…" not in show("--courses", columns=columns)


def test_courses_for_machines_say_everything():
    told = json.loads(show("--courses", "--json"))
    assert list(told) == list(shipped().courses)
    for name, course in shipped().courses.items():
        assert [step["operation"] for step in told[name]["steps"]] == [
            step.operation for step in course.steps
        ]
        assert told[name]["procedures"] == sorted(course.procedures)
    admitted = told["SINGLE_PERMIT_FIRST"]["steps"][1]
    assert admitted["when"] == {"G27.outcome": "ADMISSIBLE"}
    assert admitted["recipients"] == {"PLAT": "WIB:ADMISSIBILITY", "OE": "WIB:RESIDENCE_DECISION"}
    blue = [one for one in told["SINGLE_PERMIT_FIRST"]["deadlines"] if one["permit_types"] == ["BLUE_CARD"]]
    assert [(one["name"], one["days"], one["valid_from"]) for one in blue] == [
        ("OVERALL_TERM", 90, "2018-12-24")
    ]


def test_one_role_is_shown_the_steps_that_it_takes_or_hears_of():
    steps = json.loads(show("--courses", "--json", "--role", "CONS"))["WORK_PERMIT"]["steps"]
    assert steps
    assert all("CONS" in {*step["senders"], *step["recipients"]} for step in steps)
    assert "submitApplication" not in {step["operation"] for step in steps}


def test_the_matrix_for_machines_tells_what_may_be_written_in_one_notification_only():
    cell = json.loads(show("--json"))["G01"]["REG"]
    assert cell["provide"] == []
    assert cell["provide_in"] == {"closeDossier": ["G01.status", "G01.statusDate"]}
