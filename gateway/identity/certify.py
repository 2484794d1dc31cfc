"""One certificate, request or revocation list at a time, by the profiles of certs/README.md.

Key, holder and `now` in, signed object out; nothing is read or written. `leaf` and `chain` judge what comes
out of here exactly as they judge anybody's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.identity.leaf import (
    DOCUMENT_SIGNING,
    ORGANIZATION_IDENTIFIER,
    SCHEME,
    PublicKey,
    Purpose,
    accepted_key,
    enterprise,
)
from gateway.model import Authority
from gateway.refusal import Code, Refusal

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

ROOT_LIFE: Final = timedelta(days=3652)
ISSUING_LIFE: Final = timedelta(days=1826)
LEAF_LIFE: Final = timedelta(days=365)
CRL_LIFE: Final = timedelta(days=30)
BACKDATED: Final = timedelta(minutes=5)  # a peer's clock may be late
_TLS: Final = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
NAME_LENGTH: Final = 64  # RFC 5280 appendix A: ub-organization-name, ub-common-name


@dataclass(frozen=True, slots=True)
class Issuer:
    """A certificate authority: who it is and the key it signs with."""

    certificate: x509.Certificate
    key: PrivateKey


def issue_root(key: PrivateKey, now: datetime) -> Issuer:
    """A self-signed trust anchor that may have one level of authorities below it."""
    name = _authority_name("Development root")
    builder = _builder(name, name, key.public_key(), key.public_key(), now, ROOT_LIFE)
    return Issuer(_signed(_as_authority(builder, below=1), key), key)


def issue_issuing(key: PrivateKey, root: Issuer, now: datetime) -> Issuer:
    """The authority that issues to the hub and to the authorities of the register."""
    name, parent = _authority_name("Development issuing"), root.certificate
    builder = _builder(name, parent.subject, key.public_key(), root.key.public_key(), now, ISSUING_LIFE)
    return Issuer(_signed(_as_authority(builder, below=0), root.key), key)


def issue_leaf(
    key: PublicKey, holder: Authority, purpose: Purpose, issuer: Issuer, now: datetime
) -> x509.Certificate:
    """A certificate for an authority of the register, or for the hub."""
    builder = _builder(
        subject(holder, purpose), issuer.certificate.subject, key, issuer.key.public_key(), now, LEAF_LIFE
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(commitment=purpose is Purpose.SIGN), critical=True)
    if purpose is Purpose.SIGN:
        builder = builder.add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), critical=False)
    else:
        builder = builder.add_extension(x509.ExtendedKeyUsage(_TLS), critical=False)
        builder = builder.add_extension(_names(holder), critical=False)
    return _signed(builder, issuer.key)


def issue_crl(
    issuer: Issuer,
    now: datetime,
    *,
    before: x509.CertificateRevocationList | None = None,
    revoke: Sequence[int] = (),
) -> x509.CertificateRevocationList:
    """A complete list: what stood in `before`, and the serial numbers of `revoke`. The number rises by one."""
    entries = [*(before or ())]
    known = {entry.serial_number for entry in entries}
    entries += [
        x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        for serial in revoke
        if serial not in known
    ]
    number = 1 if before is None else _number(before) + 1
    builder = x509.CertificateRevocationListBuilder(
        issuer.certificate.subject, now - BACKDATED, now + CRL_LIFE, [], entries
    ).add_extension(x509.CRLNumber(number), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
    )
    return builder.sign(issuer.key, _hash(issuer.key))


def request(key: PrivateKey, holder: Authority, purpose: Purpose) -> x509.CertificateSigningRequest:
    """A request that proves possession of `key`; names are what `issue_leaf` will certify."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(holder, purpose))
    return builder.sign(key, _hash(key))


def certify(
    pem: bytes, holder: Authority, purpose: Purpose, issuer: Issuer, now: datetime
) -> x509.Certificate:
    """A certificate for the key of a PEM request. Names come from the register, never from the request, but
    a request that names somebody else is a mix-up.

    Raises Refusal: CERTIFICATE, about "form", "proof of possession", "key" or "subject".
    """
    try:
        asked = x509.load_pem_x509_csr(pem)
        key, name, proven = asked.public_key(), asked.subject, asked.is_signature_valid
    except Exception as error:  # as in `leaf`: what the library raises is not a closed list
        raise Refusal(Code.CERTIFICATE, "form") from error
    if not proven:
        raise Refusal(Code.CERTIFICATE, "proof of possession")
    if enterprise(name) != holder.enterprise:
        raise Refusal(Code.CERTIFICATE, "subject")
    return issue_leaf(accepted_key(key), holder, purpose, issuer, now)


def subject(holder: Authority, purpose: Purpose) -> x509.Name:
    """The subject of certs/README.md: identity in organizationIdentifier and, where there is one, the unit."""
    attributes = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "BE"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, holder.name[:NAME_LENGTH]),
        x509.NameAttribute(ORGANIZATION_IDENTIFIER, SCHEME + holder.enterprise.cbe),
    ]
    if holder.enterprise.unit is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, holder.enterprise.unit))
    common = holder.tls_name if purpose is Purpose.TLS else f"{holder.id} signing"
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common[:NAME_LENGTH])])


def _names(holder: Authority) -> x509.SubjectAlternativeName:
    """The register's DNS name; the hub, which has no role, is reached by loopback names as well."""
    names: list[x509.GeneralName] = [x509.DNSName(holder.tls_name)]
    if holder.role is None:
        names += [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    return x509.SubjectAlternativeName(names)


def _authority_name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "BE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Working in Belgium, development only"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _builder(  # noqa: PLR0913, PLR0917 - the fields that every certificate has, in their order
    name: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    issuer_key: PublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, name, key, x509.random_serial_number())
    builder = builder.not_valid_before(now - BACKDATED).not_valid_after(now + life)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return builder.add_extension(identifier, critical=False)


def _as_authority(builder: x509.CertificateBuilder, below: int) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
    return builder.add_extension(_key_usage(authority=True), critical=True)


def _key_usage(*, commitment: bool = False, authority: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(key, _hash(key))


def _hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    strong = isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256
    return hashes.SHA384() if strong else hashes.SHA256()


def _number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
