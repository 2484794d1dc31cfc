"""Permitted views: what one requester is shown of one provider's answer, in one context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.load import load_agreement
from gateway.agreement.schema import leaves
from gateway.agreement.views import CONTEXT, PROVIDER, REASONS, ROLE, Sides
from gateway.model import Role
from tests.rules.agreement_files import AGREEMENT, changed, shipped

GRANTS = [
    (name, role, context, provider, kind)
    for name, operation in shipped().operations.items()
    for role, contexts in operation.requesters.items()
    for context in sorted(contexts)
    for provider in (operation.providers or (None,))
    for kind in ((None, *shipped().documents) if name == "retrieveDocument" else (None,))
]


def _view(operation, role, context, provider=Role.PLAT, kind=None):
    return shipped().view(operation, role, context, provider, kind)


def _released(view):
    return {path for path, reason in view.verdicts.items() if reason is None}


def test_a_view_partitions_exactly_the_leaf_paths_of_its_payload():
    for grant in GRANTS:
        view = shipped().view(*grant)
        expected = sorted(leaf.path for leaf in leaves(view.payload) if leaf.field is not None)
        assert list(view.verdicts) == expected, grant
        assert set(view.verdicts.values()) <= {None, *REASONS}


def test_a_released_leaf_is_provided_received_and_needed():
    agreement = shipped()
    for operation, role, context, provider, kind in GRANTS:
        view = agreement.view(operation, role, context, provider, kind)
        for field in agreement.released_fields(view):
            group = agreement.groups[field.partition(".")[0]]
            assert field in group.cells[provider].provide
            assert field in group.cells[role].receives(context)
            assert group.code in agreement.contexts[context].groups
            assert role in agreement.contexts[context].roles


def test_each_reason_names_the_first_bar():
    view = _view("consultDossier", Role.REG, "WIB:ADMISSIBILITY")
    assert view.verdicts["dossier/workDecision/outcome"] == PROVIDER  # the platform may not write it
    assert view.verdicts["dossier/travelDocument/scan/sha256"] == ROLE  # no region may ever see it
    assert view.verdicts["dossier/salary/amount"] == CONTEXT  # not needed to judge admissibility
    assert view.verdicts["dossier/function/title"] is None


@given(
    st.sets(st.sampled_from("abc")),
    st.sets(st.sampled_from("abc")),
    st.sets(st.sampled_from("abc")),
    st.sets(st.sampled_from("abc")),
)
def test_nothing_passes_but_what_both_sides_grant(owners, provides, ever, receives):
    sides = Sides(frozenset(provides), frozenset(ever | receives), frozenset(receives))
    assert (sides.reason(frozenset(owners)) is None) is bool(owners & provides & receives)


def test_no_owner_no_passage():
    every = frozenset({"G01.status"})
    assert Sides(every, every, every).reason(frozenset()) == PROVIDER


@pytest.mark.parametrize("grant", [grant for grant in GRANTS if grant[1] is Role.NSSO], ids=str)
def test_social_security_never_sees_a_salary(grant):
    view = shipped().view(*grant)
    assert not any("salary" in path for path in _released(view))


@pytest.mark.parametrize("role", Role)
def test_grounds_of_public_order_leave_the_immigration_office_to_nobody(role):
    for grant in GRANTS:
        if grant[1] is role:
            assert "G30.publicOrder" not in shipped().released_fields(shipped().view(*grant))


def test_the_platform_sees_the_grounds_of_residence_but_not_of_public_order():
    view = _view("consultDossier", Role.PLAT, "WIB:RESIDENCE_DECISION", Role.OE)
    assert view.verdicts["dossier/grounds/residence"] is None
    assert view.verdicts["dossier/grounds/publicOrder"] == ROLE
    assert "dossier/grounds/publicOrder" in view.filtered


def test_the_region_learns_that_a_certificate_is_there_and_nothing_of_it():
    view = _view("consultDossier", Role.REG, "WIB:ADMISSIBILITY")
    assert view.verdicts["dossier/medicalCertificatePresent"] is None
    assert {
        reason for path, reason in view.verdicts.items() if path.startswith("dossier/medicalCertificate/")
    } == {ROLE}
    assert "dossier/medicalCertificate" in view.filtered
    assert "dossier/medicalCertificatePresent" not in view.filtered


def test_a_partly_released_container_is_declared_by_element():
    filtered = _view("consultDossier", Role.REG, "WIB:WORK_DECISION").filtered
    assert {path for path in filtered if path.startswith("dossier/travelDocument")} == {
        "dossier/travelDocument/country",
        "dossier/travelDocument/scan",  # one element, not its leaves
        "dossier/travelDocument/type",
    }
    assert "dossier/workerCivil" in filtered


def test_what_the_provider_may_not_give_is_not_declared():
    filtered = _view("consultDossier", Role.MUN, "WIB:CARD_ISSUE", Role.CONS).filtered
    assert not any(path.startswith("dossier/salary") for path in filtered)


def test_filtered_elements_are_sorted_and_cover_what_is_withheld_of_the_providers_own():
    for grant in GRANTS:
        view = shipped().view(*grant)
        assert list(view.filtered) == sorted(set(view.filtered))
        for path, reason in view.verdicts.items():
            covered = any(path == one or path.startswith(f"{one}/") for one in view.filtered)
            if reason is None:
                assert not covered, (grant, path)
            elif reason != PROVIDER:
                assert covered, (grant, path)


def test_filtered_elements_fit_the_schema():
    assert max(len(shipped().view(*grant).filtered) for grant in GRANTS) <= 128


def test_views_are_compiled_once():
    assert _view("consultStatus", Role.REG, "WIB:APPEAL") is _view("consultStatus", Role.REG, "WIB:APPEAL")


@pytest.mark.parametrize(
    "ungranted",
    [
        ("consultDossier", Role.CONS, "WIB:WORK_DECISION", Role.PLAT),  # not its context
        ("consultPriorApplications", Role.PLAT, "WIB:SUBJECT_ACCESS", Role.REG),  # no requester
        ("consultStatus", Role.REG, "WIB:APPEAL", Role.OE),  # no provider
        ("consultDossier", Role.REG, "WIB:APPEAL", None),  # not the hub's to answer
        ("consultDossier", Role.REG, "WIB:EMPLOYMENT_CONTROL", Role.PLAT),  # off
        ("consultDossier", Role.REG, "WIB:NOTHING", Role.PLAT),
        ("getDossier", Role.REG, "WIB:APPEAL", Role.PLAT),
        ("retrieveDocument", Role.REG, "WIB:APPEAL", Role.PLAT, "DIPLOMA"),
    ],
    ids=str,
)
def test_what_is_not_granted_has_no_view(ungranted):
    with pytest.raises(KeyError):
        shipped().view(*ungranted)


def test_the_hubs_own_answers_have_no_fields_and_pass_whole():
    for operation in ("sendTestMessage", "checkAccessControl"):
        view = shipped().view(operation, Role.NSSO, "WIB:CARD_ISSUE", None)
        assert view.verdicts == {}
        assert view.filtered == ()


DOCUMENTS = {
    # role, context, provider, type → reason
    (Role.REG, "WIB:WORK_DECISION", Role.PLAT, "CONTRACT"): None,
    (Role.REG, "WIB:WORK_DECISION", Role.PLAT, "TRAVEL_DOCUMENT_SCAN"): ROLE,
    (Role.REG, "WIB:WORK_DECISION", Role.PLAT, "MEDICAL_CERTIFICATE"): ROLE,
    (Role.REG, "WIB:WORK_DECISION", Role.PLAT, "SICKNESS_INSURANCE"): CONTEXT,
    (Role.REG, "WIB:INDEFINITE_PERMIT", Role.PLAT, "SICKNESS_INSURANCE"): None,
    (Role.REG, "WIB:WORK_DECISION", Role.CONS, "CONTRACT"): PROVIDER,
    (Role.OE, "WIB:RESIDENCE_DECISION", Role.PLAT, "CRIMINAL_RECORD"): None,
    (Role.OE, "WIB:RENEWAL", Role.PLAT, "MEDICAL_CERTIFICATE"): CONTEXT,
    (Role.MUN, "WIB:CARD_ISSUE", Role.CONS, "TRAVEL_DOCUMENT_SCAN"): None,
    (Role.MUN, "WIB:CARD_ISSUE", Role.PLAT, "CRIMINAL_RECORD"): ROLE,
}


@pytest.mark.parametrize(("role", "context", "provider", "kind"), DOCUMENTS, ids=str)
def test_a_document_is_released_whole_or_not_at_all(role, context, provider, kind):
    reason = DOCUMENTS[role, context, provider, kind]
    view = _view("retrieveDocument", role, context, provider, kind)
    assert set(view.verdicts.values()) == {reason}
    assert view.filtered == (() if reason in {None, PROVIDER} else ("document",))


def test_without_a_type_the_view_tells_which_documents_may_be_fetched():
    agreement = shipped()
    view = agreement.view("retrieveDocument", Role.REG, "WIB:WORK_DECISION", Role.PLAT)
    assert agreement.released_fields(view) == {"G20.document"}


PROVIDED = {
    (Role.OE, "consultDossier"): {"G09", "G29", "G30", "G34"},
    (Role.REG, "consultDossier"): {"G27", "G28", "G30", "G34"},
    (Role.MUN, "consultDossier"): {"G02", "G07", "G32"},
    (Role.CONS, "consultDossier"): {"G08", "G31"},
    (Role.NSSO, "consultDossier"): {"G11", "G33"},
    (Role.NSSO, "consultSocialSecurityStatus"): {"G33"},
    (Role.REG, "consultPriorApplications"): {"G34"},
    (Role.REG, "consultSocialSecurityStatus"): set(),
    (Role.OE, "consultPriorApplications"): set(),  # it may write G34, but is no provider of this operation
    (Role.PLAT, "sendTestMessage"): set(),
}


@pytest.mark.parametrize(("role", "operation"), PROVIDED, ids=str)
def test_writers_are_restricted_too(role, operation):
    groups = {field.partition(".")[0] for field in shipped().provided(role, operation)}
    assert groups == PROVIDED[role, operation]


def test_a_region_cannot_write_grounds_of_residence():
    provided = shipped().provided(Role.REG, "consultDossier")
    assert "G30.work" in provided
    assert provided.isdisjoint({"G30.residence", "G30.publicOrder", "G29.outcome"})


def test_a_post_may_deliver_only_the_documents_of_its_fields():
    assert "document.content" in shipped().provided(Role.CONS, "retrieveDocument", "TRAVEL_DOCUMENT_SCAN")
    assert shipped().provided(Role.CONS, "retrieveDocument", "CONTRACT") == frozenset()


def test_taking_a_context_from_a_role_takes_its_view():
    files = changed(AGREEMENT, 'roles = ["PLAT", "OE", "CONS"]', 'roles = ["PLAT", "OE"]')
    files[AGREEMENT] = files[AGREEMENT].replace(b'CONS = ["WIB:VISA_ISSUE"]\n', b"")
    with pytest.raises(KeyError):
        load_agreement(files).view("consultDossier", Role.CONS, "WIB:VISA_ISSUE", Role.PLAT)


def test_every_granted_question_can_release_something_from_some_provider():
    """A grant that releases nothing from anybody would be a clause without effect."""
    agreement = shipped()
    for name, operation in agreement.operations.items():
        for role, contexts in operation.requesters.items():
            for context in contexts:
                views = [agreement.view(name, role, context, one) for one in operation.providers]
                assert operation.hub or any(agreement.released_fields(view) for view in views), (
                    name,
                    role,
                    context,
                )
