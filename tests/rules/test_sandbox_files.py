"""The sandbox's dossiers: of the contract, complete, and each authority only with what is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.agreement.answer import leaves
from gateway.agreement.load import load_agreement
from gateway.agreement.register import load_register
from gateway.model import SERVICE, Criteria, OperationName
from gateway.refusal import Code, Refusal
from gateway.sandbox.files import FIRST, STATES, documents, known, payload, read_files
from gateway.sandbox.story import DOCUMENTS
from gateway.soap.xml import canonical, parse_verified

CONTRACTS = Path(__file__).parents[2] / "contracts"
CONSULT = OperationName("consultDossier")
FILES = {
    f"contracts/{path.relative_to(CONTRACTS).as_posix()}": path.read_bytes()
    for pattern in ("agreement.toml", "xsd/*.xsd", "wsdl/*.wsdl")
    for path in CONTRACTS.glob(pattern)
}
AGREEMENT = load_agreement(FILES)
REGISTER = load_register((CONTRACTS / "register.toml").read_bytes(), "register.toml")
HELD = [
    pytest.param(authority, number, file, id=f"{authority.id} {number}")
    for authority in REGISTER.authorities
    for number, file in read_files(authority.id).items()
]
_RESPONSE = """<s:consultDossierResponse xmlns:s="{s}" xmlns:c="http://workinginbelgium.be/types/Common/v1">
<s:informationCustomer><c:ticket>t</c:ticket><c:timestampSent>2026-11-02T08:00:00Z</c:timestampSent>
<c:customerIdentification><c:cbeNumber>0999099901</c:cbeNumber></c:customerIdentification></s:informationCustomer>
<s:legalContext>WIB:RENEWAL</s:legalContext><s:criteria><s:dossierNumber>{number}</s:dossierNumber></s:criteria>
<s:status><c:value>DATA_FOUND</c:value><c:code>WIB00000</c:code><c:description>d</c:description></s:status>
{dossier}</s:consultDossierResponse>"""


def at_end(file):
    return known(file, STATES[-1])


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


def test_decision_is_not_known_before_its_status():
    file = read_files("BRUSSELS")[FIRST]
    before, after = known(file, "UNDER_REVIEW"), known(file, "WORK_GRANTED")
    assert before.find("{*}workDecision") is None
    assert after.find("{*}workDecision") is not None


def test_header_tells_the_present_status():
    file = known(read_files("PLATFORM")[FIRST], "VISA_ISSUED")
    header = payload(OperationName("consultStatus"), file, Criteria(FIRST))
    assert header is not None
    assert header.findtext("{*}status") == "VISA_ISSUED"
