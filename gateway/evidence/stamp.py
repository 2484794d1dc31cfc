"""RFC 3161 time-stamp tokens over a checkpoint: that it, and so every entry below its size, existed at a time.

A token is CMS (RFC 5652) as time-stamping authorities write it. Whether the authority was revoked, `revoked` tells by
lists; and an authority is as good as whoever vouches for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asn1crypto import tsp
from asn1crypto.crl import CertificateList
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store

from gateway.evidence.revoked import cleared
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.identity.leaf import accepted_key

MAX_TOKEN: Final = 64 * 1024  # bytes; with the authority's certificates some 6 KB
_HASHES: Final = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
_SET: Final = b"\x31"  # RFC 5652 §5.4: signed are the attributes as a SET, not as the field that holds them


@dataclass(frozen=True, slots=True)
class Stamped:
    """What an authority says that was to be believed."""

    time: datetime
    cleared: bool  # lists tell that it was not revoked, nor anybody between it and the anchor


def stamped(token: bytes, about: bytes) -> datetime:
    """The time that a response (TimeStampResp, DER) puts on these bytes; who says so is not looked at.

    Raises `ProofError` (LOG678).
    """
    if len(token) > MAX_TOKEN:
        raise ProofError(Flaw.TIMESTAMP, "too large")
    try:
        signed = _signed_data(token)
        told = signed["encap_content_info"]["content"].parsed
        imprint = told["message_imprint"]
        name, digest = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
        time = told["gen_time"].native
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise ProofError(Flaw.TIMESTAMP, "form") from None
    if not isinstance(time, datetime):  # of the year 0 there is none
        raise ProofError(Flaw.TIMESTAMP, "time")
    if name not in _HASHES or digest != hashlib.new(name, about).digest():
        raise ProofError(Flaw.TIMESTAMP, "of something else")
    return time


def check_token(token: bytes, about: bytes, anchors: Sequence[bytes], lists: Sequence[bytes] = ()) -> Stamped:
    """The same of an authority below these anchors (PEM), and nobody else's.

    `lists`: revocation lists (PEM or DER) besides those in the token. Raises `ProofError` (LOG678).
    """
    time = stamped(token, about)
    try:
        signed = _signed_data(token)
        path = _verify(signed, time, anchors)
        return Stamped(time, cleared(path, time, [*map(_list, lists), *_carried(signed)]))
    except ProofError:
        raise
    except Exception:  # noqa: BLE001 - what two libraries raise on malformed input is not a closed list
        raise ProofError(Flaw.TIMESTAMP, "authority") from None


def _list(data: bytes) -> x509.CertificateRevocationList:
    try:
        return x509.load_pem_x509_crl(data) if data.startswith(b"-----") else x509.load_der_x509_crl(data)
    except ValueError:
        raise ProofError(Flaw.TIMESTAMP, "list") from None


def _carried(signed: Any) -> list[x509.CertificateRevocationList]:
    """RFC 5652 §10.2.1. Nobody signs them there: they are signed themselves."""
    found = [one.chosen for one in signed["crls"]]
    return [x509.load_der_x509_crl(one.dump()) for one in found if isinstance(one, CertificateList)]


def _signed_data(token: bytes) -> Any:
    response = tsp.TimeStampResp.load(token, strict=True)
    content = response["time_stamp_token"]
    granted = response["status"]["status"].native in {"granted", "granted_with_mods"}
    if not granted or content["content_type"].native != "signed_data":
        raise ValueError
    if content["content"]["encap_content_info"]["content_type"].native != "tst_info":
        raise ValueError
    return content["content"]


def _verify(signed: Any, time: datetime, anchors: Sequence[bytes]) -> Sequence[x509.Certificate]:
    """RFC 5652 §5.6, and what RFC 3161 §2.3 and §2.4.2 ask of the signer; its path, the anchor last."""
    (signer,) = signed["signer_infos"]
    attributes = {one["type"].native: one["values"] for one in signer["signed_attrs"]}
    hash_ = _HASHES[signer["digest_algorithm"]["algorithm"].native]
    content = bytes(signed["encap_content_info"]["content"])
    (digest,), (kind,) = attributes["message_digest"], attributes["content_type"]
    if digest.native != hashlib.new(hash_.name, content).digest() or kind.native != "tst_info":
        raise ProofError(Flaw.TIMESTAMP, "digest")
    sent = [x509.load_der_x509_certificate(one.chosen.dump()) for one in signed["certificates"]]
    certificate = _named(signer["sid"].chosen, sent)
    if "signing_certificate_v2" in attributes:
        _require_named(attributes["signing_certificate_v2"][0], certificate)
    _require_signature(
        certificate, signer["signature"].native, _SET + signer["signed_attrs"].dump()[1:], hash_
    )
    return _require_authority(certificate, sent, time, anchors)


def _named(sid: Any, sent: Sequence[x509.Certificate]) -> x509.Certificate:
    """By issuer and serial number, as authorities name themselves."""
    wanted = sid["issuer"].dump(), sid["serial_number"].native
    (found,) = {one for one in sent if (one.issuer.public_bytes(), one.serial_number) == wanted}
    return found


def _require_named(attribute: Any, certificate: x509.Certificate) -> None:
    """RFC 5035: the first of the attribute is the signer's. Its predecessor names by SHA-1, which is no protection."""
    named = attribute["certs"][0]
    hash_ = _HASHES[named["hash_algorithm"]["algorithm"].native]
    if certificate.fingerprint(hash_) != named["cert_hash"].native:
        raise ProofError(Flaw.TIMESTAMP, "certificate")


def _require_signature(
    certificate: x509.Certificate, value: bytes, data: bytes, hash_: hashes.HashAlgorithm
) -> None:
    key = accepted_key(certificate.public_key())
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, data, padding.PKCS1v15(), hash_)
        else:
            key.verify(value, data, ec.ECDSA(hash_))
    except InvalidSignature:
        raise ProofError(Flaw.TIMESTAMP, "signature") from None


def _require_authority(
    certificate: x509.Certificate, sent: Sequence[x509.Certificate], time: datetime, anchors: Sequence[bytes]
) -> Sequence[x509.Certificate]:
    """For time stamps and nothing else, critically so; and below an anchor at that time."""
    purpose = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    if not purpose.critical or list(purpose.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise ProofError(Flaw.TIMESTAMP, "purpose")
    roots = [one for data in anchors for one in x509.load_pem_x509_certificates(data)]
    verifier = (
        PolicyBuilder()
        .store(Store(roots))
        .time(time)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    return verifier.verify(certificate, [one for one in sent if one != certificate]).chain
