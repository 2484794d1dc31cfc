"""What `wss` refuses by structure alone, before it computes anything (attacks §2.3, §2.4; soap-profile §4.2).

Each row is a good message with one thing changed, before signing (so that the signature is valid and only the
profile stands against it) or, where xmlsec will not sign such a thing, after.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest
import xmlsec

from gateway.refusal import Code, Refusal
from tests.world import (
    BASE64,
    DS,
    EXCLUSIVE,
    MORE,
    SHA256,
    V12,
    WSSE,
    X509V3,
    XMLENC,
    accept,
    build,
    good,
    holder,
    once,
    refused,
)

Made = Callable[[], bytes]
TRANSFORM = f'<ds:Transform Algorithm="{EXCLUSIVE}"></ds:Transform>'
FIRST = f'<ds:Reference URI="#body"><ds:Transforms>{TRANSFORM}</ds:Transforms>'
C14N = f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"></ds:CanonicalizationMethod>'
METHOD = f'<ds:SignatureMethod Algorithm="{MORE}rsa-sha256"></ds:SignatureMethod>'
STR = f'<wsse:SecurityTokenReference><wsse:Reference URI="#token" ValueType="{X509V3}"></wsse:Reference></wsse:SecurityTokenReference>'
DIRECT = f'<wsse:Reference URI="#token" ValueType="{X509V3}">'
ENDS = "</wsse:Security>"
DIGEST = f'<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod><ds:DigestValue></ds:DigestValue></ds:Reference>'
LAST_DIGEST = DIGEST + "</ds:SignedInfo>"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"


P16 = " ".join(f"p{i}" for i in range(16))


def many(elements: int) -> str:
    return f'<s:x xmlns:s="urn:x">{"<s:y/>" * elements}</s:x>'


def declared(namespaces: int) -> str:
    return "".join(f' xmlns:p{i}="urn:{i}"' for i in range(namespaces))


def before(*edit: tuple[str, str], **changes) -> Made:
    return lambda: build(edit=edit, **changes)


def after(old: str, new: str, **changes) -> Made:
    """Changed after signing, in the form in which lxml writes empty elements."""
    return lambda: once(build(**changes).decode(), _written(old), _written(new)).encode()


def _written(text: str) -> str:
    for name in (
        "ds:Transform",
        "ds:CanonicalizationMethod",
        "ds:SignatureMethod",
        "ds:DigestMethod",
        "wsse:Reference",
    ):
        text = text.replace(f"></{name}>", "/>")
    return text


def unsigned(*edit: tuple[str, str], **changes) -> Made:
    """Refused before its values are looked at: they are zeros."""
    return lambda: _with_zeros(good(edit=edit, **changes).text()).encode()


def _with_zeros(text: str) -> str:
    zeros = base64.b64encode(bytes(32)).decode()
    return re.sub(r"(<ds:(DigestValue|SignatureValue)>)(</)", rf"\g<1>{zeros}\3", text)


def in_security(block: str) -> Made:
    return before((ENDS, block + ENDS))


STRUCTURE = {
    "no Timestamp": lambda: build(order=("token", "signature"), signed=("body",)),
    "no token": before(order=("time", "signature")),
    "no Signature": unsigned(order=("token", "time")),
    "two Timestamps": in_security("<wsu:Timestamp/>"),
    "two tokens": in_security("<wsse:BinarySecurityToken>AA==</wsse:BinarySecurityToken>"),
    "two Signatures": in_security(f'<ds:Signature xmlns:ds="{DS}"/>'),
    "an empty header": unsigned(order=()),
    "a user name": in_security("<wsse:UsernameToken/>"),
    "a SAML assertion": in_security('<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion"/>'),
    "a derived key": in_security('<k:DerivedKeyToken xmlns:k="http://docs.oasis-open.org/ws-sx/ws-secureconversation/200512"/>'),
    "an encrypted key": in_security(f'<e:EncryptedKey xmlns:e="{XMLENC}"/>'),
    "encrypted data": in_security(f'<e:EncryptedData xmlns:e="{XMLENC}"/>'),
    "a reference list": in_security(f'<e:ReferenceList xmlns:e="{XMLENC}"/>'),
    "a confirmation": in_security('<c:SignatureConfirmation xmlns:c="http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"/>'),
    "a foreign element": in_security('<x:x xmlns:x="urn:x"/>'),
    "a second Timestamp in a block": before(blocks='<x:x xmlns:x="urn:x"><wsu:Timestamp/></x:x>'),
    "a second token in a block": before(blocks='<x:x xmlns:x="urn:x"><wsse:BinarySecurityToken/></x:x>'),
    "a second Signature in the Body": before(content=f'<s:x xmlns:s="urn:x"><d:Signature xmlns:d="{DS}"/></s:x>'),
    "a second security header in a block": before(blocks='<x:x xmlns:x="urn:x"><wsse:Security/></x:x>'),
    "a security header in the Body": before(content='<s:x xmlns:s="urn:x"><wsse:Security/></s:x>'),
    "a ds:Object": before(("</ds:KeyInfo>", "</ds:KeyInfo><ds:Object/>")),
    "a ds:Object with another SignedInfo": before(("</ds:KeyInfo>", "</ds:KeyInfo><ds:Object><ds:SignedInfo/></ds:Object>")),
    "a Manifest": before(("</ds:KeyInfo>", "</ds:KeyInfo><ds:Object><ds:Manifest/></ds:Object>")),
    "no KeyInfo": before((f"<ds:KeyInfo>{STR}</ds:KeyInfo>", "")),
    "two KeyInfos": after("</ds:KeyInfo>", "</ds:KeyInfo><ds:KeyInfo/>"),
    "two SignedInfos": unsigned(("<ds:SignedInfo>", "<ds:SignedInfo/><ds:SignedInfo>")),
    "a SignedInfo behind the value": after("<ds:KeyInfo>", "<ds:SignedInfo/><ds:KeyInfo>"),
    "two SignatureValues": after("<ds:KeyInfo>", "<ds:SignatureValue>AA==</ds:SignatureValue><ds:KeyInfo>"),
    "KeyInfo first": unsigned((f"<ds:KeyInfo>{STR}</ds:KeyInfo>", ""), ("<ds:SignedInfo>", f"<ds:KeyInfo>{STR}</ds:KeyInfo><ds:SignedInfo>")),
    "an empty SignedInfo": lambda: re.sub(b"(<ds:SignedInfo>).*(</ds:SignedInfo>)", rb"\1\2", build()),
    "no canonicalisation method": unsigned((C14N, "")),
    "no signature method": unsigned((METHOD, "")),
    "methods in the wrong order": unsigned((C14N + METHOD, METHOD + C14N)),
    "two canonicalisation methods": unsigned((C14N, C14N + C14N)),
}  # fmt: skip

REFERENCE = {
    "two signature methods": unsigned((METHOD, METHOD + METHOD)),
    "no reference": unsigned(signed=()),
    "eleven references": lambda: build(
        blocks="".join(f'<x:b{i} xmlns:x="urn:x" wsu:Id="b{i}"/>' for i in range(9)),
        signed=("body", "time", *(f"b{i}" for i in range(9))),
    ),
    "five hundred references": unsigned(signed=("body",) * 500),
    "the same part twice": lambda: build(signed=("body", "time", "body")),
    "an id that no element has": unsigned(signed=("body", "time", "nosuch")),
    "an empty fragment": unsigned(signed=("body", "time", "")),
    "the whole document": before((' URI="#body"', ' URI=""')),
    "no URI": before((' URI="#body"', "")),
    "an XPointer to an id": before((' URI="#body"', ' URI="#xpointer(id(\'body\'))"')),
    "an XPointer to everything": before((' URI="#body"', ' URI="#xpointer(/)"')),
    "an XPointer that counts": unsigned((' URI="#body"', ' URI="#xpointer(//*[count(//*)=count(//*)])"')),
    "an element scheme": unsigned((' URI="#body"', ' URI="#element(/1/2)"')),
    "a blank behind the id": before((' URI="#body"', ' URI="#body "')),
    "a line break behind the id": unsigned((' URI="#body"', ' URI="#body&#10;"')),
    "a file": unsigned((' URI="#body"', ' URI="file:///etc/hostname"')),
    "an absolute path": unsigned((' URI="#body"', ' URI="/etc/hostname"')),
    "a relative path": unsigned((' URI="#body"', ' URI="pyproject.toml"')),
    "a device": unsigned((' URI="#body"', ' URI="file:///dev/zero"')),
    "another host": unsigned((' URI="#body"', ' URI="http://canary.example/#body"')),
    "an attachment": unsigned((' URI="#body"', ' URI="cid:attachment"')),
    "an id with quotes": unsigned((' URI="#body"', ' URI="#x\' or \'1\'=\'1"')),
    "an id of 10,000 characters": unsigned((' URI="#body"', f' URI="#{"b" * 10_000}"')),
    "an id in percent form": unsigned((' URI="#body"', ' URI="#%62ody"')),
    "an id beyond ASCII": before((' URI="#body"', ' URI="#bödy"'), (' wsu:Id="body"', ' wsu:Id="bödy"')),
    "a Manifest type": before((' URI="#body"', f' URI="#body" Type="{DS}Manifest"')),
    "an empty type": before((' URI="#body"', ' URI="#body" Type=""')),
    "a signature's own part": unsigned(("<ds:KeyInfo>", '<ds:KeyInfo Id="info">'), signed=("body", "time", "info")),
    "the token reference": before((STR, STR.replace("Reference>", 'Reference wsu:Id="str">', 1)), signed=("body", "time", "str")),
    "the security header": unsigned(security=' wsu:Id="security"', signed=("body", "time", "security")),
    "no transforms": before((FIRST, '<ds:Reference URI="#body">')),
    "an empty list of transforms": before((FIRST, '<ds:Reference URI="#body"><ds:Transforms></ds:Transforms>')),
    "no digest method": unsigned((LAST_DIGEST, "<ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo>")),
    "no digest value": unsigned((LAST_DIGEST, LAST_DIGEST.replace("<ds:DigestValue></ds:DigestValue>", ""))),
    "two digest values": unsigned((LAST_DIGEST, LAST_DIGEST.replace("</ds:Reference>", "<ds:DigestValue/></ds:Reference>"))),
    "a foreign element among the references": unsigned((LAST_DIGEST, LAST_DIGEST.replace("</ds:SignedInfo>", '<x:x xmlns:x="urn:x" URI="#token"/></ds:SignedInfo>'))),
    "a reference of another namespace": unsigned((FIRST, FIRST.replace("<ds:Reference", "<wsse:Reference")), (DIGEST + "<ds:Ref", DIGEST.replace("/ds:Reference", "/wsse:Reference") + "<ds:Ref")),
    "seventeen prefixes": lambda: build(prefixes=" ".join(f"p{i}" for i in range(17))),
    "sixteen prefixes over many elements": lambda: build(content=many(49_000), envelope=declared(3), prefixes=P16),
    "sixteen prefixes among many namespaces": lambda: build(content=many(300), envelope=declared(1_000), prefixes=P16),
    "ten thousand prefixes": unsigned(c14n_prefixes=" ".join(f"p{i}" for i in range(10_000))),
}  # fmt: skip

NOT_SIGNED = {
    "the Body": lambda: build(signed=("time",)),
    "the Timestamp": lambda: build(signed=("body",)),
    "both, but the token is": lambda: build(signed=("token",)),
    "the Body, but another block is": lambda: build(
        blocks='<x:x xmlns:x="urn:x" wsu:Id="x">x</x:x>', signed=("time", "x", "token")
    ),
}


def identified(style: str) -> Made:
    """The Body identified in another style, which xmlsec signs and verifies all the same."""
    return before((' wsu:Id="body"', f' {style}="body"'))


def with_ids(count: int) -> Made:
    """A message with `count` ids: three of the good one, the others on unknown blocks."""
    return before(blocks="".join(f'<x:x xmlns:x="urn:x" wsu:Id="i{i}"/>' for i in range(count - 3)))


IDS = {
    "Id without namespace on the Body": identified("Id"),
    "ID": identified("ID"),
    "id": identified("id"),
    "iD": identified("iD"),
    "xml:id": identified("xml:id"),
    "Id of another namespace": identified('xmlns:e="urn:evil" e:Id'),
    "Id without namespace on the Timestamp": before((' wsu:Id="time"', ' Id="time"')),
    "Id without namespace on the token": before((' wsu:Id="token"', ' Id="token"')),
    "two ids on the Body": before((' wsu:Id="body"', ' wsu:Id="body" Id="other"')),
    "two ids on the Timestamp": before((' wsu:Id="time"', ' wsu:Id="time" xml:id="other"')),
    "an Id on the security header": before(security=' Id="security"'),
    "an id on the Envelope": before(envelope=' wsu:Id="envelope"'),
    "an id on the Header": before(header=' wsu:Id="header"'),
    "an id in the payload": before(content='<s:x xmlns:s="urn:x"><s:y wsu:Id="y"/></s:x>'),
    "an unqualified id in the payload": before(content='<s:x xmlns:s="urn:x"><s:y id="y"/></s:x>'),
    "an id on the operation element": before(content='<s:x xmlns:s="urn:x" wsu:Id="y"/>'),
    "an id within a block": before(blocks='<x:x xmlns:x="urn:x"><x:y wsu:Id="y"/></x:x>'),
    "an unqualified Id on a block": before(blocks='<x:x xmlns:x="urn:x" Id="y"/>'),
    "an id within the Timestamp": before(("<wsu:Created>", '<wsu:Created wsu:Id="created">')),
    "an id within the token reference": before((DIRECT, DIRECT.replace(" URI", ' wsu:Id="direct" URI'))),
    "wsu:Id on the Signature": before(("<ds:Signature ", '<ds:Signature wsu:Id="s" ')),
    "wsu:Id on a ds:Reference": before((' URI="#body"', ' URI="#body" wsu:Id="r"')),
    "Id on a Transform": unsigned((FIRST, FIRST.replace("<ds:Transform ", '<ds:Transform Id="t" '))),
    "an id twice, the block first": before(blocks='<x:x xmlns:x="urn:x" wsu:Id="body"/>'),
    "an id twice, on Timestamp and token": before((' wsu:Id="token"', ' wsu:Id="time"'), ("#token", "#time")),
    "an id twice, in two styles": before(("<ds:KeyInfo>", '<ds:KeyInfo Id="body">')),
    "an id twice that nothing refers to": before(blocks='<x:x xmlns:x="urn:x" wsu:Id="i"/><x:y xmlns:x="urn:x" wsu:Id="i"/>'),
    "Id on a ds element that is in no signature": before(blocks=f'<d:KeyInfo xmlns:d="{DS}" Id="o"/>'),
    "Id on a block named like a ds element": before(blocks='<x:Signature xmlns:x="urn:x" Id="o"/>'),
    "33 ids": with_ids(33),
}  # fmt: skip


def with_method(uri: str) -> Made:
    return after(METHOD, METHOD.replace(f"{MORE}rsa-sha256", uri))


def with_digest(uri: str) -> Made:
    return lambda: build().replace(SHA256.encode(), uri.encode(), 1)


def with_transforms(*transforms: str) -> Made:
    return before((FIRST, FIRST.replace(TRANSFORM, "".join(transforms))))


def transform(uri: str, content: str = "") -> str:
    return f'<ds:Transform Algorithm="{uri}">{content}</ds:Transform>'


XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
HMAC = xmlsec.Key.from_binary_data(xmlsec.KeyData.HMAC, holder().der)
ALGORITHM = {
    "rsa-sha1": lambda: build(method=f"{DS}rsa-sha1"),
    "a SHA-1 digest under rsa-sha256": lambda: build(digest=f"{DS}sha1"),
    "rsa-md5": lambda: build(method=f"{MORE}rsa-md5"),
    "an MD5 digest": lambda: build(digest=f"{MORE}md5"),
    "rsa-ripemd160": lambda: build(method=f"{MORE}rsa-ripemd160"),
    "rsa-sha224": lambda: build(method=f"{MORE}rsa-sha224"),
    "RSA-PSS": lambda: build(method="http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1"),
    "DSA with SHA-1": lambda: build(method=f"{DS}dsa-sha1", holder=holder("dsa")),
    "DSA with SHA-256": with_method("http://www.w3.org/2009/xmldsig11#dsa-sha256"),
    "ECDSA with SHA-1": lambda: build(method=f"{MORE}ecdsa-sha1", holder=holder("p256")),
    "HMAC with the certificate as its key": lambda: build(method=f"{MORE}hmac-sha256", key=HMAC),
    "HMAC of one bit": unsigned((METHOD, METHOD.replace("rsa-sha256", "hmac-sha256").replace("></ds:Sig", "><ds:HMACOutputLength>1</ds:HMACOutputLength></ds:Sig"))),
    "a parameter in the signature method": unsigned((METHOD, METHOD.replace("></ds:Sig", "><ds:HMACOutputLength>80</ds:HMACOutputLength></ds:Sig"))),
    "no algorithm": with_method(""),
    "urn:none": with_method("urn:none"),
    "a blank behind the algorithm": with_method(f"{MORE}rsa-sha256 "),
    "the algorithm in capitals": with_method(f"{MORE}RSA-SHA256"),
    "a signature method without algorithm": after(METHOD, "<ds:SignatureMethod></ds:SignatureMethod>"),
    "ECDSA over an RSA key": with_method(f"{MORE}ecdsa-sha256"),
    "RSA over an EC key": lambda: build(holder=holder("p256"), method=f"{MORE}ecdsa-sha256").replace(b"#ecdsa-sha256", b"#rsa-sha256"),
    "a digest of SHA-224": with_digest(f"{MORE}sha224"),
    "a digest of SHA-3": with_digest("http://www.w3.org/2007/05/xmldsig-more#sha3-256"),
    "a digest of nothing": with_digest(""),
    "a parameter in the digest method": unsigned((LAST_DIGEST, LAST_DIGEST.replace("></ds:DigestM", "><ds:x/></ds:DigestM"))),
    "SignedInfo in inclusive C14N": before((C14N, C14N.replace(EXCLUSIVE, INCLUSIVE))),
    "SignedInfo in C14N 1.1": before((C14N, C14N.replace(EXCLUSIVE, "http://www.w3.org/2006/12/xml-c14n11"))),
    "SignedInfo with comments": before((C14N, C14N.replace(EXCLUSIVE, f"{EXCLUSIVE}WithComments"))),
    "SignedInfo in an unknown form": after(C14N, C14N.replace(EXCLUSIVE, "urn:x")),
    "a parameter in the canonicalisation": unsigned((C14N, C14N.replace("></ds:C", "><ds:x/></ds:C"))),
    "a reference in inclusive C14N": with_transforms(transform(INCLUSIVE)),
    "a reference in C14N 1.1": with_transforms(transform("http://www.w3.org/2006/12/xml-c14n11")),
    "a reference with comments": with_transforms(transform(f"{EXCLUSIVE}WithComments")),
    "enveloped signature alone": with_transforms(transform(f"{DS}enveloped-signature")),
    "enveloped signature, then exclusive": with_transforms(transform(f"{DS}enveloped-signature"), TRANSFORM),
    "exclusive twice": with_transforms(TRANSFORM, TRANSFORM),
    "two thousand transforms": unsigned((FIRST, FIRST.replace(TRANSFORM, TRANSFORM * 2_000))),
    "XPath": with_transforms(transform(XPATH, "<ds:XPath>true()</ds:XPath>"), TRANSFORM),
    "XPath alone": with_transforms(transform(XPATH, "<ds:XPath>true()</ds:XPath>")),
    "XPath filter 2": unsigned((FIRST, FIRST.replace(TRANSFORM, transform("http://www.w3.org/2002/06/xmldsig-filter2", '<f:XPath xmlns:f="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">//x</f:XPath>')))),
    "XSLT": unsigned((FIRST, FIRST.replace(TRANSFORM, transform("http://www.w3.org/TR/1999/REC-xslt-19991116", '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"/>')))),
    "base64": unsigned((FIRST, FIRST.replace(TRANSFORM, transform(f"{DS}base64")))),
    "decryption": unsigned((FIRST, FIRST.replace(TRANSFORM, transform("http://www.w3.org/2002/07/decrypt#XML")))),
    "the token reference transform": unsigned((FIRST, FIRST.replace(TRANSFORM, transform("http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform")))),
    "the attachment transform": unsigned((FIRST, FIRST.replace(TRANSFORM, transform("http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Signature-Transform")))),
    "a foreign element for a transform": unsigned((FIRST, FIRST.replace("ds:Transform ", "wsse:Transform ").replace("/ds:Transform>", "/wsse:Transform>"))),
    "two PrefixLists": unsigned((FIRST, FIRST.replace("></ds:Transform>", f'>{f"""<i:InclusiveNamespaces xmlns:i="{EXCLUSIVE}" PrefixList="soap"/>""" * 2}</ds:Transform>'))),
    "a child in a PrefixList": lambda: build(prefixes="soap").replace(b'PrefixList="soap"/>', b'PrefixList="soap"><x/></ec:InclusiveNamespaces>', 1),
    "a PrefixList of another namespace": unsigned((FIRST, FIRST.replace("></ds:Transform>", '><i:InclusiveNamespaces xmlns:i="urn:x" PrefixList="soap"/></ds:Transform>'))),
}  # fmt: skip


def key_info(content: str) -> Made:
    return before((STR, content))


def direct(**attributes: str) -> Made:
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return before((DIRECT, f"<wsse:Reference{written}>"))


def token_type(value: str) -> Made:
    return lambda: build(edit=((f' ValueType="{X509V3}" wsu:Id', f"{value} wsu:Id"),))


X509 = X509V3.removesuffix("X509v3")
TOKEN_FORM = {
    "no children in KeyInfo": key_info(""),
    "a key value": after(STR, "<ds:KeyValue><ds:RSAKeyValue/></ds:KeyValue>"),
    "a key name": after(STR, "<ds:KeyName>holder</ds:KeyName>"),
    "X.509 data": after(STR, "<ds:X509Data/>"),
    "an encoded key": after(STR, '<k:DEREncodedKeyValue xmlns:k="http://www.w3.org/2009/xmldsig11#"/>'),
    "a retrieval method": after(STR, '<ds:RetrievalMethod URI="http://canary.example/"/>'),
    "two token references": key_info(STR + STR),
    "a key name beside the token reference": after(STR, STR + "<ds:KeyName>holder</ds:KeyName>"),
    "an empty token reference": key_info("<wsse:SecurityTokenReference/>"),
    "two direct references": key_info(STR.replace(DIRECT, DIRECT + "</wsse:Reference>" + DIRECT)),
    "a key identifier": key_info("<wsse:SecurityTokenReference><wsse:KeyIdentifier>AA==</wsse:KeyIdentifier></wsse:SecurityTokenReference>"),
    "issuer and serial": after(STR, "<wsse:SecurityTokenReference><ds:X509Data><ds:X509IssuerSerial/></ds:X509Data></wsse:SecurityTokenReference>"),
    "an embedded token": key_info("<wsse:SecurityTokenReference><wsse:Embedded/></wsse:SecurityTokenReference>"),
    "a nested token reference": key_info(f"<wsse:SecurityTokenReference>{STR}</wsse:SecurityTokenReference>"),
    "a reference with a child": before((DIRECT, DIRECT + "<x/>")),
    "a reference to another host": direct(URI="http://canary.example/cert"),
    "a reference to the Body": direct(URI="#body"),
    "a reference to nothing": direct(URI="#nosuch"),
    "a reference without URI": direct(ValueType=X509V3),
    "a reference to a path": direct(URI="#token", ValueType=f"{X509}X509PKIPathv1"),
    "a token that is a path": token_type(f' ValueType="{X509}X509PKIPathv1"'),
    "a token in PKCS #7": token_type(f' ValueType="{X509}PKCS7"'),
    "a token of X.509 version 1": token_type(f' ValueType="{X509}X509v1"'),
    "a token without type": token_type(""),
    "a token in hexadecimal": before((BASE64, BASE64.replace("Base64", "Hex"))),
}  # fmt: skip

FAMILIES = {
    Code.SECURITY_STRUCTURE: STRUCTURE,
    Code.REFERENCE: REFERENCE,
    Code.NOT_SIGNED: NOT_SIGNED,
    Code.ID_FORM: IDS,
    Code.ALGORITHM: ALGORITHM,
    Code.TOKEN_FORM: TOKEN_FORM,
}
ROWS = {
    f"{code.row.label}: {row}": (code, made) for code, rows in FAMILIES.items() for row, made in rows.items()
}


@pytest.mark.parametrize(("code", "broken"), ROWS.values(), ids=ROWS)
def test_what_the_profile_does_not_know_is_refused(code: Code, broken: Made):
    assert refused(broken()) is code


TWINS = {
    "an unknown block without security in it": before(blocks='<x:x xmlns:x="urn:x"><x:y/></x:x>'),
    "a payload of other names": before(content='<s:x xmlns:s="urn:x"><s:Security/><s:Signature/><s:Timestamp/></s:x>'),
    "ten references": lambda: build(
        blocks="".join(f'<x:b{i} xmlns:x="urn:x" wsu:Id="b{i}"/>' for i in range(8)),
        signed=("body", "time", *(f"b{i}" for i in range(8))),
    ),
    "sixteen prefixes": lambda: build(prefixes=P16),
    "sixteen prefixes over fewer elements": lambda: build(content=many(40_000), prefixes=P16),
    "sixteen prefixes among fewer namespaces": lambda: build(content=many(300), envelope=declared(800), prefixes=P16),
    "no prefix over many elements": lambda: build(content=many(40_000)),
    "an Id on Signature, SignedInfo, Reference, value and KeyInfo": before(
        ("<ds:Signature ", '<ds:Signature Id="i1" '),
        ("<ds:SignedInfo>", '<ds:SignedInfo Id="i2">'),
        (' URI="#body"', ' URI="#body" Id="i3"'),
        ("<ds:SignatureValue>", '<ds:SignatureValue Id="i4">'),
        ("<ds:KeyInfo>", '<ds:KeyInfo Id="i5">'),
    ),
    "wsu:Id on a block that is not signed": before(blocks='<x:x xmlns:x="urn:x" wsu:Id="y"/>'),
    "32 ids": with_ids(32),
    "another attribute that is no id": before(content='<s:x xmlns:s="urn:x" identifier="y" Ids="z"/>'),
    "a direct reference without type": direct(URI="#token"),
    "one exclusive transform": with_transforms(TRANSFORM),
    "SOAP 1.2": before(version=V12),
    "the good message itself": build,
}  # fmt: skip


@pytest.mark.parametrize("made", TWINS.values(), ids=TWINS)
def test_the_twin_within_the_profile_is_accepted(made: Made):
    assert accept(made())


def test_a_refusal_repeats_nothing_that_the_peer_wrote():
    """The fault is signed: text from the message in it would make the hub a signing oracle (attack G02)."""
    with pytest.raises(Refusal) as caught:
        accept(with_method("urn:canary")())
    assert "canary" not in str(caught.value) + caught.value.about


def test_the_security_namespace_is_the_one_of_2004():
    changed = build().replace(WSSE.encode(), WSSE.replace("2004/01", "2005/01").encode())
    assert refused(changed) is Code.SECURITY_HEADER
