"""An outside developer's client: plain zeep from the served WSDL, against a running hub.

Nothing here comes from the gateway: only what contracts/clients.md tells a partner to write.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import xmlsec
import zeep
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree
from zeep import ns
from zeep.exceptions import Fault, SignatureVerificationFailed
from zeep.transports import Transport
from zeep.wsse.signature import BinarySignature, _make_verify_key, _verify_envelope_with_key
from zeep.wsse.utils import get_security_header

from tests.process.sandboxes import authority, client_files, running_sandbox

RSA = (xmlsec.Transform.RSA_SHA256, xmlsec.Transform.SHA256)
CLIENTS = Path(__file__).resolve().parents[2] / "contracts/clients.md"
ECDSA = (xmlsec.Transform.ECDSA_SHA256, xmlsec.Transform.SHA256)
SHA1 = (None, None)  # zeep's default
FIRST, RENEWAL = "WIB-2026-0000001-59", "WIB-2026-0000002-58"


class PartnerSignature(BinarySignature):
    """zeep's signature with a Timestamp, verifying with the gateway's certificate instead of its own."""

    def __init__(self, key, certificate, hub_certificate, algorithms, with_time=True):
        super().__init__(key, certificate, None, *algorithms)
        self.hub = Path(hub_certificate).read_bytes()
        self.with_time = with_time

    def apply(self, envelope, headers):
        if self.with_time:
            now = datetime.now(UTC)
            timestamp = etree.SubElement(get_security_header(envelope), etree.QName(ns.WSU, "Timestamp"))
            for name, moment in (("Created", now), ("Expires", now + timedelta(minutes=5))):
                etree.SubElement(timestamp, etree.QName(ns.WSU, name)).text = moment.isoformat()
        return super().apply(envelope, headers)

    def verify(self, envelope):
        _verify_envelope_with_key(envelope, _make_verify_key(self.hub))
        return envelope


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with running_sandbox(tmp_path_factory.mktemp("plain") / "world") as facts:
        yield facts


def service(sandbox, name, algorithms, *, port="ExchangePortSoap11", pinned=None, with_time=True):
    own = authority(sandbox, name)
    session = requests.Session()
    session.cert, session.verify = (own["tls_certificate"], own["tls_key"]), sandbox["anchor"]
    session.trust_env = False  # requests would prefer REQUESTS_CA_BUNDLE to session.verify
    pin = pinned or own["hub_certificate"]
    wsse = PartnerSignature(own["sign_key"], own["sign_certificate"], pin, algorithms, with_time)
    client = zeep.Client(f"{sandbox['soap']}?wsdl", wsse=wsse, transport=Transport(session=session))
    return client.bind("ExchangeService", port), own


def header(own, ticket=None):
    unit = {"unit": own["unit"]} if own["unit"] else {}
    return {
        "ticket": ticket or str(uuid.uuid4()),
        "timestampSent": datetime.now(UTC),
        "customerIdentification": {"cbeNumber": own["cbe"], **unit},
    }


def consult(exchange, own, context, number, **criteria):
    return exchange.consultDossier(
        informationCustomer=header(own), legalContext=context, criteria={"dossierNumber": number, **criteria}
    )


@pytest.mark.parametrize("port", ["ExchangePortSoap11", "ExchangePortSoap12"])
@pytest.mark.parametrize(
    ("name", "algorithms", "context", "number"),
    [
        ("WALLONIA", RSA, "WIB:RENEWAL", RENEWAL),
        ("BRUSSELS", ECDSA, "WIB:WORK_DECISION", FIRST),
        (
            "NSSO",
            ECDSA,
            "WIB:CARD_ISSUE",
            FIRST,
        ),  # gets ECDSA replies, and shares its number with the platform
    ],
)
def test_plain_zeep_consults_a_dossier_and_verifies_the_reply(
    sandbox, name, algorithms, context, number, port
):
    exchange, own = service(sandbox, name, algorithms, port=port)
    reply = consult(exchange, own, context, number)
    assert reply.status.value == "DATA_FOUND"
    assert reply.dossier.header.dossierNumber == number
    assert reply.dossier.employer.cbeNumber is not None
    assert reply.informationGateway.log.index >= 1


def test_reply_holds_only_what_the_agreement_shows_the_role(sandbox):
    exchange, own = service(sandbox, "BRUSSELS", ECDSA)
    reply = consult(exchange, own, "WIB:WORK_DECISION", FIRST, source="OE")
    assert reply.dossier.residenceDecision.outcome == "GRANTED"
    assert "validFrom" not in dir(reply.dossier.residenceDecision)  # not even in this role's contract
    assert reply.dossier.grounds is None
    assert "dossier/grounds" in reply.dataFilters.filteredElement


def test_contract_served_to_a_role_lacks_what_it_may_never_see(sandbox):
    exchange, _ = service(sandbox, "BRUSSELS", ECDSA)
    wsdl = exchange._binding.wsdl.types
    names = {
        name for name, _ in wsdl.get_type("{http://workinginbelgium.be/types/Dossier/v1}DossierType").elements
    }
    assert "salary" in names
    assert names.isdisjoint({"workerCivil", "addressAbroad"})


def test_refusal_arrives_as_signed_fault_with_code_and_incident(sandbox):
    exchange, own = service(sandbox, "BRUSSELS", ECDSA)
    with pytest.raises(Fault, match=r"WIB07005 .* \[incident [0-9a-f-]{36}\]") as caught:
        consult(exchange, own, "WIB:RENEWAL", RENEWAL)
    codes = [one.text for one in caught.value.detail.iter("{*}reasonCode")]
    assert codes == ["WIB07005"]


def test_default_sha1_of_zeep_is_refused_with_the_setting_to_change(sandbox):
    exchange, own = service(sandbox, "WALLONIA", SHA1)
    with pytest.raises(Fault, match=r"WIB04004 .*zeep: pass RSA_SHA256"):
        consult(exchange, own, "WIB:RENEWAL", RENEWAL)


def test_message_without_timestamp_is_refused(sandbox):
    exchange, own = service(sandbox, "WALLONIA", RSA, with_time=False)
    with pytest.raises(Fault, match="WIB04002"):
        consult(exchange, own, "WIB:RENEWAL", RENEWAL)


def test_same_ticket_twice_is_refused(sandbox):
    exchange, own = service(sandbox, "WALLONIA", RSA)
    ticket = f"once-{uuid.uuid4().hex[:8]}"
    ask = {"legalContext": "WIB:RENEWAL", "criteria": {"dossierNumber": RENEWAL}}
    assert exchange.consultStatus(informationCustomer=header(own, ticket), **ask).status.value == "DATA_FOUND"
    with pytest.raises(Fault, match="WIB06005"):
        exchange.consultStatus(informationCustomer=header(own, ticket), **ask)


def test_reply_does_not_verify_with_another_pinned_certificate(sandbox):
    wrong = authority(sandbox, "PLATFORM")["sign_certificate"]
    exchange, own = service(sandbox, "WALLONIA", RSA, pinned=wrong)
    with pytest.raises(SignatureVerificationFailed):
        consult(exchange, own, "WIB:RENEWAL", RENEWAL)


@pytest.mark.parametrize("name", ["WALLONIA", "BRUSSELS", "NSSO"])  # RSA; P-256; P-256, and replies in ECDSA
def test_the_client_of_the_documents_works_as_it_stands(sandbox, name, tmp_path, monkeypatch):
    own = authority(sandbox, name)
    files = client_files(sandbox, own)
    for given, file in files.items():
        (tmp_path / given).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", files["tls.crt.pem"])  # of the machine: not what was configured
    said = "".join(re.findall(r"```python\n(.*?)```", CLIENTS.read_text(), re.DOTALL))
    namespace: dict[str, object] = {}
    exec(said.replace("https://gateway.example.be/soap/v1", sandbox["soap"]), namespace)
    reply = namespace["client"].service.sendTestMessage(
        informationCustomer=header(own), legalContext="WIB:RENEWAL", criteria={"echo": "hello"}
    )
    assert reply.echo == "hello"
    with pytest.raises(Fault, match="WIB07005"):
        consult(namespace["client"].service, own, "WIB:RENEWAL", "WIB-2026-0000009-51")


def said():
    """What the documents tell a partner to write: its functions for notifications and the mailbox."""
    blocks = re.findall(r"```python\n(.*?)```", CLIENTS.read_text(), re.DOTALL)
    functions = [one for one in blocks if "\ndef " in one and "zeep.Client(" not in one]
    namespace: dict[str, object] = {}
    exec("\n".join(functions).replace("waitSeconds=30", "waitSeconds=0"), namespace)
    return namespace


def who(own):
    return (own["cbe"], own["unit"]) if own["unit"] else (own["cbe"],)


APPLICATION = {
    "header": {"permitType": "SINGLE_PERMIT", "procedure": "FIRST", "language": "nl", "post": "NEW-DELHI"},
    "worker": {"familyName": "Example", "givenNames": "Asha", "birthDate": "1991-00-00", "nationality": "IN"},
    "workPlace": [{"municipality": "21004", "main": True}],
}
GRANTED = {"outcome": "GRANTED", "date": "2026-03-02"}
COURSE = [  # sender, its algorithms, what is told, in which legal context
    ("PLATFORM", "submitApplication", "WIB:ADMISSIBILITY", APPLICATION),
    (
        "BRUSSELS",
        "notifyAdmissibility",
        "WIB:ADMISSIBILITY",
        {"admissibility": {**GRANTED, "outcome": "ADMISSIBLE"}},
    ),
    ("PLATFORM", "transferApplication", "WIB:RESIDENCE_DECISION", APPLICATION),
    ("BRUSSELS", "notifyWorkDecision", "WIB:WORK_DECISION", {"workDecision": GRANTED}),
    (
        "IMMIGRATION_OFFICE",
        "notifyResidenceDecision",
        "WIB:RESIDENCE_DECISION",
        {"residenceDecision": GRANTED},
    ),
    ("IMMIGRATION_OFFICE", "notifyPermit", "WIB:RESIDENCE_DECISION", {"residenceDecision": GRANTED}),
]


def test_what_is_told_with_plain_zeep_arrives_in_a_mailbox_that_plain_zeep_empties(sandbox):
    namespace, number, told = said(), "WIB-2026-0009001-80", {}
    for name, operation, context, dossier in COURSE:
        exchange, own = service(sandbox, name, algorithms(sandbox, name))
        ticket = f"{operation}-{name}"[:36]
        asking = namespace["customer"](ticket, *who(own))
        told[operation] = namespace["tell"](exchange, operation, asking, context, number, dossier)
        again = namespace["customer"](ticket, *who(own))
        assert namespace["tell"](exchange, operation, again, context, number, dossier) == told[operation]
    assert list(told.values()) == sorted(set(told.values()))
    post, own = service(sandbox, "POST_NEW_DELHI", algorithms(sandbox, "POST_NEW_DELHI"))
    kept = []
    asking = namespace["customer"]("first-look", *who(own))
    listed = post.listMessages(informationCustomer=asking, legalContext="WIB:VISA_ISSUE", criteria={})
    assert [one.operation for one in listed.messages.message] == ["notifyPermit"]
    (message,) = listed.messages.message
    fetched = post.fetchMessage(
        informationCustomer=namespace["customer"]("fetch-it", *who(own)),
        legalContext="WIB:VISA_ISSUE",
        criteria={"messageId": message.messageId},
    )
    assert fetched.notification.dossierNumber == number
    assert fetched.dossier.header is None
    kept.append(fetched.dossier.residenceDecision.outcome)
    for ticket in ("take-it-over", "take-it-over-again"):
        done = post.acknowledgeMessage(
            informationCustomer=namespace["customer"](ticket, *who(own)),
            legalContext="WIB:VISA_ISSUE",
            criteria={"messageId": message.messageId},
        )
        assert done.status.value == "OK"
    assert kept == ["GRANTED"]
    namespace["empty"](post, who(own), "WIB:VISA_ISSUE", lambda *_: kept.append("more"))
    assert kept == ["GRANTED"]


def test_other_content_under_a_ticket_is_refused(sandbox):
    exchange, own = service(sandbox, "NSSO", ECDSA)
    namespace = said()
    declared = {"socialSecurity": {"declared": True, "declarationType": "DIMONA"}}
    tell = namespace["tell"]
    arguments = ("WIB:WORK_DECISION", FIRST)
    tell(
        exchange,
        "notifySocialSecurityEvent",
        namespace["customer"]("dimona-1", *who(own)),
        *arguments,
        declared,
    )
    declared["socialSecurity"]["declarationType"] = "LIMOSA"
    with pytest.raises(Fault, match="WIB06005"):
        tell(
            exchange,
            "notifySocialSecurityEvent",
            namespace["customer"]("dimona-1", *who(own)),
            *arguments,
            declared,
        )


def algorithms(sandbox, name):
    """Those of the authority's key."""
    key = load_pem_private_key(Path(authority(sandbox, name)["sign_key"]).read_bytes(), None)
    return RSA if isinstance(key, RSAPrivateKey) else ECDSA
