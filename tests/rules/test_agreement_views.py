"""Permitted views: what one requester is shown of one provider's answer, in one context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement.load import load_agreement
from gateway.agreement.schema import leaves
from gateway.agreement.views import CONTEXT, PROVIDER, REASONS, ROLE, Sides, told
from gateway.model import Pattern, Role
from tests.rules.agreement_files import AGREEMENT, changed, shipped

CONSULTED = [one for one in shipped().operations.values() if one.pattern is Pattern.CONSULT]
ASKED = [
    (one.name, role, context, provider, kind)
    for one in CONSULTED
    for role, contexts in one.requesters.items()
    for context in sorted(contexts)
    for provider in (one.providers or (None,))
    for kind in ((None, *shipped().documents) if one.name == "retrieveDocument" else (None,))
]
TOLD = [
    (one.name, role, context, sender, None)
    for one in shipped().operations.values()
    if one.pattern is Pattern.NOTIFY
    for sender, role, context in sorted(told(shipped().courses.values(), one, shipped().contexts))
]
GRANTS = ASKED + TOLD


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
            cell = group.cells[provider]
            assert field in cell.provide | cell.provide_in.get(operation, frozenset())
            assert group.code in (agreement.operations[operation].groups or agreement.groups)
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
    of = 'another region before"\nroles = '
    files = changed(AGREEMENT, f'{of}["REG", "OE"]', f'{of}["REG"]')
    check = b'"WIB:PRIOR_APPLICATION_CHECK"'
    files[AGREEMENT] = files[AGREEMENT].replace(b"OE = [" + check + b"]\n", b"")
    files[AGREEMENT] = files[AGREEMENT].replace(
        b'"WIB:APPEAL", ' + check + b', "WIB:PROF', b'"WIB:APPEAL", "WIB:PROF'
    )
    agreement = load_agreement(files)
    assert agreement.view("consultPriorApplications", Role.REG, check.decode().strip('"'), Role.REG)
    with pytest.raises(KeyError):
        agreement.view("consultPriorApplications", Role.OE, check.decode().strip('"'), Role.REG)


def test_every_granted_question_can_release_something_from_some_provider():
    """A grant that releases nothing from anybody would be a clause without effect."""
    agreement = shipped()
    for operation in CONSULTED:
        for role, contexts in operation.requesters.items():
            for context in contexts:
                views = [agreement.view(operation.name, role, context, one) for one in operation.providers]
                assert operation.hub or any(agreement.released_fields(view) for view in views), (
                    operation.name,
                    role,
                    context,
                )


def test_everybody_who_hears_of_a_step_hears_something():
    agreement = shipped()
    for operation, role, context, sender, _ in TOLD:
        if not agreement.operations[operation].follows_log:
            assert agreement.released_fields(agreement.view(operation, role, context, sender))


TELLINGS = {
    # notification, who hears, its context, who tells → what passes, and the reason why something does not
    ("notifyWorkDecision", Role.OE, "WIB:RESIDENCE_DECISION", Role.REG): (
        {"workDecision/outcome", "grounds/work"},
        {"grounds/residence": PROVIDER, "salary/amount": PROVIDER},
    ),
    ("notifyWorkDecision", Role.NSSO, "WIB:WORK_DECISION", Role.REG): (
        {"workDecision/outcome", "workDecision/validUntil"},
        {"workDecision/conditions": ROLE, "grounds/work": ROLE},
    ),
    ("notifyResidenceDecision", Role.PLAT, "WIB:RESIDENCE_DECISION", Role.OE): (
        {"residenceDecision/outcome", "grounds/residence"},
        {"grounds/publicOrder": ROLE},
    ),
    ("notifyResidenceDecision", Role.REG, "WIB:WORK_DECISION", Role.OE): (
        {"residenceDecision/outcome"},
        {"residenceDecision/date": ROLE, "grounds/residence": ROLE},
    ),
    ("submitApplication", Role.REG, "WIB:ADMISSIBILITY", Role.PLAT): (
        {"workPlace/municipality", "medicalCertificatePresent"},
        {"salary/amount": CONTEXT, "medicalCertificate/fit": ROLE},
    ),
    ("transferApplication", Role.REG, "WIB:WORK_DECISION", Role.PLAT): (
        {"salary/amount", "qualification/diploma"},
        {"criminalRecordPresent": CONTEXT},
    ),
    ("notifyCard", Role.REG, "WIB:WORK_DECISION", Role.MUN): (
        {"municipalOutcome/cardExpiry", "worker/ssin"},
        {"municipalOutcome/cardNumber": ROLE, "addressBelgium/street": ROLE},
    ),
    ("notifySocialSecurityEvent", Role.REG, "WIB:RENEWAL", Role.NSSO): ({"socialSecurity/declared"}, {}),
    ("notifyDeemedDecision", Role.OE, "WIB:RESIDENCE_DECISION", Role.PLAT): (
        {"residenceDecision/outcome"},
        {"residenceDecision/appealDate": PROVIDER},
    ),
}


@pytest.mark.parametrize("telling", TELLINGS, ids=str)
def test_each_recipient_of_a_notification_has_its_own_view(telling):
    passes, withheld = TELLINGS[telling]
    verdicts = shipped().view(*telling).verdicts
    assert {verdicts[f"dossier/{path}"] for path in passes} == {None}
    assert {path: verdicts[f"dossier/{path}"] for path in withheld} == withheld


@pytest.mark.parametrize(
    "untold",
    [
        ("submitApplication", Role.OE, "WIB:RESIDENCE_DECISION", Role.PLAT),  # not before it is admissible
        ("notifyWorkDecision", Role.OE, "WIB:RESIDENCE_DECISION", Role.PLAT),  # no sender
        ("notifyWorkDecision", Role.OE, "WIB:APPEAL", Role.REG),  # not the context of the step
        ("notifyAdmissibility", Role.REG, "WIB:ADMISSIBILITY", Role.REG),  # its own
    ],
    ids=str,
)
def test_what_no_step_tells_has_no_view(untold):
    with pytest.raises(KeyError):
        shipped().view(*untold)


def test_a_rectification_has_a_view_for_every_earlier_recipient():
    agreement = shipped()
    rectify = agreement.operations["rectifyData"]
    assert rectify.recipients == {
        role: {name for name, context in agreement.contexts.items() if role in context.roles} for role in Role
    }
    view = agreement.view("rectifyData", Role.CONS, "WIB:VISA_ISSUE", Role.PLAT)
    assert view.verdicts["dossier/worker/familyName"] is None
    assert view.verdicts["dossier/salary/amount"] == ROLE


def test_a_mailbox_shows_nothing_of_its_own():
    """What a message releases is the view of the notification."""
    for name in ("listMessages", "fetchMessage", "acknowledgeMessage"):
        view = shipped().view(name, Role.CONS, "WIB:VISA_ISSUE", None)
        assert view.verdicts == {}
        assert shipped().provided(Role.CONS, name) == frozenset()


def test_a_document_may_be_handed_to_the_hub_by_whoever_may_provide_it():
    assert "document.content" in shipped().provided(Role.CONS, "uploadDocument", "TRAVEL_DOCUMENT_SCAN")
    assert shipped().provided(Role.CONS, "uploadDocument", "CONTRACT") == frozenset()
    assert shipped().view("uploadDocument", Role.CONS, "WIB:VISA_ISSUE", None, "CONTRACT").verdicts == {}
