"""Every operation, honestly asked and honestly answered: the accepted twin of all refusals."""

from __future__ import annotations

from gateway.model import Criteria, Role
from tests.path.hub import DOSSIER, SSIN, Hub
from tests.path.payloads import CANARY, DIGEST


async def test_a_region_consults_the_dossier_and_gets_its_view_only(hub: Hub):
    answered = await hub.consult("BRUSSELS", "consultDossier", "WIB:WORK_DECISION")
    assert answered.code is None
    assert answered.texts("familyName") == [CANARY]
    assert answered.texts("amount") == ["4120.50"]  # the salary, not the fee
    assert answered.texts("filteredElement")


async def test_the_reply_tells_where_it_was_recorded(hub: Hub):
    answered = await hub.consult("BRUSSELS", "consultStatus", "WIB:WORK_DECISION")
    assert answered.texts("index") == ["1"]
    assert [entry["kind"] for entry in hub.entries()] == ["request", "response"]


async def test_prior_applications_are_gathered_from_all_other_regions(hub: Hub):
    criteria = Criteria(DOSSIER, ssin=SSIN)
    answered = await hub.consult(
        "BRUSSELS", "consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", criteria
    )
    assert answered.texts("region") == ["FLANDERS", "WALLONIA", "GERMAN_COMMUNITY"]


async def test_social_security_is_asked_of_the_nsso(hub: Hub):
    criteria = Criteria(DOSSIER, ssin=SSIN)
    answered = await hub.consult(
        "IMMIGRATION_OFFICE", "consultSocialSecurityStatus", "WIB:RESIDENCE_DECISION", criteria
    )
    assert answered.texts("declared") == ["true"]
    assert [str(provider) for provider, _ in hub.asked] == ["NSSO"]


async def test_a_document_arrives_with_the_digest_that_was_asked_for(hub: Hub):
    criteria = Criteria(DOSSIER, document_reference="DOC-1", document_type="CONTRACT", document_sha256=DIGEST)
    answered = await hub.consult("BRUSSELS", "retrieveDocument", "WIB:WORK_DECISION", criteria)
    assert answered.code is None
    assert answered.texts("sha256") == [DIGEST]


async def test_the_hub_echoes_a_test_message(hub: Hub):
    answered = await hub.consult("NSSO", "sendTestMessage", "WIB:CARD_ISSUE", Criteria(None, echo="hello-1"))
    assert answered.texts("echo")[-1] == "hello-1"
    assert not hub.asked


async def test_access_control_says_what_may_be_done_and_why_not(hub: Hub):
    criteria = Criteria(DOSSIER, operation="consultDossier", source=Role.PLAT)
    answered = await hub.consult("BRUSSELS", "checkAccessControl", "WIB:WORK_DECISION", criteria)
    assert "G16.amount" in answered.texts("field")
    assert "WIB07002" in answered.texts("code")
