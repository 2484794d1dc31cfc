"""From a certificate that somebody showed to one that is believed now: path, validity, revocation.

Path building, signatures, name and path-length constraints and unknown critical extensions are judged by
cryptography's verifier. It knows nothing of revocation, key sizes and this project's usages: those are judged here and in `leaf`. Nothing is ever fetched (attack K24), and no certificate
that came with a message becomes part of a path (attacks K23, K25). Whose certificate it is, `authority` asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder

from gateway.identity.leaf import Leaf, PublicKey, Usage, read_leaf
from gateway.identity.trust import Revocations, Trust, TrustError
from gateway.model import Enterprise
from gateway.refusal import Code, Refusal

__all__ = ["Certificates", "Trust", "TrustError", "Usage", "Validated", "validate"]

MAX_DEPTH = 4  # intermediates between leaf and anchor; the longest path known here has one


@dataclass(frozen=True, slots=True)
class Validated:
    """A certificate that is believed from `valid_from` to `valid_until`, both included."""

    certificate: x509.Certificate
    public_key: PublicKey
    fingerprint: bytes  # SHA-256 of the DER
    enterprise: Enterprise
    valid_from: datetime  # the latest notBefore and thisUpdate of the path
    valid_until: datetime  # the earliest notAfter and nextUpdate of the path


def validate(der: bytes, usage: Usage, trust: Trust, now: datetime) -> Validated:
    """Judge one DER certificate shown for `usage` (RFC 5280 §6). `now` is aware.

    Raises Refusal: CERTIFICATE, about "form", "algorithm", "usage", "key", "subject", "validity", "chain",
    "revocation list" or "revoked".
    """
    leaf = read_leaf(der, usage)
    _require_time(leaf.certificate, now)
    path = _path(leaf, trust, now)
    lists = [_revocations(one, issuer, trust, now) for one, issuer in pairwise(path)]
    for certificate in path:  # the verifier drops fractions of a second
        _require_time(certificate, now)
    since = [one.not_valid_before_utc for one in path] + [one.this_update for one in lists]
    until = [one.not_valid_after_utc for one in path] + [one.next_update for one in lists]
    fingerprint = leaf.certificate.fingerprint(SHA256())
    return Validated(leaf.certificate, leaf.public_key, fingerprint, leaf.enterprise, max(since), min(until))


def _require_time(certificate: x509.Certificate, now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Refusal(Code.CERTIFICATE, "validity")  # attack K15


def _revocations(
    certificate: x509.Certificate, issuer: x509.Certificate, trust: Trust, now: datetime
) -> Revocations:
    """The list that clears `certificate`. None, or none for now, clears nothing: fail closed (attack K16)."""
    found = trust.revocations.get(issuer.fingerprint(SHA256()))
    if found is None or not found.this_update <= now <= found.next_update:
        raise Refusal(Code.CERTIFICATE, "revocation list")
    if found.crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
        raise Refusal(Code.CERTIFICATE, "revoked")
    return found


def _path(leaf: Leaf, trust: Trust, now: datetime) -> Sequence[x509.Certificate]:
    """Leaf first, anchor last. The verifier's own idea of a leaf is the web's: `read_leaf` replaces it."""
    policy = PolicyBuilder().store(trust.store).time(now).max_chain_depth(MAX_DEPTH)
    verifier = policy.extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
    ).build_client_verifier()
    try:
        return verifier.verify(leaf.certificate, list(trust.intermediates)).chain
    except Exception as error:  # VerificationError, and ValueError for what the verifier cannot read
        raise Refusal(Code.CERTIFICATE, "chain") from error


class Certificates:
    """Verdicts of one `Trust`, remembered while they hold.

    A verdict is used only inside its own window, so it outlives neither a certificate nor a revocation list.
    New lists mean a new `Trust`, and that means a new `Certificates` (attack K28). Refusals are not
    remembered. Owns its memory; may be shared by threads.
    """

    def __init__(self, trust: Trust, capacity: int = 1024) -> None:
        self.trust = trust
        self._capacity = capacity  # some 3 KB each; twice per authority is what a hub needs
        self._verdicts: dict[tuple[Usage, bytes], Validated] = {}  # least recently used first
        self._lock = Lock()

    def validate(self, der: bytes, usage: Usage, now: datetime) -> Validated:
        """As the function of this name."""
        key = (usage, der)
        with self._lock:
            verdict = self._verdicts.pop(key, None)
            if verdict is not None and verdict.valid_from <= now <= verdict.valid_until:
                self._verdicts[key] = verdict
                return verdict
        verdict = validate(der, usage, self.trust, now)
        with self._lock:
            self._verdicts[key] = verdict
            if len(self._verdicts) > self._capacity:
                del self._verdicts[next(iter(self._verdicts))]
        return verdict
