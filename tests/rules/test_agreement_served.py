"""The contract as a role is served it: what it may never see does not stand in it."""

from __future__ import annotations

import pytest
from lxml import etree
from zeep import Client

from gateway.agreement.schema import compile_contract, leaves
from gateway.agreement.served import served_contract, served_documents, served_operations, single_wsdl
from gateway.model import DOSSIER as DOSSIER_NAMESPACE
from gateway.model import Role
from tests.rules.agreement_files import COMMON, DOSSIER, EXCHANGE, WSDL, shipped

URL = "https://gateway.wib.example/soap/v1"
# What a role asks or is asked, beside what is everybody's.
CONSULTS = {
    Role.PLAT: {"consultDossier", "consultStatus", "consultSocialSecurityStatus", "retrieveDocument", "uploadDocument"},
    Role.REG: {"consultDossier", "consultStatus", "consultSocialSecurityStatus", "consultPriorApplications", "retrieveDocument"},
    Role.OE: {"consultDossier", "consultStatus", "consultSocialSecurityStatus", "consultPriorApplications", "retrieveDocument"},
    Role.CONS: {"consultDossier", "consultStatus", "retrieveDocument", "uploadDocument"},
    Role.MUN: {"consultDossier", "consultStatus", "retrieveDocument"},
    Role.NSSO: {"consultDossier", "consultStatus", "consultSocialSecurityStatus"},
}  # fmt: skip
TELLS = {
    Role.PLAT: {"submitApplication", "supplyInformation", "transferApplication", "notifyDeemedDecision", "withdrawApplication", "closeDossier"},
    Role.REG: {"notifyAdmissibility", "requestInformation", "transferApplication", "notifyWorkDecision", "notifyPermit", "notifyRevocation", "notifyAppeal", "closeDossier"},
    Role.OE: {"notifyResidenceDecision", "notifyDeemedDecision", "notifyPermit", "instructMunicipality", "notifyRevocation", "notifyAppeal"},
    Role.CONS: {"notifyVisa"},
    Role.MUN: {"notifyRegistration", "notifyCard"},
    Role.NSSO: {"notifySocialSecurityEvent"},
}  # fmt: skip
EVERYBODY = {
    "sendTestMessage",
    "checkAccessControl",
    "rectifyData",
    "listMessages",
    "fetchMessage",
    "acknowledgeMessage",
}


def _operations(role):
    """What a role is served, by hand and by the steps of the courses in which it hears of something."""
    steps = [step for course in shipped().courses.values() for step in course.steps]
    heard = {step.operation for step in steps if role in step.recipients}
    return CONSULTS[role] | TELLS[role] | EVERYBODY | heard


def _client(files, folder):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Client(str(folder / WSDL))


def _ports(client):
    (service,) = client.wsdl.services.values()
    return list(service.ports.values())


def _dossier_elements(client):
    return {name for name, _ in client.get_type(f"{{{DOSSIER_NAMESPACE}}}DossierType").elements}


@pytest.mark.parametrize("role", Role)
def test_zeep_loads_the_contract_of_each_role(role, tmp_path):
    ports = _ports(_client(served_contract(shipped(), role, URL), tmp_path))
    assert [port.name for port in ports] == ["ExchangePortSoap11", "ExchangePortSoap12"]
    for port in ports:
        assert port.binding_options["address"] == URL
        assert set(port.binding._operations) == _operations(role)
    assert served_operations(shipped(), role) == _operations(role)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("soap12", [True, False])
def test_zeep_loads_the_single_file_and_sees_the_same(role, soap12, tmp_path):
    path = tmp_path / "single.wsdl"
    path.write_bytes(single_wsdl(shipped(), role, URL, soap12=soap12))
    client = Client(str(path))
    assert len(_ports(client)) == (2 if soap12 else 1)
    assert set(_ports(client)[0].binding._operations) == _operations(role)
    assert _dossier_elements(client) == _dossier_elements(
        _client(served_contract(shipped(), role, URL), tmp_path)
    )
    assert b"schemaLocation" not in path.read_bytes()


@pytest.mark.parametrize("role", Role)
def test_a_served_contract_names_exactly_the_fields_that_the_role_may_hold(role):
    contract = compile_contract(served_contract(shipped(), role, URL))
    named = {
        leaf.field
        for messages in contract.messages.values()
        for leaf in leaves(messages.payload)
        if leaf.field is not None and not leaf.field.startswith("document.")
    }
    assert named == shipped().visible(role)


@pytest.mark.parametrize("role", Role)
def test_a_served_contract_is_a_part_of_the_whole(role):
    whole, contract = shipped().contract, compile_contract(served_contract(shipped(), role, URL))
    for name, messages in contract.messages.items():
        paths = [leaf.path for leaf in leaves(whole.messages[name].response)]
        assert [leaf.path for leaf in leaves(messages.response)] == [
            path for path in paths if path in {leaf.path for leaf in leaves(messages.response)}
        ]


def test_social_security_is_not_told_of_salaries_and_the_region_not_of_passport_scans(tmp_path):
    nsso = served_contract(shipped(), Role.NSSO, URL)[DOSSIER]
    assert b"SalaryType" not in nsso
    assert b'"salary"' not in nsso
    region = served_contract(shipped(), Role.REG, URL)[DOSSIER]
    assert b"SalaryType" in region
    assert b'name="scan"' not in region
    assert b"CriminalRecordType" not in region
    assert b"criminalRecordPresent" in region


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OE])
def test_only_the_immigration_office_has_an_element_for_grounds_of_public_order(role):
    assert b"publicOrder" not in served_contract(shipped(), role, URL)[DOSSIER]


def test_types_of_operations_that_a_role_does_not_have_are_not_served():
    municipal = served_contract(shipped(), Role.MUN, URL)
    assert b"PriorApplication" not in municipal[EXCHANGE] + municipal[DOSSIER]
    assert b"SocialSecurity" not in municipal[EXCHANGE] + municipal[DOSSIER]
    assert b"consultPriorApplications" not in municipal[WSDL]


def test_a_role_is_served_what_it_hears_of_and_may_not_tell(tmp_path):
    client = _client(served_contract(shipped(), Role.MUN, URL), tmp_path)
    instruct = _ports(client)[0].binding.get("instructMunicipality")
    assert "dossier" in instruct.input.signature()
    assert not shipped().operations["instructMunicipality"].requesters.get(Role.MUN)


def test_what_a_role_neither_tells_nor_hears_of_is_not_served():
    post = served_contract(shipped(), Role.CONS, URL)
    for name in (b"submitApplication", b"notifyWorkDecision", b"notifySocialSecurityEvent"):
        assert name not in post[WSDL] + post[EXCHANGE]
    assert b"uploadDocument" in post[WSDL]
    municipal = served_contract(shipped(), Role.MUN, URL)
    assert b"pload" not in municipal[WSDL] + municipal[EXCHANGE]


@pytest.mark.parametrize("role", Role)
def test_every_field_that_a_role_may_tell_or_be_told_is_in_its_contract(role):
    agreement = shipped()
    contract = compile_contract(served_contract(agreement, role, URL))
    told = {
        name: {leaf.field for leaf in leaves(messages.payload)}
        for name, messages in contract.messages.items()
        if messages.notification and name != "uploadDocument"
    }
    for name, fields in told.items():
        heard = [
            view
            for (operation, recipient, *_), view in agreement._views.items()
            if (operation, recipient) == (name, role)
        ]
        assert set(agreement.provided(role, name)).union(*map(agreement.released_fields, heard)) <= fields
    assert {len(fields) for fields in told.values()} == {len(agreement.visible(role))}


def test_policies_and_faults_stay():
    for role in Role:
        root = etree.fromstring(served_contract(shipped(), role, URL)[WSDL])
        ids = root.xpath("//@*[local-name()='Id']")
        assert set(ids) == {"BindingPolicy", "MessagePolicy"}
        assert root.xpath("count(//*[local-name()='message'][@name='exchangeFault'])") == 1
    assert set(served_contract(shipped(), Role.MUN, URL)) == {WSDL, COMMON, DOSSIER, EXCHANGE}


def test_documents_are_named_by_query_and_refer_to_each_other_by_url():
    documents = served_documents(shipped(), Role.MUN, URL)
    assert set(documents) == {
        "wsdl", "singleWsdl", "singleWsdl11", "xsd=common.xsd", "xsd=dossier.xsd", "xsd=exchange.xsd",
    }  # fmt: skip
    locations = {
        location.partition("?")[2]
        for document in documents.values()
        for location in etree.fromstring(document).xpath("//@schemaLocation")
        if location.startswith(f"{URL}?")
    }
    assert locations == {"xsd=common.xsd", "xsd=dossier.xsd", "xsd=exchange.xsd"}
    assert all(b'"common.xsd"' not in document for document in documents.values())


def test_serving_leaves_the_agreements_own_files_alone():
    before = dict(shipped().files)
    served_documents(shipped(), Role.NSSO, URL)
    assert shipped().files == before
