"""How far an exchange came, by its entries and its code."""

from __future__ import annotations

import pytest

from gateway.exchangelog.form import Kind
from gateway.model import OperationName, Pattern
from gateway.policy.stages import Stage, State, reached
from gateway.refusal import Category, Code
from tests.rules.agreement_files import shipped

OPERATIONS = {
    "a question": "consultDossier",
    "a question to the hub": "checkAccessControl",
    "an upload": "uploadDocument",
    "a fetch": "fetchMessage",
    "a notification": "notifyWorkDecision",
    "a rectification": "rectifyData",
}
BEFORE_COMMIT, AFTER = {Kind.REFUSAL}, {Kind.REQUEST, Kind.REFUSAL}
CASES = {  # what was called, its entries, the code: the stage that refused
    "purpose": ("a question", BEFORE_COMMIT, Code.CONTEXT_DENIED, Stage.PURPOSE),
    "part": ("a question", BEFORE_COMMIT, Code.DOSSIER_DENIED, Stage.PART),
    "part of a sender": ("a notification", BEFORE_COMMIT, Code.DOSSIER_DENIED, Stage.PART),
    "status": ("a question", BEFORE_COMMIT, Code.STATUS_DENIED, Stage.STATUS),
    "status, of a rectification": ("a rectification", BEFORE_COMMIT, Code.STATUS_DENIED, Stage.STATUS),
    "a step": ("a notification", BEFORE_COMMIT, Code.TRANSITION_DENIED, Stage.STEP),
    "a field": ("a notification", BEFORE_COMMIT, Code.SENDER_RIGHT, Stage.WRITES),
    "a ticket of a question": ("a question", BEFORE_COMMIT, Code.TICKET, Stage.COMMIT_1),
    "a ticket of a notification": ("a notification", BEFORE_COMMIT, Code.TICKET, Stage.ACCEPTANCE),
    "a schema": ("a question", BEFORE_COMMIT, Code.SCHEMA, Stage.REQUEST),
    "the customer": ("a question", BEFORE_COMMIT, Code.CUSTOMER, Stage.REQUEST),
    "a provider": ("a question", AFTER, Code.PROVIDER_TIMEOUT, Stage.ANSWER),
    "no signature for the question": ("a question", AFTER, Code.SIGNING_UNAVAILABLE, Stage.ANSWER),
    "no signature for the reply": (
        "a question", {*AFTER, Kind.RESPONSE}, Code.SIGNING_UNAVAILABLE, Stage.REPLY,
    ),
    "a lease": ("a fetch", AFTER, Code.MESSAGE_LEASED, Stage.COMMIT_2),
    "a lease of what lapses": ("a fetch", BEFORE_COMMIT, Code.MESSAGE_LEASED, Stage.MAILBOX),
    "the turn of what lapses": ("a fetch", BEFORE_COMMIT, Code.MESSAGE_ORDER, Stage.MAILBOX),
}  # fmt: skip


def operation(what: str):
    return shipped().operations[OperationName(OPERATIONS[what])]


@pytest.mark.parametrize("case", CASES)
def test_the_stage_that_refused_stands_between_those_passed_and_those_not_reached(case):
    what, kinds, code, stage = CASES[case]
    found = reached(operation(what), kinds, code)
    at = [one.stage for one in found].index(stage)
    assert found[at].state is State.FAILED
    assert {one.state for one in found[:at]} == {State.PASSED}
    assert {one.state for one in found[at + 1 :]} <= {State.NOT_REACHED}


@pytest.mark.parametrize("code", list(Code))
@pytest.mark.parametrize("what", OPERATIONS)
def test_whatever_refused_an_identified_caller_at_most_one_stage_failed_and_none_before_the_request(
    what, code
):
    found = reached(operation(what), BEFORE_COMMIT, code)
    failed = [one.stage for one in found if one.state is State.FAILED]
    assert len(failed) <= 1
    assert {one.state for one in found[:4]} == {State.PASSED}
    if not failed:  # a code that may come from anywhere: what is not proven is not told
        assert {one.state for one in found[4:]} == {State.NOT_RECORDED}


@pytest.mark.parametrize(
    ("category", "stage"),
    [
        (Category.TRANSPORT, Stage.WIRE),
        (Category.XML, Stage.MESSAGE),
        (Category.SOAP, Stage.MESSAGE),
        (Category.SECURITY, Stage.SIGNATURE),
        (Category.IDENTITY, Stage.IDENTITY),
    ],
)
def test_a_stranger_was_refused_where_its_code_belongs(category, stage):
    for code in (one for one in Code if one.row.category is category):
        found = reached(None, (), code)
        assert [one.stage for one in found if one.state is State.FAILED] == [stage]


def test_what_was_answered_passed_everything_but_for_what_no_entry_tells():
    found = reached(operation("a question"), {Kind.REQUEST, Kind.RESPONSE}, None)
    assert [one.stage for one in found if one.state is not State.PASSED] == [Stage.REPLY]
    assert found[-1].state is State.NOT_RECORDED


def test_a_question_without_outcome_is_not_recorded_after_commit_1():
    found = reached(operation("a question"), {Kind.REQUEST}, None)
    told = [one.stage for one in found if one.state is State.NOT_RECORDED]
    assert told == [Stage.ANSWER, Stage.RELEASE, Stage.COMMIT_2, Stage.REPLY]


@pytest.mark.parametrize(
    ("what", "stage"), [("a notification", Stage.STEP), ("a fetch", Stage.MAILBOX), ("a question", None)]
)
def test_a_context_that_the_agreement_grants_was_refused_by_the_step_or_the_message(what, stage):
    found = reached(operation(what), BEFORE_COMMIT, Code.CONTEXT_DENIED, purpose=True)
    assert [one.stage for one in found if one.state is State.FAILED] == ([] if stage is None else [stage])


def test_every_stage_has_a_section_and_every_pattern_a_path():
    stages = {one for name in shipped().operations for one in reached(shipped().operations[name], (), None)}
    assert {one.stage for one in stages} == set(Stage)
    assert all(one.section for one in stages)
    assert {one.pattern for one in shipped().operations.values()} == set(Pattern)
