"""PROTOCOL §4 at a running hub: what is outside the profile is refused, and the fault names the setting to change.

Each message is one that `test_client_shapes` has accepted, with one thing said otherwise. Faults are verified by
xmlsec.
"""

from __future__ import annotations

import re

import pytest
import pytest_asyncio

from tests.process.emission import ACTION, URL, Asking, moment
from tests.process.foreign_changes import MUST, broken, der, digits, sent, timed, twice, unsigned, without
from tests.process.foreign_world import Shape, ask, pki, send
from tests.process.post import Form
from tests.process.running import running_hub
from tests.process.stacks import gsoap, jax_ws_ri, node_soap, wse_php, wss4j, zeep
from tests.world import MORE, SERVICE, SHA256, V12, WSA, WSSE, X509V3, holder

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory):
    async with running_hub(tmp_path_factory.mktemp("refusals"), files=pki()) as running:
        yield running


EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
TRANSFORM = f'<ds:Transform Algorithm="{EXC}"></ds:Transform>'
BODY = f'<ds:Reference URI="#_0"><ds:Transforms>{TRANSFORM}</ds:Transforms>'
BODY_DIGEST = f'{BODY}<ds:DigestMethod Algorithm="{SHA256}"/>'
CANONICAL = f'<ds:CanonicalizationMethod Algorithm="{EXC}">'
TOKEN_REFERENCE = re.search(
    r"(?<=<ds:KeyInfo>).*(?=</ds:KeyInfo>)",
    node_soap(Asking(key=b"", certificate=b"", cbe="", unit="", context="")),
)[0]
STR_TRANSFORM = (
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform"
)
KEY_IDENTIFIER = (
    f'<wsse:SecurityTokenReference xmlns:wsse="{WSSE}"><wsse:KeyIdentifier ValueType="http://docs.oasis-open.org/wss/'
    '{}">AAAA</wsse:KeyIdentifier></wsse:SecurityTokenReference>'
)


def transforms(*algorithms):
    """The transforms of the reference to the Body."""
    written = "".join(f'<ds:Transform Algorithm="{one}"></ds:Transform>' for one in algorithms)
    return ((BODY, f'<ds:Reference URI="#_0"><ds:Transforms>{written}</ds:Transforms>'),)


def key_info(content):
    return ((TOKEN_REFERENCE, content),)


def before(mark, inserted):
    return ((mark, f"{inserted}{mark}"),)


STRUCTURE = r"Timestamp.*WSS4J: action.*direct reference.*DirectReference.*ProtectionLevel\.Sign"
ALGORITHMS = r"RSA_SHA256.*signatureAlgorithm.*signatureTransformations.*SOAP_SMD_SIGN_RSA_SHA256"
REFUSED = {  # sentence → message, code, what the fault names
    # algorithms
    "RSA-SHA1": (Shape(method="http://www.w3.org/2000/09/xmldsig#rsa-sha1"), "WIB04004", rf"\(rsa-sha1\).*{ALGORITHMS}"),
    "a SHA-1 digest under RSA-SHA256": (Shape(digest="http://www.w3.org/2000/09/xmldsig#sha1"), "WIB04004", rf"\(sha1\).*{ALGORITHMS}"),
    "MD5": (Shape(after=((BODY_DIGEST, BODY_DIGEST.replace(SHA256, f"{MORE}md5")),)), "WIB04004", ALGORITHMS),
    "HMAC": (Shape(after=((f"{MORE}rsa-sha256", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),)), "WIB04004", r"\(hmac-sha1\)"),
    "RSA-PSS": (Shape(method="http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1"), "WIB04004", ALGORITHMS),
    "an RSA method with an EC key, as node-soap labels it": (
        Shape(stack=zeep, kind="P-256", after=((f"{MORE}ecdsa-sha256", f"{MORE}rsa-sha256"),)),
        "WIB04004", r"\(does not fit the key\).*node-soap: .*an RSA key",
    ),
    "an ECDSA value in DER, as gSOAP writes it": (Shape(stack=zeep, on_the_way=der, kind="P-256"), "WIB04009", r"\(ECDSA value\).*gSOAP.*RSA"),
    "inclusive canonicalisation of SignedInfo": (Shape(edit=((CANONICAL, CANONICAL.replace(EXC, C14N)),)), "WIB04004", r"\(inclusive C14N\).*CanonicalizationMethod"),
    "inclusive canonicalisation of the Body": (Shape(edit=transforms(C14N)), "WIB04004", r"\(inclusive C14N\)"),
    "Canonical XML 1.1": (Shape(edit=transforms("http://www.w3.org/2006/12/xml-c14n11")), "WIB04004", ALGORITHMS),
    "exclusive canonicalisation with comments": (Shape(edit=transforms(f"{EXC}WithComments")), "WIB04004", "with comments"),
    "the enveloped-signature transform, as node-soap adds it": (Shape(edit=transforms("http://www.w3.org/2000/09/xmldsig#enveloped-signature", EXC)), "WIB04004", r"\(one transform\).*signatureTransformations"),
    "the enveloped-signature transform alone": (Shape(after=transforms("http://www.w3.org/2000/09/xmldsig#enveloped-signature")), "WIB04004", r"\(enveloped-signature\)"),
    "the STR transform": (Shape(after=transforms(STR_TRANSFORM)), "WIB04004", ALGORITHMS),
    "XPath": (Shape(after=transforms("http://www.w3.org/TR/1999/REC-xpath-19991116")), "WIB04004", ALGORITHMS),
    "XPath Filter 2": (Shape(after=transforms("http://www.w3.org/2002/06/xmldsig-filter2")), "WIB04004", ALGORITHMS),
    "XSLT": (Shape(after=transforms("http://www.w3.org/TR/1999/REC-xslt-19991116")), "WIB04004", ALGORITHMS),
    "two transforms": (Shape(edit=transforms(EXC, EXC)), "WIB04004", "exc-c14n only"),
    "an empty list of transforms": (Shape(after=transforms()), "WIB04005", r"\(one transform\).*exc-c14n"),
    # references
    "no list of transforms": (Shape(after=((BODY, '<ds:Reference URI="#_0">'),)), "WIB04005", "XmlDsigExcC14NTransform"),
    "a reference to the whole document": (Shape(after=((BODY, BODY.replace("#_0", "")),)), "WIB04005", r"\(URI\).*wsu:Id"),
    "a reference without URI": (Shape(after=((BODY, BODY.replace(' URI="#_0"', "")),)), "WIB04005", "wsu:Id"),
    "a reference to a file": (Shape(after=((BODY, BODY.replace("#_0", "file:///etc/hostname")),)), "WIB04005", "wsu:Id"),
    "an XPointer": (Shape(after=((BODY, BODY.replace("#_0", "#xpointer(/)")),)), "WIB04005", "wsu:Id"),
    "a Manifest": (Shape(after=((BODY, BODY.replace("<ds:Reference", '<ds:Reference Type="http://www.w3.org/2000/09/xmldsig#Manifest"')),)), "WIB04005", "wsu:Id"),
    "a PrefixList of seventeen": (Shape(stack=wss4j, edit=(("wsse soap", " ".join(f"p{n}" for n in range(17))),)), "WIB04005", r"\(PrefixList\)"),
    "a ds:Object": (Shape(after=before("</ds:Signature>", "<ds:Object></ds:Object>")), "WIB04002", "."),
    # the token and its reference
    "IssuerSerial beside a token": (
        Shape(edit=key_info(f'<wsse:SecurityTokenReference xmlns:wsse="{WSSE}"><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>CN=a,O=b</ds:X509IssuerName><ds:X509SerialNumber>1</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data></wsse:SecurityTokenReference>')),
        "WIB04007", "signatureKeyIdentifier DirectReference",
    ),
    "IssuerSerial without a token, as WSS4J by itself": (Shape(stack=without("wsse:BinarySecurityToken")), "WIB04002", STRUCTURE),
    "a subject key identifier": (Shape(edit=key_info(KEY_IDENTIFIER.format("2004/01/oasis-200401-wss-x509-token-profile-1.0#X509SubjectKeyIdentifier"))), "WIB04007", "DirectReference"),
    "a thumbprint": (Shape(edit=key_info(KEY_IDENTIFIER.format("oasis-wss-soap-message-security-1.1#ThumbprintSHA1"))), "WIB04007", "DirectReference"),
    "X509Data in KeyInfo": (Shape(edit=key_info("<ds:X509Data></ds:X509Data>")), "WIB04007", "BinarySignature"),
    "a key name": (Shape(edit=key_info("<ds:KeyName>own</ds:KeyName>")), "WIB04007", "attachTokentoSig"),
    "a bare key": (Shape(edit=key_info("<ds:KeyValue></ds:KeyValue>")), "WIB04007", "SecurityTokenReferenceX509"),
    "an embedded token": (Shape(edit=key_info(f'<wsse:SecurityTokenReference xmlns:wsse="{WSSE}"><wsse:Embedded></wsse:Embedded></wsse:SecurityTokenReference>')), "WIB04007", "DirectReference"),
    "a certificate path": (Shape(edit=((f'#Base64Binary" ValueType="{X509V3}"', '#Base64Binary" ValueType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509PKIPathv1"'),)), "WIB04007", "DirectReference"),
    "an RSA key of 1024 bits": (Shape(stranger=holder("rsa-1024")), "WIB04008", "RSA 2048 to 4096"),
    "an EC key on P-521": (Shape(stranger=holder("p521"), method=f"{MORE}ecdsa-sha256"), "WIB04008", "P-256 or P-384"),
    "a DSA key": (Shape(stranger=holder("dsa"), method="http://www.w3.org/2009/xmldsig11#dsa-sha256"), "WIB04004", ALGORITHMS),
    "a token that is no base64": (Shape(stack=broken(node_soap, "-")), "WIB04008", "the signing certificate itself"),
    # structure and ids
    "unqualified ids, as node-soap by itself": (Shape(edit=(('wsu:Id="_0"', 'Id="_0"'),)), "WIB04003", r"signerOptions\.idMode"),
    "ids of XML": (Shape(after=(('wsu:Id="_0"', 'xml:id="_0"'),)), "WIB04003", "wsu:Id"),
    "the same id twice": (Shape(after=((f"{MUST}>", f'{MUST} wsu:Id="_0">'),)), "WIB04003", "each value once"),
    "no Timestamp, as zeep by itself": (Shape(stack=without("wsu:Timestamp", zeep)), "WIB04002", STRUCTURE),
    "two Timestamps": (Shape(on_the_way=twice(r"<Timestamp .*</Timestamp>")), "WIB04002", "."),
    "two tokens": (Shape(on_the_way=twice(r"<wsse:BinarySecurityToken .*</wsse:BinarySecurityToken>")), "WIB04002", "no other token"),
    "two signatures": (Shape(on_the_way=twice(r"<ds:Signature .*</ds:Signature>")), "WIB04002", "no other token, signature"),
    "two security headers": (Shape(on_the_way=twice(r"<wsse:Security .*</wsse:Security>")), "WIB04001", "one signature action"),
    "an actor": (Shape(edit=((MUST, f'{MUST} soap:actor="urn:x"'),)), "WIB04001", "."),
    "an encrypted key, as WCF sends it by default": (Shape(after=before("<wsse:BinarySecurityToken", '<e:EncryptedKey xmlns:e="http://www.w3.org/2001/04/xmlenc#"/>')), "WIB04002", STRUCTURE),
    "a signature confirmation": (Shape(after=before("<wsse:BinarySecurityToken", '<c:SignatureConfirmation xmlns:c="urn:x"/>')), "WIB04002", "."),
    "the Timestamp unsigned": (Shape(stack=unsigned("_1")), "WIB04006", r"\(Timestamp\).*signatureParts.*excludeReferencesFromSigning.*sign_types"),
    "the Body unsigned": (Shape(stack=unsigned("_0")), "WIB04006", r"\(Body\)"),
    # time
    "two hours of life": (Shape(stack=timed(node_soap, lambda s: moment(s * 24))), "WIB04010", r"addTimestamp\(300\)"),
    "times without a zone": (Shape(stack=timed(node_soap, digits(3, ""))), "WIB04010", "zone"),
    "nine digits of a second": (Shape(stack=timed(node_soap, digits(9))), "WIB04010", "."),
    "timestampSent with ten digits": (Shape(stack=sent(digits(10))), "WIB06001", r"\(timestampSent\)"),
    "timestampSent without a zone": (Shape(stack=sent(digits(3, ""))), "WIB06001", r"\(timestampSent\)"),
    "an old message": (Shape(stack=timed(node_soap, digits(3, ahead=-360))), "WIB04011", "clock"),
    "a message of the future": (Shape(stack=timed(node_soap, digits(3, ahead=90))), "WIB04012", "clock"),
    # XML and SOAP
    "a DOCTYPE": (Shape(after=before("<soap:Envelope", "<!DOCTYPE x>")), "WIB02002", "DOCTYPE"),
    "a processing instruction": (Shape(after=before("<soap:Header>", "<?x y?>")), "WIB02003", "processing instructions"),
    "a comment": (Shape(after=before("<soap:Header>", "<!-- x -->")), "WIB02003", "comments"),
    "UTF-16": (Shape(stack=wss4j, form=Form(parameters="", encoding="utf-16")), "WIB02001", "."),
    "addressing of 2004 that must be understood, as WSASoap by itself with mustUnderstand": (
        Shape(stack=wse_php, edit=(("<wsa:Action>", '<wsa:Action SOAP-ENV:mustUnderstand="1">'),)), "WIB03003", "WSASoap::WSANS_2005",
    ),
    "addressing twice, as zeep's plugin": (Shape(stack=jax_ws_ri, edit=before("<FaultTo", f'<To xmlns="{WSA}">{URL}</To>')), "WIB03004", r"\(To\).*WsAddressingPlugin"),
    "a reply elsewhere": (Shape(stack=gsoap, edit=((f"{WSA}/anonymous", "http://localhost:1/"),)), "WIB03004", r"\(ReplyTo\).*anonymous"),
    "the address of another service": (Shape(stack=gsoap, edit=((f">{URL}<", ">https://test.example.be/soap/v1<"),)), "WIB03004", "address of the WSDL"),
    "the action of another operation": (Shape(stack=gsoap, edit=((f">{ACTION}<", f">{SERVICE}/consultDossier<"),)), "WIB03005", "soapAction of the WSDL"),
    "SOAPAction of another operation": (Shape(form=Form(fields=(f"SOAPAction: {SERVICE}/consultDossier",))), "WIB03005", "or none"),
    "action of another operation": (Shape(version=V12.value, form=Form(parameters=f'; action="{SERVICE}/consultDossier"')), "WIB03005", "or none"),
    # what was signed
    "a word changed": (Shape(after=(("<s:echo>echo", "<s:echo>Echo"),)), "WIB04009", r"\(digest\).*without pretty-printing"),
    "printed prettily after signing": (Shape(after=(("<s:criteria>", "\n<s:criteria>"),)), "WIB04009", "pretty-printing"),
    "an attribute put on SignedInfo": (Shape(after=(("<ds:SignedInfo>", '<ds:SignedInfo Id="x">'),)), "WIB04009", "."),
}  # fmt: skip


@pytest.mark.parametrize(("shape", "code", "names"), REFUSED.values(), ids=REFUSED)
async def test_what_is_outside_the_profile_is_refused_with_the_setting_to_change(hub, shape, code, names):
    answer = await ask(hub, shape)
    said = "".join(answer.element.itertext())
    found = re.search(r"WIB\d{5}", said)
    assert (answer.reply.status, found and found[0]) == (500, code)
    assert re.search(names, said), said
    assert answer.ask.echo not in said


BARE = {  # what HTTP alone refuses, before there is a message to sign a fault for
    "two SOAPActions": (Form(fields=("SOAPAction: x", "SOAPAction: x")), 400, "WIB03005"),
    "SOAPAction and action that differ": (Form(fields=(f"SOAPAction: {ACTION}",), media="application/soap+xml", parameters=f'; action="{SERVICE}/consultDossier"'), 400, "WIB03005"),
    "another charset": (Form(parameters="; charset=iso-8859-1"), 415, "WIB01002"),
    "the other version's media type": (Form(media="application/soap+xml"), 415, "WIB01002"),
    "SOAP with attachments": (Form(media="multipart/related", parameters="; type=text/xml; boundary=b"), 415, "WIB01002"),
    "gzip": (Form(fields=("Content-Encoding: gzip",)), 415, "WIB01003"),
    "another expectation": (Form(fields=("Expect: 200-ok",), waits=True), 400, "WIB01008"),
}  # fmt: skip


@pytest.mark.parametrize(("form", "status", "code"), BARE.values(), ids=BARE)
async def test_what_http_alone_refuses(hub, form, status, code):
    _, reply = await send(hub, Shape(form=form))
    assert (reply.status, reply.body[:8]) == (status, code.encode())
