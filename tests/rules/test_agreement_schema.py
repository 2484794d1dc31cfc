"""XSD → message trees: every element under one mark, or nothing compiles."""

from __future__ import annotations

from functools import cache

import pytest
from lxml import etree

from gateway.agreement.finding import ContractError
from gateway.agreement.load import load_agreement
from gateway.agreement.schema import NOTHING, compile_contract, leaves
from gateway.model import COMMON as COMMON_NAMESPACE
from gateway.model import DOSSIER as DOSSIER_NAMESPACE
from gateway.model import SERVICE
from gateway.refusal import Code, Refusal
from tests.rules.agreement_files import COMMON, DOSSIER, EXCHANGE, WSDL, changed, shipped, shipped_files

NUMBER = '<g:group code="G08" field="number"/>'
SCAN = '<g:group code="G08" field="scan"/>'
STRUCTURAL = "\n        <xs:annotation><xs:appinfo><g:structural/></xs:appinfo></xs:annotation>\n      </xs:element>\n      "
BEFORE_FILTERS = f'<xs:element name="criteria" type="s:NotificationCriteriaType">{STRUCTURAL}'
FILTERS = (
    f'{BEFORE_FILTERS}<xs:element name="dataFilters" type="c:DataFiltersType" minOccurs="0">{STRUCTURAL}'
)
QUARTER = '<xs:element name="quarter" type="c:QuarterType">'


@cache
def _contract():
    return compile_contract(shipped_files())


def _payload(operation):
    return _contract().messages[operation].payload


def _leaf(operation, path):
    return next(leaf for leaf in leaves(_payload(operation)) if leaf.path == path)


ASKED = {
    "consultDossier": "dossier",
    "consultStatus": "header",
    "consultSocialSecurityStatus": "socialSecurity",
    "consultPriorApplications": "priorApplications",
    "retrieveDocument": "document",
    "sendTestMessage": "echo",
    "checkAccessControl": "accessControl",
    "listMessages": "messages",
    "fetchMessage": "dossier",
}


def test_the_response_to_a_question_ends_with_its_payload():
    asked = {
        name: messages
        for name, messages in _contract().messages.items()
        if messages.response.children[-1] is messages.payload
    }
    assert {name: messages.payload.name for name, messages in asked.items()} == ASKED
    for name, messages in asked.items():
        assert not messages.notification
        assert messages.request.name == name
        assert messages.request.children[-1].name == "criteria"


def test_the_request_of_a_notification_ends_with_its_payload():
    told = {name: messages for name, messages in _contract().messages.items() if messages.notification}
    assert len(told) == 20
    for name, messages in told.items():
        assert messages.request.children[-1] is messages.payload
        assert messages.payload.name == ("document" if name == "uploadDocument" else "dossier")
        assert messages.response.children[-1].name == "status"


def test_what_neither_asks_nor_tells_has_an_empty_payload():
    messages = _contract().messages["acknowledgeMessage"]
    assert messages.payload is NOTHING
    assert not messages.notification
    assert [leaf.field for leaf in leaves(NOTHING)] == [None]


def test_what_many_messages_end_with_is_one_tree():
    trees = {id(_payload(name)) for name in ("consultDossier", "notifyPermit", "rectifyData", "fetchMessage")}
    assert len(trees) == 1


def test_paths_start_at_the_payload_and_at_the_message():
    assert _leaf("consultDossier", "dossier/travelDocument/number").field == "G08.number"
    request = _contract().messages["consultDossier"].request
    assert "consultDossier/criteria/dossierNumber" in {leaf.path for leaf in leaves(request)}


def test_payload_lives_in_the_service_namespace_and_its_content_in_the_dossier_namespace():
    payload = _payload("consultDossier")
    assert payload.namespace == SERVICE
    assert {child.namespace for child in payload.children} == {DOSSIER_NAMESPACE}


def test_inherited_elements_take_the_field_of_their_user():
    assert _leaf("consultDossier", "dossier/travelDocument/scan/sha256").field == "G08.scan"
    assert _leaf("consultDossier", "dossier/contractDocument/document/sha256").field == "G20.document"
    assert _leaf("consultSocialSecurityStatus", "socialSecurity/dmfa/quarter").field == "G33.dmfa"


def test_containers_have_no_field_and_presence_stands_beside_them():
    payload = _payload("consultDossier")
    children = {child.name: child for child in payload.children}
    assert children["criminalRecord"].field is None
    assert children["criminalRecordPresent"].field == "G22.present"
    assert children["workPlace"].repeated
    assert not children["worker"].repeated


def test_document_leaves_have_fields_of_their_own():
    payload = _payload("retrieveDocument")
    assert payload.field is None
    fields = {leaf.field for leaf in leaves(payload)}
    assert fields == {f"document.{name}" for name in ("reference", "type", "mediaType", "sha256", "content")}


def test_groups_are_complete_and_in_schema_order():
    groups = _contract().groups
    assert list(groups) == [f"G{number:02d}" for number in range(1, 35)]
    assert groups["G30"] == ("G30.work", "G30.residence", "G30.publicOrder")
    assert groups["G21"][-1] == "G21.present"


def test_enumerated_values_are_known_by_path():
    values = _contract().values
    assert values["dossier/header/procedure"] == {"FIRST", "RENEWAL", "CHANGE"}
    assert len(values["dossier/header/status"]) == 18
    assert _contract().values_of("G01.status") == values["header/status"]
    assert _contract().values_of("G31.status") == values["dossier/visa/status"]


def test_fields_that_refer_to_documents_are_known():
    assert shipped().contract.document_fields == set(shipped().documents.values())


def _places(contract) -> tuple[list[tuple[str, str | None]], object]:
    told = contract.messages["consultDossier"].payload
    return [(leaf.path, leaf.field) for leaf in leaves(told)], contract.values


BROKEN = {
    "an element without a mark": (DOSSIER, NUMBER, "", "TravelDocumentType/number", "no mark"),
    "an element with two marks": (DOSSIER, NUMBER, NUMBER + "<g:structural/>", "", "2 marks"),
    "an unknown mark": (DOSSIER, NUMBER, "<g:public/>", "", "no such mark"),
    "a mark with an unknown attribute": (
        DOSSIER,
        NUMBER,
        '<g:group code="G08" field="number" role="REG"/>',
        "",
        "no such mark",
    ),
    "a mark without a group": (DOSSIER, NUMBER, '<g:group field="number"/>', "", "no such mark"),
    "a malformed group": (DOSSIER, NUMBER, '<g:group code="G8" field="number"/>', "", 'no such group: "G8"'),
    "a malformed field": (DOSSIER, NUMBER, '<g:group code="G08" field="num ber"/>', "", "no such field"),
    "a field of another group in a container": (
        DOSSIER,
        NUMBER,
        '<g:group code="G16" field="number"/>',
        "dossier/travelDocument/number",
        "of group G16",
    ),
    "a structural text among fields": (
        DOSSIER,
        NUMBER,
        "<g:structural/>",
        "dossier/travelDocument/number",
        "structural inside container",
    ),
    "a container that carries text": (
        DOSSIER,
        '<g:group code="G21" field="present"/>',
        '<g:group code="G21"/>',
        "dossier/feePaid",
        "no field",
    ),
    "structural text beside fields": (
        DOSSIER,
        '<g:group code="G21" field="present"/>',
        "<g:structural/>",
        "dossier/feePaid",
        "structural text",
    ),
    "one field on two elements": (
        DOSSIER,
        '<g:group code="G08" field="issueDate"/>',
        NUMBER,
        "dossier/travelDocument/issueDate",
        "2 elements of field G08.number",
    ),
    "an inherited field outside any field": (
        DOSSIER,
        NUMBER,
        "<g:inherit/>",
        "dossier/travelDocument/number",
        "inherit inside container",
    ),
    "a field inside a field": (
        COMMON,
        '<xs:element name="sha256" type="c:Sha256Type">\n        <xs:annotation><xs:appinfo><g:inherit/>',
        '<xs:element name="sha256" type="c:Sha256Type">\n        <xs:annotation><xs:appinfo>' + NUMBER,
        "dossier/travelDocument/scan/sha256",
        "field inside field",
    ),
    "a document field in a dossier": (
        DOSSIER,
        NUMBER,
        "<g:document/>",
        "dossier/travelDocument/number",
        "document inside container",
    ),
    "a field that cannot be withheld": (
        DOSSIER,
        'type="d:DocumentNumberType" minOccurs="0"',
        'type="d:DocumentNumberType"',
        "dossier/travelDocument/number",
        "must be optional",
    ),
    "an element that is optional in another writing": (
        DOSSIER,
        'type="d:DocumentNumberType" minOccurs="0"',
        'type="d:DocumentNumberType" minOccurs="00"',
        "TravelDocumentType/number",
        "0 or 1",
    ),
    "a wildcard": (DOSSIER, QUARTER, "<xs:any/>" + QUARTER, "DmfaType", "xs:any in xs:sequence"),
    "a choice": (DOSSIER, QUARTER, "<xs:choice/>" + QUARTER, "DmfaType", "xs:choice in xs:sequence"),
    "an attribute": (
        DOSSIER,
        '<xs:complexType name="DmfaType">',
        '<xs:complexType name="DmfaType"><xs:attribute name="x"/>',
        "DmfaType",
        "xs:attribute in xs:complexType",
    ),
    "mixed content": (
        DOSSIER,
        '<xs:complexType name="DmfaType">',
        '<xs:complexType name="DmfaType" mixed="true">',
        "",
        "mixed",
    ),
    "an endless repetition": (DOSSIER, 'maxOccurs="50"', 'maxOccurs="unbounded"', "alias", "upper bound"),
    "an unknown type": (DOSSIER, 'type="c:QuarterType"', 'type="c:QuartType"', "quarter", "no type"),
    "a type that carries anything": (
        DOSSIER,
        'type="c:QuarterType"',
        'type="xs:anyType"',
        "quarter",
        "no type",
    ),
    "a text that means something where it stands": (
        DOSSIER,
        '<xs:restriction base="xs:string">',
        '<xs:restriction base="xs:QName">',
        "Type",
        "no type {http://www.w3.org/2001/XMLSchema}QName",
    ),
    "a type that contains itself": (
        DOSSIER,
        'type="c:QuarterType"',
        'type="d:DmfaType"',
        "dossier/socialSecurity/dmfa/quarter",
        "itself",
    ),
    "unqualified elements": (
        DOSSIER,
        'elementFormDefault="qualified"',
        'elementFormDefault="unqualified"',
        "",
        "qualified",
    ),
    "an import from elsewhere": (
        DOSSIER,
        'schemaLocation="common.xsd"',
        'schemaLocation="https://example.org/c.xsd"',
        "import",
        "not among",
    ),
    "an import outside the contract": (
        DOSSIER,
        'schemaLocation="common.xsd"',
        'schemaLocation="../../etc/c.xsd"',
        "import",
        "not among",
    ),
    "a file that is not XML": (DOSSIER, "<xs:schema", "<xs:schema <", "", "not well-formed"),
    "a document type": (DOSSIER, "<xs:schema", "<!DOCTYPE a><xs:schema", "", "document type"),
    "a facet that libxml2 refuses": (
        DOSSIER,
        '<xs:maxLength value="20"/>',
        '<xs:maxLength value="x"/>',
        "",
        "",
    ),
    "a response without a payload": (
        EXCHANGE,
        '<xs:element name="echo" type="c:EchoType" minOccurs="0">',
        '<xs:element name="echo" type="c:EchoType">',
        "sendTestMessageResponse",
        "optional payload",
    ),
    "a notification without room for what is withheld": (
        EXCHANGE,
        BEFORE_FILTERS + '<xs:element name="dataFilters"',
        BEFORE_FILTERS + '<xs:element name="remarks"',
        "submitApplication",
        "dataFilters stands before",
    ),
    "a notification whose payload cannot be withheld": (
        EXCHANGE,
        FILTERS + '<xs:element name="dossier" type="d:DossierType" minOccurs="0">',
        FILTERS + '<xs:element name="dossier" type="d:DossierType">',
        "closeDossier",
        "optional payload",
    ),
    "a notification that tells nothing of a field": (
        EXCHANGE,
        FILTERS + '<xs:element name="dossier" type="d:DossierType" minOccurs="0">',
        FILTERS + '<xs:element name="remark" type="c:EchoType" minOccurs="0">',
        "rectifyData",
        "has fields",
    ),
    "a request without its response": (
        EXCHANGE,
        '<xs:element name="sendTestMessageResponse"',
        '<xs:element name="otherResponse"',
        "",
        "without",
    ),
}


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_contract_is_refused_for(case):
    name, old, new, path, sentence = BROKEN[case]
    with pytest.raises(ContractError) as refused:
        compile_contract(changed(name, old, new))
    matching = [
        finding
        for finding in refused.value.findings
        if finding.file == name and path in finding.path and sentence in finding.sentence
    ]
    assert matching, refused.value
    if "import" not in case and case != "a document type":
        assert any(finding.line for finding in matching) or "request" in case


def test_all_unmarked_elements_are_named_at_once():
    files = changed(DOSSIER, NUMBER, "")
    files[DOSSIER] = files[DOSSIER].replace(SCAN.encode(), b"")
    with pytest.raises(ContractError) as refused:
        compile_contract(files)
    assert [finding.path for finding in refused.value.findings] == [
        "TravelDocumentType/number",
        "TravelDocumentType/scan",
    ]


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        (
            NUMBER,
            f'<xs:element name="number" type="c:NameType" minOccurs="0"><xs:annotation><xs:appinfo>{SCAN}',
        ),
        ("<xs:documentation>State of the visa.", '<xs:enumeration value="PROMISED">'),
    ],
)
def test_what_a_documentation_shows_is_no_part_of_the_schema(place, shown):
    """An example in a documentation, of an element or of a value, declares nothing."""
    ends = "".join(f"</{tag}>" for tag in ("xs:appinfo", "xs:annotation", "xs:element") if f"<{tag}" in shown)
    example = shown + (ends or "</xs:enumeration>")
    text = f"</xs:appinfo><xs:documentation>{example}</xs:documentation><xs:appinfo>"
    contract = compile_contract(changed(DOSSIER, place, place + (text if place == NUMBER else example)))
    assert _places(contract) == _places(_contract())


def test_two_schemas_of_one_namespace_are_a_finding():
    """Of which libxml2 would validate by the first, and marks be read from the last."""
    draft = "contracts/xsd/dossier-draft.xsd"
    imported = (
        '<xs:import namespace="http://workinginbelgium.be/types/Dossier/v1" schemaLocation="dossier.xsd"/>'
    )
    files = changed(EXCHANGE, imported, imported + imported.replace("dossier.xsd", "dossier-draft.xsd"))
    with pytest.raises(ContractError) as refused:
        compile_contract({**files, draft: shipped_files()[DOSSIER]})
    assert str(refused.value) == f"{draft}: {DOSSIER} has this namespace already"


def test_a_schema_that_nothing_imports_is_a_finding():
    stray = "contracts/xsd/dossier-draft.xsd"
    with pytest.raises(ContractError) as refused:
        compile_contract({**shipped_files(), stray: shipped_files()[DOSSIER]})
    assert str(refused.value) == f"{stray}: no schema of the service imports it"


def test_a_finding_reads_file_line_path_sentence():
    with pytest.raises(ContractError) as refused:
        compile_contract(changed(DOSSIER, NUMBER, ""))
    line = shipped_files()[DOSSIER].decode().split(NUMBER)[0].count("\n")
    assert str(refused.value) == f"{DOSSIER}:{line}: TravelDocumentType/number: no mark of a field group"


def test_wsdl_and_schemas_have_the_same_operations():
    with pytest.raises(ContractError) as refused:
        load_agreement(
            changed(WSDL, '<wsdl:operation name="consultStatus">', '<wsdl:operation name="getStatus">')
        )
    assert {finding.path for finding in refused.value.findings} == {
        "portType/consultStatus",
        "portType/getStatus",
    }


@pytest.mark.parametrize("name", [EXCHANGE, WSDL])
def test_a_missing_file_is_refused(name):
    files = {key: data for key, data in shipped_files().items() if key != name}
    with pytest.raises(ContractError):
        load_agreement(files)


def _echo(attributes="", echo="hello"):
    namespaces = (
        f'xmlns="{SERVICE}" xmlns:c="{COMMON_NAMESPACE}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
    )
    customer = (
        "<informationCustomer><c:ticket>t-1</c:ticket><c:timestampSent>2026-03-02T09:00:00Z</c:timestampSent>"
        "<c:customerIdentification><c:cbeNumber>0999022202</c:cbeNumber></c:customerIdentification>"
        "</informationCustomer>"
    )
    criteria = f"<criteria><echo {attributes}>{echo}</echo></criteria>"
    body = f"{customer}<legalContext>WIB:WORK_DECISION</legalContext>{criteria}"
    return etree.fromstring(f"<sendTestMessage {namespaces}>{body}</sendTestMessage>")


def test_a_valid_message_passes():
    _contract().validate(_echo(), Code.SCHEMA)


@pytest.mark.parametrize(
    "message",
    [
        _echo(echo="<x/>"),
        _echo(echo="no spaces"),
        _echo('i:type="c:EchoType"'),
        _echo('i:nil="false"'),
        _echo('i:schemaLocation="http://a file:///etc/passwd"'),
        _echo('Id="x"'),
    ],
    ids=["element in text", "pattern", "xsi:type", "xsi:nil", "xsi:schemaLocation", "any attribute"],
)
def test_an_invalid_message_is_refused_with_the_given_code(message):
    for code in (Code.SCHEMA, Code.PROVIDER_SCHEMA):
        with pytest.raises(Refusal) as refused:
            _contract().validate(message, code)
        assert refused.value.code is code
        assert "hello" not in str(refused.value)


def test_the_validator_fetches_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no file by a relative name
    compile_contract(shipped_files()).validate(_echo(), Code.SCHEMA)


def _refused(text, known=frozenset):
    with pytest.raises(Refusal) as caught:
        _contract().validate(etree.fromstring(text), Code.SCHEMA, known)
    return caught.value.about


def test_refusal_names_the_element_of_the_contract_that_fails():
    assert _refused(f'<s:consultStatus xmlns:s="{SERVICE}"/>') == "consultStatus"
    message = etree.tostring(_echo()).decode()
    assert _refused(message.replace(">hello<", ">no good<")) == "echo"


@pytest.mark.parametrize(
    "element",
    [
        f'<s:evil xmlns:s="{SERVICE}">text</s:evil>',
        '<evil xmlns="urn:evil"/>',
        '<ticket xmlns="urn:evil"/>',  # a known name, in another namespace
        f'<workerCivil xmlns="{DOSSIER_NAMESPACE}"/>',  # of answers: not confirmed to whoever may not know of it
    ],
)
def test_refusal_never_repeats_a_name_that_requests_do_not_have(element):
    assert not _refused(f'<s:consultStatus xmlns:s="{SERVICE}">{element}</s:consultStatus>')
    assert not _refused(element)


def _told(element):
    dossier = f'<s:dossier xmlns:d="{DOSSIER_NAMESPACE}">{element}</s:dossier>'
    body = etree.tostring(_echo()).decode()
    head = body[body.index("<informationCustomer>") : body.index("<criteria>")]
    criteria = "<s:criteria><s:dossierNumber>WIB-2026-0000001-39</s:dossierNumber></s:criteria>"
    return (
        f'<s:notifyCard xmlns:s="{SERVICE}" xmlns="{SERVICE}" xmlns:c="{COMMON_NAMESPACE}">'
        f"{head}{criteria}{dossier}</s:notifyCard>"
    )


def test_an_element_of_what_is_told_is_named_only_to_who_may_know_of_it():
    bad = _told("<d:salary><d:amount>much</d:amount></d:salary>")
    assert _refused(bad, lambda: {"G16.amount"}) == "amount"
    assert not _refused(bad, lambda: {"G02.ssin"})
    assert not _refused(bad)
    wrong_place = _told("<d:worker><d:salary/></d:worker>")
    assert _refused(wrong_place, lambda: {"G16.period"}) == "salary"
    assert not _refused(wrong_place, lambda: {"G02.ssin"})


def test_what_a_role_may_know_is_not_asked_for_while_all_is_well():
    def never():
        raise AssertionError

    _contract().validate(
        etree.fromstring(_told("<d:salary><d:amount>1</d:amount></d:salary>")), Code.SCHEMA, never
    )
