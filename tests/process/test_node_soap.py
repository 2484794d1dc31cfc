"""An outside developer's client: npm's soap from the served WSDL, against a running hub.

The client is the code of contracts/clients.md, to the letter; `tests/clients/node` has no more than its packages
and what plays a scenario with it.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.process.node_client import play
from tests.process.sandboxes import authority, running_sandbox
from tests.world import V12, Draft, Holder, once, sign

FIRST, RENEWAL = "WIB-2026-0000001-59", "WIB-2026-0000002-58"
NOBODYS = "WIB-2026-0000009-51"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with running_sandbox(tmp_path_factory.mktemp("node") / "world") as facts:
        yield facts


def customer(sandbox, name, ticket=None):
    own = authority(sandbox, name)
    unit = {"unit": own["unit"]} if own["unit"] else {}
    return {
        "ticket": ticket or str(uuid.uuid4()),
        "timestampSent": datetime.now(UTC).isoformat(),
        "customerIdentification": {"cbeNumber": own["cbe"], **unit},
    }


def call(sandbox, operation, name="WALLONIA", context="WIB:RENEWAL", **rest):
    ticket = rest.pop("ticket", None)
    message = {"informationCustomer": customer(sandbox, name, ticket), "legalContext": context, **rest}
    return {"operation": operation, "message": message}


@pytest.mark.parametrize("version", [{}, {"forceSoap12Headers": True}], ids=["SOAP 1.1", "SOAP 1.2"])
def test_the_client_of_the_documents_asks_and_believes_the_answers(sandbox, tmp_path, version):
    calls = [
        call(sandbox, "sendTestMessage", criteria={"echo": "hello"}),
        call(sandbox, "consultDossier", criteria={"dossierNumber": RENEWAL}),
        call(sandbox, "consultDossier", criteria={"dossierNumber": NOBODYS}),
        call(sandbox, "consultStatus", criteria={"dossierNumber": RENEWAL}),
    ]
    got = play(tmp_path, sandbox, "WALLONIA", connect=version, calls=calls)
    assert got["first"]["echo"] == "hello"
    echoed, dossier, refused, status = got["calls"]
    assert echoed["value"]["echo"] == "hello"
    assert dossier["value"]["dossier"]["header"]["dossierNumber"] == RENEWAL
    assert dossier["value"]["dossier"]["employer"]["cbeNumber"]
    assert re.search(r"WIB07005 .* \[incident [0-9a-f-]{36}\]", refused["error"])
    assert status["value"]["status"]["value"] == "DATA_FOUND"


APPLICATION = {
    "header": {"permitType": "SINGLE_PERMIT", "procedure": "FIRST", "language": "nl", "post": "NEW-DELHI"},
    "worker": {"familyName": "Example", "givenNames": "Asha", "birthDate": "1991-00-00", "nationality": "IN"},
    "workPlace": [{"municipality": "21004", "main": True}],
}


def test_what_is_told_is_accepted_and_the_same_again_gets_the_first_receipt(sandbox, tmp_path):
    rest = {
        "criteria": {"dossierNumber": "WIB-2026-0009002-79"},
        "dossier": APPLICATION,
        "ticket": "told-once",
    }
    told = [call(sandbox, "submitApplication", "PLATFORM", "WIB:ADMISSIBILITY", **rest) for _ in range(2)]
    got = play(tmp_path, sandbox, "PLATFORM", context="WIB:ADMISSIBILITY", calls=told)
    receipts = [one["value"]["informationGateway"]["log"]["index"] for one in got["calls"]]
    assert receipts[0] == receipts[1]
    assert got["calls"][0]["value"]["status"]["value"] == "OK"


def test_addressing_may_be_signed_as_well(sandbox, tmp_path):
    action = "http://workinginbelgium.be/intf/ExchangeService/v1/sendTestMessage"
    wsa, identifier = 'xmlns:wsa="http://www.w3.org/2005/08/addressing"', f"urn:uuid:{uuid.uuid4()}"
    headers = [
        f"<wsa:Action {wsa}>{action}</wsa:Action>",
        f"<wsa:MessageID {wsa}>{identifier}</wsa:MessageID>",
    ]
    options = {"additionalReferences": ["wsa:Action", "wsa:MessageID"]}
    calls = [call(sandbox, "sendTestMessage", criteria={"echo": "addressed"})]
    got = play(tmp_path, sandbox, "WALLONIA", options=options, headers=headers, calls=calls)
    assert got["calls"][0]["value"]["echo"] == "addressed"


WITH_IDS = {"signerOptions": {"idMode": "wssecurity", "prefix": "ds"}}
CONFIGURED = {**WITH_IDS, "signatureTransformations": ["http://www.w3.org/2001/10/xml-exc-c14n#"]}
INCOMPLETE = {  # what the library is told → what the fault says
    "nothing": ({}, r"WIB04003 .*signerOptions\.idMode"),
    "only how to write ids": (WITH_IDS, r"WIB04004 .*\(one transform\).*signatureTransformations"),
    "not to send a Timestamp": ({**CONFIGURED, "hasTimeStamp": False}, r"WIB04002 .*hasTimeStamp"),
    "not to sign the Timestamp": (
        {**CONFIGURED, "excludeReferencesFromSigning": ["Timestamp"]},
        r"WIB04006 .*excludeReferencesFromSigning",
    ),
    "to digest with SHA-1": (
        {**CONFIGURED, "digestAlgorithm": "http://www.w3.org/2000/09/xmldsig#sha1"},
        r"WIB04004 .*\(sha1\).*digestAlgorithm",
    ),
    "to sign with RSA-SHA1": (
        {**CONFIGURED, "signatureAlgorithm": "http://www.w3.org/2000/09/xmldsig#rsa-sha1"},
        r"WIB04004 .*\(rsa-sha1\).*signatureAlgorithm",
    ),
}


@pytest.fixture(scope="module")
def refused(sandbox, tmp_path_factory):
    """What was answered to the library without the options of the document; and with them."""
    configurations = {
        **{told: options for told, (options, _) in INCOMPLETE.items()},
        "everything": CONFIGURED,
    }
    calls = [
        {**call(sandbox, "sendTestMessage", criteria={"echo": "hello"}), "security": options}
        for options in configurations.values()
    ]
    got = play(tmp_path_factory.mktemp("refused"), sandbox, "WALLONIA", calls=calls)
    return dict(zip(configurations, got["calls"], strict=True))


@pytest.mark.parametrize("told", INCOMPLETE)
def test_an_incomplete_configuration_is_refused_with_the_option_that_is_missing(refused, told):
    assert re.search(INCOMPLETE[told][1], refused[told]["error"])


def test_the_two_options_of_the_document_are_enough(refused):
    assert refused["everything"]["value"]["echo"] == "hello"


# Replies that the client must not believe, each the believed one but for one thing.

TICKET = "4f0c1f2e-ask"
ASKED = f"<a:informationCustomer xmlns:a='urn:a'><a:ticket>{TICKET}</a:ticket></a:informationCustomer>"
ANSWER = (
    f"<s:sendTestMessageResponse xmlns:s='urn:s'>{ASKED}<s:echo>good</s:echo></s:sendTestMessageResponse>"
)
FAULT = "<soap:Fault><faultcode>soap:Client</faultcode><faultstring>WIB02001</faultstring></soap:Fault>"


def moment(minutes):
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")


def hub_of(sandbox, kind="sign-rsa", name="HUB"):
    pki = Path(sandbox["world"]) / "pki" / name
    key = load_pem_private_key((pki / f"{kind}.key.pem").read_bytes(), None)
    return Holder(key, x509.load_pem_x509_certificate((pki / f"{kind}.crt.pem").read_bytes()))


def altered(data, old, new):
    return once(data.decode(), old, new).encode()


def aside(data):
    """The signed Body in the Header, another one in its place."""
    body = re.search(rb"<soap:Body.*</soap:Body>", data)[0]
    forged = body.replace(b'wsu:Id="body"', b'wsu:Id="other"').replace(b"good", b"evil")
    return data.replace(body, forged).replace(b"</soap:Header>", b"<x>" + body + b"</x></soap:Header>")


REPLIES = {
    "in SOAP 1.1": sign,
    "in SOAP 1.2": lambda draft: sign(replace(draft, version=V12)),
    "a fault before the ticket was read": lambda draft: sign(replace(draft, content=FAULT)),
    "with the signed Body moved aside": lambda draft: aside(sign(draft)),
    "with a word changed": lambda draft: altered(sign(draft), "good", "evil"),
    "without the Body signed": lambda draft: sign(replace(draft, signed=("time",))),
    "without the Timestamp signed": lambda draft: sign(replace(draft, signed=("body",))),
    "expired": lambda draft: sign(replace(draft, created=moment(-10), expires=moment(-5))),
    "from the future": lambda draft: sign(replace(draft, created=moment(3), expires=moment(5))),
    "to another question": lambda draft: sign(replace(draft, content=ANSWER.replace(TICKET, "another"))),
    "to no question": lambda draft: sign(replace(draft, content="<s:x xmlns:s='urn:s'/>")),
    "not signed": lambda draft: re.sub(
        rb"<wsse:Security.*</wsse:Security>", b"", sign(draft), flags=re.DOTALL
    ),
}
BELIEVED = {  # → what the client hands on
    "in SOAP 1.1": "good",
    "in SOAP 1.2": "good",
    "a fault before the ticket was read": "WIB02001",
    "with the signed Body moved aside": "good",  # not what stands in its place
}
NOT_BELIEVED = {
    "with a word changed": "what was signed has changed",
    "without the Body signed": "Body is not signed",
    "without the Timestamp signed": "Timestamp is not signed",
    "expired": "the Timestamp is not current",
    "from the future": "the Timestamp is not current",
    "to another question": "the reply is to another question",
    "to no question": "the reply is to another question",
    "not signed": "one signature expected",
    "signed by another authority": "invalid signature",
}


@pytest.fixture(scope="module")
def judged(sandbox, tmp_path_factory):
    """What the client made of each reply."""
    draft = Draft(content=ANSWER, created=moment(0), expires=moment(5), holder=hub_of(sandbox))
    replies = [{"reply": make(draft).decode(), "ticket": TICKET} for make in REPLIES.values()]
    other = replace(draft, holder=hub_of(sandbox, "sign", "PLATFORM"))
    replies += [{"reply": sign(other).decode(), "ticket": TICKET}]
    got = play(tmp_path_factory.mktemp("judged"), sandbox, "WALLONIA", replies=replies)["replies"]
    return dict(zip([*REPLIES, "signed by another authority"], got, strict=True))


@pytest.mark.parametrize(("reply", "word"), BELIEVED.items())
def test_what_the_hub_signed_is_believed(judged, reply, word):
    assert word in judged[reply]["value"]
    assert "evil" not in judged[reply]["value"]


@pytest.mark.parametrize(("flaw", "why"), NOT_BELIEVED.items())
def test_anything_else_is_not_believed(judged, flaw, why):
    assert why in judged[flaw]["error"]
