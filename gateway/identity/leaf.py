"""What an end-entity certificate says of itself: whose it is, what for, with which key (certs/README.md).

The tables of certs/README.md are normative; this module is their code. Whether anybody vouches for the
certificate, and whether it is valid now, is left to `chain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.agreement.identifiers import check_cbe
from gateway.model import Enterprise
from gateway.refusal import Code, Refusal
from gateway.wss.profile import CURVES, RSA_BITS, RSA_EXPONENTS

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # id-kp-documentSigning, RFC 9336
ORGANIZATION_IDENTIFIER: Final = NameOID.ORGANIZATION_IDENTIFIER  # 2.5.4.97
SCHEME: Final = "NTRBE-"  # national trade register, Belgium: ETSI EN 319 412-1 §5.1.4
HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
E = TypeVar("E", bound=x509.ExtensionType)
_TLS: Final = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH})


class Purpose(StrEnum):
    """What a certificate is issued and enrolled for. No certificate serves both. The words are file names too."""

    SIGN = "sign"
    TLS = "tls"


class Usage(StrEnum):
    """What a certificate is shown for."""

    SIGNING = "signing"
    TLS_CLIENT = "tls-client"
    TLS_SERVER = "tls-server"

    @property
    def purpose(self) -> Purpose:
        return Purpose.SIGN if self is Usage.SIGNING else Purpose.TLS


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate that has the profile of its usage. Nobody has vouched for it yet."""

    certificate: x509.Certificate
    public_key: PublicKey
    enterprise: Enterprise


def read_leaf(der: bytes, usage: Usage) -> Leaf:
    """Read one DER certificate that is shown for `usage`.

    Raises Refusal: CERTIFICATE, about "form", "algorithm", "usage", "key" or "subject".
    """
    certificate = read_certificate(der)
    require_hash(certificate)
    require_usage(certificate.extensions, usage)
    return Leaf(certificate, accepted_key(certificate.public_key()), enterprise(certificate.subject))


def read_certificate(der: bytes) -> x509.Certificate:
    """DER of one certificate, all of it readable, no byte behind it (attack K11).

    Raises Refusal: CERTIFICATE, about "form".
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions, certificate.subject, certificate.public_key()
    except Exception as error:  # what the library raises on malformed input is not a closed list
        raise Refusal(Code.CERTIFICATE, "form") from error
    # X.690 §8.6.2.2: no unused bits before the signature's octets. The library reads over a false count, and
    # one certificate would have several encodings, each with a fingerprint of its own.
    if not der.endswith(b"\0" + certificate.signature):
        raise Refusal(Code.CERTIFICATE, "form")
    return certificate


def accepted_key(key: object) -> PublicKey:
    """The key, if the profile allows it: RSA of 2048 to 4096 bits with an exponent of the profile, or ECDSA on P-256 or P-384.

    Raises Refusal: CERTIFICATE, about "key" (attack K21).
    """
    match key:
        case rsa.RSAPublicKey() if key.key_size in RSA_BITS and key.public_numbers().e in RSA_EXPONENTS:
            return key
        case ec.EllipticCurvePublicKey() if key.curve.name in CURVES:
            return key
        case _:
            raise Refusal(Code.CERTIFICATE, "key")


def require_hash(signed: x509.Certificate | x509.CertificateRevocationList) -> None:
    """The issuer signed over SHA-256, SHA-384 or SHA-512 (attack K22).

    Raises Refusal: CERTIFICATE, about "algorithm".
    """
    try:
        algorithm = signed.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise Refusal(Code.CERTIFICATE, "algorithm") from error
    if not isinstance(algorithm, HASHES):
        raise Refusal(Code.CERTIFICATE, "algorithm")


def enterprise(subject: x509.Name) -> Enterprise:
    """The legal identity in a subject: one organizationIdentifier, at most one organizationalUnitName.

    Compared byte for byte later on, so nothing is folded, trimmed or normalised here (attacks K14, I09).
    Raises Refusal: CERTIFICATE, about "subject".
    """
    identifiers = subject.get_attributes_for_oid(ORGANIZATION_IDENTIFIER)
    units = [one.value for one in subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)]
    if len(identifiers) != 1 or len(units) > 1 or any(len(list(rdn)) != 1 for rdn in subject.rdns):
        raise Refusal(Code.CERTIFICATE, "subject")
    value, unit = identifiers[0].value, units[0] if units else None
    if not isinstance(value, str) or not value.startswith(SCHEME) or isinstance(unit, bytes):
        raise Refusal(Code.CERTIFICATE, "subject")
    try:
        return Enterprise(check_cbe(value.removeprefix(SCHEME)), unit)
    except Refusal as error:
        raise Refusal(Code.CERTIFICATE, "subject") from error


def require_usage(extensions: x509.Extensions, usage: Usage) -> None:
    """keyUsage, extendedKeyUsage and basicConstraints are those of the usage.

    Raises Refusal: CERTIFICATE, about "usage".
    """
    constraints = _extension(extensions, x509.BasicConstraints)
    keys, purposes = _extension(extensions, x509.KeyUsage), _extension(extensions, x509.ExtendedKeyUsage)
    if keys is None or purposes is None or (constraints is not None and constraints.ca):
        raise Refusal(Code.CERTIFICATE, "usage")  # attacks K17, K18
    oids = frozenset(purposes)
    signing = keys.content_commitment and oids == {DOCUMENT_SIGNING}
    wanted = ExtendedKeyUsageOID.SERVER_AUTH if usage is Usage.TLS_SERVER else ExtendedKeyUsageOID.CLIENT_AUTH
    tls = not keys.content_commitment and wanted in oids and oids <= _TLS
    fits = signing if usage is Usage.SIGNING else tls
    if not fits or not keys.digital_signature or keys.key_cert_sign or keys.crl_sign:
        raise Refusal(Code.CERTIFICATE, "usage")


def _extension(extensions: x509.Extensions, kind: type[E]) -> E | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
