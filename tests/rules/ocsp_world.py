"""An OCSP responder in memory, made without the code under test. `Plan()` is good; replaced plans break one thing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.rules.identity_world import DAY, ISSUING, NOW, SECOND, SIGNATURE, SIGNING, key, named
from tests.rules.identity_world import Plan as Leaf

NONCE = bytes(range(32))
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
RESPONDER = Leaf(
    subject=named("responder"),
    key=key(name="responder"),
    usage=(SIGNATURE,),
    purposes=(ExtendedKeyUsageOID.OCSP_SIGNING,),
    extra=((x509.OCSPNoCheck(), False),),
    serial=77,
)


@cache
def issuer() -> x509.Certificate:
    return ISSUING.make()


@cache
def leaf() -> x509.Certificate:
    return SIGNING.make()


@dataclass(frozen=True)
class Plan:
    """An answer before it is made."""

    status: ocsp.OCSPCertStatus = GOOD
    certificate: x509.Certificate = field(default_factory=leaf)
    issuer: x509.Certificate = field(default_factory=issuer)
    since: datetime = NOW - SECOND
    until: datetime | None = NOW + DAY
    named_by: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    nonce: bytes | None = NONCE
    responder: Leaf | None = None  # None: the issuer itself
    sent: bool = True  # its certificate is in the answer
    encoding: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.HASH
    hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    certificates: tuple[x509.Certificate, ...] = ()
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()

    def der(self) -> bytes:
        responder = self.issuer if self.responder is None else self.responder.make()
        sent = [*([responder] if self.responder and self.sent else []), *self.certificates]
        builder = ocsp.OCSPResponseBuilder().responder_id(self.encoding, responder)
        revoked = self.status is REVOKED
        moments = self.since, self.until, NOW - DAY if revoked else None
        builder = builder.add_response(
            self.certificate, self.issuer, self.named_by, self.status, *moments, None
        )
        if sent:
            builder = builder.certificates(sent)
        if self.nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(self.nonce), critical=False)
        for value, critical in self.extra:
            builder = builder.add_extension(value, critical)
        own = ISSUING.key if self.responder is None else self.responder.key
        return builder.sign(own, self.hash).public_bytes(Encoding.DER)


def tlv(tag: int, *content: bytes) -> bytes:
    """X.690: one value of DER."""
    data = b"".join(content)
    if len(data) < 128:
        return bytes([tag, len(data)]) + data
    length = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(length)]) + length + data


def values(data: bytes) -> list[bytes]:
    """The values that stand one behind the other."""
    found = []
    while data:
        size, head = data[1], 2
        if size > 127:
            head += size - 128
            size = int.from_bytes(data[2:head], "big")
        found.append(data[: head + size])
        data = data[head + size :]
    return found


def content(value: bytes) -> bytes:
    head = 2 if value[1] < 128 else 2 + value[1] - 128
    return value[head:]


def told_twice() -> bytes:
    """RFC 6960 §4.2.1: a good answer with its one SingleResponse doubled, signed anew by the issuer."""
    made = ocsp.load_der_ocsp_response(Plan().der())
    responder, produced, singles, extensions = values(content(made.tbs_response_bytes))
    tbs = tlv(0x30, responder, produced, tlv(0x30, content(singles) * 2), extensions)
    signature = ISSUING.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    ecdsa, basic = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("06092b0601050507300101")
    answer = tlv(0x30, tbs, ecdsa, tlv(0x03, b"\0", signature))
    return tlv(0x30, tlv(0x0A, b"\0"), tlv(0xA0, tlv(0x30, basic, tlv(0x04, answer))))


DELEGATED = Plan(responder=RESPONDER)


def appointed(**change: object) -> Plan:
    """An answer by a responder whose certificate differs in one thing."""
    return replace(DELEGATED, responder=replace(RESPONDER, **change))
