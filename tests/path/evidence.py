"""Evidence files of exchanges that went through the hub in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from msgspec import structs

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_evidence import EvidenceReader
from gateway.agreement import messages
from gateway.evidence import container
from gateway.evidence.check import Given, check
from gateway.evidence.contents import Contents
from gateway.evidence.file import written
from gateway.evidence.xades import seal
from gateway.exchangelog import entry
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.note import Signer
from gateway.identity.certify import Issuer, issue_leaf
from gateway.identity.issue import KeyKind, new_ec_key
from gateway.identity.leaf import Purpose
from gateway.model import Answer, ExchangeId, Outcome, Permitted, SoapVersion
from gateway.soap.envelope import read
from gateway.soap.xml import Limits
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey, sign
from gateway.wss.verify import verify
from tests.exchanges import exchange_id, permitted, released
from tests.path.hub import HUB, NOW, Hub, agreement, authority, pki, question, register, signing_key

ORIGIN = "test.example/log"


def contents(hub: Hub, index: int, note: bytes | None = None, token: bytes | None = None) -> Contents:
    keys = BucketKeys.open(hub.path.parent / "bucket-keys")
    with EvidenceReader.open(hub.path, keys) as log:
        return log.contents(index, hub.now, note, token)


def exported(hub: Hub, index: int, **given: bytes) -> bytes:
    return written(contents(hub, index, **given), signing_key(HUB, "sign-rsa"), hub.now)


def given(**change: object) -> Given:
    key = load_pem_private_key(pki()["HUB/log.key.pem"], None)
    verifier = Signer.of(ORIGIN, key).verifier
    return Given(**{"verifiers": [verifier], "anchors": [pki()["root.crt.pem"]], **change})


def flaws(data: bytes, **change: object) -> set[Flaw]:
    return {finding.flaw for finding in check(data, given(**change)).findings}


def members(data: bytes) -> dict[str, bytes]:
    return container.read(data)


def forged(data: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """What somebody can do who does not have the hub's key."""
    pieces = members(data)
    change(pieces)
    return container.write(pieces)


def resealed(data: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """What the hub itself could do, or whoever stole its signing key, though not that of the log."""
    pieces = {name: one for name, one in members(data).items() if not name.startswith("META-INF/")}
    change(pieces)
    return written_by(pieces, signing_key(HUB, "sign-rsa"))


def written_by(pieces: dict[str, bytes], pair: SigningKey) -> bytes:
    return container.write(seal(pieces, pair, NOW))


def with_crl(serial: int, revoked: datetime, issued: datetime) -> Callable[[dict[str, bytes]], None]:
    """In the place of the issuing authority's list one that revokes a certificate."""

    def change(pieces: dict[str, bytes]) -> None:
        pem = revoking(serial, revoked, issued)
        listed = x509.load_pem_x509_crl(pem)
        for name in [name for name in pieces if name.startswith("trust/crls/")]:
            if x509.load_der_x509_crl(pieces[name]).issuer == listed.issuer:
                del pieces[name]
        der = listed.public_bytes(Encoding.DER)
        pieces[f"trust/crls/{hashlib.sha256(der).hexdigest()}.crl"] = der

    return change


def revoking(serial: int, revoked: datetime, issued: datetime) -> bytes:
    """A list of the issuing authority, PEM."""
    issuer = x509.load_pem_x509_certificate(pki()["issuing.crt.pem"])
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked).build()
    builder = x509.CertificateRevocationListBuilder(issuer.subject, issued, issued + timedelta(days=30))
    builder = builder.add_revoked_certificate(entry).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
    )
    return builder.sign(issuing_key(), SHA256()).public_bytes(Encoding.PEM)


def issuing_key() -> EllipticCurvePrivateKey:
    return load_pem_private_key(pki()["issuing.key.pem"], None)


def serial_of(name: str) -> int:
    return x509.load_der_x509_certificate(signing_key(name).certificate).serial_number


def past_pair(name: str, now: datetime) -> SigningKey:
    """A pair of an authority whose certificate ended before the good ones began."""
    key = new_ec_key(KeyKind.P256)
    issuer = Issuer(x509.load_pem_x509_certificate(pki()["issuing.crt.pem"]), issuing_key())
    certificate = issue_leaf(key.public_key(), authority(name), Purpose.SIGN, issuer, now)
    return SigningKey(key, certificate.public_bytes(Encoding.DER))


def signed_with(pair: SigningKey) -> bytes:
    """A question of BRUSSELS that a hub would refuse."""
    asked = question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, NOW)
    body = messages.write_question(asked)
    return sign(body, version=SoapVersion.V11, key=pair, now=NOW, lifetime=timedelta(minutes=5), unique="1")


async def record(hub: Hub, message: bytes, now: datetime = NOW) -> tuple[Permitted, ExchangeId]:
    """As a hub would record it that asks nothing of a certificate."""
    verified = verify(read(message, Limits()), Window(), NOW)
    usual = permitted()
    caller = structs.replace(usual.request.caller, authority=authority("BRUSSELS"), verified=verified)
    request = structs.replace(usual.request, caller=caller)
    made, id_ = structs.replace(usual, request=request, revision=agreement().revision), exchange_id()
    await hub.store.append(entry.forwarded(made, id_, now, os.urandom))
    return made, id_


async def record_answer(hub: Hub, made: Permitted, id_: ExchangeId, **change: object) -> None:
    """As a hub would record it that answers by itself, and releases what it likes."""
    answer = Answer(register().hub, Outcome.DATA_FOUND, None, b"")
    said = released(made, **{"answers": (answer,), **change})
    await hub.store.append(entry.returned(said, id_, NOW, os.urandom))
