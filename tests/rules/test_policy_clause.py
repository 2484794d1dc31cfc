"""The clause behind a refusal: where it stands, what it grants to the role that asked, and on which basis."""

from __future__ import annotations

import pytest

from gateway.model import LegalContext, OperationName, Role
from gateway.policy.clause import clause, granted_purpose
from gateway.refusal import Category, Code
from tests.rules.agreement_files import shipped

WORK, RESIDENCE = "WIB:WORK_DECISION", "WIB:RESIDENCE_DECISION"
CASES = {  # code, role, operation, context: place, one of what it grants, one of what it does not
    "an operation": (
        Code.OPERATION_DENIED, Role.CONS, "consultPriorApplications", "WIB:VISA_ISSUE",
        "operations.consultPriorApplications.requesters", "consultStatus", "consultPriorApplications",
    ),
    "a context of other roles": (
        Code.CONTEXT_DENIED, Role.REG, "consultDossier", RESIDENCE, f'contexts."{RESIDENCE}".roles', WORK, RESIDENCE,
    ),
    "a context of other operations": (
        Code.CONTEXT_DENIED, Role.REG, "consultSocialSecurityStatus", WORK,
        "operations.consultSocialSecurityStatus.requesters.REG", "WIB:RENEWAL", WORK,
    ),
    "a context that nobody knows": (
        Code.CONTEXT_UNKNOWN, Role.REG, "consultDossier", None, "operations.consultDossier.requesters.REG", WORK, RESIDENCE,
    ),
    "a context of another step": (
        Code.CONTEXT_DENIED, Role.REG, "notifyWorkDecision", WORK, "courses.*.steps of notifyWorkDecision", None, None,
    ),
    "a procedure": (
        Code.CONTEXT_INAPPLICABLE, Role.REG, "consultDossier", WORK, f'contexts."{WORK}"', "procedures: CHANGE, FIRST", None,
    ),
    "a status": (
        Code.STATUS_DENIED, Role.MUN, "consultStatus", "WIB:MUNICIPAL_REGISTRATION", "roles.MUN.statuses",
        "PERMIT_GRANTED", "UNDER_REVIEW",
    ),
    "a closed dossier": (
        Code.STATUS_DENIED, Role.MUN, "consultStatus", "WIB:MUNICIPAL_REGISTRATION", "roles.MUN.statuses",
        "CLOSED for 365 days", None,
    ),
    "a source": (
        Code.SOURCE_DENIED, Role.REG, "consultDossier", WORK, "operations.consultDossier.providers", Role.PLAT, Role.REG,
    ),
    "a document": (
        Code.DOCUMENT_DENIED, Role.REG, "retrieveDocument", WORK, "documents", "CONTRACT", "MEDICAL_CERTIFICATE",
    ),
    "a document to upload": (
        Code.DOCUMENT_DENIED, Role.PLAT, "uploadDocument", WORK, "documents", "CONTRACT", None,
    ),
    "a number of a person": (
        Code.CRITERIA_DENIED, Role.REG, "consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", "groups.G02.REG",
        "G02.ssin", None,
    ),
    "a field of another": (
        Code.SENDER_RIGHT, Role.REG, "notifyWorkDecision", WORK, "operations.notifyWorkDecision.groups",
        "G28.outcome", "G29.outcome",
    ),
    "a route": (Code.ROUTE_UNKNOWN, Role.PLAT, "submitApplication", "WIB:ADMISSIBILITY", "routing", None, None),
}  # fmt: skip


def told(code: Code, role: Role, operation: str, context: str | None):
    name = None if context is None else LegalContext(context)
    return clause(code, role, OperationName(operation), name, shipped())


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_rests_on_a_clause_that_says_what_the_role_may(case):
    code, role, operation, context, place, granted, denied = CASES[case]
    found = told(code, role, operation, context)
    assert found is not None
    assert found.place == place
    assert granted is None or granted in found.own
    assert denied not in found.own
    assert all(letter.partition(":")[0] in shipped().bases for letter in found.basis)


def test_part_in_a_dossier_rests_on_no_clause():
    assert told(Code.DOSSIER_DENIED, Role.REG, "consultDossier", WORK) is None


def test_every_refusal_of_permission_but_that_has_a_clause():
    asked = Role.REG, "consultDossier", WORK
    policy = [
        code for code in Code if code.row.category is Category.POLICY and code.row.code.startswith("WIB07")
    ]
    # A message over its quota is turned away unread: of that there is no entry to explain.
    assert [code for code in policy if told(code, *asked) is None] == [Code.DOSSIER_DENIED, Code.QUOTA]


def test_an_operation_that_the_revision_does_not_have_has_no_clause():
    assert told(Code.CONTEXT_DENIED, Role.REG, "consultNothing", WORK) is None


@pytest.mark.parametrize(("role", "granted"), [(Role.REG, True), (Role.OE, False)])
def test_a_purpose_is_granted_as_the_operation_says(role, granted):
    assert granted_purpose(role, OperationName("consultDossier"), LegalContext(WORK), shipped()) is granted
