"""Which step of its course a notification takes: from a table of steps alone, of an invented procedure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.agreement.course import RESUME, Course, Step
from gateway.agreement.identifiers import dossier_number
from gateway.model import DossierScope, FieldId, LegalContext, OperationName, Role
from gateway.policy.step import find_step
from gateway.policy.written import Written
from gateway.refusal import Code, Refusal

OUTCOME = FieldId("G28.outcome")
WORK = LegalContext("WIB:WORK_DECISION")
OTHER = LegalContext("WIB:RENEWAL")


def step(name: str, role: Role = Role.REG, **given: object) -> Step:
    usual: dict[str, object] = {
        "operation": OperationName(name),
        "when": None,
        "senders": frozenset({role}),
        "before": frozenset({"UNDER_REVIEW"}),
        "after": None,
        "interrupts": False,
        "context": WORK,
        "recipients": {},
        "inscribes": (),
        "ends": frozenset(),
        "binds": False,
    }
    return Step(**{**usual, **given})


SUBMIT = step("submit", Role.PLAT, before=frozenset(), after="SUBMITTED")
GRANT = step("decide", when=(OUTCOME, "GRANTED"), after="WORK_GRANTED")
REFUSE = step("decide", when=(OUTCOME, "REFUSED"), after="WORK_REFUSED")
SUPPLY = step("supply", Role.PLAT, before=frozenset({"INFO_REQUESTED"}), after=RESUME)


def course(*steps: Step) -> Course:
    return Course("SEASONAL", frozenset({"SEASONAL"}), frozenset({"FIRST"}), steps, (), ("B",), "J")


COURSE = course(SUBMIT, GRANT, REFUSE, SUPPLY)


def scope(status: str = "UNDER_REVIEW", resumes: str | None = None) -> DossierScope:
    since = datetime(2026, 6, 1, tzinfo=UTC)
    return DossierScope(dossier_number(2026, 1), "SEASONAL", "FIRST", status, since, (), resumes=resumes)


def told(*outcomes: str) -> Written:
    return Written(({OUTCOME: outcomes},) if outcomes else ())


def find(
    name: str,
    role: Role = Role.REG,
    *,
    of: Course = COURSE,
    context: LegalContext = WORK,
    at: DossierScope | None = None,
    written: Written | None = None,
) -> Step:
    return find_step(of, OperationName(name), role, context, at, written)


def refused(*arguments: object, **given: object) -> Code:
    with pytest.raises(Refusal) as caught:
        find(*arguments, **given)
    return caught.value.code


def test_the_value_that_tells_the_outcome_chooses_the_step():
    assert find("decide", at=scope(), written=told("GRANTED")) is GRANT
    assert find("decide", at=scope(), written=told("REFUSED")) is REFUSE


def test_an_outcome_that_no_step_is_meant_for_is_unknown():
    assert refused("decide", at=scope(), written=told("REVOKED")) is Code.STEP_UNKNOWN
    assert refused("decide", at=scope(), written=told()) is Code.STEP_UNKNOWN


def test_a_step_is_not_taken_by_a_payload_that_contradicts_it():
    appeal = step("appeal")
    known = course(GRANT, appeal)
    assert find("appeal", of=known, at=scope(), written=told()) is appeal
    assert refused("appeal", of=known, at=scope(), written=told("GRANTED")) is Code.STEP_UNKNOWN
    assert (
        find("appeal", of=course(appeal), at=scope(), written=told("GRANTED")) is appeal
    )  # tells nothing apart


def test_a_step_may_allow_what_was_decided_before():
    transfer = step("transfer", allows={OUTCOME: frozenset({"GRANTED"})})
    known = course(GRANT, transfer)
    for outcomes in ((), ("GRANTED",)):
        assert find("transfer", of=known, at=scope(), written=told(*outcomes)) is transfer
    for outcomes in (("REFUSED",), ("GRANTED", "REFUSED")):
        assert refused("transfer", of=known, at=scope(), written=told(*outcomes)) is Code.STEP_UNKNOWN


def test_a_step_that_is_meant_for_a_value_takes_no_other_beside_it():
    assert refused("decide", at=scope(), written=told("GRANTED", "REFUSED")) is Code.STEP_UNKNOWN
    other = FieldId("G29.outcome")
    twice = Written(({OUTCOME: ("GRANTED",)}, {other: ("REFUSED",)}))
    reside = step("reside", when=(other, "REFUSED"))
    assert refused("decide", of=course(GRANT, reside), at=scope(), written=twice) is Code.STEP_UNKNOWN
    assert find("decide", at=scope(), written=twice) is GRANT  # a course in which it tells nothing apart


def test_an_operation_that_the_course_does_not_have_is_unknown():
    assert refused("visa", at=scope(), written=told()) is Code.STEP_UNKNOWN


def test_a_step_of_another_role_is_unknown():
    assert refused("decide", Role.OE, at=scope(), written=told("GRANTED")) is Code.STEP_UNKNOWN


def test_a_step_at_another_status_is_denied():
    assert refused("decide", at=scope("SUBMITTED"), written=told("GRANTED")) is Code.TRANSITION_DENIED


def test_a_step_under_another_context_is_denied():
    assert refused("decide", at=scope(), written=told("GRANTED"), context=OTHER) is Code.CONTEXT_DENIED


def test_an_opening_step_opens_only_what_is_not_there():
    assert find("submit", Role.PLAT, written=told()) is SUBMIT
    assert refused("submit", Role.PLAT, at=scope(), written=told()) is Code.DOSSIER_EXISTS


def test_another_step_needs_a_dossier():
    assert refused("decide", written=told("GRANTED")) is Code.DOSSIER_DENIED


def test_only_what_was_interrupted_is_resumed():
    asked = scope("INFO_REQUESTED", resumes="UNDER_REVIEW")
    assert find("supply", Role.PLAT, at=asked, written=told()) is SUPPLY
    assert refused("supply", Role.PLAT, at=scope("INFO_REQUESTED"), written=told()) is Code.TRANSITION_DENIED


def test_of_two_steps_that_fit_the_one_meant_for_the_value_is_taken():
    general = step("decide", after="UNDER_REVIEW", allows={OUTCOME: frozenset({"GRANTED", "REFUSED"})})
    for steps in ((general, GRANT), (GRANT, general)):
        assert find("decide", of=course(*steps), at=scope(), written=told("GRANTED")) is GRANT
        assert find("decide", of=course(*steps), at=scope(), written=told("REFUSED")) is general


def test_the_context_chooses_between_steps_that_differ_in_it():
    renewal = step("decide", when=GRANT.when, context=OTHER)
    assert (
        find("decide", of=course(GRANT, renewal), context=OTHER, at=scope(), written=told("GRANTED"))
        is renewal
    )


def test_before_anything_is_told_any_step_of_the_operation_will_do():
    assert find("decide", at=scope()).operation == "decide"
    assert refused("decide", at=scope("SUBMITTED")) is Code.TRANSITION_DENIED
