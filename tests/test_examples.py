"""The examples are what the gateway makes today, are valid, and verify with nothing but their files."""

from __future__ import annotations

import hashlib
import json
import re
from copy import deepcopy
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
import zeep
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from zeep.exceptions import SignatureVerificationFailed
from zeep.wsdl.utils import etree_to_string
from zeep.wsse.utils import ID_ATTR

from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.entry import subject_commitment
from gateway.exchangelog.fields import FieldRecord, base64url, fields_root, verify_disclosure
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import Verifier
from gateway.exchangelog.proof import TlogProof
from gateway.refusal import Code
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests import examples
from tests.documents import names, rows, section
from tests.examples import DIRECTORY, NOW, ROOT

EXAMPLES = sorted(path.name for path in DIRECTORY.iterdir() if path.name != "README.md")
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
    signer = "BRUSSELS" if name == "request.xml" else "PLATFORM" if name == "answer.xml" else "HUB"
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
    signed = proof.verify(leaf_, verifier)
    assert proof.extra == leaf_
    assert signed == open_checkpoint((DIRECTORY / "checkpoint").read_bytes(), verifier)


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


@pytest.mark.parametrize("kind", ["request", "response", "refusal"])
def test_an_example_leaf_has_the_keys_of_the_protocol(kind: str):
    leaf_ = json.loads((DIRECTORY / f"leaf-{kind}.json").read_bytes())
    described = [names(row[0])[0] for row in rows(section("8.2")) if names(row[0])]
    assert set(described) == set(leaf_)
    assert leaf_["kind"] == kind


def test_the_commitment_to_a_dossier_is_made_as_the_protocol_says():
    seed = bytes(range(32))
    salt = base64url(hashlib.shake_256(seed).digest(18)).decode()
    disclosed = base64url(json.dumps([salt, "subj", examples.NUMBER], separators=(",", ":")).encode())
    assert subject_commitment(examples.NUMBER, seed) == base64url(sha256(disclosed).digest()).decode()


@pytest.fixture
def pem_files(tmp_path: Path) -> tuple[str, ...]:
    """The requester's key and certificate, and the hub's certificate."""
    own, hub = examples.signing_key("BRUSSELS"), examples.signing_key("HUB")
    contents = [own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
    contents += [
        x509.load_der_x509_certificate(one.certificate).public_bytes(Encoding.PEM) for one in (own, hub)
    ]
    files = [tmp_path / name for name in ("key.pem", "own.pem", "hub.pem")]
    for path, content in zip(files, contents, strict=True):
        path.write_bytes(content)
    return tuple(map(str, files))


@pytest.fixture
def signed(pem_files: tuple[str, ...]):
    """The class that contracts/clients.md gives to users of zeep."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "contracts/clients.md").read_text(), re.DOTALL)
    namespace: dict[str, type] = {}
    exec(found[1], namespace)  # our own document
    return namespace["Signed"](*pem_files)


def test_the_zeep_client_of_the_documents_signs_what_the_gateway_accepts(signed):
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
    verify(read(etree_to_string(envelope), Limits()), Window(), datetime.now(UTC))


def test_the_zeep_client_of_the_documents_believes_the_hub_only(signed):
    signed.verify(parse_verified((DIRECTORY / "reply.xml").read_bytes()))
    with pytest.raises(SignatureVerificationFailed):
        signed.verify(parse_verified((DIRECTORY / "answer.xml").read_bytes()))


def test_the_zeep_client_of_the_documents_wants_the_body_itself_signed(signed):
    header, body = envelope = parse_verified((DIRECTORY / "reply.xml").read_bytes())
    header.append(deepcopy(body))  # still signed, and zeep alone would be content
    body.set(ID_ATTR, "other")
    with pytest.raises(ValueError, match="not signed"):
        signed.verify(envelope)
