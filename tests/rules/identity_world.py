"""A root, an issuing authority, their lists and one good certificate, made without the code under test.

`World()` is good; `dataclasses.replace`d plans break one thing each.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.identity.chain import Trust

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
CBE = "0999022202"  # check digits: 97 - 9990222 mod 97 = 02
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
IDENTIFIER = x509.ObjectIdentifier("2.5.4.97")
SIGNATURE, COMMITMENT, CERTIFICATES, LISTS = (
    "digital_signature",
    "content_commitment",
    "key_cert_sign",
    "crl_sign",
)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA-1024": lambda: rsa.generate_private_key(65537, 1024),
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA-2048, e = 3": lambda: rsa.generate_private_key(3, 2048),
}


@cache
def key(kind: str = "P-256", name: str = "leaf"):
    """One key for each name: generation is the slow part."""
    return KEYS[kind]()


def attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute:
    return x509.NameAttribute(oid, value)


def identifier(value: str) -> x509.NameAttribute:
    return attribute(IDENTIFIER, value)


def unit(value: str) -> x509.NameAttribute:
    return attribute(NameOID.ORGANIZATIONAL_UNIT_NAME, value)


def named(common: str) -> x509.Name:
    return x509.Name([attribute(NameOID.COMMON_NAME, common)])


@dataclass(frozen=True)
class Plan:
    """A certificate before it is made; the defaults are those of a good signing certificate."""

    subject: x509.Name = field(default_factory=lambda: x509.Name([identifier(f"NTRBE-{CBE}")]))
    issuer: x509.Name = field(default_factory=lambda: named("issuing"))
    key: object = field(default_factory=key)
    issuer_key: object = field(default_factory=lambda: key(name="issuing"))
    since: datetime = NOW - DAY
    until: datetime = NOW + 100 * DAY
    constraints: x509.BasicConstraints | None = NO_AUTHORITY
    usage: tuple[str, ...] | None = (SIGNATURE, COMMITMENT)
    purposes: tuple[x509.ObjectIdentifier, ...] | None = (DOCUMENT_SIGNING,)
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    hash: hashes.HashAlgorithm | None = field(default_factory=hashes.SHA256)
    serial: int = 1000

    def make(self) -> x509.Certificate:
        builder = x509.CertificateBuilder(self.issuer, self.subject, self.key.public_key(), self.serial)
        builder = builder.not_valid_before(self.since).not_valid_after(self.until)
        for value, critical in self._extensions():
            builder = builder.add_extension(value, critical)
        return builder.sign(self.issuer_key, self.hash)

    def der(self) -> bytes:
        return self.make().public_bytes(Encoding.DER)

    def _extensions(self):
        yield x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False
        yield x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuer_key.public_key()), False
        if self.constraints is not None:
            yield self.constraints, True
        if self.usage is not None:
            yield key_usage(*self.usage), True
        if self.purposes is not None:
            yield x509.ExtendedKeyUsage(self.purposes), False
        yield from self.extra


def key_usage(*which: str) -> x509.KeyUsage:
    every = (
        SIGNATURE, COMMITMENT, "key_encipherment", "data_encipherment", "key_agreement", CERTIFICATES, LISTS,
        "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in which for name in every})


SIGNING = Plan()
TLS = replace(SIGNING, usage=(SIGNATURE,), purposes=(CLIENT, SERVER))
ISSUING = Plan(
    subject=named("issuing"),
    issuer=named("root"),
    key=key(name="issuing"),
    issuer_key=key("P-384", "root"),
    constraints=x509.BasicConstraints(ca=True, path_length=0),
    usage=(CERTIFICATES, LISTS),
    purposes=None,
    hash=hashes.SHA384(),
    serial=2,
)
ROOT = replace(
    ISSUING,
    subject=named("root"),
    key=key("P-384", "root"),
    constraints=x509.BasicConstraints(ca=True, path_length=1),
    serial=1,
)


@dataclass(frozen=True)
class ListPlan:
    """A revocation list before it is made."""

    issuer: x509.Name = field(default_factory=lambda: named("issuing"))
    key: object = field(default_factory=lambda: key(name="issuing"))
    since: datetime = NOW - DAY
    until: datetime = NOW + 7 * DAY
    revoked: tuple[int, ...] = (4711,)
    entry: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ((x509.CRLNumber(1), False),)

    def pem(self) -> bytes:
        builder = x509.CertificateRevocationListBuilder(self.issuer, self.since, self.until)
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(self._entry(serial))
        for value, critical in self.extra:
            builder = builder.add_extension(value, critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _entry(self, serial: int) -> x509.RevokedCertificate:
        builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY)
        for value, critical in self.entry:
            builder = builder.add_extension(value, critical)
        return builder.build()


ISSUING_LIST = ListPlan()
ROOT_LIST = ListPlan(issuer=named("root"), key=key("P-384", "root"))


@dataclass(frozen=True)
class World:
    """Whom the hub believes."""

    anchors: tuple[Plan, ...] = (ROOT,)
    intermediates: tuple[Plan, ...] = (ISSUING,)
    lists: tuple[ListPlan, ...] = (ROOT_LIST, ISSUING_LIST)

    def trust(self) -> Trust:
        return Trust.load(
            [plan.make().public_bytes(Encoding.PEM) for plan in self.anchors],
            [plan.make().public_bytes(Encoding.PEM) for plan in self.intermediates],
            [plan.pem() for plan in self.lists],
        )


@cache
def good_trust() -> Trust:
    return World().trust()
