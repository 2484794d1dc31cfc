"""What is known of the revocation of one certificate: the list of its issuer, and what a responder answered.

Either is enough while it is current, and either alone is enough to refuse: who says *revoked* is believed,
of whatever time the word is. What ran out counts for as long as `grace` allows; what was never known counts for
nothing (attack K16).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.identity.trust import Trust
from gateway.refusal import Code, Refusal

NO_GRACE = timedelta()


@dataclass(frozen=True, slots=True)
class Word:
    """What one source says of one certificate."""

    this_update: datetime
    next_update: datetime
    revoked: bool


class Answers:
    """The newest judged answer of a responder about each certificate, kept until a newer one comes.

    Filled in the background, read by `chain`. Outlives the lists and lines that are loaded anew: the last
    known answer stays. Owns its memory, which is bounded by what is asked about: enrolled certificates and
    intermediates.
    """

    def __init__(self) -> None:
        self._words: dict[bytes, Word] = {}  # SHA-256 of the certificate → what was answered
        self.generation = 0  # a verdict made under another one is made anew

    def learn(self, certificate: x509.Certificate, word: Word) -> None:
        """Remember a judged answer, unless a newer one is known: an old answer may be replayed."""
        key = certificate.fingerprint(SHA256())
        known = self._words.get(key)
        if known is None or known.this_update <= word.this_update:
            self._words[key] = word
            self.generation += not _says_the_same(known, word)

    def about(self, certificate: x509.Certificate) -> Word | None:
        return self._words.get(certificate.fingerprint(SHA256()))


def _says_the_same(known: Word | None, word: Word) -> bool:
    """A verdict that rests on the one holds under the other: a renewed answer ends none."""
    if known is None or known.revoked is not word.revoked:
        return False
    return word.revoked or word.this_update <= known.next_update


@dataclass(frozen=True, slots=True)
class Cleared:
    """Nobody says that it is revoked, and somebody's word is current, or was until `current_until`."""

    since: datetime
    current_until: datetime


def words_on(
    certificate: x509.Certificate, issuer: x509.Certificate, trust: Trust, answers: Answers
) -> tuple[Word | None, Word | None]:
    """What the list and the responder of its issuer say; None for a source that has never said anything."""
    listed = trust.revocations.get(issuer.fingerprint(SHA256()))
    if listed is None:
        return None, answers.about(certificate)
    entry = listed.crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    return Word(listed.this_update, listed.next_update, entry is not None), answers.about(certificate)


def require_cleared(
    words: tuple[Word | None, Word | None], now: datetime, grace: timedelta = NO_GRACE
) -> Cleared:
    """Raises Refusal: CERTIFICATE, about "revoked" or "revocation unknown"."""
    if any(one is not None and one.revoked for one in words):
        raise Refusal(Code.CERTIFICATE, "revoked")
    known = [one for one in words if one is not None and one.this_update <= now]
    current_until = max((one.next_update for one in known), default=None)
    if current_until is None or now > current_until + grace:
        raise Refusal(Code.CERTIFICATE, "revocation unknown")
    return Cleared(max(one.this_update for one in known), current_until)
