"""Whether a time-stamping authority was revoked (RFC 3161 §4): by lists that its token carries, or that are brought along."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ReasonFlags

from gateway.exchangelog.flaw import Flaw, ProofError

_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
# RFC 3161 §4: for one of these, stamps of before stay good. For every other reason, or none, all of the key are bad.
_ENDED: Final = frozenset(
    {
        ReasonFlags.unspecified,
        ReasonFlags.affiliation_changed,
        ReasonFlags.superseded,
        ReasonFlags.cessation_of_operation,
    }
)


def cleared(
    path: Sequence[x509.Certificate], time: datetime, lists: Sequence[x509.CertificateRevocationList]
) -> bool:
    """Whether lists tell of each certificate below the anchor that it was not revoked. `path`: the anchor last.

    Raises `ProofError` (LOG678) for one that was.
    """
    told = [
        _cleared(one, issuer, time, lists) for one, issuer in pairwise(path)
    ]  # each may have been revoked
    return all(told)


def _cleared(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    time: datetime,
    lists: Sequence[x509.CertificateRevocationList],
) -> bool:
    known = False
    for one in lists:
        if not _is_of(one, issuer):
            continue
        entry = one.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None and (entry.revocation_date_utc <= time or _reason(entry) not in _ENDED):
            raise ProofError(Flaw.TIMESTAMP, "revoked")
        # A list with a critical extension is of some certificates or reasons only: it accuses, and clears nobody.
        partial = any(extension.critical for extension in one.extensions)
        known |= not partial and (one.next_update_utc is None or time <= one.next_update_utc)
    return known


def _is_of(one: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return (
            one.issuer == issuer.subject
            and isinstance(one.signature_hash_algorithm, _HASHES)
            and one.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # of another kind: TypeError
        )
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _reason(entry: x509.RevokedCertificate) -> ReasonFlags | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None
