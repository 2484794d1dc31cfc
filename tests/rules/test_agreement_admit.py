"""What a notification must be before anybody decides on it: its sender's own words, of one dossier, with good numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from gateway.agreement.admit import Terms, admit, content
from gateway.agreement.load import Agreement, load_agreement
from gateway.agreement.register import load_register
from gateway.loading import contract_files
from gateway.model import Authority, AuthorityId, Caller, Request
from gateway.refusal import Code, Refusal
from tests.world import NOW, SERVICE, WINDOW, accept, build, once

CONTRACTS = Path(__file__).parents[2] / "contracts"
COMMON = "http://workinginbelgium.be/types/Common/v1"
DOSSIER = "http://workinginbelgium.be/types/Dossier/v1"
URL = "https://gateway.example.be/soap/v1"
NUMBER, OTHER = "WIB-2026-0000001-59", "WIB-2026-0000002-58"
UUID = "0190a2c4-5b6d-4e8f-9a0b-1c2d3e4f5061"
TEST_SSIN = "90612400144"  # of nobody: month 61

HEADER = f"<d:header><d:dossierNumber>{NUMBER}</d:dossierNumber></d:header>"
WORK = "<d:workDecision><d:outcome>GRANTED</d:outcome></d:workDecision>"


@cache
def agreement() -> Agreement:
    return load_agreement(contract_files(CONTRACTS))


@cache
def authority(name: str) -> Authority:
    register = load_register((CONTRACTS / "register.toml").read_bytes(), "register.toml")
    return replace(register.by_id[AuthorityId(name)], signed_addressing=False)


def body(told: str = HEADER + WORK, before: str = "", gateway: str = "", name: str = "BRUSSELS") -> str:
    """A decision on work as a region tells it; `before`: what stands before the payload."""
    dossier = f"<s:dossier>{told}</s:dossier>" if told else ""
    return (
        f'<s:notifyWorkDecision xmlns:s="{SERVICE}" xmlns:c="{COMMON}" xmlns:d="{DOSSIER}"><s:informationCustomer>'
        "<c:ticket>T-1</c:ticket><c:timestampSent>2026-06-01T09:00:00Z</c:timestampSent><c:customerIdentification>"
        f"<c:cbeNumber>{authority(name).enterprise.cbe}</c:cbeNumber></c:customerIdentification></s:informationCustomer>"
        f"{gateway}<s:legalContext>WIB:WORK_DECISION</s:legalContext>"
        f"<s:criteria><s:dossierNumber>{NUMBER}</s:dossierNumber></s:criteria>{before}{dossier}"
        "</s:notifyWorkDecision>"
    )


def admitted(message: str, *, test_numbers: bool = True, name: str = "BRUSSELS") -> Request:
    caller = Caller(authority(name), accept(build(content=message)))
    return admit(caller, None, agreement(), Terms(URL, WINDOW, test_numbers), NOW)


def refused(message: str, *, test_numbers: bool = True) -> Refusal:
    with pytest.raises(Refusal) as caught:
        admitted(message, test_numbers=test_numbers)
    return caught.value


def test_a_good_notification_is_admitted_with_what_it_tells():
    request = admitted(body())
    assert request.operation == "notifyWorkDecision"
    assert request.criteria.dossier == NUMBER
    assert request.payload is not None
    assert request.payload.tag == f"{{{SERVICE}}}dossier"
    assert "".join(request.payload.itertext()) == f"{NUMBER}GRANTED"


def test_a_question_tells_nothing():
    question = body(told="").replace("notifyWorkDecision", "consultStatus")
    assert admitted(question).payload is None


RESERVED = {
    "what is withheld": body(before="<s:dataFilters><c:filteredElement>dossier/salary</c:filteredElement></s:dataFilters>"),
    "on whose behalf": body(
        gateway=(
            f"<s:informationGateway><c:ticketGateway>{UUID}</c:ticketGateway>"
            "<c:timestampReceive>2026-06-01T09:00:00Z</c:timestampReceive><c:requester><c:cbeNumber>0999022202"
            "</c:cbeNumber><c:role>REG</c:role></c:requester></s:informationGateway>"
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", RESERVED.values(), ids=RESERVED)
def test_what_is_the_hubs_to_write_is_refused_from_a_sender(message):
    assert refused(message).code is Code.RESERVED


NOTHING = {
    "no payload": "",
    "a payload with an empty group": "<d:header></d:header>",
    "another dossier": HEADER.replace(NUMBER, OTHER) + WORK,
    "white space for a dossier": "\n  ",
}


@pytest.mark.parametrize("told", NOTHING.values(), ids=NOTHING)
def test_a_notification_tells_something_of_the_dossier_that_it_names(told):
    assert refused(body(told)).code is Code.PAYLOAD_REQUIRED


@pytest.mark.parametrize("told", [WORK, HEADER, HEADER + WORK], ids=["no number", "only it", "both"])
def test_the_dossier_number_need_not_be_told_twice(told):
    assert admitted(body(told)).payload is not None


NUMBERS = {
    "worker/ssin": ("85073003328", "85073003329"),
    "employer/cbeNumber": ("0566988259", "0566988258"),
    "proxy/ssin": ("85073003328", "85073003329"),
    "proxy/cbeNumber": ("0566988259", "0566988258"),
    "hostUndertaking/cbeNumber": ("0566988259", "0566988258"),
}


@pytest.mark.parametrize("place", NUMBERS)
def test_check_digits_of_what_is_told_are_verified(place):
    outer, inner = place.split("/")
    good, bad = (f"<d:{outer}><d:{inner}>{number}</d:{inner}></d:{outer}>" for number in NUMBERS[place])
    assert admitted(body(good)).payload is not None
    refusal = refused(body(bad))
    assert (refusal.code, refusal.about) == (Code.IDENTIFIER, inner)


def test_numbers_of_nobody_are_told_only_where_tests_are_made():
    told = f"<d:worker><d:ssin>{TEST_SSIN}</d:ssin></d:worker>"
    assert admitted(body(told), test_numbers=True).payload is not None
    assert refused(body(told), test_numbers=False).code is Code.IDENTIFIER


def test_an_invalid_element_is_named_to_a_sender_that_may_know_of_it():
    salary = refused(body("<d:salary><d:amount>much</d:amount></d:salary>"))
    assert (salary.code, salary.about) == (Code.SCHEMA, "amount")
    grounds = refused(body("<d:grounds><d:publicOrder></d:publicOrder></d:grounds>"))  # the region may not
    assert (grounds.code, grounds.about) == (Code.SCHEMA, "")


def test_the_same_told_again_with_another_ticket_has_the_same_content():
    again = once(once(body(), "T-1", "T-2"), "T09:00:00Z", "T09:00:01Z")
    assert content(admitted(again)) == content(admitted(body()))


OTHERWISE = {
    "another operation": ("notifyWorkDecision", "notifyRevocation"),
    "another context": ("WIB:WORK_DECISION", "WIB:RENEWAL"),
    "another dossier": (NUMBER, OTHER),
    "another value": ("GRANTED", "REFUSED"),
    "a field more": (WORK, f"{WORK}<d:grounds><d:work>Why.</d:work></d:grounds>"),
    "a field less": (HEADER, ""),
}


@pytest.mark.parametrize(("old", "new"), OTHERWISE.values(), ids=OTHERWISE)
def test_anything_said_otherwise_is_another_content(old, new):
    other = body().replace(old, new)
    assert other != body()
    assert content(admitted(other)) != content(admitted(body()))


def test_an_upload_is_admitted_with_its_document_and_refused_without():
    what = (
        "<s:documentReference>DOC-1</s:documentReference><s:documentType>CONTRACT</s:documentType>"
        f"<s:documentSha256>{'0' * 64}</s:documentSha256></s:criteria>"
    )
    document = (
        "<s:document><s:reference>DOC-1</s:reference><s:type>CONTRACT</s:type>"
        f"<s:mediaType>application/pdf</s:mediaType><s:sha256>{'0' * 64}</s:sha256><s:content>AA==</s:content>"
        "</s:document>"
    )
    bare = once(body(told=""), "</s:criteria>", what).replace("notifyWorkDecision", "uploadDocument")
    request = admitted(once(bare, "</s:criteria>", f"</s:criteria>{document}"))
    assert request.payload is not None
    assert request.payload.tag == f"{{{SERVICE}}}document"
    assert request.criteria.document_reference == "DOC-1"
    assert refused(bare).code is Code.PAYLOAD_REQUIRED
