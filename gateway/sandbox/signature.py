"""The message signature of a zeep client: what an authority's developers have to write, and nothing else.

zeep signs neither a Timestamp of its own making nor addressing, and would verify replies with the client's
own certificate, whatever part of them was signed.
"""
# zeep and xmlsec declare some of their types only:
# mypy: disable-error-code="no-untyped-call, attr-defined"

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import xmlsec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate
from lxml import etree
from zeep.utils import detect_soap_env
from zeep.wsse.signature import BinarySignature
from zeep.wsse.utils import ensure_id, get_security_header

from gateway.exchangelog.flaw import ProofError
from gateway.refusal import Refusal
from gateway.sandbox.place import Identity
from gateway.soap import names
from gateway.soap.envelope import read
from gateway.soap.xml import Element, Limits
from gateway.wss import times
from gateway.wss.profile import Window
from gateway.wss.verify import verify

Clock = Callable[[], datetime]
SHA1: Final = (xmlsec.Transform.RSA_SHA1, xmlsec.Transform.SHA1)  # what the hub must refuse


def now() -> datetime:
    return datetime.now(UTC)


class UntrustedReply(Exception):  # noqa: N818 - a state of the reply
    """What came back is not what the hub signed, or did not come at all: nothing in it may be used."""


class UnprovenReply(UntrustedReply):
    """The hub signed it, and the exchange log did not record what it brings. `error` says which."""

    def __init__(self, error: ProofError) -> None:
        super().__init__(str(error))
        self.error = error


class MessageSignature(BinarySignature):
    """Signs Body, Timestamp and addressing; accepts replies of the pinned hub alone.

    Over zeep's own class: a Timestamp, more signed parts, ECDSA, and another party's certificate to verify
    with. `algorithms` and `sign_time` are there for `tricks`: by default what the profile wants.
    """

    def __init__(
        self,
        identity: Identity,
        hub_certificate: bytes,
        *,
        algorithms: tuple[Any, Any] | None = None,
        sign_time: bool = True,
        clock: Clock = now,
    ) -> None:
        key = load_pem_x509_certificate(identity.sign_certificate.read_bytes()).public_key()
        rsa = isinstance(key, RSAPublicKey)
        usual = xmlsec.Transform.RSA_SHA256 if rsa else xmlsec.Transform.ECDSA_SHA256
        method, digest = algorithms or (usual, xmlsec.Transform.SHA256)
        super().__init__(str(identity.sign_key), str(identity.sign_certificate), None, method, digest)
        self._hub = hub_certificate
        self._sign_time = sign_time
        self._clock = clock
        self.body = b""  # of the last reply: the bytes that the hub signed

    def apply(self, envelope: Element, headers: dict[str, str]) -> tuple[Element, dict[str, str]]:
        """The envelope with its security header. Whatever is signed must stand in it already."""
        security = get_security_header(envelope)
        security.append(_timestamp(self._clock()))
        token = etree.SubElement(security, names.TOKEN, EncodingType=names.BASE64, ValueType=names.X509V3)
        token.text = "".join(self.cert_data.decode().split("-----")[2].split())
        signature = xmlsec.template.create(envelope, xmlsec.Transform.EXCL_C14N, self.signature_method)
        security.append(signature)
        reference = etree.SubElement(xmlsec.template.ensure_key_info(signature), names.TOKEN_REFERENCE)
        uri = f"#{ensure_id(token)}"
        etree.SubElement(reference, names.TOKEN_DIRECT, URI=uri, ValueType=names.X509V3)
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(self.key_data, xmlsec.KeyFormat.PEM, None)
        for part in _parts(envelope, security, time=self._sign_time):
            uri = f"#{ensure_id(part)}"
            context.register_id(part, "Id", names.WSU)
            one = xmlsec.template.add_reference(signature, self.digest_method, uri=uri)
            xmlsec.template.add_transform(one, xmlsec.Transform.EXCL_C14N)
        context.sign(signature)
        return envelope, headers

    def verify(self, envelope: Element) -> Element:
        """Raises UntrustedReply. zeep would only ask whether some signature of its own key is there."""
        try:
            verified = verify(read(etree.tostring(envelope), Limits()), Window(), now())
        except Refusal as refusal:
            raise UntrustedReply(str(refusal)) from refusal
        if verified.certificate != self._hub:
            raise UntrustedReply("signed with another certificate than the pinned one of the hub")
        self.body = verified.body
        return envelope


def _timestamp(moment: datetime) -> Element:
    timestamp = etree.Element(names.TIMESTAMP, nsmap={"wsu": names.WSU})
    etree.SubElement(timestamp, names.CREATED).text = times.write(moment)
    etree.SubElement(timestamp, names.EXPIRES).text = times.write(moment + timedelta(minutes=5))
    return timestamp


def _parts(envelope: Element, security: Element, *, time: bool) -> list[Element]:
    """Body, Timestamp, and every WS-Addressing header."""
    version = detect_soap_env(envelope)
    body, header = envelope.find(f"{{{version}}}Body"), envelope.find(f"{{{version}}}Header")
    timestamp = security.find(names.TIMESTAMP)
    assert body is not None
    assert header is not None
    assert timestamp is not None
    parts = [body, timestamp] if time else [body]
    return [*parts, *(block for block in header if str(block.tag).startswith(f"{{{names.WSA}}}"))]
