"""The hub's signature over an evidence file is XAdES, by other people's reading of it too."""

from __future__ import annotations

import hashlib
import io
from base64 import b64decode
from datetime import UTC, datetime

import pytest
import xmlsec
from lxml import etree

from gateway.evidence.xades import MANIFEST, SIGNATURE, check_seal, seal
from gateway.exchangelog.flaw import Flaw
from tests.world import DS, SHA256, holder, once

NOW = datetime(2026, 3, 14, 15, 9, 26, 535_897, UTC)
MEMBERS = {"checkpoint": b"one\n", "entries/1/message-1.xml": b"<a/>", "trust/crls/x.crl": b"\x30\x00"}
XADES = "http://uri.etsi.org/01903/v1.3.2#"
NS = {"ds": DS, "x": XADES}
KINDS = ["rsa-2048", "p256"]


def sealed(kind: str = "p256") -> dict[str, bytes]:
    return seal(MEMBERS, holder(kind).signing, NOW)


def flaws(members: dict[str, bytes]) -> set[Flaw]:
    return {finding.flaw for finding in check_seal(members)[1]}


@pytest.mark.parametrize("kind", KINDS)
def test_who_signed_and_when_is_told(kind):
    found, findings = check_seal(sealed(kind))
    assert findings == []
    assert found.certificate == holder(kind).der
    assert found.time == NOW.replace(microsecond=0)


@pytest.mark.parametrize("kind", KINDS)
def test_xmlsec_verifies_it_with_the_files_at_hand(kind):
    """It resolves the references itself, canonicalises and digests: none of our own code is asked."""
    members = sealed(kind)
    try:
        xmlsec_verifies(members, holder(kind).der)
        with pytest.raises(xmlsec.Error):
            xmlsec_verifies({**members, "checkpoint": b"two\n"}, holder(kind).der)
    finally:
        xmlsec.cleanup_callbacks()


def xmlsec_verifies(members: dict[str, bytes], certificate: bytes) -> None:
    """Raises xmlsec.Error. It finds these files, and no others."""
    xmlsec.cleanup_callbacks()
    root = etree.fromstring(members[SIGNATURE])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(certificate, xmlsec.KeyFormat.CERT_DER)
    context.register_id(root.find(".//x:SignedProperties", NS), "Id")
    xmlsec.register_callbacks(
        lambda uri: uri.decode() in members,
        lambda uri: io.BytesIO(members[uri.decode()]),
        lambda file, buffer: file.readinto(buffer),
        lambda file: file.close(),
    )
    context.verify(root.find("ds:Signature", NS))


def test_what_the_profile_demands_is_there():
    """ETSI EN 319 132-1 §6.3, level B-B: time, certificate, and the format of each file, all of them signed."""
    root = etree.fromstring(sealed()[SIGNATURE])
    assert root.tag == "{http://uri.etsi.org/02918/v1.2.1#}XAdESSignatures"
    signature = root.find("ds:Signature", NS)
    properties = root.find(".//x:SignedProperties", NS)
    references = signature.findall("ds:SignedInfo/ds:Reference", NS)
    assert [one.get("URI") for one in references] == [*MEMBERS, f"#{properties.get('Id')}"]
    assert references[-1].get("Type") == "http://uri.etsi.org/01903#SignedProperties"
    assert {one.find("ds:DigestMethod", NS).get("Algorithm") for one in references} == {SHA256}
    formats = {one.get("ObjectReference") for one in properties.iterfind(".//x:DataObjectFormat", NS)}
    assert formats == {f"#{one.get('Id')}" for one in references[:-1]}
    assert properties.findtext(".//x:SigningTime", None, NS) == "2026-03-14T15:09:26Z"
    digest = properties.findtext(".//x:SigningCertificateV2/x:Cert/x:CertDigest/ds:DigestValue", None, NS)
    assert b64decode(digest) == hashlib.sha256(holder("p256").der).digest()
    assert root.find(".//x:QualifyingProperties", NS).get("Target") == f"#{signature.get('Id')}"


def test_manifest_names_every_file():
    root = etree.fromstring(sealed()[MANIFEST])
    name = "{urn:oasis:names:tc:opendocument:xmlns:manifest:1.0}full-path"
    assert [one.get(name) for one in root] == ["/", *MEMBERS]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<ds:SignatureValue>", "<ds:SignatureValue> "),
        ("</asic:XAdESSignatures>", "<!-- x --></asic:XAdESSignatures>"),
        ("<ds:KeyInfo>", "<ds:Object></ds:Object><ds:KeyInfo>"),
        ("<ds:X509Data>", "<ds:KeyName>x</ds:KeyName><ds:X509Data>"),
        ("more#ecdsa-sha256", "more#ecdsa-sha1"),
        ('URI="#properties"', 'URI=""'),
        ("2026-03-14T15:09:26Z", "2026-03-14T15:09:27Z"),
        ("2026-03-14T15:09:26Z", "2026-03-14T15:09:26"),
        ("<xades:MimeType>text/xml<", "<xades:MimeType>text/html<"),
        ("<asic:XAdESSignatures", "<!DOCTYPE x><asic:XAdESSignatures"),
    ],
)
def test_signature_of_any_other_form_or_content_does_not_hold(old, new):
    members = sealed()
    members[SIGNATURE] = once(members[SIGNATURE].decode(), old, new).encode()
    assert flaws(members) == {Flaw.SEAL}


def test_signature_of_another_key_does_not_hold():
    members, other = sealed(), seal(MEMBERS, holder("rsa-2048").signing, NOW)
    theirs = etree.fromstring(other[SIGNATURE]).findtext(".//ds:X509Certificate", None, NS)
    mine = etree.fromstring(members[SIGNATURE]).findtext(".//ds:X509Certificate", None, NS)
    members[SIGNATURE] = once(members[SIGNATURE].decode(), mine, theirs).encode()
    assert flaws(members) == {Flaw.SEAL}
