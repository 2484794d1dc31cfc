"""Why a certificate is accepted now, or everything for which it is not: for the operator, never for a peer.

`chain` and `authority` stop at the first reason. Here every rule is asked by itself, with the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.agreement.register import Register
from gateway.identity.authority import named
from gateway.identity.chain import Certificates, Usage, build_path, require_time
from gateway.identity.enrolment import Enrolled
from gateway.identity.leaf import accepted_key, enterprise, read_certificate, require_hash, require_usage
from gateway.identity.revocation import Word, require_cleared, words_on
from gateway.model import Authority, Enterprise
from gateway.refusal import Refusal

T = TypeVar("T")
# certs/README.md §6 explains them; a test holds the two lists equal.
REASONS: Final[Mapping[str, str]] = {
    "form": "It is not one DER certificate.",
    "algorithm": "Its issuer signed it over a digest that is not accepted.",
    "usage": "Its keyUsage, extendedKeyUsage or basicConstraints fit no usage.",
    "key": "Kind or size of its key is not accepted.",
    "subject": "Its subject is no clear legal identity.",
    "validity": "It is not valid yet, or has expired.",
    "chain": "No valid path leads to an anchor.",
    "revocation unknown": "There is no current list or answer about a certificate of its path.",
    "revoked": "A certificate of its path is revoked.",
    "authority": "The register has no authority of its legal identity.",
    "enrolment": "It is not enrolled now for this authority and purpose.",
    "suspended": "The authority is suspended in the register.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One certificate of the path below the anchor, and what list and responder of its issuer say of it."""

    certificate: x509.Certificate
    listed: Word | None
    answered: Word | None
    unclear: str  # "revoked", "revocation unknown" or ""


@dataclass(slots=True)
class Explained:
    """What was found. `reasons` is empty when the certificate is accepted."""

    usages: tuple[Usage, ...] = ()
    enterprise: Enterprise | None = None
    authority: Authority | None = None
    line: Enrolled | None = None
    steps: Sequence[Step] = ()
    until: datetime | None = None  # it is accepted so long, unless something new becomes known
    reasons: list[str] = field(default_factory=list)

    def of(self, check: Callable[[], T]) -> T | None:
        """What the check returns; None when it refuses, which is a reason."""
        try:
            return check()
        except Refusal as refusal:
            self.because(refusal.about)
            return None

    def because(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)


def explain(der: bytes, certificates: Certificates, register: Register, now: datetime) -> Explained:
    """Judge one certificate by every rule, for the usages that it has the profile of."""
    found = Explained()
    certificate = found.of(partial(read_certificate, der))
    if certificate is None:
        return found
    _profile(found, certificate)
    found.steps = tuple(_steps(found, der, certificate, certificates, now))
    _speaker(found, certificate, certificates, register, now)
    if not found.reasons:
        verdict = certificates.validate(der, found.usages[0], now)
        ends = (verdict.valid_until, found.line.valid_until if found.line else None)
        found.until = min(one for one in ends if one is not None)
    return found


def _profile(found: Explained, certificate: x509.Certificate) -> None:
    found.of(partial(require_hash, certificate))
    found.usages = tuple(usage for usage in Usage if _fits(certificate, usage))
    if not found.usages:
        found.because("usage")
    found.of(partial(accepted_key, certificate.public_key()))
    found.enterprise = found.of(partial(enterprise, certificate.subject))


def _fits(certificate: x509.Certificate, usage: Usage) -> bool:
    try:
        require_usage(certificate.extensions, usage)
    except Refusal:
        return False
    return True


def _steps(
    found: Explained, der: bytes, certificate: x509.Certificate, certificates: Certificates, now: datetime
) -> Iterator[Step]:
    """The path is built for a moment at which the certificate itself is valid, so that more than that is told."""
    found.of(partial(require_time, certificate, now))
    then = min(max(now, certificate.not_valid_before_utc), certificate.not_valid_after_utc)
    path = found.of(partial(build_path, certificate, certificates.trust, then)) or ()
    for one, issuer in pairwise(path):
        found.of(partial(require_time, issuer, now))
        words = words_on(one, issuer, certificates.trust, certificates.answers)
        before = Explained()
        before.of(partial(require_cleared, words, now, certificates.grace_of(der)))
        for reason in before.reasons:
            found.because(reason)
        yield Step(one, *words, "".join(before.reasons))


def _speaker(
    found: Explained,
    certificate: x509.Certificate,
    certificates: Certificates,
    register: Register,
    now: datetime,
) -> None:
    fingerprint = certificate.fingerprint(SHA256())
    found.line = certificates.enrolment.by_fingerprint.get(fingerprint)
    found.authority = named(found.enterprise, register) if found.enterprise is not None else None
    if found.line is None:
        found.because("enrolment")
    if found.authority is None:
        found.because("authority")
        return
    for purpose in {usage.purpose for usage in found.usages}:
        found.of(partial(certificates.enrolment.require, fingerprint, purpose, found.authority, now))
    if not found.authority.active:
        found.because("suspended")
