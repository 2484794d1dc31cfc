"""Every shape of message that real client stacks send is accepted, and xmlsec agrees."""

from __future__ import annotations

import base64
import hashlib
import itertools
from datetime import UTC, datetime, timedelta

import pytest
import xmlsec
from lxml import etree
from zeep.wsse.signature import BinarySignature

from tests.rules.second_engine import tree_of, xmlsec_verifies
from tests.world import (
    ACTION,
    ANONYMOUS,
    BASE64,
    CONTENT,
    DS,
    MORE,
    NOW,
    SHA256,
    V11,
    V12,
    WSSE,
    WSU,
    X509V3,
    XMLENC,
    Draft,
    accept,
    build,
    holder,
    sign,
    wsa,
)

BST_WRAPPED = (('">MII', '">\n    MII'), ("</wsse:BinarySecurityToken>", "\r\n  </wsse:BinarySecurityToken>"))
NO_TYPE = (f' ValueType="{X509V3}"></wsse:Reference>', "></wsse:Reference>")
ADDRESSED = (
    wsa("Action", ACTION, "action")
    + wsa("MessageID", "urn:uuid:0b7a3c4e-6f1d-4b7e-9a55-0d6a1f0d9b1c", "id")
    + wsa("To", "https://hub.example/soap", "to")
    + wsa("ReplyTo", f"<wsa:Address>{ANONYMOUS}</wsa:Address>", "reply")
)
ALL = ("body", "time", "token", "action", "id", "to", "reply")
IDS = tuple((f'wsu:Id="{old}"', f'wsu:Id="{new}"') for old, new in (("body", "Body"), ("time", "Time")))
ID_REFERENCES = tuple((f'URI="#{old}"', f'URI="#{new}"') for old, new in (("body", "Body"), ("time", "Time")))

SHAPES = {
    "the one that works everywhere": {},
    "zeep: signature, token, timestamp; zone as offset": {
        "order": ("signature", "token", "time"),
        "created": "2026-06-01T09:00:00.123456+00:00",
        "expires": "2026-06-01T09:05:00.123456+00:00",
    },
    "node-soap with idMode wssecurity": {
        "order": ("token", "time", "signature"),
        "expires": "2026-06-01T09:10:00Z",
        "edit": (('wsu:Id="body"', 'wsu:Id="_0"'), ('URI="#body"', 'URI="#_0"')),
        "security": ' soap:mustUnderstand="1"',
    },
    "gSOAP: constant ids, the token signed as well, SOAP 1.2": {
        "version": V12,
        "order": ("time", "token", "signature"),
        "signed": ("body", "time", "token"),
        "edit": IDS + ID_REFERENCES,
        "security": ' soap:mustUnderstand="true"',
    },
    "WSS4J: a PrefixList everywhere, ids on the parts of the signature": {
        "order": ("token", "signature", "time"),
        "prefixes": "wsse soap",
        "c14n_prefixes": "soap",
        "edit": (
            (f'<ds:Signature xmlns:ds="{DS}">', f'<ds:Signature xmlns:ds="{DS}" Id="SIG-3">'),
            ("<ds:KeyInfo>", '<ds:KeyInfo Id="KI-1">'),
            ("<wsse:SecurityTokenReference>", '<wsse:SecurityTokenReference wsu:Id="STR-2">'),
        ),
        "security": ' soap:mustUnderstand="1"',
    },
    "WSS4J: an empty PrefixList": {"order": ("token", "signature", "time"), "prefixes": "", "c14n_prefixes": ""},
    "JAX-WS RI: the default namespace in the PrefixList": {
        "envelope": ' xmlns="urn:default" xmlns:q="urn:q"',
        "prefixes": "#default q soap",
        "c14n_prefixes": "#default",
    },
    "JAX-WS RI: a default namespace on the Header only": {
        "header": ' xmlns="urn:default"',
        "prefixes": "#default wsse",
    },
    "a default namespace that the content undoes": {
        "envelope": ' xmlns="urn:default"',
        "prefixes": "#default",
        "content": '<s:a xmlns:s="urn:s"><b xmlns=""/><c/></s:a>',
    },
    "prefixes that are declared nowhere": {"prefixes": "nowhere xs xsi", "c14n_prefixes": "nowhere"},
    "wse-php: white space inside the signature, an hour of life": {
        "space": "\n  ",
        "order": ("token", "signature", "time"),
        "expires": "2026-06-01T10:00:00Z",
    },
    "wse-php with insertBefore false: the signature last": {"space": "\n", "order": ("time", "token", "signature")},
    "XML::Compile: a stray attribute on the times": {
        "edit": (
            ("<wsu:Created>", '<wsu:Created ValueType="http://www.w3.org/2001/XMLSchema/dateTime">'),
            ("<wsu:Expires>", '<wsu:Expires ValueType="http://www.w3.org/2001/XMLSchema/dateTime">'),
        ),
        "prefixes": "SOAP-ENV",
    },
    "SOAP::Lite: encodingStyle on the envelope": {
        "envelope": ' soap:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"',
    },
    "encodingStyle in SOAP 1.2": {
        "version": V12,
        "envelope": ' soap:encodingStyle="http://www.w3.org/2003/05/soap-encoding"',
    },
    "SignedXml: timestamp, token, signature": {"order": ("time", "token", "signature")},
    "two prefixes for one namespace": {
        "envelope": f' xmlns:u="{WSU}" xmlns:env="{V11.value}"',
        "edit": (('<soap:Body wsu:Id="body">', '<env:Body u:Id="body">'), ("</soap:Body>", "</env:Body>")),
        "prefixes": "u env soap",
    },
    "a token with line breaks": {"edit": BST_WRAPPED},
    "a token with carriage returns as references": {"edit": (('">MII', '">&#13;\nMII'),)},
    "no EncodingType": {"edit": ((f' EncodingType="{BASE64}"', ""),)},
    "no ValueType on the reference": {"edit": (NO_TYPE,)},
    "addressing, all of it signed, and the token": {"blocks": ADDRESSED, "signed": ALL},
    "addressing, all of it signed, in SOAP 1.2": {"blocks": ADDRESSED, "signed": ALL, "version": V12},
    "addressing unsigned": {"blocks": ADDRESSED},
    "a signed block that nobody knows here": {
        "blocks": '<x:trace xmlns:x="urn:x" wsu:Id="trace">1</x:trace>',
        "signed": ("body", "trace", "time"),
    },
    "addressing of 2004, not to be understood": {
        "blocks": '<a:To xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">urn:x</a:To>',
    },
    "an id on the security header": {"security": ' wsu:Id="security"'},
    "references in another order": {"signed": ("time", "body")},
    "an Id on a reference and on SignedInfo": {
        "edit": (("<ds:SignedInfo>", '<ds:SignedInfo Id="si">'), ('<ds:Reference URI="#body"', '<ds:Reference Id="r" URI="#body"')),
    },
    "texts with everything": {"content": CONTENT.replace("good", "&amp;&lt;&gt;&#13;\n\"'é\U0001f469\u200d")},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_real_stacks_send_is_accepted(shape):
    data = build(**shape)
    verified = accept(data)
    xmlsec_verifies(data)
    assert hashlib.sha256(verified.body).digest() == stated_digest(data)
    assert verified.certificate == holder().der
    assert verified.created.replace(microsecond=0) == NOW


def stated_digest(data: bytes) -> bytes:
    """The digest of the Body that xmlsec has just found right."""
    tree = tree_of(data)
    uri = "#" + tree[1].xpath("@w:Id", namespaces={"w": WSU})[0]
    value = f".//{{{DS}}}Reference[@URI='{uri}']/{{{DS}}}DigestValue"
    return base64.b64decode(tree.findtext(value))


@pytest.mark.parametrize("order", list(itertools.permutations(("token", "time", "signature"))))
@pytest.mark.parametrize("version", [V11, V12])
def test_the_security_header_may_be_in_any_order(order, version):
    data = build(order=order, version=version)
    assert accept(data)
    xmlsec_verifies(data)


SUITES = {
    **{f"rsa-{bits} with {method}": (f"rsa-{bits}", f"{MORE}{method}") for bits in (2048, 3072) for method in ("rsa-sha256", "rsa-sha384", "rsa-sha512")},
    **{f"{curve} with {method}": (curve, f"{MORE}{method}") for curve in ("p256", "p384") for method in ("ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512")},
}  # fmt: skip


@pytest.mark.parametrize(("kind", "method"), SUITES.values(), ids=SUITES)
@pytest.mark.parametrize("digest", [SHA256, f"{MORE}sha384", f"{XMLENC}sha512"])
def test_every_suite_of_the_profile_is_accepted(kind, method, digest):
    data = build(holder=holder(kind), method=method, digest=digest)
    assert accept(data).certificate == holder(kind).der
    xmlsec_verifies(data)


def test_a_signature_may_use_different_digests():
    first = f'<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod><ds:DigestValue></ds:DigestValue></ds:Reference><ds:Ref'
    data = build(edit=((first, first.replace(SHA256, f"{XMLENC}sha512")),))
    assert accept(data)
    xmlsec_verifies(data)


class TimestampedSignature(BinarySignature):
    """The twenty lines that zeep users write: zeep signs a Timestamp only if there is one."""

    def apply(self, envelope, headers):
        security = etree.SubElement(envelope[0], f"{{{WSSE}}}Security")
        timestamp = etree.SubElement(security, f"{{{WSU}}}Timestamp")
        etree.SubElement(timestamp, f"{{{WSU}}}Created").text = datetime.now(UTC).isoformat()
        etree.SubElement(timestamp, f"{{{WSU}}}Expires").text = (
            datetime.now(UTC) + timedelta(minutes=5)
        ).isoformat()
        return super().apply(envelope, headers)


@pytest.mark.parametrize("version", [V11, V12])
@pytest.mark.parametrize(
    ("kind", "method"), [("rsa-2048", xmlsec.Transform.RSA_SHA256), ("p256", xmlsec.Transform.ECDSA_SHA256)]
)
def test_a_message_signed_by_zeep_is_accepted(tmp_path, version, kind, method):
    (tmp_path / "key.pem").write_bytes(holder(kind).key_pem)
    (tmp_path / "certificate.pem").write_bytes(holder(kind).certificate_pem)
    plugin = TimestampedSignature(
        str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem"), None, method, xmlsec.Transform.SHA256
    )
    unsigned = f'<e:Envelope xmlns:e="{version.value}"><e:Header/><e:Body>{CONTENT}</e:Body></e:Envelope>'
    data = etree.tostring(plugin.apply(etree.fromstring(unsigned), {})[0])
    assert accept(data, datetime.now(UTC)).certificate == holder(kind).der
    xmlsec_verifies(data)


@pytest.mark.parametrize("prefixes", ["#default", "q", "#default q", "", None])
@pytest.mark.parametrize(
    "content", [CONTENT, '<a xmlns="urn:a"/>', "<a/>", '<s:a xmlns:s="urn:s"><q:b/></s:a>']
)
def test_prefix_lists_are_read_as_xmlsec_reads_them(prefixes, content):
    draft = Draft(envelope=' xmlns="urn:d" xmlns:q="urn:q"', prefixes=prefixes, content=content)
    data = sign(draft)
    xmlsec_verifies(data)
    assert accept(data)


def test_the_largest_prefix_list_and_the_most_references_are_accepted():
    blocks = "".join(f'<x:b{i} xmlns:x="urn:x" wsu:Id="b{i}"/>' for i in range(8))
    signed = ("body", "time", *(f"b{i}" for i in range(8)))
    data = build(blocks=blocks, signed=signed, prefixes=" ".join(f"p{i}" for i in range(16)))
    assert accept(data)
    xmlsec_verifies(data)
