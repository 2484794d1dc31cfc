"""The sandbox's dossiers: of the contract, complete, and each authority only with what is its own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_crl

from gateway.adapters.pki import write_pki
from gateway.agreement.answer import leaves
from gateway.agreement.load import load_agreement
from gateway.agreement.register import load_register
from gateway.loading import contract_files
from gateway.model import SERVICE, AuthorityId, Criteria, OperationName
from gateway.refusal import Code, Refusal
from gateway.sandbox.files import (
    FIRST,
    documents,
    known,
    notifications,
    payload,
    read_files,
    read_payload,
    told,
)
from gateway.sandbox.place import Ports, prepare
from gateway.sandbox.story import STORY
from gateway.sandbox.story.cast import DOCUMENTS
from gateway.sandbox.story.steps import Outage, Tell
from gateway.soap.xml import canonical, parse_verified
from tests.path.hub import pki

CONTRACTS = Path(__file__).parents[2] / "contracts"
CONSULT = OperationName("consultDossier")
AGREEMENT = load_agreement(contract_files(CONTRACTS))
REGISTER = load_register((CONTRACTS / "register.toml").read_bytes(), "register.toml")
HELD = [
    pytest.param(authority, number, file, id=f"{authority.id} {number}")
    for authority in REGISTER.authorities
    for number, file in read_files(authority.id).items()
]
STEPS = [step for chapter in STORY for step in chapter.steps]
TELLS = [step for step in STEPS if isinstance(step, Tell)]
TELLS += [tell for step in STEPS if isinstance(step, Outage) for tell in step.tells]
TOLD = [
    pytest.param(step, id=f"{number} {step.who} {step.notification}") for number, step in enumerate(TELLS)
]
_RESPONSE = """<s:consultDossierResponse xmlns:s="{s}" xmlns:c="http://workinginbelgium.be/types/Common/v1">
<s:informationCustomer><c:ticket>t</c:ticket><c:timestampSent>2026-11-02T08:00:00Z</c:timestampSent>
<c:customerIdentification><c:cbeNumber>0999099901</c:cbeNumber></c:customerIdentification></s:informationCustomer>
<s:legalContext>WIB:RENEWAL</s:legalContext><s:criteria><s:dossierNumber>{number}</s:dossierNumber></s:criteria>
<s:status><c:value>DATA_FOUND</c:value><c:code>WIB00000</c:code><c:description>d</c:description></s:status>
{dossier}</s:consultDossierResponse>"""


def at_end(file):
    return known(file, notifications(file), "CLOSED")


def fields(file):
    node = AGREEMENT.operations[CONSULT].messages.payload
    return {leaf.field for leaf, _ in leaves(node, at_end(file))}


@pytest.mark.parametrize(("authority", "number", "file"), HELD)
def test_file_is_valid_against_the_contract(authority, number, file):
    text = _RESPONSE.format(s=SERVICE, number=number, dossier=canonical(at_end(file)).decode())
    AGREEMENT.contract.validate(parse_verified(text.encode()), Code.SCHEMA)


def test_file_with_a_foreign_element_is_not_valid():
    file = at_end(read_files(REGISTER.authorities[0].id)[FIRST])
    file.append(file[0])  # the header last: out of order
    text = _RESPONSE.format(s=SERVICE, number=FIRST, dossier=canonical(file).decode())
    with pytest.raises(Refusal):
        AGREEMENT.contract.validate(parse_verified(text.encode()), Code.SCHEMA)


@pytest.mark.parametrize(("authority", "number", "file"), HELD)
def test_authority_holds_only_what_it_may_provide(authority, number, file):
    assert fields(file) <= AGREEMENT.provided(authority.role, CONSULT)


def test_first_dossier_has_values_in_every_group():
    held = {field for authority in REGISTER.authorities for field in fields_of_first(authority)}
    assert {field.partition(".")[0] for field in held} == set(AGREEMENT.groups)


def fields_of_first(authority):
    files = read_files(authority.id)
    return fields(files[FIRST]) if FIRST in files else set()


@pytest.mark.parametrize(("authority", "number", "file"), HELD)
def test_documents_have_the_digest_that_the_dossier_names(authority, number, file):
    named = [str(one.text) for one in at_end(file).iter("{*}sha256")]
    assert [one.sha256 for one in documents(at_end(file))] == named


def test_story_asks_for_documents_as_the_dossier_names_them():
    held = {one.type: (one.reference, one.sha256) for one in documents(read_files("PLATFORM")[FIRST])}
    assert {kind: held[kind] for kind in DOCUMENTS} == DOCUMENTS


def content(step):
    return told(read_files(AuthorityId(step.who))[step.dossier], step.notification)


@pytest.mark.parametrize("step", TOLD)
def test_what_is_told_is_of_the_contract_and_the_senders_own(step):
    element = content(step)
    assert len(element)
    text = _RESPONSE.format(s=SERVICE, number=step.dossier, dossier=canonical(element).decode())
    AGREEMENT.contract.validate(parse_verified(text.encode()), Code.SCHEMA)
    role = REGISTER.by_id[AuthorityId(step.who)].role
    operation = AGREEMENT.operations[OperationName(step.operation)]
    written = {leaf.field for leaf, _ in leaves(operation.messages.payload, element)}
    assert (written <= AGREEMENT.provided(role, operation.name)) is (step.expects != "WIB13005")


def test_every_notification_of_a_file_is_told_in_the_story():
    marked = {
        (authority.id, number, name)
        for authority in REGISTER.authorities
        for number, file in read_files(authority.id).items()
        for name in notifications(file)
    }
    assert marked == {(step.who, step.dossier, step.notification) for step in TELLS}


def test_decision_is_not_known_before_it_was_told():
    file = read_files("BRUSSELS")[FIRST]
    before = known(file, {"notifyAdmissibility"}, "UNDER_REVIEW")
    after = known(file, {"notifyAdmissibility", "notifyWorkDecision"}, "WORK_GRANTED")
    assert before.find("{*}workDecision") is None
    assert after.find("{*}workDecision") is not None


def test_what_was_told_last_is_what_is_known():
    file = read_files("PLATFORM")[FIRST]
    before, after = (
        known(file, {"submitApplication"}, ""),
        known(file, {"submitApplication", "rectifyData"}, ""),
    )
    assert [one.findtext("{*}amount") for one in before.findall("{*}salary")] == ["4120.00"]
    assert [one.findtext("{*}amount") for one in after.findall("{*}salary")] == ["4210.00"]
    assert len(after.findall("{*}familyMember")) == 2


def test_marks_of_a_file_are_in_nothing_that_is_sent():
    file = read_files("BRUSSELS")[FIRST]
    sent = [told(file, "notifyAdmissibility"), at_end(file)]
    assert not [one for element in sent for one in element.iter() if one.attrib]


def test_header_tells_the_present_status():
    file = known(read_files("PLATFORM")[FIRST], {"submitApplication"}, "VISA_ISSUED")
    header = payload(OperationName("consultStatus"), file, Criteria(FIRST))
    assert header is not None
    assert header.findtext("{*}status") == "VISA_ISSUED"


@pytest.mark.parametrize("text", ["no XML", "<dossier/>", ""], ids=["text", "another namespace", "nothing"])
def test_file_that_holds_no_dossier_is_no_payload(tmp_path, text):
    (tmp_path / "payload.xml").write_text(text)
    with pytest.raises(ValueError, match=r"no XML|begins with"):
        read_payload(tmp_path / "payload.xml")


def test_file_of_a_dossier_is_a_payload(tmp_path):
    (tmp_path / "payload.xml").write_text(f'<s:dossier xmlns:s="{SERVICE}"><!-- mine --></s:dossier>')
    assert read_payload(tmp_path / "payload.xml").tag == f"{{{SERVICE}}}dossier"


def test_a_sandbox_that_was_left_for_a_month_still_believes_somebody(tmp_path):
    write_pki(tmp_path / "pki", pki())
    begun = load_pem_x509_crl(pki()["root.crl.pem"]).last_update_utc
    for days, renewed in ((1, False), (40, True), (41, False)):
        before = [(tmp_path / f"pki/{name}.crl.pem").read_bytes() for name in ("root", "issuing")]
        now = begun + timedelta(days=days)
        prepare(tmp_path, CONTRACTS, Ports(1, 2, {}), now, provider_seconds=1.0)
        after = [(tmp_path / f"pki/{name}.crl.pem").read_bytes() for name in ("root", "issuing")]
        assert (after != before) is renewed
        assert all(load_pem_x509_crl(one).next_update_utc > now for one in after)
