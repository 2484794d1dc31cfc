"""The good world of the rules, in memory: keys, certificates, and messages as other people's stacks sign them.

A test builds a valid message and breaks one thing. Messages are signed by xmlsec, never by `gateway.wss.sign`,
so that the verifier is not measured against our own idea of a signature.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree

from gateway.model import SoapVersion, Verified
from gateway.refusal import Code, Refusal
from gateway.soap import envelope
from gateway.soap.xml import Limits
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey
from gateway.wss.verify import verify

xmlsec.cleanup_callbacks()  # a reference may name no file

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
WINDOW, LIMITS = Window(), Limits()
V11, V12 = SoapVersion.V11, SoapVersion.V12
SERVICE = "http://workinginbelgium.be/intf/ExchangeService/v1"
ACTION = f"{SERVICE}/sendTestMessage"
CONTENT = f'<s:sendTestMessage xmlns:s="{SERVICE}"><s:criteria><s:echo>good</s:echo></s:criteria></s:sendTestMessage>'

# Written out from the standards, not taken from the code under test.
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
WSA = "http://www.w3.org/2005/08/addressing"
ANONYMOUS = f"{WSA}/anonymous"
X509V3 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
XMLENC = "http://www.w3.org/2001/04/xmlenc#"
SHA256 = f"{XMLENC}sha256"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Holder:
    """A private key and a certificate over it; whom it names is of no concern to `wss`."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def signing(self) -> SigningKey:
        assert isinstance(self.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        return SigningKey(self.key, self.der)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


_KEYS = {
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-2048 of a stranger": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-2048 with exponent 3": lambda: rsa.generate_private_key(3, 2048),
    "rsa-3072": lambda: rsa.generate_private_key(65537, 3072),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "k256": lambda: ec.generate_private_key(ec.SECP256K1()),
    "dsa": lambda: dsa.generate_private_key(1024),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@cache
def holder(kind: str = "rsa-2048") -> Holder:
    """The one holder of that kind in this world."""
    key = _KEYS[kind]()
    return Holder(key, certificate(key.public_key(), key))


def certificate(public_key, signer: PrivateKey, padding: int = 0) -> x509.Certificate:
    """A certificate over `public_key` by an issuer that nobody asked, larger by about `padding` octets."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "holder")])
    builder = x509.CertificateBuilder(
        name, name, public_key, 1, NOW - timedelta(days=1), NOW + timedelta(days=1)
    )
    if padding:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(padding))
        builder = builder.add_extension(unknown, critical=False)
    return builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A message before it is signed. The defaults are the one shape that works everywhere."""

    version: SoapVersion = V11
    content: str = CONTENT
    envelope: str = ""  # more attributes of soap:Envelope
    header: str = ""  # more attributes of soap:Header
    security: str = ""  # more attributes of wsse:Security
    blocks: str = ""  # header blocks before wsse:Security
    order: tuple[str, ...] = ("token", "time", "signature")  # the children of wsse:Security
    holder: Holder = field(default_factory=holder)
    created: str = "2026-06-01T09:00:00.000Z"
    expires: str = "2026-06-01T09:05:00.000Z"
    method: str = f"{MORE}rsa-sha256"
    digest: str = SHA256
    signed: tuple[str, ...] = ("body", "time")  # ids that are referenced
    prefixes: str | None = None  # the PrefixList of each reference
    c14n_prefixes: str | None = None  # that of SignedInfo
    space: str = ""  # white space between the elements of ds:Signature
    edit: tuple[tuple[str, str], ...] = ()  # (old, new): what is said otherwise, before it is signed
    key: xmlsec.Key | None = None  # signs instead of the holder's

    def text(self) -> str:
        """The message with an empty signature."""
        children = {"token": self._token(), "time": self._time(), "signature": self._signature()}
        text = (
            f'<soap:Envelope xmlns:soap="{self.version.value}" xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"{self.envelope}>'
            f"<soap:Header{self.header}>{self.blocks}<wsse:Security{self.security}>"
            f"{''.join(children[child] for child in self.order)}</wsse:Security></soap:Header>"
            f'<soap:Body wsu:Id="body">{self.content}</soap:Body></soap:Envelope>'
        )
        for old, new in self.edit:
            text = once(text, old, new)
        return text

    def _token(self) -> str:
        encoded = base64.b64encode(self.holder.der).decode()
        return (
            f'<wsse:BinarySecurityToken EncodingType="{BASE64}" ValueType="{X509V3}" wsu:Id="token">{encoded}'
            "</wsse:BinarySecurityToken>"
        )

    def _time(self) -> str:
        return (
            f'<wsu:Timestamp wsu:Id="time"><wsu:Created>{self.created}</wsu:Created>'
            f"<wsu:Expires>{self.expires}</wsu:Expires></wsu:Timestamp>"
        )

    def _signature(self) -> str:
        method = (
            f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}">{_inclusive(self.c14n_prefixes)}'
            f'</ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="{self.method}"></ds:SignatureMethod>'
        )
        references = "".join(map(self._reference, self.signed))
        signature = (
            f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>{method}{references}</ds:SignedInfo>'
            "<ds:SignatureValue></ds:SignatureValue><ds:KeyInfo><wsse:SecurityTokenReference>"
            f'<wsse:Reference URI="#token" ValueType="{X509V3}"></wsse:Reference></wsse:SecurityTokenReference>'
            "</ds:KeyInfo></ds:Signature>"
        )
        return signature.replace("><ds:", f">{self.space}<ds:") if self.space else signature

    def _reference(self, id_: str) -> str:
        return (
            f'<ds:Reference URI="#{id_}"><ds:Transforms><ds:Transform Algorithm="{EXCLUSIVE}">'
            f"{_inclusive(self.prefixes)}</ds:Transform></ds:Transforms>"
            f'<ds:DigestMethod Algorithm="{self.digest}"></ds:DigestMethod><ds:DigestValue></ds:DigestValue>'
            "</ds:Reference>"
        )


def _inclusive(prefixes: str | None) -> str:
    if prefixes is None:
        return ""
    return f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="{prefixes}"></ec:InclusiveNamespaces>'


def once(text: str, old: str, new: str) -> str:
    """`text` with its only `old` replaced: a test that changes nothing proves nothing."""
    assert text.count(old) == 1, (text.count(old), old)
    return text.replace(old, new)


_GOOD: ContextVar[Draft | None] = ContextVar("good", default=None)


@contextmanager
def good_message(draft: Draft) -> Iterator[None]:
    """For a while the good message is another one: the tables of flaws then break that one."""
    token = _GOOD.set(draft)
    try:
        yield
    finally:
        _GOOD.reset(token)


def good(**changes) -> Draft:
    """The good message, but for `changes`; not yet signed."""
    return replace(_GOOD.get() or Draft(), **changes)


def build(**changes) -> bytes:
    """The same, validly signed by xmlsec."""
    return sign(good(**changes))


def sign(draft: Draft) -> bytes:
    tree = etree.fromstring(draft.text().encode())
    context = xmlsec.SignatureContext()
    context.key = draft.key or xmlsec.Key.from_memory(draft.holder.key_pem, xmlsec.KeyFormat.PEM)
    for element in tree.iter():
        for name in element.attrib:
            if etree.QName(name).localname in {"Id", "ID", "id", "iD"}:
                _register(context, element, etree.QName(name))
    context.sign(tree.find(f".//{{{DS}}}Signature"))
    return etree.tostring(tree)


def _register(context: xmlsec.SignatureContext, element, name: etree.QName) -> None:
    with suppress(xmlsec.Error):  # a second element of that id: the first one is signed
        context.register_id(element, name.localname, name.namespace)


def wsa(name: str, value: str, id_: str | None = None) -> str:
    """One WS-Addressing 2005/08 block."""
    identified = f' wsu:Id="{id_}"' if id_ else ""
    return f'<wsa:{name} xmlns:wsa="{WSA}"{identified}>{value}</wsa:{name}>'


def reply_to(address: str, name: str = "ReplyTo") -> str:
    return wsa(name, f"<wsa:Address>{address}</wsa:Address>")


def accept(data: bytes, now: datetime = NOW, limits: Limits = LIMITS) -> Verified:
    """What the gateway does with incoming bytes before it asks who signed them."""
    return verify(envelope.read(data, limits), WINDOW, now)


def refused(data: bytes, now: datetime = NOW, limits: Limits = LIMITS) -> Code:
    """The code with which `accept` refuses."""
    with pytest.raises(Refusal) as caught:
        accept(data, now, limits)
    return caught.value.code
