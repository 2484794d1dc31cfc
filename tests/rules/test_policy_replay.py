"""A logged decision put to a draft: what is known, and what the answer depends on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from gateway.agreement.load import Agreement, load_agreement
from gateway.agreement.register import Register, load_register
from gateway.model import (
    AuthorityId,
    DossierNumber,
    DossierScope,
    Inscription,
    LegalContext,
    OperationName,
    Passage,
    Role,
)
from gateway.policy.past import as_of, decided_at
from gateway.policy.replay import About, Logged, Unknown, hearing, replay
from gateway.refusal import Code
from tests.rules.agreement_files import AGREEMENT, PROCEDURES, REGISTER, ROOT, changed, shipped

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
WORK, RENEWAL, PRIOR = (
    LegalContext(f"WIB:{name}") for name in ("WORK_DECISION", "RENEWAL", "PRIOR_APPLICATION_CHECK")
)
PARTS = (
    ("PLATFORM", Role.PLAT),
    ("BRUSSELS", Role.REG),
    ("IMMIGRATION_OFFICE", Role.OE),
    ("NSSO", Role.NSSO),
)
LINES = tuple(Inscription(AuthorityId(name), role, NOW - timedelta(days=9), None) for name, role in PARTS)
SCOPE = DossierScope(
    DossierNumber("one"), "SINGLE_PERMIT", "FIRST", "UNDER_REVIEW", NOW - timedelta(days=3), LINES
)


@cache
def register() -> Register:
    return load_register((ROOT / REGISTER).read_bytes(), REGISTER)


def logged(name: str, operation: str, context: LegalContext, decision: str, **change: object) -> Logged:
    plain = Logged(
        register().by_id[AuthorityId(name)],
        OperationName(operation),
        context,
        decision,
        None,
        About.SOME,
        SCOPE,
        NOW,
    )
    return replace(plain, **change)


def answers(one: Logged, draft: Agreement) -> tuple[set[Code | None], set[Unknown]]:
    told = replay(one, shipped(), draft, register())
    return set(told.codes), set(told.unknown)


CONSULTED = logged("BRUSSELS", "consultDossier", WORK, "permitted", asked=Role.PLAT)
SEARCHED = logged("IMMIGRATION_OFFICE", "consultPriorApplications", PRIOR, "permitted", asked=Role.REG)
CASES = {  # as logged: what the same agreement says, and what limits it
    "a question that was granted": (CONSULTED, {None}, set()),
    "with the INSZ of the dossier's worker": (SEARCHED, {None}, set()),
    "with another INSZ": (replace(SEARCHED, decision="WIB07007", asked=None), {Code.CRITERIA_DENIED}, set()),
    "for another procedure": (replace(CONSULTED, legal_context=RENEWAL, decision="WIB07003"), {Code.CONTEXT_INAPPLICABLE}, set()),
    "of another's dossier": (logged("FLANDERS", "consultDossier", WORK, "WIB07005"), {Code.DOSSIER_DENIED}, set()),
    "of a dossier that nobody knows": (replace(CONSULTED, scope=None, decision="WIB07005"), {Code.DOSSIER_DENIED}, set()),
    "of oneself": (replace(CONSULTED, asked=None, decision="WIB07010"), {Code.SOURCE_DENIED}, set()),
    "when the seed is gone": (replace(CONSULTED, scope=None, about=About.GONE), {None}, {Unknown.DOSSIER}),
    "of a worker, when the seed is gone": (replace(SEARCHED, scope=None, about=About.GONE), {None}, {Unknown.DOSSIER}),
    "a refusal by row scope, when the seed is gone": (
        replace(CONSULTED, scope=None, about=About.GONE, decision="WIB07006", asked=None), set(), {Unknown.DOSSIER},
    ),
    "what the agreement does not decide so": (replace(CONSULTED, decision="WIB07004"), set(), {Unknown.OTHERWISE}),
    "an operation that there was not": (replace(CONSULTED, operation=OperationName("consultNothing")), set(), {Unknown.OTHERWISE}),
    "a notification": (
        logged("BRUSSELS", "notifyWorkDecision", WORK, "accepted"), {None}, {Unknown.PAYLOAD},
    ),
    "a notification that its fields refused": (
        logged("BRUSSELS", "notifyWorkDecision", WORK, "WIB13005"), set(), {Unknown.PAYLOAD},
    ),
    "a notification out of order": (
        logged("BRUSSELS", "notifyAdmissibility", LegalContext("WIB:ADMISSIBILITY"), "WIB13002"),
        {Code.TRANSITION_DENIED}, {Unknown.PAYLOAD},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_agreement_that_decided_says_what_the_log_says_or_nothing(case):
    one, codes, unknown = CASES[case]
    assert answers(one, shipped()) == (codes, unknown)


def test_an_operation_that_a_draft_does_not_have_is_none():
    operations = {name: one for name, one in shipped().operations.items() if name != "consultDossier"}
    assert answers(CONSULTED, replace(shipped(), operations=operations)) == ({Code.OPERATION}, set())


def test_another_default_source_matters_to_who_may_have_named_none():
    draft = load_agreement(
        changed(AGREEMENT, 'providers = ["PLAT", "REG", "OE",', 'providers = ["REG", "PLAT", "OE",')
    )
    assert answers(CONSULTED, draft) == ({None, Code.SOURCE_DENIED}, {Unknown.SOURCE})
    other = replace(CONSULTED, asked=Role.OE)
    assert answers(other, draft) == ({None}, set())


def test_a_field_that_a_sender_may_write_no_more_may_have_been_told():
    row = shipped().files[AGREEMENT].decode().partition("[groups.G28]")[2].partition("[groups.G29]")[0]
    line = next(one for one in row.splitlines() if one.startswith("REG "))
    denied = line.replace('provide = "all"', 'provide = ["outcome", "date"]')
    assert denied != line
    draft = load_agreement(changed(AGREEMENT, row, row.replace(line, denied)))
    decided = logged("BRUSSELS", "notifyWorkDecision", WORK, "accepted")
    assert answers(decided, draft) == ({None, Code.SENDER_RIGHT}, {Unknown.PAYLOAD, Unknown.FIELDS})


def test_who_takes_part_may_hear_and_nobody_else():
    told = logged(
        "NSSO", "notifySocialSecurityEvent", WORK, "accepted", scope=replace(SCOPE, status="WORK_GRANTED")
    )
    both = {("PLATFORM", WORK), ("IMMIGRATION_OFFICE", LegalContext("WIB:RESIDENCE_DECISION"))}
    assert hearing(told, shipped()) == both
    left = replace(LINES[0], until=NOW)
    without = replace(told, scope=replace(told.scope, inscriptions=(left, *LINES[1:])))
    assert hearing(without, shipped()) == both - {("PLATFORM", WORK)}
    assert hearing(replace(told, scope=None), shipped()) == frozenset()
    assert hearing(replace(told, scope=SCOPE), shipped()) == frozenset()  # no step at this status


def test_a_draft_in_which_nobody_hears_is_asked_by_its_own_steps():
    before, step, after = (
        shipped().files[PROCEDURES].decode().partition('operation = "notifySocialSecurityEvent"')
    )
    fewer = after.replace(', OE = "WIB:RESIDENCE_DECISION" }', " }", 1)
    draft = load_agreement({**shipped().files, PROCEDURES: f"{before}{step}{fewer}".encode()})
    told = logged(
        "NSSO", "notifySocialSecurityEvent", WORK, "accepted", scope=replace(SCOPE, status="WORK_GRANTED")
    )
    assert hearing(told, draft) == {("PLATFORM", WORK)}


# The dossier as it was.


PASSAGES = (
    Passage("SUBMITTED", NOW - timedelta(days=9), OperationName("submitApplication")),
    Passage("INFO_REQUESTED", NOW - timedelta(days=5), OperationName("requestInformation")),
    Passage("UNDER_REVIEW", NOW - timedelta(days=3), None),
)


@pytest.mark.parametrize(
    ("days", "status", "resumes"),
    [(9, "SUBMITTED", None), (5, "INFO_REQUESTED", "SUBMITTED"), (4, "INFO_REQUESTED", "SUBMITTED"), (0, "UNDER_REVIEW", "INFO_REQUESTED")],
)  # fmt: skip
def test_the_status_of_a_past_moment_is_that_of_the_last_passage(days, status, resumes):
    was = as_of(SCOPE, PASSAGES, NOW - timedelta(days=days))
    assert was is not None
    assert (was.status, was.resumes) == (status, resumes)
    assert was.status_since == next(one.since for one in PASSAGES if one.status == status)


def test_a_dossier_was_not_known_before_its_first_passage():
    assert as_of(SCOPE, PASSAGES, NOW - timedelta(days=10)) is None


def test_a_notification_is_decided_before_the_step_that_it_takes():
    received = PASSAGES[1].since
    at = decided_at("2026-06-01T12:00:00.000Z", received)
    assert as_of(SCOPE, PASSAGES, at).status == "SUBMITTED"
    assert decided_at("2026-06-01T12:00:00.000Z", None) == NOW
