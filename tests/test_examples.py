"""The examples are what the gateway makes today, are valid, and verify with nothing but their files."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import zeep
import zeep.ns
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree
from zeep.exceptions import SignatureVerificationFailed
from zeep.wsdl.utils import etree_to_string
from zeep.wsse.utils import ID_ATTR

from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.entry import subject_commitment
from gateway.exchangelog.fields import FieldRecord, base64url, fields_root, verify_disclosure
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import Verifier
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.receipt import verify_receipt
from gateway.identity.issue import KeyKind, key_kinds
from gateway.kept import read_reply
from gateway.model import SoapVersion
from gateway.refusal import Code
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.sign import sign
from gateway.wss.verify import verify
from tests import examples
from tests.documents import names, rows, section
from tests.examples import DIRECTORY, NOW, ROOT

EXAMPLES = sorted(path.name for path in DIRECTORY.iterdir() if path.name != "README.md")
SIGNERS = {
    "request.xml": "BRUSSELS",
    "request-with-proof.xml": "BRUSSELS",
    "notification.xml": "BRUSSELS",
    "answer.xml": "PLATFORM",
    "acknowledgement.xml": "PLATFORM",
}
MESSAGES = [name for name in EXAMPLES if name.endswith(".xml")]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_the_gateway_makes(name: str):
    assert (DIRECTORY / name).read_bytes() == examples.build()[name]


def test_every_example_is_there_and_described():
    assert sorted(examples.build()) == EXAMPLES
    described = (DIRECTORY / "README.md").read_text()
    assert all(f"`{name}`" in described for name in EXAMPLES)


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_message_verifies_and_its_body_is_valid(name: str):
    verified = verify(read((DIRECTORY / name).read_bytes(), Limits()), Window(), NOW)
    signer = SIGNERS.get(name, "HUB")
    assert verified.certificate == examples.signing_key(signer).certificate
    element = parse_verified(verified.body)[0]
    if element.tag.endswith("}Fault"):
        details = list(element.iter("{*}exchangeFault"))
        assert len(details) == (name == "fault-soap11.xml")
        element = details[0] if details else None
    if element is not None:
        examples.agreement().contract.validate(element, Code.SCHEMA)


def test_the_example_proof_leads_from_the_entry_to_the_signed_checkpoint():
    verifier = Verifier.parse((DIRECTORY / "log.vkey").read_text().strip())
    leaf_ = (DIRECTORY / "leaf-response.json").read_bytes()
    proof = TlogProof.parse((DIRECTORY / "response.tlog-proof").read_bytes())
    signed = proof.verify(leaf_, [verifier])
    assert proof.extra == leaf_
    assert signed == open_checkpoint((DIRECTORY / "checkpoint").read_bytes(), [verifier])


def test_the_example_reply_is_what_its_log_receipt_says_with_nothing_but_the_key():
    verifier = Verifier.parse((DIRECTORY / "log.vkey").read_text().strip())
    message = read((DIRECTORY / "reply-with-proof.xml").read_bytes(), Limits())
    kept = read_reply(message.body[0])
    proven = verify_receipt(kept.held, kept.receipt, [verifier])
    assert (proven.leaf.operation, len(proven.records)) == ("consultStatus", proven.leaf.nfields)
    assert kept.held.values["header/status"] == ("SUBMITTED",)


def test_the_example_records_add_up_to_the_root_in_the_leaf_and_one_can_be_opened():
    leaf_ = Leaf.parse((DIRECTORY / "leaf-response.json").read_bytes())
    raw = json.loads((DIRECTORY / "field-records.json").read_text())
    records = [
        FieldRecord(path, last if kind == "r" else None, last if kind == "w" else None)
        for kind, path, last in raw
    ]
    assert base64url(fields_root(records)).decode() == leaf_.fields_root
    assert len(records) == leaf_.nfields
    shown = next(record for record in records if record.path == examples.VALUE)
    assert verify_disclosure((DIRECTORY / "disclosure.txt").read_bytes().strip(), shown) == ["Exemple"]


@pytest.mark.parametrize("kind", list(Kind))
def test_an_example_leaf_has_the_keys_of_the_protocol(kind: str):
    """Tables: of consultations, of notifications, of the gateway's own acts, with the keys of some only, of look-ups."""
    leaf_ = json.loads((DIRECTORY / f"leaf-{kind}.json").read_bytes())
    first, second, third, access = re.split(r"\| Key \| `(?:notification|erasure|access)`", section("8.2"))
    table, only = first, set()
    if kind in {Kind.NOTIFICATION, Kind.DELIVERY, Kind.SETTLEMENT}:
        table, only = second, {"of", "in_force", "reason"}
    elif kind == Kind.ACCESS:
        table, only = access, {"of_log"}
    elif kind in {Kind.ERASURE, Kind.PRUNING, Kind.KEY_ROTATION, Kind.SUCCESSOR}:
        table = third
        only = {
            "basis",
            "ground",
            "bucket",
            "erased",
            "count",
            "minimum",
            "vkey",
            "of_log",
            "of_size",
            "of_root",
        }
    described = {name for row in rows(table) for name in names(row[0])}
    assert set(leaf_) <= described
    assert described - set(leaf_) <= only
    assert leaf_["kind"] == kind


def test_the_commitment_to_a_dossier_is_made_as_the_protocol_says():
    seed = bytes(range(32))
    salt = base64url(hashlib.shake_256(seed).digest(18)).decode()
    disclosed = base64url(json.dumps([salt, "subj", examples.NUMBER], separators=(",", ":")).encode())
    assert subject_commitment(examples.NUMBER, seed) == base64url(sha256(disclosed).digest()).decode()


# The client that contracts/clients.md gives to users of zeep, with keys of either kind on both sides.

TICKET = "BXL-2026-000417"  # of the examples
HOLDERS = ("BRUSSELS", "HUB")
SNIPPET = re.search(r"```python\n(.*?)```", (ROOT / "contracts/clients.md").read_text(), re.DOTALL)


@pytest.fixture(params=[(False, False), (True, False), (False, True), (True, True)], ids=str)
def kinds(request) -> tuple[bool, bool]:
    """Is the requester's key elliptic, is the hub's?"""
    return request.param


@pytest.fixture
def signed(kinds: tuple[bool, bool], tmp_path: Path):
    """The class of the document, which has just sent the question of the examples."""
    own, hub = (examples.signing_key(name, elliptic=kind) for name, kind in zip(HOLDERS, kinds, strict=True))
    key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificates = [
        x509.load_der_x509_certificate(one.certificate).public_bytes(Encoding.PEM) for one in (own, hub)
    ]
    files = [tmp_path / name for name in ("key.pem", "own.pem", "hub.pem")]
    for path, content in zip(files, (key, *certificates), strict=True):
        path.write_bytes(content)
    namespace: dict[str, type] = {}
    exec(SNIPPET[1], namespace)  # our own document
    client = namespace["Signed"](*map(str, files))
    client.ticket = TICKET
    return client


def reply(
    kinds: tuple[bool, bool], *, age: timedelta = timedelta(), name: str = "reply.xml", signer: str = "HUB"
):
    """An example's Body, signed anew as if it had just been made."""
    body = parse_verified((DIRECTORY / name).read_bytes())[1]
    text = etree.tostring(body[0], method="c14n", exclusive=True).decode()
    envelope = etree.QName(body).namespace  # declared by the envelope already
    data = sign(
        text.replace(f' xmlns:soap="{envelope}"', ""),
        version=SoapVersion.V12 if "soap12" in name else SoapVersion.V11,
        key=examples.signing_key(signer, elliptic=kinds[1]),
        now=datetime.now(UTC) - age,
        lifetime=timedelta(minutes=5),
        unique=str(uuid.uuid4()),
    )
    return parse_verified(data)


def test_the_zeep_client_of_the_documents_signs_what_the_gateway_accepts(signed, kinds):
    client = zeep.Client(str(ROOT / "contracts/wsdl/exchange.wsdl"), wsse=signed)
    customer = {
        "ticket": "BXL-1",
        "timestampSent": NOW,
        "customerIdentification": {"cbeNumber": "0999022202"},
    }
    envelope = client.create_message(
        client.service,
        "sendTestMessage",
        informationCustomer=customer,
        legalContext="WIB:RENEWAL",
        criteria={"echo": "hello"},
    )
    verified = verify(read(etree_to_string(envelope), Limits()), Window(), datetime.now(UTC))
    assert verified.certificate == examples.signing_key("BRUSSELS", elliptic=kinds[0]).certificate
    assert signed.ticket == "BXL-1"


def test_the_zeep_client_of_the_documents_believes_the_hub(signed, kinds):
    signed.verify(reply(kinds))
    signed.verify(reply(kinds, name="fault-soap12.xml"))  # about headers: no detail, so no ticket


def test_the_zeep_client_of_the_documents_believes_nobody_else(signed, kinds):
    hubs_other_key = reply((kinds[0], not kinds[1]))
    for envelope in (hubs_other_key, reply((False, False), signer="BRUSSELS")):
        with pytest.raises(SignatureVerificationFailed):
            signed.verify(envelope)


@pytest.mark.parametrize("age", [timedelta(minutes=6), timedelta(minutes=-2)])
def test_the_zeep_client_of_the_documents_wants_a_current_timestamp(signed, kinds, age):
    with pytest.raises(SignatureVerificationFailed, match="not current"):
        signed.verify(reply(kinds, age=age))


@pytest.mark.parametrize("name", ["reply.xml", "fault-soap11.xml"])
def test_the_zeep_client_of_the_documents_wants_its_own_ticket(signed, kinds, name):
    signed.ticket = "BXL-2026-999999"
    with pytest.raises(SignatureVerificationFailed, match="another question"):
        signed.verify(reply(kinds, name=name))


@pytest.mark.parametrize(("part", "sentence"), [("Body", "not signed"), ("Timestamp", "expected")])
def test_the_zeep_client_of_the_documents_wants_body_and_timestamp_themselves_signed(
    signed, kinds, part, sentence
):
    envelope = reply(kinds)
    [shown] = envelope.iter(f"{{*}}{part}")
    envelope[0].append(deepcopy(shown))  # still signed, and zeep alone would be content
    shown.set(ID_ATTR, "other")
    with pytest.raises(SignatureVerificationFailed, match=sentence):
        signed.verify(envelope)


def test_the_zeep_client_of_the_documents_is_not_told_by_others_what_was_signed(signed, kinds):
    """A list of references that nobody signed, and the same id on two elements."""
    envelope = reply(kinds)
    header, body = envelope
    header.append(deepcopy(body))
    with pytest.raises(SignatureVerificationFailed, match="stands twice"):
        signed.verify(envelope)
    body.set(ID_ATTR, "other")
    security = etree.SubElement(header, next(header.iter("{*}Security")).tag)
    forged = etree.SubElement(security, f"{{{zeep.ns.DS}}}Signature")
    info = etree.SubElement(forged, f"{{{zeep.ns.DS}}}SignedInfo")
    etree.SubElement(info, f"{{{zeep.ns.DS}}}Reference", URI="#other")
    with pytest.raises(SignatureVerificationFailed, match="one signature"):
        signed.verify(envelope)


def test_the_document_says_which_authority_of_the_sandbox_has_which_key():
    said = re.search(
        r"PLATFORM, (.*) have RSA keys; (.*) have P-256 keys", (ROOT / "contracts/clients.md").read_text()
    )
    kinds = key_kinds(examples.register().authorities)
    stated = {
        **dict.fromkeys(["PLATFORM", *re.findall(r"[A-Z_]{2,}", said[1])], KeyKind.RSA),
        **dict.fromkeys(re.findall(r"[A-Z_]{2,}", said[2]), KeyKind.P256),
    }
    assert stated == kinds
