"""The contracts as documents: schemas, marks, value types and WSDL, read without the gateway's own compiler."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import zeep
from lxml import etree

from gateway.config import LimitSettings

CONTRACTS = Path(__file__).parents[2] / "contracts"
SCHEMAS = ("common", "dossier", "exchange")
WSDL_FILE = CONTRACTS / "wsdl" / "exchange.wsdl"
SERVICE = "http://workinginbelgium.be/intf/ExchangeService/v1"
COMMON = "http://workinginbelgium.be/types/Common/v1"
DOSSIER = "http://workinginbelgium.be/types/Dossier/v1"
XS = "{http://www.w3.org/2001/XMLSchema}"
G = "{http://workinginbelgium.be/types/Agreement/v1}"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"
SOAP12 = "{http://schemas.xmlsoap.org/wsdl/soap12/}"
WSP = "{http://www.w3.org/ns/ws-policy}"
SP = "{http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702}"
WSAM = "{http://www.w3.org/2007/05/addressing/metadata}"
WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"

# What is asked for, the last element of the response.
ASKED = {
    "consultDossier": "dossier",
    "consultStatus": "header",
    "consultSocialSecurityStatus": "socialSecurity",
    "consultPriorApplications": "priorApplications",
    "retrieveDocument": "document",
    "sendTestMessage": "echo",
    "checkAccessControl": "accessControl",
}
NOTIFICATIONS = (
    "submitApplication",
    "notifyAdmissibility",
    "requestInformation",
    "supplyInformation",
    "transferApplication",
    "notifyWorkDecision",
    "notifyResidenceDecision",
    "notifyDeemedDecision",
    "notifyPermit",
    "notifyVisa",
    "instructMunicipality",
    "notifyRegistration",
    "notifyCard",
    "notifySocialSecurityEvent",
    "withdrawApplication",
    "notifyRevocation",
    "notifyAppeal",
    "rectifyData",
    "closeDossier",
)
# What is told, the last element of the request.
TOLD = {**dict.fromkeys(NOTIFICATIONS, "dossier"), "uploadDocument": "document"}
FETCHED = {"listMessages": "messages", "fetchMessage": "dossier"}
OPERATIONS = (*ASKED, *TOLD, *FETCHED, "acknowledgeMessage")

# Group → element, then its fields in order; "*" may occur several times, "+name" is the presence flag beside it.
GROUPS = """
G01 header dossierNumber permitType procedure submittedAt language competentRegion post status statusDate
G02 worker ssin familyName givenNames birthDate sex nationality
G03 workerCivil birthPlace birthCountry civilStatus alias*
G04 foreignIdentifier* type value country validFrom validUntil
G05 contact email phone
G06 addressAbroad street number box postCode locality country
G07 addressBelgium street number box postCode municipality
G08 travelDocument type number country issueDate expiryDate scan
G09 residenceFile fileNumber title cardNumber expiryDate
G10 employer cbeNumber name legalForm seat nace
G11 establishment unitNumber nssoNumber
G12 proxy cbeNumber ssin mandateReference
G13 hostUndertaking cbeNumber foreignIdentifier a1Reference limosaReference
G14 function title isco regionalCode workerCategory
G15 contract type startDate endDate hoursPerWeek jointCommittee
G16 salary amount period currency
G17 workPlace* address municipality main
G18 qualification* diploma institution year experienceYears
G19 labourMarketTest vacancyReference startDate endDate outcome
G20 contractDocument document
G21 feePayment amount date structuredCommunication exemptionGround +feePaid
G22 criminalRecord issuingCountry issueDate clear document +criminalRecordPresent
G23 medicalCertificate issuingCountry issueDate fit document +medicalCertificatePresent
G24 sicknessInsurance insurer startDate endDate familyCovered document +sicknessInsurancePresent
G25 meansOfSubsistence kind amount document
G26 familyMember* relation familyName givenNames birthDate nationality +familyInsured
G27 admissibility outcome date requested* dueDate
G28 workDecision outcome date validFrom validUntil conditions appealDate
G29 residenceDecision outcome date validFrom validUntil annexType appealDate
G30 grounds work residence publicOrder
G31 visa status stickerNumber type nationalCode validFrom validUntil post
G32 municipalOutcome status registrationDate residenceCheck annex49From annex49Until cardType cardNumber cardExpiry
G33 socialSecurity declared declarationType periodStart periodEnd dmfa*
G34 priorApplication* hit region date outcome
"""

UUID = "0190a2c4-5b6d-7e8f-9a0b-1c2d3e4f5061"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ARABIC_NINE = "\N{ARABIC-INDIC DIGIT NINE}"
OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"


class Twins(NamedTuple):
    accepted: list[str]
    refused: list[str]


def _text(limit: int) -> Twins:
    accepted = ["a", "x" * limit, "Ngũgĩ wa Thiong'o", "  two \n lines "]
    return Twins(
        accepted if limit >= 20 else accepted[:2],
        ["", " ", "x" * (limit + 1), f"a{OVERRIDE}b", "a\x85b", "a\u2028b"],
    )


# Every value type that is no enumeration; "11 digits" and the like are the type's documentation in common.xsd.
TWINS = {
    "c:SsinType": Twins(
        # Plain; born from 2000; bis +20 and +40; no month and day; test numbers (months 61 to 72).
        [
            "85073003328",
            "01721201879",
            "85270300145",
            "85473099945",
            "40000095579",
            "90612400144",
            "85650304271",
        ],
        [
            "8507300332",
            "850730033281",
            "85133003328",
            "85333003328",
            "85533003328",
            "85603003328",
            "85733003328",
            "85073203328",
            "85.07.30-033.28",
            f"{ARABIC_NINE}5073003328",
            " 85073003328",
        ],
    ),
    "c:CbeNumberType": Twins(
        ["0566988259", "1000000035"],
        ["2566988259", "566988259", "0566.988.259", "BE0566988259", f"0{ARABIC_NINE}66988259"],
    ),
    "c:EstablishmentUnitNumberType": Twins(
        ["2000000037", "8999999999"], ["1999999999", "9000000000", "200000003"]
    ),
    "c:NssoNumberType": Twins(
        ["0123456789", "5112345678"], ["1123456789", "5012345678", "012345678", "51123456789"]
    ),
    "c:NisCodeType": Twins(["21004", "63023"], ["2100", "210040", "21 04"]),
    "c:CountryCodeType": Twins(["MA", "IN"], ["ma", "MAR", "M1", "150"]),
    "c:CurrencyCodeType": Twins(["EUR"], ["eur", "EURO", "978"]),
    "c:DossierNumberType": Twins(
        ["WIB-2026-0000001-39"],
        [
            "WIB-2026-000001-39",
            "wib-2026-0000001-39",
            "WIB-2026-0000001-3",
            f"WIB-2026-0000001-3{ARABIC_NINE}",
            "WIB-2026-0000001-39\n",
        ],
    ),
    "c:PermitCodeType": Twins(
        [
            "SINGLE_PERMIT",
            "BLUE_CARD",
            "WORK_PERMIT",
            "PROFESSIONAL_CARD",
            "SINGLE_PERMIT_INDEFINITE",
            "SEASONAL_PERMIT",
        ],
        ["", "single_permit", "PERMIT-1", "A" * 33],
    ),
    "c:CodeType": Twins(["A", "HIGHLY_QUALIFIED", "P2"], ["", "2P", "Highly", "A" * 33]),
    "c:ReferenceType": Twins(["DOC-1.v2_a", "x" * 64], ["", "..", "../etc/passwd", "a/b", "a b", "x" * 65]),
    "c:Sha256Type": Twins([SHA256], [SHA256.upper(), SHA256[1:], SHA256 + "0", "g" + SHA256[1:]]),
    "c:ContentType": Twins(["AA==", "JVBERi0xLjcK"], ["", "A", "%PDF"]),
    "c:CheckpointType": Twins(["AA=="], ["", "A", "\u2014"]),
    "c:TlogProofType": Twins(["AA=="], ["", "A", "c2sp.org/tlog-proof@v1"]),
    "c:SeedType": Twins([f"{'A' * 43}="], ["", "AA==", "A" * 44, "ab" * 32]),
    "c:DigestType": Twins(
        [f"{'x' * 42}A", f"-_{'0' * 40}8"], ["", "x" * 43, f"{'x' * 42}A=", f"+/{'0' * 40}8"]
    ),
    "c:UuidType": Twins([UUID], [UUID.upper(), UUID.replace("-", ""), "{" + UUID + "}"]),
    "c:TicketType": Twins(["T-2026.1_a", "x" * 36], ["", "x" * 37, "a b", "a/b", " T1"]),
    "c:UnitNameType": Twins(["PLATFORM", "POST-NEW-DELHI"], ["", "platform", "-A", "A" * 65]),
    "c:LegalContextType": Twins(
        ["WIB:WORK_DECISION"],
        ["WIB", "wib:work_decision", "WIB:", "WIB:WORK-DECISION", " WIB:APPEAL", "WIB:" + "A" * 61],
    ),
    "c:OperationNameType": Twins(["consultDossier"], ["", "ConsultDossier", "consult-dossier", "a" * 65]),
    "c:EchoType": Twins(["hello-1", "a" * 64], ["", "a b", "<a/>", "a" * 65]),
    "c:DateType": Twins(
        ["2026-02-28", "9999-12-31"], ["2026-02-29", "2026-02-28Z", "28-02-2026", "12026-01-01", "1990-00-00"]
    ),
    "c:IncompleteDateType": Twins(
        ["1990-05-17", "1990-00-00", "1990-05-00"],
        ["1990", "1990-13-01", "1990-01-32", "90-01-01", "1990-5-1", " 1990-05-17"],
    ),
    "c:TimestampType": Twins(
        ["2026-11-23T10:00:00Z", "2026-11-23T10:00:00.123456789+01:00", "2026-11-23T10:00:00.1-14:00"],
        [
            "2026-11-23T10:00:00",
            "2026-11-23",
            "2026-11-23T24:00:00Z",
            "2026-02-30T10:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "2026-11-23T10:00:00.1234567890Z",
            "2026-11-23T10:00:00+15:00",
            "2026-11-23T10:00:60Z",
        ],
    ),
    "c:YearType": Twins(["1999", "2026"], ["99", "1899", "2100", "20261"]),
    "c:QuarterType": Twins(["20263"], ["20265", "2026Q3", "2026"]),
    "c:AmountType": Twins(
        ["0", "358", "3261.00", "9999999999.99"], ["-1", "1.001", "1,5", "1e3", "EUR 5", "99999999999999"]
    ),
    "c:HoursType": Twins(["38", "19.25"], ["-1", "169", "38.125"]),
    "c:DaysType": Twins(["65", "64.5"], ["-1", "93", "NaN"]),
    "c:WaitSecondsType": Twins(["0", "9", "30"], ["", "-1", "31", "05", "1.5"]),
    "c:RetryAfterType": Twins(["1", "3600"], ["", "0", "-1", "1.5"]),
    "c:YearsType": Twins(["0", "12"], ["-1", "81", "1.5"]),
    "c:JointCommitteeType": Twins(["200", "140.03", "118.03.01"], ["20", "200.1", "200.01.01.01", "PC200"]),
    "c:IscoCodeType": Twins(["2512"], ["251", "25121"]),
    "c:NaceCodeType": Twins(["62010"], ["6201", "62.010"]),
    "c:EmailType": Twins(["a@b.example"], ["a.example", "a@b@c", "a b@c", "@b", "x" * 250 + "@b.be"]),
    "c:PhoneType": Twins(
        ["+212 537 000 000", "+3225550000"], ["025550000", "+32(2)5550000", "+1", "+" + "1" * 30]
    ),
    "c:PostCodeType": Twins(["1000", "4700"], ["0100", "100", "B-1000"]),
    "c:LogOriginType": Twins(["log.wib.example/exchange"], ["", "a b", "a+b", "é", "a" * 129]),
    "c:LogIndexType": Twins(["0", "9223372036854775807"], ["-1", "1.0", "9223372036854775808"]),
    "c:StatusCodeType": Twins(["MSG00000", "WIB00001"], ["", "msg00000", "A" * 17]),
    "c:ElementPathType": Twins(
        ["dossier", "dossier/travelDocument/scan"], ["", "/dossier", "a//b", "a/b/", "a/../b", "a" * 129]
    ),
    "c:FieldIdType": Twins(
        ["G08.number", "document.content"], ["G8.number", "G08", "G08.Number", "H08.number"]
    ),
    "c:RefusalCodeType": Twins(["WIB07005"], ["WIB7005", "MSG00013", "wib07005"]),
    "c:LabelType": Twins(["dossier-denied"], ["", "Dossier", "1a", "a b"]),
    "c:NameType": _text(128),
    "c:ShortTextType": _text(64),
    "c:TextType": _text(256),
    "c:SentenceType": _text(512),
    "c:LongTextType": _text(4000),
    "c:FieldNameType": _text(64),
    "c:StreetType": _text(128),
    "c:HouseNumberType": _text(16),
    "c:BoxType": _text(16),
    "c:ForeignPostCodeType": _text(16),
    "d:DocumentNumberType": _text(20),
    "d:CardKindType": Twins(["A", "H", "F+"], ["", "a", "AA", "A12"]),
    "d:StructuredCommunicationType": Twins(["090933755493"], ["+++090/9337/55493+++", "9093375549"]),
    "d:RegionalOccupationType": Twins(["M1805", "2512.01-A"], ["", "m1805", "A" * 17]),
    "d:VisaNationalCodeType": Twins(["B34"], ["", "b34", "A" * 17]),
    "d:DiplomaticPostType": Twins(["POST-RABAT"], ["", "Rabat", "-A", "A" * 33]),
    "xs:boolean": Twins(["true", "false"], ["", "yes", "TRUE"]),
}
# PrintableType is only a base of other types.
ABSTRACT = {"c:PrintableType"}


# --------------------------------------------------------------------------- reading the files


@cache
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(CONTRACTS / "xsd" / "exchange.xsd"))


@cache
def trees() -> dict[str, etree._Element]:
    prefixes = {"common": "c", "dossier": "d", "exchange": "s"}
    return {prefixes[name]: etree.parse(CONTRACTS / "xsd" / f"{name}.xsd").getroot() for name in SCHEMAS}


@cache
def named(kind: str) -> dict[str, etree._Element]:
    """Types or global elements of one kind by prefixed name."""
    return {
        f"{p}:{node.get('name')}": node
        for p, root in trees().items()
        for node in root.iterchildren(f"{XS}{kind}")
    }


@cache
def enumerated() -> dict[str, list[str]]:
    found = {
        name: [value.get("value") for value in node.iter(f"{XS}enumeration")]
        for name, node in named("simpleType").items()
    }
    return {name: values for name, values in found.items() if values}


def sequence(type_name: str) -> list[etree._Element]:
    return list(named("complexType")[type_name].iter(f"{XS}element"))


def declarations() -> Iterator[etree._Element]:
    for root in trees().values():
        yield from root.iter(f"{XS}element")


def place(node: etree._Element) -> str:
    return f"{Path(node.base).name}:{node.sourceline} {node.get('name')}"


def marks(node: etree._Element) -> list[etree._Element]:
    return [mark for info in node.iterfind(f"{XS}annotation/{XS}appinfo") for mark in info]


def mark(node: etree._Element) -> str:
    [one] = marks(node)
    field = one.get("field")
    return (one.get("code") or one.tag.removeprefix(G)) + (f".{field}" if field else "")


# --------------------------------------------------------------------------- building a good message


def sample(type_name: str) -> str:
    return enumerated()[type_name][0] if type_name in enumerated() else TWINS[type_name].accepted[0]


def fill(parent: etree._Element, type_name: str, leaves: dict[str, list[etree._Element]]) -> None:
    """Every element of a type once, each with a good value; `leaves` collects them by value type."""
    if type_name not in named("complexType"):
        parent.text = sample(type_name)
        leaves.setdefault(type_name, []).append(parent)
        return
    namespace = {"c": COMMON, "d": DOSSIER, "s": SERVICE}[type_name[0]]
    for declared in sequence(type_name):
        fill(etree.SubElement(parent, f"{{{namespace}}}{declared.get('name')}"), declared.get("type"), leaves)


class Message(NamedTuple):
    root: etree._Element
    leaves: dict[str, list[etree._Element]]


def message(name: str) -> Message:
    namespace = COMMON if name[0] == "c" else SERVICE
    made = Message(etree.Element(f"{{{namespace}}}{name[2:]}"), {})
    fill(made.root, named("element")[name].get("type"), made.leaves)
    return made


def is_valid(root: etree._Element) -> bool:
    return schema().validate(root)


def values_of(type_name: str, kind: str) -> list[str]:
    if type_name in enumerated():
        good = enumerated()[type_name]
        return good if kind == "accepted" else ["", "NO_SUCH_VALUE", f" {good[0]}", good[0].swapcase()]
    return getattr(TWINS[type_name], kind)


VALUE_TYPES = sorted({*TWINS, *enumerated()})


@cache
def carriers() -> dict[str, str]:
    """Value type → the name of a message that carries it."""
    return {type_name: name for name in named("element") for type_name in message(name).leaves}


# --------------------------------------------------------------------------- schemas and marks


def test_the_schemas_compile() -> None:
    assert schema() is not None
    assert {node.get("targetNamespace") for node in trees().values()} == {SERVICE, COMMON, DOSSIER}
    assert {node.get("elementFormDefault") for node in trees().values()} == {"qualified"}


def test_every_element_declaration_has_exactly_one_mark() -> None:
    assert [place(node) for node in declarations() if len(marks(node)) != 1] == []


def test_marks_are_of_the_five_forms() -> None:
    forms = {(one.tag, tuple(one.attrib)) for node in declarations() for one in marks(node)}
    assert forms == {
        (f"{G}group", ("code", "field")),
        (f"{G}group", ("code",)),
        (f"{G}structural", ()),
        (f"{G}inherit", ()),
        (f"{G}document", ()),
    }


def test_only_messages_and_the_fault_are_global_elements() -> None:
    expected = {f"s:{name}{suffix}" for name in OPERATIONS for suffix in ("", "Response")} | {
        "c:exchangeFault"
    }
    assert set(named("element")) == expected


def test_every_repetition_is_bounded() -> None:
    assert [place(node) for node in declarations() if node.get("maxOccurs") == "unbounded"] == []


def test_every_type_says_what_it_is() -> None:
    types = {**named("simpleType"), **named("complexType")}
    assert [
        name for name, node in types.items() if not node.findtext(f"{XS}annotation/{XS}documentation")
    ] == []


def test_no_pattern_accepts_digits_of_other_scripts() -> None:
    patterns = [node.get("value") for root in trees().values() for node in root.iter(f"{XS}pattern")]
    assert patterns
    assert [one for one in patterns if "\\d" in one or "\\w" in one] == []


def test_the_dossier_holds_the_34_groups_in_order() -> None:
    found = [mark(node) for node in sequence("d:DossierType")]
    assert [one for one in found if "." not in one] == [f"G{number:02}" for number in range(1, 35)]


@pytest.mark.parametrize("row", GROUPS.strip().splitlines(), ids=lambda row: row[:3])
def test_group_has_the_fields_of_the_agreement(row: str) -> None:
    code, element, *rest = row.split()
    fields = [one for one in rest if not one.startswith("+")]
    presence = [one.removeprefix("+") for one in rest if one.startswith("+")]
    siblings = sequence("d:DossierType")
    position = next(index for index, node in enumerate(siblings) if mark(node) == code)
    container = siblings[position]
    repeats = {True: "50", False: None}
    assert (container.get("name"), container.get("maxOccurs")) == (
        element.rstrip("*"),
        repeats[element.endswith("*")],
    )
    declared = sequence(container.get("type"))
    assert [node.get("name") for node in declared] == [one.rstrip("*") for one in fields]
    assert [mark(node) for node in declared] == [f"{code}.{one.rstrip('*')}" for one in fields]
    assert [node.get("maxOccurs") for node in declared] == [repeats[one.endswith("*")] for one in fields]
    assert [node.get("minOccurs") for node in [container, *declared]] == ["0"] * (1 + len(fields))
    following = [node for node in siblings if mark(node) == f"{code}.present"]
    assert [node.get("name") for node in following] == presence
    assert following == siblings[position + 1 : position + 1 + len(presence)]


def test_shared_types_inherit_the_field_of_their_user() -> None:
    for name in ("c:AddressType", "c:DocumentReferenceType", "d:DmfaType"):
        assert {mark(node) for node in sequence(name)} == {"inherit"}
    inheriting = {
        node.getparent().getparent().get("name") for node in declarations() if mark(node) == "inherit"
    }
    assert inheriting == {"AddressType", "DocumentReferenceType", "DmfaType"}


def test_criteria_name_the_fields_that_they_reveal() -> None:
    types = {node.get("type") for node in declarations() if node.get("name") == "criteria"}
    criteria = [node for name in types for node in sequence(name)]
    found = {(node.get("name"), mark(node)) for node in criteria if mark(node) != "structural"}
    assert found == {("dossierNumber", "G01.dossierNumber"), ("ssin", "G02.ssin")}


# --------------------------------------------------------------------------- messages


def blocks(name: str) -> list[str]:
    return [node.get("name") for node in sequence(named("element")[f"s:{name}"].get("type"))]


HEAD = ["informationCustomer", "informationGateway", "legalContext", "criteria"]


@pytest.mark.parametrize("operation", ASKED)
def test_what_is_asked_for_ends_the_response(operation: str) -> None:
    assert blocks(operation) == HEAD
    assert blocks(f"{operation}Response") == [*HEAD, "status", "dataFilters", ASKED[operation]]


@pytest.mark.parametrize("operation", TOLD)
def test_what_is_told_ends_the_request_and_the_response_is_an_acknowledgement(operation: str) -> None:
    assert blocks(operation) == [*HEAD, "dataFilters", TOLD[operation]]
    assert blocks(f"{operation}Response") == [*HEAD, "status"]


def test_mailbox_operations_ask_for_a_list_and_for_a_notification_and_acknowledge_it() -> None:
    assert [blocks(name) for name in (*FETCHED, "acknowledgeMessage")] == [HEAD] * 3
    assert blocks("listMessagesResponse") == [*HEAD, "status", "dataFilters", "messages"]
    assert blocks("fetchMessageResponse") == [*HEAD, "status", "dataFilters", "notification", "dossier"]
    assert blocks("acknowledgeMessageResponse") == [*HEAD, "status"]


def test_status_values_of_answers_and_of_acknowledgements_are_kept_apart() -> None:
    for name in OPERATIONS:
        made = message(f"s:{name}Response").root
        value = made.find(f"{{{SERVICE}}}status/{{{COMMON}}}value")
        acknowledged = name in TOLD or name == "acknowledgeMessage"
        for right, wrong in (("OK", "DATA_FOUND"), ("NOK", "NO_RESULT")):
            value.text = right if acknowledged else wrong
            assert is_valid(made), name
            value.text = wrong if acknowledged else right
            assert not is_valid(made), name


def test_what_is_asked_for_or_told_may_be_withheld() -> None:
    ends = [f"s:{name}" for name in TOLD] + [f"s:{name}Response" for name in (*ASKED, *FETCHED)]
    assert {sequence(named("element")[end].get("type"))[-1].get("minOccurs") for end in ends} == {"0"}


def test_all_notifications_have_one_form() -> None:
    forms = {
        tuple(named("element")[f"s:{name}{end}"].get("type") for end in ("", "Response"))
        for name in NOTIFICATIONS
    }
    assert forms == {("s:NotificationType", "s:NotificationResponseType")}


# One message of each type.
FORMS = sorted({node.get("type"): name for name, node in named("element").items()}.values())


@pytest.mark.parametrize("name", sorted(named("element")))
def test_message_with_every_element_is_valid(name: str) -> None:
    root = message(name).root
    schema().assertValid(root)


@pytest.mark.parametrize("name", FORMS)
def test_message_with_an_unknown_element_or_attribute_is_refused(name: str) -> None:
    root = message(name).root
    for element in list(root.iter()):
        surprise = etree.SubElement(element, "{urn:other}surprise")
        assert not is_valid(root), element.tag
        element.remove(surprise)
        element.set("surprise", "1")
        assert not is_valid(root), element.tag
        del element.attrib["surprise"]
    assert is_valid(root)


def test_any_group_and_any_field_may_be_withheld() -> None:
    dossier = f"{{{SERVICE}}}dossier"
    groups = len(message("s:consultDossierResponse").root.find(dossier))
    for position in range(groups):
        made = message("s:consultDossierResponse").root
        for field in list(made.find(dossier)[position]):
            field.getparent().remove(field)
            assert is_valid(made), field.tag
        made.find(dossier).remove(made.find(dossier)[position])
        assert is_valid(made)


@pytest.mark.parametrize("missing", ["informationCustomer", "legalContext", "criteria"])
def test_request_without_a_mandatory_block_is_refused(missing: str) -> None:
    made = message("s:consultDossier").root
    made.remove(made.find(f"{{{SERVICE}}}{missing}"))
    assert not is_valid(made)


def test_blocks_in_another_order_are_refused() -> None:
    made = message("s:consultDossier").root
    made.append(made[0])
    assert not is_valid(made)


# --------------------------------------------------------------------------- values


def test_every_value_type_has_twins() -> None:
    assert set(named("simpleType")) - ABSTRACT == set(VALUE_TYPES) - {"xs:boolean"}
    assert {node.get("type") for node in declarations()} <= {*VALUE_TYPES, *named("complexType")}


@pytest.mark.parametrize("type_name", VALUE_TYPES)
def test_good_values_are_accepted(type_name: str) -> None:
    made = message(carriers()[type_name])
    for value in values_of(type_name, "accepted"):
        made.leaves[type_name][0].text = value
        assert is_valid(made.root), value


@pytest.mark.parametrize("type_name", VALUE_TYPES)
def test_bad_values_are_refused(type_name: str) -> None:
    made = message(carriers()[type_name])
    for value in values_of(type_name, "refused"):
        made.leaves[type_name][0].text = value
        assert not is_valid(made.root), value


def test_a_document_may_be_as_large_as_an_attachment() -> None:
    [facet] = etree.parse(CONTRACTS / "xsd/common.xsd").iterfind(
        ".//{*}simpleType[@name='ContentType']//{*}maxLength"
    )
    assert int(facet.get("value", "")) == LimitSettings().document_bytes


# --------------------------------------------------------------------------- WSDL


@cache
def wsdl() -> etree._Element:
    return etree.parse(WSDL_FILE).getroot()


@cache
def client() -> zeep.Client:
    return zeep.Client(str(WSDL_FILE))


def binding_operations() -> list[etree._Element]:
    return [
        node
        for binding in wsdl().iterchildren(f"{WSDL}binding")
        for node in binding.iterchildren(f"{WSDL}operation")
    ]


def test_soap_1_1_port_comes_first_and_both_have_one_address() -> None:
    ports = list(wsdl().iter(f"{WSDL}port"))
    assert [port[0].tag for port in ports] == [f"{SOAP}address", f"{SOAP12}address"]
    assert {port[0].get("location") for port in ports} == {"https://gateway.example.org/soap/v1"}
    bindings = {node.get("name"): node for node in wsdl().iterchildren(f"{WSDL}binding")}
    for port, namespace in zip(ports, (SOAP, SOAP12), strict=True):
        binding = bindings[port.get("binding").removeprefix("s:")]
        assert binding.find(f"{namespace}binding").get("style") == "document"


def test_port_type_has_the_operations_with_input_output_and_fault() -> None:
    operations = list(wsdl().find(f"{WSDL}portType"))
    assert [node.get("name") for node in operations] == list(OPERATIONS)
    for node in operations:
        name = node.get("name")
        stated = [(part.tag, part.get(f"{WSAM}Action")) for part in node if part.get("message")]
        assert stated == [
            (f"{WSDL}input", f"{SERVICE}/{name}"),
            (f"{WSDL}output", f"{SERVICE}/{name}Response"),
            (f"{WSDL}fault", f"{SERVICE}/exchangeFault"),
        ]


def test_soap_action_is_the_addressing_action_in_both_bindings() -> None:
    actions = {
        node.get("name"): node.find(f"{WSDL}input").get(f"{WSAM}Action")
        for node in wsdl().find(f"{WSDL}portType")
    }
    assert len(binding_operations()) == 2 * len(OPERATIONS)
    for node in binding_operations():
        assert node[0].get("soapAction") == actions[node.get("name")]


def test_messages_wrap_the_elements_of_the_schema() -> None:
    parts = {node.get("name"): dict(node[0].attrib) for node in wsdl().iterchildren(f"{WSDL}message")}
    for name in OPERATIONS:
        assert parts.pop(f"{name}Request") == {"name": "parameters", "element": f"s:{name}"}
        assert parts.pop(f"{name}Response") == {"name": "parameters", "element": f"s:{name}Response"}
    assert parts == {"exchangeFault": {"name": "fault", "element": "c:exchangeFault"}}


def test_policies_are_attached_to_both_bindings_and_to_every_message() -> None:
    for binding in wsdl().iterchildren(f"{WSDL}binding"):
        assert [node.get("URI") for node in binding.iterchildren(f"{WSP}PolicyReference")] == [
            "#BindingPolicy"
        ]
    for node in binding_operations():
        attached = [(part.tag, part.find(f"{WSP}PolicyReference").get("URI")) for part in node[1:]]
        assert attached == [(f"{WSDL}{part}", "#MessagePolicy") for part in ("input", "output", "fault")]
    assert {node.get(f"{WSU}Id") for node in wsdl().iterchildren(f"{WSP}Policy")} == {
        "BindingPolicy",
        "MessagePolicy",
    }


def test_binding_policy_holds_only_what_every_importer_knows() -> None:
    binding = wsdl().find(f".//{SP}AsymmetricBinding/{WSP}Policy")
    assert [node.tag.removeprefix(SP) for node in binding] == [
        "InitiatorToken",
        "RecipientToken",
        "AlgorithmSuite",
        "Layout",
        "IncludeTimestamp",
        "OnlySignEntireHeadersAndBody",
    ]
    assert [node.get(f"{SP}IncludeToken").rpartition("/")[2] for node in binding.iter(f"{SP}X509Token")] == [
        "AlwaysToRecipient",
        "AlwaysToInitiator",
    ]
    suite = binding.find(f"{SP}AlgorithmSuite")
    assert (suite.get("signatureAlgorithm"), suite[0][0].tag) == ("SHA256withRSA", f"{SP}Basic256Sha256")
    optional = [node.tag for node in wsdl().iter() if node.get(f"{WSP}Optional") is not None]
    assert optional == []


def test_message_policy_signs_body_and_addressing_headers() -> None:
    [parts] = wsdl().iter(f"{SP}SignedParts")
    assert parts[0].tag == f"{SP}Body"
    assert [node.get("Name") for node in parts[1:]] == [
        "To",
        "From",
        "ReplyTo",
        "FaultTo",
        "MessageID",
        "RelatesTo",
        "Action",
    ]
    assert {node.get("Namespace") for node in parts[1:]} == {"http://www.w3.org/2005/08/addressing"}


def test_zeep_finds_two_ports_with_every_operation() -> None:
    [service] = client().wsdl.services.values()
    found = {name: sorted(port.binding._operations) for name, port in service.ports.items()}
    assert list(found) == ["ExchangePortSoap11", "ExchangePortSoap12"]
    assert all(operations == sorted(OPERATIONS) for operations in found.values())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_zeep_shows_the_wrapped_parameters(operation: str) -> None:
    signature = client().service._binding.get(operation).input.signature()
    shown = [part.partition(":")[0] for part in signature.split(", ")]
    assert shown == blocks(operation)


@pytest.mark.parametrize("port", ["ExchangePortSoap11", "ExchangePortSoap12"])
def test_message_made_by_zeep_is_valid(port: str) -> None:
    service = client().bind("ExchangeService", port)
    made = client().create_message(
        service,
        "consultDossier",
        informationCustomer={
            "ticket": "T-1",
            "timestampSent": datetime(2026, 11, 23, 10, tzinfo=UTC),
            "customerIdentification": {"cbeNumber": "0999022202"},
        },
        legalContext="WIB:WORK_DECISION",
        criteria={"dossierNumber": "WIB-2026-0000001-39", "source": "PLAT"},
    )
    [body] = made.iter("{*}Body")
    schema().assertValid(body[0])


def test_notification_made_by_zeep_is_valid() -> None:
    made = client().create_message(
        client().bind("ExchangeService", "ExchangePortSoap11"),
        "notifyWorkDecision",
        informationCustomer={
            "ticket": "T-1",
            "timestampSent": datetime(2026, 11, 23, 10, tzinfo=UTC),
            "customerIdentification": {"cbeNumber": "0999022202"},
        },
        legalContext="WIB:WORK_DECISION",
        criteria={"dossierNumber": "WIB-2026-0000001-39"},
        dossier={"workDecision": {"outcome": "GRANTED"}},
    )
    [body] = made.iter("{*}Body")
    schema().assertValid(body[0])
    assert [child.tag.rpartition("}")[2] for child in body[0]][-1] == "dossier"
