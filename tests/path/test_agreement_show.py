"""`gateway agreement show`: every letter of the table is explained below it; no arrow of a course is lost."""

from __future__ import annotations

import json
import re
import shutil

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


def test_brackets_of_a_name_are_shown(tmp_path):
    """They are no markup: a draft was shown without the word that says so."""
    contracts = tmp_path / "contracts"
    shutil.copytree(ROOT / "contracts", contracts)
    text = (contracts / "agreement.toml").read_text()
    for old, new in (('\ntitle = "', '\ntitle = "[draft] [/x] '), ('"Dossier header"', '"Dossier [header]"')):
        assert old in text
        text = text.replace(old, new, 1)
    (contracts / "agreement.toml").write_text(text)
    shown = show("--contracts", str(contracts))
    assert "[draft] [/x] Protocol" in shown
    assert "G01 Dossier [header]" in shown


def blocks(shown):
    """The steps, then the deadlines of a course: each a paragraph, its lists of statuses in one line again."""
    return [re.sub(r"\n {10}", " ", one).splitlines() for one in shown.rstrip().split("\n\n")[1:]]


@pytest.mark.parametrize("name", list(shipped().courses))
def test_a_course_is_shown_whole(name):
    course, told = shipped().courses[name], blocks(show("--course", name))
    steps, deadlines = told[: len(course.steps)], told[len(course.steps) :]
    for lines, step in zip(steps, course.steps, strict=True):
        assert lines[0].startswith(f"  {step.operation}")
        assert lines[0].endswith(f"[{step.certainty}]")
        assert lines[1] == f"      by {', '.join(sorted(step.senders))} ({step.context})"
        assert (f"      from {', '.join(sorted(step.before))}" in lines) is bool(step.before)
        (outcome,) = [one for one in lines if one.startswith("      to ")]
        assert outcome.startswith(f"      to {step.after or 'the same status'}")
        assert set(re.findall(r"[+-]\w+", outcome)) == {f"+{role}" for role in step.inscribes} | {
            f"-{role}" for role in step.ends
        }
        heard = [f"      → {role} ({context})" for role, context in step.recipients.items()]
        assert [one for one in lines if "→" in one] == heard
    for lines, deadline in zip(deadlines, course.deadlines, strict=True):
        assert lines[0].startswith(f"  {deadline.name}: {deadline.days} ")
        assert lines[0].endswith(f"[{deadline.certainty}]")
        for what, statuses in (
            ("starts at", deadline.starts), ("stands still at", deadline.suspended), ("ends at", deadline.ends),
        ):  # fmt: skip
            assert (f"      {what} {', '.join(sorted(statuses))}" in lines) is bool(statuses)


@pytest.mark.parametrize("columns", [60, 400])
def test_courses_are_readable_at_a_hundred_columns_on_any_terminal(columns):
    shown = show("--courses", columns=columns)
    assert max(map(len, shown.splitlines())) <= 100
    assert [one.split(":")[0] for one in shown.splitlines() if one[:1].isalpha()] == list(shipped().courses)


def test_a_course_that_there_is_not_is_told_with_those_that_there_are():
    command = ["show", "--contracts", str(ROOT / "contracts"), "--course", "NONE"]
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, command)
    assert result.exit_code == 2
    assert "SINGLE_PERMIT_FIRST" in result.output


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
