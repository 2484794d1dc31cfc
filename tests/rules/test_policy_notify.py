"""May it be told, and whom: each rule by a notification that is accepted, and one that differs in one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.agreement.course import RESUME, Step
from gateway.model import FieldId, LegalContext, Role
from gateway.policy.notify import accept
from gateway.policy.person import person_digest
from gateway.refusal import Code, Refusal
from tests.rules.notify_world import (
    ADMISSIBILITY,
    APPLICATION,
    BEFORE,
    KEY,
    NOW,
    NUMBER,
    OTHER_SSIN,
    RESIDENCE,
    SSIN,
    VISA,
    WORK,
    accepted,
    agreement,
    facts,
    line,
    refused,
    request,
    scope,
    step,
    suspended,
)

SUBMIT = step(
    "submitApplication",
    Role.PLAT,
    ADMISSIBILITY,
    before=frozenset(),
    after="SUBMITTED",
    recipients={Role.REG: ADMISSIBILITY},
    inscribes=(Role.PLAT, Role.REG),
    binds=True,
)
DECIDE = step(
    "notifyWorkDecision",
    Role.REG,
    WORK,
    when=(FieldId("G28.outcome"), "GRANTED"),
    before=frozenset({"UNDER_REVIEW"}),
    after="WORK_GRANTED",
    recipients={Role.OE: RESIDENCE, Role.PLAT: WORK, Role.NSSO: LegalContext("WIB:EMPLOYMENT_CONTROL")},
    inscribes=(Role.NSSO,),
)
SUBMITTED = request("PLATFORM", "submitApplication", ADMISSIBILITY, APPLICATION)
GRANTED = {"workDecision": {"outcome": "GRANTED", "date": "2026-06-01"}}
DECIDED = request("BRUSSELS", "notifyWorkDecision", WORK, GRANTED)


def names(found) -> list[str]:
    return [one.authority.id for one in found.recipients]


def application(**changes: object):
    return request("PLATFORM", "submitApplication", ADMISSIBILITY, {**APPLICATION, **changes})


# Opening


def test_an_application_opens_the_dossier():
    found = accepted(SUBMITTED, [SUBMIT], None)
    assert (found.expected, found.scope.version) == (0, 1)
    assert (found.scope.dossier, found.scope.permit_type, found.scope.procedure) == (
        NUMBER,
        "SINGLE_PERMIT",
        "FIRST",
    )
    assert (found.scope.status, found.scope.status_since, found.scope.resumes) == ("SUBMITTED", NOW, None)
    assert found.scope.inscriptions == (line("PLATFORM", NOW), line("BRUSSELS", NOW))
    assert found.scope.person == person_digest(KEY, SSIN)
    assert [(one.authority.id, one.legal_context) for one in found.recipients] == [
        ("BRUSSELS", ADMISSIBILITY)
    ]


def test_a_dossier_is_opened_once():
    assert refused(SUBMITTED, [SUBMIT], scope()) is Code.DOSSIER_EXISTS


def test_a_dossier_of_others_is_not_said_to_exist():
    assert refused(SUBMITTED, [SUBMIT], scope("SUBMITTED", line("BRUSSELS"))) is Code.DOSSIER_DENIED


@pytest.mark.parametrize(
    "header",
    [
        {"permitType": "SINGLE_PERMIT", "procedure": "RENEWAL"},
        {"permitType": "OTHER", "procedure": "FIRST"},
        {"permitType": "SINGLE_PERMIT"},
        {"procedure": "FIRST"},
    ],
)
def test_a_procedure_without_a_course_has_no_first_step(header: dict[str, str]):
    assert refused(application(header=header), [SUBMIT], None) is Code.STEP_UNKNOWN


def test_the_place_of_work_must_lead_to_a_region():
    assert refused(application(workPlace=[]), [SUBMIT], None) is Code.ROUTE_UNKNOWN
    assert refused(application(workPlace={"municipality": "00000"}), [SUBMIT], None) is Code.ROUTE_UNKNOWN
    assert names(accepted(application(workPlace={"municipality": "62063"}), [SUBMIT], None)) == ["WALLONIA"]


def test_a_suspended_region_is_not_competent():
    assert refused(SUBMITTED, [SUBMIT], None, registered=suspended("BRUSSELS")) is Code.ROUTE_UNKNOWN
    assert accepted(SUBMITTED, [SUBMIT], None, registered=suspended("FLANDERS"))


def test_the_region_that_the_file_names_must_be_the_competent_one():
    header = APPLICATION["header"]
    assert isinstance(header, dict)
    said = [application(header={**header, "competentRegion": region}) for region in ("BRUSSELS", "FLANDERS")]
    assert accepted(said[0], [SUBMIT], None)
    assert refused(said[1], [SUBMIT], None) is Code.ROUTE_UNKNOWN


def test_a_named_post_gets_its_part_and_an_unnamed_one_none():
    steps = [replace(SUBMIT, inscribes=(*SUBMIT.inscribes, Role.CONS))]
    header = APPLICATION["header"]
    assert isinstance(header, dict)
    found = accepted(application(header={**header, "post": "RABAT"}), steps, None)
    assert line("POST_RABAT", NOW) in found.scope.inscriptions
    assert len(accepted(SUBMITTED, steps, None).scope.inscriptions) == 2
    assert refused(application(header={**header, "post": "PARIS"}), steps, None) is Code.ROUTE_UNKNOWN


# Who may tell what


def test_a_decision_leads_on_and_tells_whoever_takes_part():
    before = scope()
    found = accepted(DECIDED, [DECIDE], before)
    assert (found.expected, found.scope.version) == (7, 8)
    assert (found.scope.status, found.scope.status_since) == ("WORK_GRANTED", NOW)
    assert found.scope.inscriptions == (*before.inscriptions, line("NSSO", NOW))
    assert [(one.authority.id, one.legal_context) for one in found.recipients] == [
        ("PLATFORM", WORK),
        ("IMMIGRATION_OFFICE", RESIDENCE),
        ("NSSO", "WIB:EMPLOYMENT_CONTROL"),
    ]


def test_another_role_may_not_call_the_operation():
    asked = request("IMMIGRATION_OFFICE", "notifyWorkDecision", WORK, GRANTED)
    assert refused(asked, [DECIDE], scope()) is Code.OPERATION_DENIED


def test_a_context_must_be_one_of_the_agreement_and_of_the_operation():
    unknown = request("BRUSSELS", "notifyWorkDecision", LegalContext("WIB:NONE"), GRANTED)
    foreign = request("BRUSSELS", "notifyWorkDecision", VISA, GRANTED)
    assert refused(unknown, [DECIDE], scope()) is Code.CONTEXT_UNKNOWN
    assert refused(foreign, [DECIDE], scope()) is Code.CONTEXT_DENIED


def test_a_context_must_be_that_of_the_step():
    renewal = replace(DECIDE, context=LegalContext("WIB:RENEWAL"))
    assert refused(DECIDED, [renewal], scope()) is Code.CONTEXT_DENIED


@pytest.mark.parametrize(
    "lines",
    [
        [line("PLATFORM"), line("FLANDERS")],
        [line("PLATFORM"), line("BRUSSELS", until=NOW)],
        [line("PLATFORM"), line("BRUSSELS", NOW + timedelta(seconds=1))],
        [line("PLATFORM"), line("BRUSSELS", role=Role.OE)],
    ],
)
def test_a_sender_takes_part_in_the_dossier_now_and_in_its_role(lines):
    assert refused(DECIDED, [DECIDE], scope("UNDER_REVIEW", *lines)) is Code.DOSSIER_DENIED
    assert accepted(DECIDED, [DECIDE], scope("UNDER_REVIEW", line("BRUSSELS")))


def test_unknown_dossier_and_foreign_dossier_have_one_answer():
    assert refused(DECIDED, [DECIDE, SUBMIT], None) is Code.DOSSIER_DENIED


@pytest.mark.parametrize(
    "more", [{"residenceDecision": {"outcome": "GRANTED"}}, {"worker": {"familyName": "Zyxwvutsrq"}}]
)
def test_a_region_cannot_write_what_is_not_its_own(more):
    asked = request("BRUSSELS", "notifyWorkDecision", WORK, {**GRANTED, **more})
    assert refused(asked, [DECIDE], scope()) is Code.SENDER_RIGHT


def test_what_the_operation_does_not_carry_may_not_be_written_even_by_its_owner():
    prior = {"priorApplication": {"hit": "true"}}  # G34: the region's, but no part of a decision
    asked = request("BRUSSELS", "notifyWorkDecision", WORK, {**GRANTED, **prior})
    assert refused(asked, [DECIDE], scope()) is Code.SENDER_RIGHT


def test_a_step_at_another_status_is_denied():
    assert refused(DECIDED, [DECIDE], scope("SUBMITTED")) is Code.TRANSITION_DENIED


def test_an_outcome_that_the_course_does_not_know_is_no_step():
    asked = request("BRUSSELS", "notifyWorkDecision", WORK, {"workDecision": {"outcome": "REFUSED"}})
    assert refused(asked, [DECIDE], scope()) is Code.STEP_UNKNOWN


def test_a_dossier_without_a_course_has_no_steps():
    assert refused(DECIDED, [DECIDE], scope(permit_type="OTHER")) is Code.STEP_UNKNOWN


def test_a_closed_status_does_not_stop_a_sender_whose_step_allows_it():
    """At which statuses a dossier may be read by a role is another question than when it may be told about."""
    asked = request(
        "IMMIGRATION_OFFICE",
        "notifyResidenceDecision",
        RESIDENCE,
        {"residenceDecision": {"outcome": "GRANTED"}},
    )
    early = step(
        "notifyResidenceDecision",
        Role.OE,
        RESIDENCE,
        before=frozenset({"SUBMITTED"}),
        after="RESIDENCE_GRANTED",
    )
    assert accepted(asked, [early], scope("SUBMITTED")).scope.status == "RESIDENCE_GRANTED"


# Statuses


REQUEST = step(
    "requestInformation",
    Role.REG,
    ADMISSIBILITY,
    before=frozenset({"UNDER_REVIEW", "INFO_REQUESTED"}),
    after="INFO_REQUESTED",
    interrupts=True,
)
SUPPLY = step(
    "supplyInformation", Role.PLAT, ADMISSIBILITY, before=frozenset({"INFO_REQUESTED"}), after=RESUME
)
ASK = request(
    "BRUSSELS", "requestInformation", ADMISSIBILITY, {"admissibility": {"outcome": "INFO_REQUESTED"}}
)
ANSWER = request("PLATFORM", "supplyInformation", ADMISSIBILITY, {"contact": {"email": "ada@example.org"}})


def test_what_is_interrupted_is_resumed():
    asked = accepted(ASK, [REQUEST], scope()).scope
    assert (asked.status, asked.resumes) == ("INFO_REQUESTED", "UNDER_REVIEW")
    answered = accepted(ANSWER, [SUPPLY], asked).scope
    assert (answered.status, answered.resumes, answered.version) == ("UNDER_REVIEW", None, 9)


def test_asking_again_does_not_forget_what_was_interrupted():
    before = scope("INFO_REQUESTED", resumes="UNDER_REVIEW")
    after = accepted(ASK, [REQUEST], before).scope
    assert (after.status, after.resumes, after.status_since) == ("INFO_REQUESTED", "UNDER_REVIEW", BEFORE)


def test_a_second_interruption_does_not_hide_the_first():
    hearing = replace(REQUEST, after="HEARING")
    after = accepted(ASK, [hearing], scope("INFO_REQUESTED", resumes="UNDER_REVIEW")).scope
    assert (after.status, after.resumes) == ("HEARING", "UNDER_REVIEW")


def test_what_was_not_interrupted_is_not_resumed():
    assert refused(ANSWER, [SUPPLY], scope("INFO_REQUESTED")) is Code.TRANSITION_DENIED


def test_a_step_that_leads_nowhere_leaves_the_status_as_it_is():
    told = replace(DECIDE, after=None, inscribes=())
    before = scope("UNDER_REVIEW", resumes="ADMISSIBLE")
    after = accepted(DECIDED, [told], before).scope
    assert after == replace(before, version=8)


def test_leading_on_from_an_interruption_ends_it():
    withdraw = step("withdrawApplication", Role.PLAT, WORK, after="WITHDRAWN")
    asked = request("PLATFORM", "withdrawApplication", WORK, {"header": {"language": "nl"}})
    after = accepted(asked, [withdraw], scope("INFO_REQUESTED", resumes="UNDER_REVIEW")).scope
    assert (after.status, after.resumes) == ("WITHDRAWN", None)


# Whom it concerns


def test_a_number_binds_the_dossier_only_where_the_step_says_so():
    before = scope("INFO_REQUESTED", resumes="UNDER_REVIEW", person=person_digest(KEY, SSIN))
    asked = request("PLATFORM", "supplyInformation", ADMISSIBILITY, {"worker": {"ssin": OTHER_SSIN}})
    assert accepted(asked, [SUPPLY], before).scope.person == before.person
    binding = replace(SUPPLY, binds=True)
    assert accepted(asked, [binding], before).scope.person == person_digest(KEY, OTHER_SSIN)
    assert accepted(ANSWER, [binding], before).scope.person == before.person


# Recipients


def heard(found_step: Step, *lines, registered=None) -> list[str]:
    asked = DECIDED
    return names(accepted(asked, [found_step], scope("UNDER_REVIEW", *lines), registered=registered))


def test_nobody_hears_of_it_who_has_no_part_in_the_dossier():
    told = replace(DECIDE, inscribes=(), recipients=dict.fromkeys(Role, WORK))
    assert heard(told, line("BRUSSELS"), line("PLATFORM")) == ["PLATFORM"]
    assert heard(told, line("BRUSSELS"), line("PLATFORM", until=NOW - timedelta(seconds=1))) == []


def test_a_clock_that_was_set_back_leaves_nobody_out():
    told = replace(DECIDE, inscribes=(), recipients=dict.fromkeys(Role, WORK))
    assert heard(told, line("BRUSSELS"), line("PLATFORM", NOW + timedelta(hours=1))) == ["PLATFORM"]


def test_a_clock_that_was_set_back_a_little_does_not_stop_the_sender():
    early = scope("UNDER_REVIEW", line("PLATFORM"), line("BRUSSELS", NOW + timedelta(seconds=60)))
    known = replace(facts(agreement(DECIDE), early), skew=timedelta(seconds=60))
    assert accept(DECIDED, known, []).recipients
    with pytest.raises(Refusal) as caught:
        accept(DECIDED, replace(known, skew=timedelta(seconds=59)), [])
    assert caught.value.code is Code.DOSSIER_DENIED


def test_a_status_does_not_begin_before_the_one_that_it_follows():
    early = replace(scope(), status_since=NOW + timedelta(hours=1))
    assert accepted(DECIDED, [DECIDE], early).scope.status_since == early.status_since
    assert accepted(DECIDED, [DECIDE], scope()).scope.status_since == NOW


def test_whose_part_the_step_ends_hears_of_it_after_the_clock_was_set_back():
    told = replace(DECIDE, inscribes=(), ends=frozenset({Role.OE}), recipients={Role.OE: RESIDENCE})
    lines = line("BRUSSELS"), line("IMMIGRATION_OFFICE", NOW + timedelta(hours=1))
    assert heard(told, *lines) == ["IMMIGRATION_OFFICE"]


def test_nobody_hears_of_it_whose_role_the_step_does_not_name():
    told = replace(DECIDE, inscribes=(), recipients={Role.OE: RESIDENCE})
    assert heard(told, line("BRUSSELS"), line("PLATFORM"), line("NSSO")) == []


def test_the_sender_is_never_its_own_recipient():
    told = replace(DECIDE, inscribes=(), recipients={Role.REG: WORK, Role.PLAT: WORK})
    assert heard(told, line("BRUSSELS"), line("PLATFORM")) == ["PLATFORM"]


def test_recipients_stand_in_the_order_of_the_register():
    told = replace(DECIDE, inscribes=(), recipients={Role.NSSO: WORK, Role.OE: WORK, Role.PLAT: WORK})
    lines = line("NSSO"), line("IMMIGRATION_OFFICE"), line("BRUSSELS"), line("PLATFORM")
    assert heard(told, *lines) == ["PLATFORM", "IMMIGRATION_OFFICE", "NSSO"]


def test_whose_part_ends_by_the_step_hears_of_it():
    told = replace(DECIDE, inscribes=(), ends=frozenset({Role.OE}), recipients={Role.OE: RESIDENCE})
    lines = line("BRUSSELS"), line("IMMIGRATION_OFFICE")
    found = accepted(DECIDED, [told], scope("UNDER_REVIEW", *lines))
    assert found.scope.inscriptions == (lines[0], replace(lines[1], until=NOW))
    assert names(found) == ["IMMIGRATION_OFFICE"]


def test_who_takes_part_and_is_suspended_will_hear_of_it():
    told = replace(DECIDE, inscribes=())
    lines = line("BRUSSELS"), line("IMMIGRATION_OFFICE")
    assert heard(told, *lines, registered=suspended("IMMIGRATION_OFFICE")) == ["IMMIGRATION_OFFICE"]
