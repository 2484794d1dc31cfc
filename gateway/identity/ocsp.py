"""OCSP (RFC 6960): the question about one certificate, and what a responder's answer is worth.

Bytes in, `Word` out. Who is asked, stands in the settings alone: an address inside a certificate or a message is
never read (attack K24). Moving the bytes is for `adapters.ocsp`; what was judged is kept in `revocation.Answers`.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.identity.leaf import HASHES, PublicKey, accepted_key, require_hash
from gateway.identity.revocation import Word
from gateway.identity.trust import Revocations

NONCE_BYTES: Final = 32  # RFC 9654 §2.1
# A responder's clock may be a little ahead, as a peer's (PROTOCOL §4.7).
_AHEAD: Final = timedelta(seconds=60)


class OcspError(Exception):
    """An answer that is worth nothing. `reason` is one of this module's own words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Question:
    """One certificate, its issuer, and the nonce that the answer must repeat; None sends none."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    nonce: bytes | None

    def der(self) -> bytes:
        """The request: one certificate, named over SHA-256."""
        builder = ocsp.OCSPRequestBuilder().add_certificate(self.certificate, self.issuer, SHA256())
        if self.nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(self.nonce), critical=False)
        return builder.build().public_bytes(Encoding.DER)


def judge(der: bytes, question: Question, listed: Revocations | None, now: datetime) -> Word:
    """What the answer says (RFC 6960 §3.2). `listed`: the list of the same issuer, for a delegated responder.

    Raises OcspError: "form", "status", "certificate id", "algorithm", "responder", "signature", "nonce",
    "time" or "unknown".
    """
    response = _parsed(der)
    single = _single(response, question)
    _require_signature(response, _signer(response, question.issuer, listed, now))
    _require_nonce(response, question.nonce)
    until = single.next_update_utc
    if until is None or not single.this_update_utc - _AHEAD <= now <= until:
        raise OcspError("time")
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise OcspError("unknown")
    revoked = single.certificate_status is ocsp.OCSPCertStatus.REVOKED
    return Word(min(single.this_update_utc, now), until, revoked)


def _parsed(der: bytes) -> ocsp.OCSPResponse:
    """Read as a whole: what is malformed shows itself here, as in `leaf`."""
    try:
        response = ocsp.load_der_ocsp_response(der)
        status = response.response_status
    except Exception as error:  # what the library raises on malformed input is not a closed list
        raise OcspError("form") from error
    if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise OcspError("status")
    try:
        singles = list(response.responses)
        critical = [one for one in response.extensions if one.critical]
        critical += [one for one in response.single_extensions if one.critical]
        _ = response.certificates, response.responder_name, [one.hash_algorithm for one in singles]
    except Exception as error:  # as above
        raise OcspError("form") from error
    if len(singles) != 1 or critical or response.public_bytes(Encoding.DER) != der:
        raise OcspError("form")
    return response


def _single(response: ocsp.OCSPResponse, question: Question) -> ocsp.OCSPSingleResponse:
    """The one answer, about the very certificate that was asked about, named as it was."""
    (single,) = response.responses
    asked = ocsp.load_der_ocsp_request(question.der())
    same = (
        isinstance(single.hash_algorithm, SHA256)
        and single.issuer_name_hash == asked.issuer_name_hash
        and single.issuer_key_hash == asked.issuer_key_hash
        and single.serial_number == asked.serial_number
    )
    if not same:
        raise OcspError("certificate id")
    return single


def _signer(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, listed: Revocations | None, now: datetime
) -> PublicKey:
    """The key of the responder that the answer names: the issuer, or one that it appointed (§4.2.2.2)."""
    delegates = [one for one in response.certificates if _appointed(response, one, issuer, listed, now)]
    if _is_named(response, issuer):
        return accepted_key(issuer.public_key())
    if len(delegates) != 1:
        raise OcspError("responder")
    return accepted_key(delegates[0].public_key())


def _is_named(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    # RFC 6960 §4.2.1: KeyHash is SHA-1, a name and no protection.
    digest = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    return digest == response.responder_key_hash


def _appointed(
    response: ocsp.OCSPResponse,
    responder: x509.Certificate,
    issuer: x509.Certificate,
    listed: Revocations | None,
    now: datetime,
) -> bool:
    """Named by the answer, issued by the very issuer, to answer and for nothing else, valid now and not revoked."""
    try:
        responder.verify_directly_issued_by(issuer)
        require_hash(responder)
        accepted_key(responder.public_key())
        purposes = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        answers = list(purposes) == [ExtendedKeyUsageOID.OCSP_SIGNING] and _may_sign(responder.extensions)
        answers = answers and _is_named(response, responder)
    except Exception:  # noqa: BLE001 - as above; whatever is wrong with it, it is not appointed
        return False
    valid = responder.not_valid_before_utc <= now <= responder.not_valid_after_utc
    return answers and valid and _is_cleared(responder, listed, now)


def _may_sign(extensions: x509.Extensions) -> bool:
    """No authority, no key for another use, nothing critical that is not understood here."""
    for one in extensions:
        match one.value:
            case x509.BasicConstraints(ca=is_authority) if is_authority:
                return False
            case x509.KeyUsage(digital_signature=signs) if not signs:
                return False
            case x509.BasicConstraints() | x509.KeyUsage() | x509.ExtendedKeyUsage():
                continue
            case _ if one.critical:
                return False
    return True


def _is_cleared(responder: x509.Certificate, listed: Revocations | None, now: datetime) -> bool:
    """§4.2.2.2.1: on no list; and either a current list says so, or its issuer wants nobody to ask."""
    if listed is not None:
        if listed.crl.get_revoked_certificate_by_serial_number(responder.serial_number) is not None:
            return False
        if listed.this_update <= now <= listed.next_update:
            return True
    return _has_no_check(responder.extensions)


def _has_no_check(extensions: x509.Extensions) -> bool:
    return any(isinstance(one.value, x509.OCSPNoCheck) for one in extensions)


def _require_signature(response: ocsp.OCSPResponse, key: PublicKey) -> None:
    try:
        algorithm = response.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise OcspError("algorithm") from error
    if not isinstance(algorithm, HASHES):  # SHA-1 too: attack K22
        raise OcspError("algorithm")
    signed = response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, signed, padding.PKCS1v15(), algorithm)
        else:
            key.verify(response.signature, signed, ec.ECDSA(algorithm))
    except InvalidSignature as error:
        raise OcspError("signature") from error


def _require_nonce(response: ocsp.OCSPResponse, nonce: bytes | None) -> None:
    if nonce is None:
        return
    found: Sequence[bytes] = [
        one.value.nonce for one in response.extensions if isinstance(one.value, x509.OCSPNonce)
    ]
    if len(found) != 1 or not hmac.compare_digest(found[0], nonce):
        raise OcspError("nonce")
