"""procedures.toml → courses: the process of each procedure as data, and every fault in it named with its place."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.course import RESUME
from gateway.agreement.finding import AgreementError
from gateway.agreement.load import load_agreement
from gateway.model import Pattern, Role
from tests.rules.agreement_files import AGREEMENT, PROCEDURES, changed, shipped, shipped_files

COURSES = list(shipped().courses.values())
NAMES = list(shipped().courses)
ENDED = {"CLOSED"}  # the only status in which nothing more can happen


@dataclass(frozen=True)
class Place:
    """Where a dossier stands in its course."""

    status: str | None = None
    resumes: str | None = None


def follow(place, step):
    """The place after a step; None when the step cannot be taken there."""
    if place.status is None:
        return Place(step.after) if step.opens else None
    if place.status not in step.before or (step.after == RESUME and place.resumes is None):
        return None
    if step.after == RESUME:
        return Place(place.resumes)
    after = step.after or place.status
    return Place(after, place.status if step.interrupts else place.resumes if after == place.status else None)


def statuses(course):
    return {step.after for step in course.steps} - {None, RESUME}


def ways(course, place):
    return [step for step in course.steps if follow(place, step) is not None]


def test_every_pair_of_permit_type_and_procedure_has_one_course():
    agreement = shipped()
    for permit_type in agreement.permit_types:
        for procedure in agreement.contract.values_of("G01.procedure"):
            found = agreement.course(permit_type, procedure)
            assert found is not None
            assert [found] == [
                one for one in COURSES if permit_type in one.permit_types and procedure in one.procedures
            ]
    assert agreement.course("SOME_NEW_PERMIT", "FIRST") is None


@pytest.mark.parametrize("name", NAMES)
def test_a_course_begins_with_the_application(name):
    opening = [step for step in shipped().courses[name].steps if step.opens]
    assert [(step.operation, step.after) for step in opening] == [("submitApplication", "SUBMITTED")]
    assert {Role.PLAT, Role.REG} <= set(opening[0].inscribes)


@given(st.sampled_from(COURSES), st.lists(st.integers(min_value=0), max_size=25))
def test_from_submission_on_only_a_closed_dossier_has_no_way_out(course, choices):
    place = Place("SUBMITTED")
    for choice in choices:
        possible = ways(course, place)
        if not possible:
            break
        place = follow(place, possible[choice % len(possible)])
    assert (not ways(course, place)) is (place.status in ENDED)


@pytest.mark.parametrize("name", NAMES)
def test_every_status_can_still_come_to_its_end(name):
    course = shipped().courses[name]
    ending = set(ENDED)
    for _ in statuses(course):
        ending |= {status for step in course.steps if step.after in ending for status in step.before}
    assert statuses(course) <= ending


@pytest.mark.parametrize("name", NAMES)
def test_every_step_and_deadline_says_where_it_comes_from(name):
    course = shipped().courses[name]
    for row in (course, *course.steps, *course.deadlines):
        assert row.basis
        assert set(row.basis) <= set(shipped().bases)
        assert row.certainty in {"C", "L", "J"}


def test_no_sender_has_a_context_that_no_step_uses():
    steps = [step for course in COURSES for step in course.steps]
    for operation in shipped().operations.values():
        if operation.pattern is Pattern.NOTIFY and not operation.follows_log:
            for role, contexts in operation.requesters.items():
                used = {
                    step.context
                    for step in steps
                    if step.operation == operation.name and role in step.senders
                }
                assert contexts == used, (operation.name, role)


def test_recipients_of_a_notification_are_those_of_its_steps():
    recipients = shipped().operations["notifyVisa"].recipients
    assert recipients == {
        Role.PLAT: {"WIB:VISA_ISSUE"},
        Role.REG: {"WIB:WORK_DECISION", "WIB:WORK_PERMIT", "WIB:PROFESSIONAL_CARD"},
        Role.OE: {"WIB:VISA_ISSUE"},
        Role.MUN: {"WIB:MUNICIPAL_REGISTRATION"},
    }


def test_routing_names_the_fields_that_lead_to_an_authority():
    routing = shipped().routing
    assert routing.fields == {
        Role.REG: "G17.municipality",
        Role.MUN: "G07.municipality",
        Role.CONS: "G01.post",
    }
    assert routing.main == "G17.main"


# Course → operation, sender, value told, who hears, status after. One line an arrow of the process.
STORIES = {
    ("SINGLE_PERMIT_FIRST", "from abroad to the card"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        requestInformation      REG  INFO_REQUESTED > PLAT                   | INFO_REQUESTED
        supplyInformation       PLAT -              > REG OE                 | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT OE                | ADMISSIBLE
        transferApplication     PLAT -              > REG OE                 | UNDER_REVIEW
        transferApplication     REG  -              > OE                     | UNDER_REVIEW
        requestInformation      REG  INFO_REQUESTED > PLAT OE                | INFO_REQUESTED
        supplyInformation       PLAT -              > REG OE                 | UNDER_REVIEW
        notifyWorkDecision      REG  GRANTED        > PLAT OE NSSO           | WORK_GRANTED
        notifyResidenceDecision OE   GRANTED        > PLAT REG NSSO          | RESIDENCE_GRANTED
        notifyPermit            OE   GRANTED        > PLAT REG CONS MUN NSSO | PERMIT_GRANTED
        notifyVisa              CONS ISSUED         > PLAT REG OE MUN        | VISA_ISSUED
        notifyRegistration      MUN  REGISTERED     > PLAT OE                | REGISTERED
        notifyCard              MUN  CARD_ISSUED    > PLAT REG OE NSSO       | CARD_ISSUED
        notifySocialSecurityEvent NSSO -            > PLAT OE                | CARD_ISSUED
        notifyRegistration      MUN  MOVED_OUT      > PLAT OE MUN            | CARD_ISSUED
        notifyRegistration      MUN  REGISTERED     > PLAT OE                | CARD_ISSUED
        notifyRevocation        OE   REVOKED        > PLAT REG CONS MUN NSSO | REVOKED
        notifyAppeal            OE   -              > PLAT MUN               | REVOKED
        closeDossier            REG  -              > PLAT OE CONS MUN NSSO  | CLOSED
    """,
    ("SINGLE_PERMIT_FIRST", "work is refused, the appeal is granted, nobody decides on residence"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT OE                | ADMISSIBLE
        notifyWorkDecision      REG  REFUSED        > PLAT OE                | WORK_REFUSED
        notifyAppeal            REG  -              > PLAT OE                | WORK_REFUSED
        notifyWorkDecision      REG  GRANTED        > PLAT OE NSSO           | WORK_GRANTED
        notifyDeemedDecision    PLAT DEEMED_GRANTED > REG OE NSSO            | DEEMED_GRANTED
        notifyPermit            OE   DEEMED_GRANTED > PLAT REG CONS MUN NSSO | PERMIT_GRANTED
        instructMunicipality    OE   -              > MUN                    | PERMIT_GRANTED
        notifyRegistration      MUN  REGISTERED     > PLAT OE                | REGISTERED
    """,
    ("SINGLE_PERMIT_FIRST", "work is refused before anything was admissible, the appeal is granted"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        requestInformation      REG  INFO_REQUESTED > PLAT                   | INFO_REQUESTED
        notifyWorkDecision      REG  REFUSED        > PLAT OE                | WORK_REFUSED
        notifyWorkDecision      REG  GRANTED        > PLAT OE NSSO           | WORK_GRANTED
        notifyResidenceDecision OE   GRANTED        > PLAT REG NSSO          | RESIDENCE_GRANTED
        transferApplication     PLAT -              > REG OE                 | RESIDENCE_GRANTED
        notifyPermit            OE   GRANTED        > PLAT REG CONS MUN NSSO | PERMIT_GRANTED
    """,
    ("SINGLE_PERMIT_RENEWAL", "the residence becomes known after the permit"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT OE                | ADMISSIBLE
        notifyDeemedDecision    PLAT DEEMED_GRANTED > REG OE NSSO            | DEEMED_GRANTED
        notifyPermit            OE   DEEMED_GRANTED > PLAT REG MUN NSSO      | PERMIT_GRANTED
        transferApplication     PLAT -              > MUN                    | PERMIT_GRANTED
        notifyCard              MUN  CARD_ISSUED    > PLAT REG OE NSSO       | CARD_ISSUED
        notifyRegistration      MUN  MOVED_OUT      > PLAT OE MUN            | CARD_ISSUED
        transferApplication     PLAT -              > MUN                    | CARD_ISSUED
    """,
    ("SINGLE_PERMIT_FIRST", "it is not admissible"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifyAdmissibility     REG  INADMISSIBLE   > PLAT OE                | INADMISSIBLE
        closeDossier            PLAT -              > REG OE NSSO            | CLOSED
    """,
    ("SINGLE_PERMIT_FIRST", "residence is refused"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT OE                | ADMISSIBLE
        notifyWorkDecision      REG  GRANTED        > PLAT OE NSSO           | WORK_GRANTED
        notifyResidenceDecision OE   REFUSED        > PLAT REG NSSO          | RESIDENCE_REFUSED
        notifyAppeal            OE   -              > PLAT                   | RESIDENCE_REFUSED
        closeDossier            PLAT -              > REG OE NSSO            | CLOSED
    """,
    ("SINGLE_PERMIT_FIRST", "it is withdrawn while information is requested"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        requestInformation      REG  INFO_REQUESTED > PLAT                   | INFO_REQUESTED
        withdrawApplication     PLAT -              > REG OE NSSO            | WITHDRAWN
        closeDossier            PLAT -              > REG OE NSSO            | CLOSED
    """,
    ("SINGLE_PERMIT_FIRST", "revoked before the permit, post and municipality hear nothing"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT OE                | ADMISSIBLE
        notifyWorkDecision      REG  GRANTED        > PLAT OE NSSO           | WORK_GRANTED
        notifyRevocation        REG  REVOKED        > PLAT OE NSSO           | REVOKED
    """,
    ("SINGLE_PERMIT_RENEWAL", "in Belgium, without a visa"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifySocialSecurityEvent NSSO -            > PLAT REG OE            | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT OE                | ADMISSIBLE
        instructMunicipality    OE   -              > MUN                    | ADMISSIBLE
        notifyRegistration      MUN  REGISTERED     > PLAT OE                | ADMISSIBLE
        transferApplication     REG  -              > OE                     | UNDER_REVIEW
        transferApplication     PLAT -              > OE                     | UNDER_REVIEW
        notifyWorkDecision      REG  GRANTED        > PLAT OE NSSO           | WORK_GRANTED
        notifyResidenceDecision OE   GRANTED        > PLAT REG NSSO          | RESIDENCE_GRANTED
        notifyPermit            OE   GRANTED        > PLAT REG MUN NSSO      | PERMIT_GRANTED
        notifyCard              MUN  CARD_ISSUED    > PLAT REG OE NSSO       | CARD_ISSUED
        closeDossier            REG  -              > PLAT OE MUN NSSO       | CLOSED
    """,
    ("WORK_PERMIT", "the region alone"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT                   | ADMISSIBLE
        notifyWorkDecision      REG  GRANTED        > PLAT NSSO              | WORK_GRANTED
        notifyPermit            REG  GRANTED        > PLAT CONS NSSO         | PERMIT_GRANTED
        notifyVisa              CONS ISSUED         > PLAT REG               | VISA_ISSUED
        notifySocialSecurityEvent NSSO -            > PLAT                   | VISA_ISSUED
        closeDossier            PLAT -              > REG CONS NSSO          | CLOSED
    """,
    ("PROFESSIONAL_CARD", "from abroad"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT                   | ADMISSIBLE
        notifyWorkDecision      REG  GRANTED        > PLAT OE                | WORK_GRANTED
        transferApplication     PLAT -              > OE                     | WORK_GRANTED
        notifyResidenceDecision OE   GRANTED        > PLAT REG               | RESIDENCE_GRANTED
        notifyPermit            REG  GRANTED        > PLAT OE CONS MUN       | PERMIT_GRANTED
        transferApplication     PLAT -              > CONS MUN               | PERMIT_GRANTED
        notifyVisa              CONS ISSUED         > PLAT REG OE MUN        | VISA_ISSUED
        notifyRegistration      MUN  REGISTERED     > PLAT OE                | REGISTERED
        notifyCard              MUN  CARD_ISSUED    > PLAT REG OE            | CARD_ISSUED
        notifyRevocation        REG  REVOKED        > PLAT OE CONS MUN       | REVOKED
        closeDossier            REG  -              > PLAT OE CONS MUN       | CLOSED
    """,
    ("PROFESSIONAL_CARD", "in Belgium the region alone"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT                   | ADMISSIBLE
        notifyWorkDecision      REG  GRANTED        > PLAT OE                | WORK_GRANTED
        notifyPermit            REG  GRANTED        > PLAT OE CONS MUN       | PERMIT_GRANTED
    """,
    ("SINGLE_PERMIT_INDEFINITE", "region, then Immigration Office"): """
        submitApplication       PLAT -              > REG                    | SUBMITTED
        notifySocialSecurityEvent NSSO -            > PLAT REG OE            | SUBMITTED
        notifyAdmissibility     REG  ADMISSIBLE     > PLAT OE                | ADMISSIBLE
        transferApplication     PLAT -              > OE                     | UNDER_REVIEW
        notifyWorkDecision      REG  GRANTED        > PLAT OE NSSO           | WORK_GRANTED
        notifyResidenceDecision OE   GRANTED        > PLAT REG NSSO          | RESIDENCE_GRANTED
        notifyPermit            OE   GRANTED        > PLAT REG MUN NSSO      | PERMIT_GRANTED
        instructMunicipality    OE   -              > MUN                    | PERMIT_GRANTED
        notifyCard              MUN  CARD_ISSUED    > PLAT REG OE NSSO       | CARD_ISSUED
    """,
}


def _arrows(text):
    for line in text.strip().splitlines():
        told, _, rest = line.partition(">")
        operation, sender, value = told.split()
        heard, _, status = rest.partition("|")
        yield operation, Role(sender), value.replace("-", ""), set(heard.split()), status.strip()


@pytest.mark.parametrize("story", STORIES, ids=" ".join)
def test_story(story):
    course, place = shipped().courses[story[0]], Place()
    for operation, sender, value, heard, status in _arrows(STORIES[story]):
        steps = [
            step
            for step in course.steps
            if step.operation == operation
            and sender in step.senders
            and (step.when[1] if step.when else "") == value
            and follow(place, step) is not None
        ]
        assert steps, (operation, place)
        for step in steps:  # several differ in the context alone
            assert {role for one, role, _ in step.tellings() if one is sender} == heard, operation
        place = follow(place, steps[0])
        assert place.status == status, operation


@pytest.mark.parametrize("name", NAMES)
def test_nobody_but_platform_region_and_municipality_hears_before_the_work_decision_but_the_immigration_office(
    name,
):
    """Row scope: the post and social security come in later, or have only to tell."""
    early = {"SUBMITTED", "INFO_REQUESTED", "ADMISSIBLE", "UNDER_REVIEW"}
    for step in shipped().courses[name].steps:
        if step.before and step.before <= early and step.after in {None, *early}:
            assert Role.CONS not in step.recipients
            assert Role.NSSO not in step.recipients


@pytest.mark.parametrize("name", NAMES)
def test_immigration_office_and_social_security_get_their_part_by_the_decision_that_needs_them(name):
    opening, *others = shipped().courses[name].steps
    assert Role.OE not in opening.inscribes
    assert all(step.before for step in others if Role.OE in step.inscribes)
    late = {step.after for step in others if Role.NSSO in step.inscribes}
    assert late <= {"WORK_GRANTED", "DEEMED_GRANTED"}


@pytest.mark.parametrize("name", NAMES)
def test_whoever_decides_on_residence_takes_part_once_work_is_granted(name):
    steps = shipped().courses[name].steps
    if not any(step.operation == "notifyResidenceDecision" for step in steps):
        return
    for step in steps:
        if step.after in {"WORK_GRANTED", "DEEMED_GRANTED"}:
            assert Role.OE in step.inscribes


@pytest.mark.parametrize("name", NAMES)
def test_from_the_work_decision_to_the_card_the_platform_can_bring_in_a_municipality(name):
    course = shipped().courses[name]
    if not any(Role.MUN in step.inscribes for step in course.steps):
        return
    late = {
        status
        for step in course.steps
        if step.operation == "transferApplication" and step.after is None and Role.MUN in step.inscribes
        for status in step.before
    }
    wanted = {"WORK_GRANTED", "RESIDENCE_GRANTED", "DEEMED_GRANTED", "PERMIT_GRANTED", "REGISTERED"}
    assert ({*wanted, "VISA_ISSUED", "CARD_ISSUED"} & statuses(course)) <= late


@pytest.mark.parametrize("name", NAMES)
def test_a_place_of_work_that_is_told_later_is_held_against_the_region(name):
    for step in shipped().courses[name].steps:
        if Role.PLAT in step.senders and step.operation in {"supplyInformation", "transferApplication"}:
            assert Role.REG in step.inscribes


@pytest.mark.parametrize("name", NAMES)
def test_a_decision_on_work_alone_does_not_end_the_term_for_the_copy(name):
    for one in shipped().courses[name].deadlines:
        if one.name == "COPY_TO_OE":
            assert "WORK_GRANTED" not in one.ends


@pytest.mark.parametrize("name", NAMES)
def test_who_leads_a_dossier_on_says_so(name):
    """Of the outcomes, a permit says nothing but that it is granted, a card that it is issued, an appeal nothing."""
    course = shipped().courses[name]
    said = {
        "notifyPermit": {"GRANTED", "DEEMED_GRANTED"},
        "notifyCard": {"CARD_ISSUED"},
        "notifyAppeal": set(),
    }
    for step in course.steps:
        if step.operation in said:
            values = {value for field in course.outcomes for value in step.values(field)}
            assert values <= said[step.operation]
            assert bool(values) is bool(said[step.operation])


# Course, permit type, term → days, working, regions, valid from.
DEADLINES = {
    ("SINGLE_PERMIT_FIRST", "OVERALL_TERM"): [
        (120, False, None, None, dt.date(2018, 12, 24)),
        (90, False, None, None, dt.date(2026, 5, 21)),
        (90, False, None, {"BLUE_CARD"}, dt.date(2018, 12, 24)),
    ],
    ("SINGLE_PERMIT_RENEWAL", "INFORMATION_SUPPLY"): [
        (15, False, None, None, dt.date(2018, 12, 24)),
        (15, True, {"WALLONIA"}, None, dt.date(2018, 12, 24)),
    ],
    ("SINGLE_PERMIT_INDEFINITE", "OVERALL_TERM"): [
        (120, False, None, None, dt.date(2018, 12, 24)),
        (90, False, None, None, dt.date(2026, 5, 21)),
    ],
    ("SINGLE_PERMIT_FIRST", "COPY_TO_OE"): [(15, False, None, None, dt.date(2018, 12, 24))],
    ("SINGLE_PERMIT_FIRST", "ADMISSIBILITY_CHECK"): [(30, False, None, None, dt.date(2018, 12, 24))],
    ("PROFESSIONAL_CARD", "REGISTRATION"): [(8, True, None, None, dt.date(2018, 12, 24))],
    ("WORK_PERMIT", "OVERALL_TERM"): [],
}


@pytest.mark.parametrize("term", DEADLINES, ids=" ".join)
def test_deadline(term):
    course, name = term
    found = [one for one in shipped().courses[course].deadlines if one.name == name]
    assert [
        (one.days, one.working, one.regions, one.permit_types, one.valid_from) for one in found
    ] == DEADLINES[term]


@pytest.mark.parametrize("name", NAMES)
def test_the_clock_of_a_decision_stands_still_while_information_is_requested(name):
    for one in shipped().courses[name].deadlines:
        if one.name in {"OVERALL_TERM", "ADMISSIBILITY_CHECK"}:
            assert one.suspended == {"INFO_REQUESTED"}


def _nth(operation, n=0, course="SINGLE_PERMIT_FIRST"):
    """Where the n-th step of an operation stands in a course."""
    steps = shipped().courses[course].steps
    return [index for index, step in enumerate(steps) if step.operation == operation][n]


STEPS = "courses.SINGLE_PERMIT_FIRST.steps"
ADMITTED = f"{STEPS}[{_nth('notifyAdmissibility')}]"
TERMS = "courses.SINGLE_PERMIT_FIRST.deadlines"
ROUTING = """[routing]
REG = "G17.municipality"
MUN = "G07.municipality"
CONS = "G01.post"
main = "G17.main"
"""
OPENING = """operation = "submitApplication"
senders = ["PLAT"]
after = "SUBMITTED"
context = "WIB:ADMISSIBILITY"
"""
HEARS = 'recipients = { REG = "WIB:ADMISSIBILITY" }'
GETS = 'inscribes = ["PLAT", "REG", "CONS", "MUN"]'
WHEN = 'when = { "G27.outcome" = "ADMISSIBLE" }'
BEFORE = 'before = ["SUBMITTED", "INFO_REQUESTED"]'
ALLOWS = 'allows = { "G27.outcome" = ["ADMISSIBLE"] }'
PAIRS = 'permit_types = ["SINGLE_PERMIT", "BLUE_CARD"]\nprocedures = ["FIRST", "CHANGE"]'
TERM = """name = "ADMISSIBILITY_CHECK"
starts = ["SUBMITTED"]
ends = ["ADMISSIBLE", "INADMISSIBLE", "WORK_REFUSED", "WITHDRAWN"]
suspended = ["INFO_REQUESTED"]
days = 30
"""

# Sentence of the case → (old text, new text, path of the finding, part of its sentence)
BROKEN = {
    "a file that is not TOML": ("\n[routing]", "\n[routing", "", "not TOML"),
    "a missing table": ("\n[routing]", "\n[routes]", "routing", "missing"),
    "an unknown table": ("\n[routing]", "\n[routes]", "routes", "no such table"),
    "a course that is no table": (
        "[courses.SINGLE_PERMIT_FIRST]",
        "[courses]\nSTRAY = 1\n[courses.SINGLE_PERMIT_FIRST]",
        "courses.STRAY",
        "expected `object`",
    ),
    "a routing that is no table": (ROUTING, "routing = 1\n", "routing", "a table was expected"),
    "an unknown role in the routing": ('CONS = "G01.post"', 'POST = "G01.post"', "routing.POST", "no role"),
    "a role that is not routed": (
        'CONS = "G01.post"',
        'OE = "G01.post"',
        "routing.OE",
        "no role that is routed",
    ),
    "an unknown field in the routing": (
        '"G01.post"',
        '"G01.pst"',
        "routing.CONS",
        'no field "G01.pst"',
    ),
    "a number in the routing": ('"G01.post"', "1", "routing.CONS", "expected `str`"),
    "a mark of the main place beside no place": (
        '"G17.main"',
        '"G18.year"',
        "routing.main",
        "beside no field",
    ),
    "a routed role without a field": (
        'CONS = "G01.post"\n',
        "",
        f"{STEPS}[0].inscribes",
        "no field names the authority of role CONS",
    ),
    "an unknown key in a course": (
        PAIRS,
        PAIRS + "\nlegs = 2",
        "courses.SINGLE_PERMIT_FIRST",
        "unknown field `legs`",
    ),
    "an unknown permit type": (
        PAIRS,
        PAIRS.replace("BLUE_CARD", "BLEU_CARD"),
        "courses.SINGLE_PERMIT_FIRST.permit_types[1]",
        'no permit type "BLEU_CARD"',
    ),
    "an unknown procedure": (
        PAIRS,
        PAIRS.replace("CHANGE", "MOVE"),
        "courses.SINGLE_PERMIT_FIRST.procedures[1]",
        'no procedure "MOVE"',
    ),
    "two courses for the same dossiers": (
        'procedures = ["RENEWAL"]',
        'procedures = ["RENEWAL", "CHANGE"]',
        "courses.SINGLE_PERMIT_RENEWAL",
        "SINGLE_PERMIT_FIRST has dossiers of the same type",
    ),
    "a course of an unknown basis": (
        'basis = ["A", "B", "C"]',
        'basis = ["A", "B", "Z"]',
        "courses.SINGLE_PERMIT_FIRST.basis[2]",
        'no basis "Z"',
    ),
    "an unknown key in a step": (
        OPENING,
        OPENING + 'hear = ["OE"]\n',
        f"{STEPS}[0]",
        "unknown field `hear`",
    ),
    "a step without recipients": (HEARS + "\n", "", f"{STEPS}[0]", "missing required field `recipients`"),
    "an unknown operation": (
        'operation = "submitApplication"',
        'operation = "sendApplication"',
        f"{STEPS}[0].operation",
        'no notification "sendApplication"',
    ),
    "a step that asks": (
        'operation = "submitApplication"',
        'operation = "consultDossier"',
        f"{STEPS}[0].operation",
        "that takes a step",
    ),
    "a step that follows the log": (
        'operation = "submitApplication"',
        'operation = "rectifyData"',
        f"{STEPS}[0].operation",
        "that takes a step",
    ),
    "an unknown sender": (
        'senders = ["PLAT"]',
        'senders = ["WIB"]',
        f"{STEPS}[0].senders[0]",
        'no role "WIB"',
    ),
    "nobody who tells it": ('senders = ["PLAT"]', "senders = []", f"{STEPS}[0].senders", "nobody tells it"),
    "a sender that may not tell it": (
        'senders = ["PLAT"]',
        'senders = ["PLAT", "REG"]',
        f"{STEPS}[0].senders",
        "role REG may not tell it",
    ),
    "a context in which the sender may not tell it": (
        OPENING,
        OPENING.replace("WIB:ADMISSIBILITY", "WIB:WORK_DECISION"),
        f"{STEPS}[0].senders",
        'may not tell it in context "WIB:WORK_DECISION"',
    ),
    "an unknown context": (
        OPENING,
        OPENING.replace("WIB:ADMISSIBILITY", "WIB:ADMISSION"),
        f"{STEPS}[0].context",
        'no context "WIB:ADMISSION"',
    ),
    "an unknown context of a recipient": (
        HEARS,
        HEARS.replace("WIB:ADMISSIBILITY", "WIB:ADMISSION"),
        f"{STEPS}[0].recipients.REG",
        'no context "WIB:ADMISSION"',
    ),
    "a context that the recipient may not invoke": (
        HEARS,
        HEARS.replace("WIB:ADMISSIBILITY", "WIB:VISA_ISSUE"),
        f"{STEPS}[0].recipients.REG",
        'role REG may not invoke context "WIB:VISA_ISSUE"',
    ),
    "a context that is not meant for such dossiers": (
        HEARS,
        HEARS.replace("WIB:ADMISSIBILITY", "WIB:RENEWAL"),
        f"{STEPS}[0].recipients.REG",
        "is not meant for SINGLE_PERMIT/FIRST, SINGLE_PERMIT/CHANGE, BLUE_CARD/FIRST, BLUE_CARD/CHANGE",
    ),
    "an unknown recipient": (
        HEARS,
        HEARS.replace("REG", "REGION"),
        f"{STEPS}[0].recipients.REGION",
        'no role "REGION"',
    ),
    "a recipient that hears nothing": (
        'recipients = { PLAT = "WIB:ADMISSIBILITY", OE = "WIB:RESIDENCE_DECISION" }',
        'recipients = { PLAT = "WIB:VISA_ISSUE", OE = "WIB:RESIDENCE_DECISION" }',
        f"{ADMITTED}.recipients.PLAT",
        "hears nothing of what role REG may tell",
    ),
    "a value of an unknown field": (
        WHEN,
        'when = { "G27.result" = "ADMISSIBLE" }',
        f"{ADMITTED}.when",
        'no field "G27.result"',
    ),
    "an unknown value": (
        WHEN,
        'when = { "G27.outcome" = "ADMITTED" }',
        f"{ADMITTED}.when",
        'no value of G27.outcome "ADMITTED"',
    ),
    "a value of a field that has no list": (
        WHEN,
        'when = { "G27.date" = "2026-01-01" }',
        f"{ADMITTED}.when",
        "no value of G27.date",
    ),
    "two values": (
        WHEN,
        'when = { "G27.outcome" = "ADMISSIBLE", "G28.outcome" = "GRANTED" }',
        f"{ADMITTED}.when",
        "one field with one value",
    ),
    "a value that the sender may not write": (
        WHEN,
        'when = { "G29.outcome" = "GRANTED" }',
        f"{ADMITTED}.when",
        "role REG may not write G29.outcome",
    ),
    "an unknown status before": (
        BEFORE,
        'before = ["FILED", "INFO_REQUESTED"]',
        f"{STEPS}[{_nth('notifyAdmissibility', 1)}].before[0]",
        'no status "FILED"',
    ),
    "an unknown status after": (
        'after = "INADMISSIBLE"',
        'after = "REJECTED"',
        f"{STEPS}[{_nth('notifyAdmissibility', 1)}].after",
        'no status "REJECTED"',
    ),
    "a way to a status that is gone": (
        'after = "RESIDENCE_GRANTED"',
        'after = "RESIDENCE_REFUSED"',
        f"{STEPS}[{_nth('notifyPermit')}].before",
        'status "RESIDENCE_GRANTED" is never reached',
    ),
    "a dossier that nothing opens": (
        'after = "SUBMITTED"\n',
        'before = ["SUBMITTED"]\n',
        STEPS,
        "no step opens a dossier",
    ),
    "a dossier that opens without a status": (
        'after = "SUBMITTED"\n',
        "",
        f"{STEPS}[0].after",
        "gives it a status",
    ),
    "a dossier that opens by resuming": (
        'after = "SUBMITTED"\n',
        'after = "RESUME"\n',
        f"{STEPS}[0].after",
        "gives it a status",
    ),
    "an opener without a part": (
        GETS,
        'inscribes = ["REG", "CONS", "MUN"]',
        f"{STEPS}[0].inscribes",
        "who opens a dossier gets a part",
    ),
    "an unknown part": (GETS, 'inscribes = ["PLAT", "HOME"]', f"{STEPS}[0].inscribes[1]", 'no role "HOME"'),
    "a part that nobody ever gets": (
        'inscribes = ["NSSO"]\n',
        "",
        f"courses.WORK_PERMIT.steps[{_nth('notifyWorkDecision', course='WORK_PERMIT')}]",
        "role NSSO never gets a part",
    ),
    "an unknown field in what is allowed": (
        ALLOWS,
        ALLOWS.replace("outcome", "result"),
        f"{STEPS}[{_nth('transferApplication', 2)}].allows",
        'no field "G27.result"',
    ),
    "an unknown value in what is allowed": (
        ALLOWS,
        ALLOWS.replace("ADMISSIBLE", "ADMITTED"),
        f"{STEPS}[{_nth('transferApplication', 2)}].allows.G27.outcome[0]",
        'no value of G27.outcome "ADMITTED"',
    ),
    "an allowed value that the sender may not write": (
        ALLOWS,
        ALLOWS.replace("G27.outcome", "G29.outcome").replace("ADMISSIBLE", "GRANTED"),
        f"{STEPS}[{_nth('transferApplication', 2)}].allows",
        "role REG may not write G29.outcome",
    ),
    "an allowed value of a field by which no step is told apart": (
        ALLOWS,
        'allows = { "G34.outcome" = ["GRANTED"] }',
        f"{STEPS}[{_nth('transferApplication', 2)}].allows",
        "no step is told apart by G34.outcome",
    ),
    "a closing that would open what was never open": (
        'ends = ["MUN", "NSSO"]\n',
        'ends = ["MUN"]\n',
        f"courses.SINGLE_PERMIT_RENEWAL.steps[{_nth('closeDossier', course='SINGLE_PERMIT_RENEWAL')}]",
        '"CLOSED" would open to role NSSO what was never open to it',
    ),
    "a revocation that would open what was never open": (
        'ends = ["MUN"]\nbasis = ["B", "D"]\ncertainty = "J"\nnote = "the municipality hears',
        'basis = ["B", "D"]\ncertainty = "J"\nnote = "the municipality hears',
        f"courses.SINGLE_PERMIT_RENEWAL.steps[{_nth('notifyRevocation', course='SINGLE_PERMIT_RENEWAL')}]",
        '"REVOKED" would open to role MUN what was never open to it',
    ),
    "a clock that never ends": (
        TERM,
        TERM.replace('"WORK_REFUSED", ', ""),
        f"{TERMS}[0].ends",
        'it can still run at "CLOSED"',
    ),
    "a part that the sender cannot name": (
        'inscribes = ["OE"]',
        'inscribes = ["OE", "MUN"]',
        f"{ADMITTED}.inscribes",
        "role REG may not write G07.municipality, which names MUN",
    ),
    "an unknown part that ends": (
        'ends = ["MUN"]',
        'ends = ["HOME"]',
        f"{STEPS}[{_nth('notifyRegistration', 2)}].ends[0]",
        'no role "HOME"',
    ),
    "a person that the sender cannot name": (
        'inscribes = ["OE"]',
        'inscribes = ["OE"]\nbinds = true',
        f"{ADMITTED}.binds",
        "role REG may not write G02.ssin",
    ),
    "resuming what nothing interrupted": (
        'before = ["INFO_REQUESTED"]\nafter = "RESUME"',
        'before = ["INFO_REQUESTED", "ADMISSIBLE"]\nafter = "RESUME"',
        f"{STEPS}[{_nth('supplyInformation')}].after",
        "there is nothing to resume",
    ),
    "interrupting for nothing": (
        'after = "INFO_REQUESTED"\ninterrupts = true',
        "interrupts = true",
        f"{STEPS}[{_nth('requestInformation')}].interrupts",
        "only a status that leads to another",
    ),
    "an unknown basis of a step": (
        'basis = ["A", "F"]',
        'basis = ["A", "Z"]',
        f"{STEPS}[0].basis[1]",
        'no basis "Z"',
    ),
    "a term of nothing": ("days = 30", "days = 0", f"{TERMS}[0].days", "at least 1"),
    "a term beyond the calendar": ("days = 30", "days = 99999999999", f"{TERMS}[0].days", "at most 3660"),
    "a term that ends before it begins": (
        "valid_until = 2026-05-20",
        "valid_until = 2016-05-20",
        f"{TERMS}[4].valid_until",
        "ends before it begins",
    ),
    "a term that starts at an unknown status": (
        TERM,
        TERM.replace('["SUBMITTED"]', '["FILED"]'),
        f"{TERMS}[0].starts[0]",
        'no status "FILED"',
    ),
    "a term that nothing starts": (
        TERM,
        TERM.replace('["SUBMITTED"]', "[]"),
        f"{TERMS}[0].starts",
        "no status",
    ),
    "a term that ends where it starts": (
        TERM,
        TERM.replace('"WITHDRAWN"', '"SUBMITTED"'),
        f"{TERMS}[0].ends",
        "does not end it",
    ),
    "a term of an unknown region": (
        'regions = ["WALLONIA"]',
        'regions = ["WALLONIE"]',
        f"{TERMS}[2].regions[0]",
        'no region "WALLONIE"',
    ),
    "a term of another course's permit type": (
        'permit_types = ["BLUE_CARD"]\nvalid',
        'permit_types = ["WORK_PERMIT"]\nvalid',
        f"{TERMS}[6].permit_types[0]",
        "no permit type of the course",
    ),
    "two rules that begin on the same day": (
        'regions = ["WALLONIA"]\n',
        "",
        f"{TERMS}[2]",
        "another rule of INFORMATION_SUPPLY begins on the same day",
    ),
    "two particular rules that begin on the same day": (
        "valid_from = 2026-05-21",
        'permit_types = ["BLUE_CARD"]\nvalid_from = 2018-12-24',
        f"{TERMS}[6]",
        "another rule of OVERALL_TERM begins on the same day",
    ),
    "an unknown key in a term": (TERM, TERM + "hours = 4\n", f"{TERMS}[0]", "unknown field `hours`"),
}


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_procedures_are_refused_for(case):
    old, new, path, sentence = BROKEN[case]
    with pytest.raises(AgreementError) as refused:
        load_agreement(changed(PROCEDURES, old, new))
    assert any(
        finding.file == PROCEDURES and finding.path == path and sentence in finding.sentence
        for finding in refused.value.findings
    ), refused.value


def test_two_steps_that_one_message_could_mean_differ_in_value_context_or_status():
    files = changed(PROCEDURES, 'when = { "G31.status" = "REFUSED" }', 'when = { "G31.status" = "ISSUED" }')
    with pytest.raises(AgreementError) as refused:
        load_agreement(files)
    (finding,) = refused.value.findings
    assert finding.path == f"{STEPS}[{_nth('notifyVisa', 1)}]"
    assert "meant by the same message" in finding.sentence


def test_two_steps_that_allow_the_value_of_each_other_could_be_meant_by_one_message():
    """The order of the steps, which is no term, would decide whether the visa was issued."""
    text = shipped_files()[PROCEDURES].decode()
    for value, other in (("ISSUED", "REFUSED"), ("REFUSED", "ISSUED")):
        when = f'when = {{ "G31.status" = "{value}" }}\n'
        text = text.replace(when, f'{when}allows = {{ "G31.status" = ["{other}"] }}\n', 1)
    with pytest.raises(AgreementError) as refused:
        load_agreement({**shipped_files(), PROCEDURES: text.encode()})
    (finding,) = refused.value.findings
    assert finding.path == f"{STEPS}[{_nth('notifyVisa', 1)}]"
    assert "meant by the same message" in finding.sentence


def test_a_notification_that_no_course_has_is_a_clause_without_effect():
    text = shipped_files()[PROCEDURES].decode()
    heads = [block for block in text.split("\n\n") if 'operation = "notifyAppeal"' not in block]
    with pytest.raises(AgreementError) as refused:
        load_agreement({**shipped_files(), PROCEDURES: "\n\n".join(heads).encode()})
    assert str(refused.value) == f"{PROCEDURES}: courses: no course has a step notifyAppeal"


# A fifth procedure, of which no code has ever heard: work of a season, at most 90 days, decided by the region within
# ten working days. Only texts are added.
SEASONAL_TYPE = """
[permit_types]
SEASONAL_PERMIT = { nl = "Seizoensarbeid", fr = "Travail saisonnier", de = "Saisonarbeit", en = "Seasonal permit" }
"""
SEASONAL_CONTEXT = """
[contexts."WIB:SEASONAL_WORK"]
purpose = "Decide on the work of a season"
roles = ["PLAT", "REG", "NSSO"]
groups = ["G01", "G02", "G10", "G14", "G15", "G16", "G17", "G28", "G33"]
permit_types = ["SEASONAL_PERMIT"]
basis = ["B"]
certainty = "J"
"""
SEASONAL_COURSE = """
[courses.SEASONAL]
permit_types = ["SEASONAL_PERMIT"]
procedures = ["FIRST"]
basis = ["B"]
certainty = "J"

[[courses.SEASONAL.steps]]
operation = "submitApplication"
senders = ["PLAT"]
after = "SUBMITTED"
context = "WIB:SEASONAL_WORK"
recipients = { REG = "WIB:SEASONAL_WORK" }
inscribes = ["PLAT", "REG"]
basis = ["B"]
certainty = "J"

[[courses.SEASONAL.steps]]
operation = "notifyWorkDecision"
when = { "G28.outcome" = "GRANTED" }
senders = ["REG"]
before = ["SUBMITTED"]
after = "PERMIT_GRANTED"
context = "WIB:SEASONAL_WORK"
recipients = { PLAT = "WIB:SEASONAL_WORK", NSSO = "WIB:SEASONAL_WORK" }
inscribes = ["NSSO"]
basis = ["B"]
certainty = "J"

[[courses.SEASONAL.steps]]
operation = "notifySocialSecurityEvent"
senders = ["NSSO"]
before = ["PERMIT_GRANTED"]
context = "WIB:SEASONAL_WORK"
recipients = { PLAT = "WIB:SEASONAL_WORK" }
basis = ["I"]
certainty = "J"

[[courses.SEASONAL.steps]]
operation = "closeDossier"
senders = ["REG"]
before = ["SUBMITTED", "PERMIT_GRANTED"]
after = "CLOSED"
context = "WIB:SEASONAL_WORK"
recipients = { PLAT = "WIB:SEASONAL_WORK" }
basis = ["U"]
certainty = "J"

[[courses.SEASONAL.deadlines]]
name = "DECISION"
starts = ["SUBMITTED"]
ends = ["PERMIT_GRANTED", "CLOSED"]
days = 10
working = true
valid_from = 2026-01-01
basis = ["B"]
certainty = "J"
"""
SENDS = {
    "submitApplication": "PLAT",
    "notifyWorkDecision": "REG",
    "notifySocialSecurityEvent": "NSSO",
    "closeDossier": "REG",
}


def _with_seasonal_work():
    text = shipped_files()[AGREEMENT].decode().replace("\n[permit_types]\n", SEASONAL_TYPE)
    text = text.replace(
        '\n[contexts."WIB:ADMISSIBILITY"]', SEASONAL_CONTEXT + '\n[contexts."WIB:ADMISSIBILITY"]'
    )
    for operation, role in SENDS.items():
        head, found, rest = text.partition(f"[operations.{operation}")
        senders = rest.index(f"{role} = [") + len(f"{role} = [")
        text = f'{head}{found}{rest[:senders]}"WIB:SEASONAL_WORK", {rest[senders:].lstrip()}'
    course = shipped_files()[PROCEDURES] + SEASONAL_COURSE.encode()
    return load_agreement({**shipped_files(), AGREEMENT: text.encode(), PROCEDURES: course})


def test_a_fifth_procedure_needs_nothing_but_data():
    agreement = _with_seasonal_work()
    course = agreement.course("SEASONAL_PERMIT", "FIRST")
    assert [step.operation for step in course.steps] == list(SENDS)
    assert statuses(course) == {"SUBMITTED", "PERMIT_GRANTED", "CLOSED"}
    (deadline,) = course.deadlines
    assert (deadline.name, deadline.days, deadline.working) == ("DECISION", 10, True)
    assert agreement.course("SEASONAL_PERMIT", "RENEWAL") is None


def test_a_fifth_procedure_has_views_of_its_own_and_changes_no_other():
    agreement, work = _with_seasonal_work(), "WIB:SEASONAL_WORK"
    region = agreement.view("submitApplication", Role.REG, work, Role.PLAT)
    assert region.verdicts["dossier/salary/amount"] is None
    assert region.verdicts["dossier/qualification/diploma"] is not None
    security = agreement.view("notifyWorkDecision", Role.NSSO, work, Role.REG)
    assert agreement.released_fields(security) == {"G28.outcome", "G28.validFrom", "G28.validUntil"}
    assert work in agreement.operations["submitApplication"].recipients[Role.REG]
    for name, before in shipped().courses.items():
        assert agreement.courses[name] == before
    one = ("submitApplication", Role.REG, "WIB:ADMISSIBILITY", Role.PLAT)
    assert agreement.view(*one).verdicts == shipped().view(*one).verdicts
