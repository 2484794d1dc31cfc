"""From a certificate that somebody showed to one that is believed now: path, validity, revocation.

Path building, signatures, name and path-length constraints and unknown critical extensions are judged by
cryptography's verifier. It knows nothing of revocation, key sizes and this project's usages: those are judged
here, in `revocation` and in `leaf`. Nothing is ever fetched here (attack K24), and no certificate that came with
a message becomes part of a path (attacks K23, K25). Whose certificate it is, `authority` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder

from gateway.identity.enrolment import Enrolment
from gateway.identity.leaf import PublicKey, Usage, read_leaf
from gateway.identity.revocation import NO_GRACE, Answers, require_cleared, words_on
from gateway.identity.trust import Trust, TrustError
from gateway.model import Authority, Enterprise
from gateway.refusal import Code, Refusal

__all__ = ["Believed", "Certificates", "Trust", "TrustError", "Usage", "Validated", "believe", "validate"]

MAX_DEPTH = 4  # intermediates between leaf and anchor; the longest path known here has one


@dataclass(frozen=True, slots=True)
class Believed:
    """A path that holds from `valid_from` to `valid_until`, both included."""

    path: Sequence[x509.Certificate]  # the certificate first, its anchor last
    valid_from: datetime  # the latest notBefore and thisUpdate of the path
    valid_until: datetime  # the earliest notAfter, and nextUpdate with its grace, of the path
    current_until: datetime  # the earliest nextUpdate; after it a verdict rests on grace


@dataclass(frozen=True, slots=True)
class Validated:
    """A certificate that is believed from `valid_from` to `valid_until`, both included."""

    certificate: x509.Certificate
    public_key: PublicKey
    fingerprint: bytes  # SHA-256 of the DER
    enterprise: Enterprise
    valid_from: datetime  # as in `Believed`
    valid_until: datetime
    current_until: datetime


def validate(  # noqa: PLR0913, PLR0917 - all that a verdict depends on
    der: bytes,
    usage: Usage,
    trust: Trust,
    now: datetime,
    answers: Answers | None = None,
    grace: timedelta = NO_GRACE,
) -> Validated:
    """Judge one DER certificate shown for `usage` (RFC 5280 §6). `now` is aware.

    Raises Refusal: CERTIFICATE, about "form", "algorithm", "usage", "key", "subject", "validity", "chain",
    "revocation unknown" or "revoked".
    """
    leaf = read_leaf(der, usage)
    held = believe(leaf.certificate, trust, now, answers or Answers(), grace)
    return Validated(
        leaf.certificate,
        leaf.public_key,
        leaf.certificate.fingerprint(SHA256()),
        leaf.enterprise,
        held.valid_from,
        held.valid_until,
        held.current_until,
    )


def believe(
    certificate: x509.Certificate, trust: Trust, now: datetime, answers: Answers, grace: timedelta = NO_GRACE
) -> Believed:
    """Path, validity and revocation of any end-entity certificate, whatever its profile.

    Raises Refusal: CERTIFICATE, about "validity", "chain", "revocation unknown" or "revoked".
    """
    require_time(certificate, now)
    path = build_path(certificate, trust, now)
    cleared = [
        require_cleared(words_on(one, issuer, trust, answers), now, grace) for one, issuer in pairwise(path)
    ]
    for one in path:  # the verifier drops fractions of a second
        require_time(one, now)
    current_until = min(one.current_until for one in cleared)
    since = [one.not_valid_before_utc for one in path] + [one.since for one in cleared]
    until = [one.not_valid_after_utc for one in path] + [current_until + grace]
    return Believed(path, max(since), min(until), current_until)


def require_time(certificate: x509.Certificate, now: datetime) -> None:
    """Raises Refusal: CERTIFICATE, about "validity"."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Refusal(Code.CERTIFICATE, "validity")  # attack K15


def build_path(certificate: x509.Certificate, trust: Trust, now: datetime) -> Sequence[x509.Certificate]:
    """Leaf first, anchor last. The verifier's own idea of a leaf is the web's: `read_leaf` replaces it.

    Raises Refusal: CERTIFICATE, about "chain".
    """
    policy = PolicyBuilder().store(trust.store).time(now).max_chain_depth(MAX_DEPTH)
    verifier = policy.extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
    ).build_client_verifier()
    try:
        return verifier.verify(certificate, list(trust.intermediates)).chain
    except Exception as error:  # VerificationError, and ValueError for what the verifier cannot read
        raise Refusal(Code.CERTIFICATE, "chain") from error


Graced = Callable[[Authority], None]  # told each time that a certificate is accepted by grace alone


class Certificates:
    """Verdicts of one `Trust` and one `Enrolment`, remembered while they hold.

    A verdict is used only inside its own window and until a responder says something new, so it outlives
    neither a certificate nor what is known of its revocation. New lists mean a new `Trust`, and that means a new
    `Certificates` (attack K28). Refusals are not remembered. Owns its memory; may be shared by threads.
    """

    def __init__(
        self,
        trust: Trust,
        enrolment: Enrolment,
        answers: Answers | None = None,
        *,
        grace: timedelta = NO_GRACE,
        capacity: int = 1024,
    ) -> None:
        """`grace`: for the certificates of authorities whose revocation is "soft" in the register."""
        self.trust = trust
        self.enrolment = enrolment
        self.answers = answers or Answers()
        self.graced: Graced = _unheard
        self._grace = grace
        self._capacity = capacity  # some 3 KB each; twice per authority is what a hub needs
        self._verdicts: dict[tuple[Usage, bytes], tuple[int, Validated]] = {}  # least recently used first
        self._lock = Lock()

    def validate(self, der: bytes, usage: Usage, now: datetime) -> Validated:
        """As the function of this name. Whether it is enrolled, `require_enrolled` says."""
        key, generation = (usage, der), self.answers.generation
        with self._lock:
            known = self._verdicts.pop(key, None)
            if known is not None and known[0] == generation and _holds(known[1], now):
                self._verdicts[key] = known
                return known[1]
        verdict = validate(der, usage, self.trust, now, self.answers, self.grace_of(der))
        with self._lock:
            self._verdicts[key] = generation, verdict
            if len(self._verdicts) > self._capacity:
                del self._verdicts[next(iter(self._verdicts))]
        return verdict

    def require_enrolled(
        self, validated: Validated, usage: Usage, authority: Authority, now: datetime
    ) -> None:
        """The certificate speaks for `authority` (PROTOCOL §5.1).

        Raises Refusal: CERTIFICATE, about "enrolment".
        """
        self.enrolment.require(validated.fingerprint, usage.purpose, authority, now)
        if now > validated.current_until:
            self.graced(authority)

    def grace_of(self, der: bytes) -> timedelta:
        """What the register gives the authority for which a certificate is enrolled; nothing to anybody else."""
        digest = Hash(SHA256())
        digest.update(der)
        line = self.enrolment.by_fingerprint.get(digest.finalize())
        return self._grace if line is not None and line.authority.revocation == "soft" else NO_GRACE


def _unheard(_: Authority) -> None:
    """Nobody counts."""


def _holds(verdict: Validated, now: datetime) -> bool:
    """By what is current: one that would rest on grace is made anew, for a newer word may have come."""
    return verdict.valid_from <= now <= min(verdict.valid_until, verdict.current_until)
