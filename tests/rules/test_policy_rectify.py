"""Whom a rectification goes to: whoever received the field before, by the log, and nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.model import Accepted, AuthorityId, DossierScope, LegalContext, OperationName
from gateway.policy.notify import accept, sendable
from gateway.policy.person import person_digest
from gateway.policy.rectify import EarlierRelease, Outstanding
from gateway.refusal import Code, Refusal
from tests.rules.agreement_files import shipped
from tests.rules.notify_world import (
    ADMISSIBILITY,
    KEY,
    NOW,
    NUMBER,
    OTHER_SSIN,
    RESIDENCE,
    SSIN,
    WORK,
    facts,
    line,
    party,
    refused,
    request,
    scope,
    suspended,
)

NAME, SALARY, NUMBER_PATH = (
    "dossier/worker/familyName",
    "dossier/salary/amount",
    "dossier/header/dossierNumber",
)
CONSULTED, SUBMITTED = OperationName("consultDossier"), OperationName("submitApplication")
RECTIFY = OperationName("rectifyData")
CORRECTED = {"worker": {"familyName": "Zyxwvutsrq"}}


def had(
    name: str, context: LegalContext, *paths: str, operation: OperationName = CONSULTED
) -> EarlierRelease:
    found = frozenset(paths)
    return EarlierRelease(0, str(party(name).enterprise), operation, context, found, found)


def rectified(
    groups=CORRECTED,
    *earlier: EarlierRelease,
    before: DossierScope | None = None,
    context: LegalContext = ADMISSIBILITY,
    sender: str = "PLATFORM",
) -> Accepted:
    asked = request(sender, "rectifyData", context, groups)
    return accept(asked, facts(shipped(), before or scope()), earlier)


def told(found: Accepted) -> list[tuple[str, str]]:
    return [(one.authority.id, one.legal_context) for one in found.recipients]


def test_whoever_received_the_field_hears_of_it_in_the_order_of_the_register():
    earlier = had("IMMIGRATION_OFFICE", RESIDENCE, NAME), had("BRUSSELS", WORK, NAME, operation=SUBMITTED)
    assert told(rectified(CORRECTED, *earlier)) == [("BRUSSELS", WORK), ("IMMIGRATION_OFFICE", RESIDENCE)]


def test_whoever_received_other_fields_does_not():
    assert told(rectified(CORRECTED, had("BRUSSELS", WORK, SALARY))) == []


def test_it_does_not_matter_whether_the_recipient_still_takes_part():
    before = scope("UNDER_REVIEW", line("PLATFORM"), line("BRUSSELS", until=NOW))
    earlier = had("BRUSSELS", WORK, NAME), had("FLANDERS", WORK, NAME)
    assert told(rectified(CORRECTED, *earlier, before=before)) == [("BRUSSELS", WORK), ("FLANDERS", WORK)]


def test_the_sender_does_not_hear_of_it():
    assert told(rectified(CORRECTED, had("PLATFORM", ADMISSIBILITY, NAME))) == []


def test_who_has_left_the_register_cannot_be_told():
    gone = replace(had("BRUSSELS", WORK, NAME), enterprise="0123456749")
    assert told(rectified(CORRECTED, gone)) == []


@pytest.mark.parametrize(
    "contexts", [(WORK, ADMISSIBILITY), (ADMISSIBILITY, WORK), (WORK, ADMISSIBILITY, WORK)]
)
def test_the_newest_context_of_a_recipient_is_the_one(contexts: Sequence[LegalContext]):
    earlier = [had("BRUSSELS", context, NAME) for context in contexts]
    assert told(rectified(CORRECTED, *earlier)) == [("BRUSSELS", contexts[-1])]


def test_a_newer_release_of_other_fields_changes_nothing():
    earlier = had("BRUSSELS", WORK, NAME), had("BRUSSELS", ADMISSIBILITY, NUMBER_PATH)
    assert told(rectified(CORRECTED, *earlier)) == [("BRUSSELS", WORK)]


def test_an_older_context_is_taken_when_the_newer_would_withhold_what_was_received():
    both = {**CORRECTED, "salary": {"amount": "4120.50"}}
    earlier = had("BRUSSELS", WORK, NAME, SALARY), had("BRUSSELS", ADMISSIBILITY, NAME)
    assert told(rectified(both, *earlier)) == [("BRUSSELS", WORK)]


def test_a_context_that_the_recipient_may_no_longer_invoke_is_left_out():
    earlier = had("BRUSSELS", WORK, NAME), had("BRUSSELS", LegalContext("WIB:OLD"), NAME)
    assert told(rectified(CORRECTED, *earlier)) == [("BRUSSELS", WORK)]
    assert told(rectified(CORRECTED, earlier[1])) == []


def test_nothing_is_told_in_a_context_that_shows_nothing_of_it():
    salary = {"salary": {"amount": "4120.50"}}
    assert told(rectified(salary, had("BRUSSELS", ADMISSIBILITY, SALARY))) == []
    assert told(rectified(salary, had("BRUSSELS", WORK, SALARY))) == [("BRUSSELS", WORK)]


def test_the_number_of_the_dossier_is_named_and_not_rectified():
    named = {"header": {"dossierNumber": NUMBER}, **CORRECTED}
    assert told(rectified(named, had("BRUSSELS", WORK, NUMBER_PATH))) == []


def test_an_operation_that_the_agreement_no_longer_has_is_known_by_its_paths():
    earlier = had("BRUSSELS", WORK, NAME, operation=OperationName("consultOld"))
    assert told(rectified(CORRECTED, earlier)) == [("BRUSSELS", WORK)]


def test_status_and_parts_stay():
    before = scope()
    found = rectified(CORRECTED, before=before)
    assert (found.scope, found.expected) == (replace(before, version=8), 7)


def test_a_rectified_number_is_whose_dossier_it_is_from_now_on():
    before = scope(person=person_digest(KEY, SSIN))
    found = rectified({"worker": {"ssin": OTHER_SSIN}}, before=before)
    assert found.scope.person == person_digest(KEY, OTHER_SSIN)
    assert rectified(CORRECTED, before=before).scope.person == before.person


def coming(
    name: str, context: LegalContext, operation: OperationName = SUBMITTED, sender: str = "PLATFORM"
) -> Outstanding:
    return Outstanding(party(name).id, AuthorityId(sender), operation, context)


def told_behind(*waiting: Outstanding, groups=CORRECTED, earlier: Sequence[EarlierRelease] = ()):
    return told(accept(rectification(groups=groups), facts(shipped(), scope()), earlier, waiting))


def test_it_goes_behind_what_still_waits():
    assert told_behind(coming("BRUSSELS", ADMISSIBILITY)) == [("BRUSSELS", ADMISSIBILITY)]


def test_what_waits_is_known_by_its_view():
    salary = {"salary": {"amount": "4120.50"}}
    assert told_behind(coming("BRUSSELS", ADMISSIBILITY), groups=salary) == []
    assert told_behind(coming("PLATFORM", ADMISSIBILITY)) == []


def test_what_waits_comes_after_what_was_received():
    earlier = [had("BRUSSELS", WORK, NAME)]
    assert told_behind(coming("BRUSSELS", ADMISSIBILITY), earlier=earlier) == [("BRUSSELS", ADMISSIBILITY)]


@pytest.mark.parametrize(
    "strange",
    [
        coming("BRUSSELS", ADMISSIBILITY, OperationName("notifyOld")),
        coming("BRUSSELS", ADMISSIBILITY, sender="GONE"),
    ],
)
def test_what_waits_and_is_not_known_any_more_may_be_anything(strange: Outstanding):
    assert told_behind(strange) == [("BRUSSELS", ADMISSIBILITY)]


@pytest.mark.parametrize(("indices", "newest"), [((), -1), ((7,), 7), ((3, 9), 9)])
def test_the_newest_release_that_was_seen_is_said(indices: Sequence[int], newest: int):
    earlier = [replace(had("BRUSSELS", WORK, NAME), index=one) for one in indices]
    assert rectified(CORRECTED, *earlier).newest == newest


def test_nobody_rectifies_at_a_status_that_does_not_open_the_dossier_to_it():
    lines = line("PLATFORM"), line("BRUSSELS"), line("MUN_LIEGE")
    name = {"worker": {"familyName": "Zyxwvutsrq"}}
    asked = rectification("MUN_LIEGE", LegalContext("WIB:MUNICIPAL_REGISTRATION"), name)
    assert refused(asked, [], scope("SUBMITTED", *lines)) is Code.STATUS_DENIED
    assert accept(asked, facts(shipped(), scope("REGISTERED", *lines)), [])


def test_a_closed_dossier_is_not_rectified_for_ever():
    days = timedelta(days=shipped().closed_read_days)
    old = scope("CLOSED", status_since=NOW - days - timedelta(seconds=1))
    assert refused(rectification(), [], old) is Code.STATUS_DENIED
    assert accept(rectification(), facts(shipped(), scope("CLOSED", status_since=NOW - days)), [])


def test_the_rights_of_a_sender_follow_the_status_too():
    asking = party("MUN_LIEGE"), RECTIFY, LegalContext("WIB:MUNICIPAL_REGISTRATION"), NUMBER
    with pytest.raises(Refusal) as caught:
        sendable(*asking, facts(shipped(), scope("SUBMITTED", line("MUN_LIEGE"))))
    assert caught.value.code is Code.STATUS_DENIED
    assert sendable(*asking, facts(shipped(), scope("REGISTERED", line("MUN_LIEGE"))))


def test_only_a_role_that_binds_the_person_binds_it_anew():
    before = scope("REGISTERED", line("MUN_LIEGE"), person=person_digest(KEY, SSIN))
    asked = rectification(
        "MUN_LIEGE", LegalContext("WIB:MUNICIPAL_REGISTRATION"), {"worker": {"ssin": OTHER_SSIN}}
    )
    terms = shipped()
    assert accept(asked, facts(terms, before), []).scope.person == person_digest(KEY, OTHER_SSIN)
    courses = {
        name: replace(course, steps=tuple(replace(one, binds=False) for one in course.steps))
        for name, course in terms.courses.items()
    }
    unbinding = replace(terms, courses=courses)
    assert accept(asked, facts(unbinding, before), []).scope.person == before.person


def rectification(sender: str = "PLATFORM", context: LegalContext = ADMISSIBILITY, groups=CORRECTED):
    return request(sender, "rectifyData", context, groups)


def test_nobody_rectifies_what_another_may_write():
    decision = {"workDecision": {"outcome": "GRANTED"}}
    assert refused(rectification(groups=decision), [], scope()) is Code.SENDER_RIGHT
    assert rectified(decision, sender="BRUSSELS", context=WORK)


def test_nobody_rectifies_in_a_dossier_of_others():
    assert refused(rectification(), [], None) is Code.DOSSIER_DENIED
    assert refused(rectification(), [], scope("UNDER_REVIEW", line("BRUSSELS"))) is Code.DOSSIER_DENIED


def test_the_context_must_apply_to_the_dossier():
    asked = rectification(
        "BRUSSELS", LegalContext("WIB:WORK_PERMIT"), {"workDecision": {"outcome": "GRANTED"}}
    )
    assert refused(asked, [], scope()) is Code.CONTEXT_INAPPLICABLE


def test_a_suspended_recipient_will_hear_of_it():
    asked = rectification()
    found = accept(asked, facts(shipped(), scope(), suspended("BRUSSELS")), [had("BRUSSELS", WORK, NAME)])
    assert told(found) == [("BRUSSELS", WORK)]
