"""PROTOCOL §7: every refusal of policy, each beside a twin that is granted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.model import Criteria, Outcome, Role
from tests.path.hub import DOSSIER, NOW, OTHER_DOSSIER, SSIN, Hub, reply_body, sign_as
from tests.path.payloads import DIGEST


def scan(kind: str) -> Criteria:
    return Criteria(DOSSIER, document_reference="DOC-1", document_type=kind, document_sha256=DIGEST)


WORK, RESIDENCE = "WIB:WORK_DECISION", "WIB:RESIDENCE_DECISION"
CASES = {  # what is asked, by whom: the code, or None for the granted twin
    "an unknown legal context": ("BRUSSELS", "consultDossier", "WIB:CURIOSITY", None, "WIB07001"),
    "another role's legal context": ("BRUSSELS", "consultDossier", RESIDENCE, None, "WIB07002"),
    "a context of one's own role": ("BRUSSELS", "consultDossier", WORK, None, None),
    "a context that is off by default": ("BRUSSELS", "consultDossier", "WIB:EMPLOYMENT_CONTROL", None, "WIB07002"),
    "a context of another type of permit": ("BRUSSELS", "consultDossier", "WIB:WORK_PERMIT", None, "WIB07003"),
    "a renewal context for a first application": ("BRUSSELS", "consultDossier", "WIB:RENEWAL", None, "WIB07003"),
    "an operation that the role may not call": (
        "POST_RABAT", "consultPriorApplications", "WIB:VISA_ISSUE", Criteria(DOSSIER, ssin=SSIN), "WIB07004",
    ),
    "a dossier that does not exist": ("BRUSSELS", "consultDossier", WORK, Criteria(OTHER_DOSSIER), "WIB07005"),
    "another region's dossier": ("FLANDERS", "consultDossier", WORK, None, "WIB07005"),
    "another post's dossier": ("POST_NEW_DELHI", "consultStatus", "WIB:VISA_ISSUE", None, "WIB07005"),
    "a post before the permit is granted": ("POST_RABAT", "consultStatus", "WIB:VISA_ISSUE", None, "WIB07006"),
    "a municipality before the permit is granted": (
        "MUN_BRUSSELS", "consultStatus", "WIB:MUNICIPAL_REGISTRATION", None, "WIB07006",
    ),
    "the Immigration Office from admissibility on": ("IMMIGRATION_OFFICE", "consultDossier", RESIDENCE, None, None),
    "a document without right": ("BRUSSELS", "retrieveDocument", WORK, scan("TRAVEL_DOCUMENT_SCAN"), "WIB07008"),
    "a document with right": ("BRUSSELS", "retrieveDocument", WORK, scan("CONTRACT"), None),
    "a health document for a region": ("BRUSSELS", "retrieveDocument", WORK, scan("MEDICAL_CERTIFICATE"), "WIB07008"),
    "a source that holds nothing for this purpose": (
        "BRUSSELS", "consultDossier", "WIB:PRIOR_APPLICATION_CHECK", Criteria(DOSSIER, Role.NSSO), "WIB07009",
    ),
    "oneself as source": ("BRUSSELS", "consultDossier", WORK, Criteria(DOSSIER, Role.REG), "WIB07010"),
    "a source that the operation does not know": (
        "BRUSSELS", "retrieveDocument", WORK,
        Criteria(DOSSIER, Role.NSSO, document_reference="D", document_type="CONTRACT", document_sha256=DIGEST),
        "WIB07010",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_the_agreement_decides(hub: Hub, case):
    name, operation, context, criteria, code = CASES[case]
    answered = await hub.consult(name, operation, context, criteria)
    assert answered.code == code
    assert bool(hub.asked) == (code is None)
    last = hub.entries()[-1]
    assert (last["kind"], last["decision"]) == (
        ("response", "released") if code is None else ("refusal", code)
    )


async def test_a_post_asks_once_the_permit_is_granted(hub: Hub):
    await hub.dossier(DOSSIER, "PERMIT_GRANTED")
    assert (await hub.consult("POST_RABAT", "consultStatus", "WIB:VISA_ISSUE")).code is None


async def test_the_immigration_office_waits_for_admissibility(hub: Hub):
    await hub.dossier(DOSSIER, "SUBMITTED")
    assert (await hub.consult("IMMIGRATION_OFFICE", "consultDossier", RESIDENCE)).code == "WIB07006"


@pytest.mark.parametrize(("days", "code"), [(364, None), (366, "WIB07006")])
async def test_a_closed_dossier_may_be_read_until_the_period_lapses(hub: Hub, days, code):
    await hub.dossier(DOSSIER, "CLOSED", status_since=NOW - timedelta(days=days))
    assert (await hub.consult("BRUSSELS", "consultDossier", WORK)).code == code


async def test_an_unknown_and_a_foreign_dossier_get_the_same_answer(hub: Hub):
    foreign = await hub.consult("FLANDERS", "consultDossier", WORK)
    unknown = await hub.consult("FLANDERS", "consultDossier", WORK, Criteria(OTHER_DOSSIER))
    assert foreign.texts("diagnostic") == unknown.texts("diagnostic")
    assert foreign.code == unknown.code


async def test_an_unknown_context_is_not_written_into_the_log(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", "SECRET:WORDS")
    assert hub.entries()[-1]["purpose"] is None


async def test_a_region_is_never_shown_what_the_agreement_withholds(hub: Hub):
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.texts("type") == []  # of the travel document: number and validity only
    assert "dossier/travelDocument/type" in answered.texts("filteredElement")


async def test_what_is_declared_as_withheld_does_not_depend_on_the_data(hub: Hub):
    with_data = await hub.consult("BRUSSELS", "consultDossier", WORK)

    def empty(hub, provider, asked):
        return sign_as(provider.id, reply_body(asked, Outcome.NO_DATA_FOUND, ""), hub.now)

    hub.answering["PLATFORM"] = empty
    without = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert without.texts("value") == ["NO_DATA_FOUND"]
    assert with_data.texts("filteredElement") == without.texts("filteredElement")
    first, second = (entry for entry in hub.entries() if entry["kind"] == "response")
    assert {name for name in first if first[name] != second[name]} <= {
        "id", "nonce", "subj", "body", "msgsig", "fields_root", "t",
    }  # fmt: skip
