"""Whether a revision of the agreement is adopted: signed by each of its parties (PROTOCOL §7.9).

Whoever may change the files could otherwise widen a view alone. A signature is made once, over all files of the
revision. When the revision is first put in force, whoever signed must be good at that moment; from then on it lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.agreement.load import Agreement
from gateway.evidence.xades import signature_over, signer_of
from gateway.exchangelog.flaw import ProofError
from gateway.identity.chain import build_path, require_time
from gateway.identity.leaf import Usage, read_leaf
from gateway.identity.revocation import Answers
from gateway.identity.trust import Trust
from gateway.model import Enterprise
from gateway.refusal import Code, Refusal
from gateway.wss.sign import SigningKey

OTHER_FILES: Final = "of other files"  # such as those of another revision
_AHEAD: Final = timedelta(minutes=5)  # by which the clock of a signer may be ahead of ours


@dataclass(frozen=True, slots=True)
class Signature:
    """One file of a signature. Exactly one of `party` and `fault` is set."""

    name: str  # of the file
    party: Enterprise | None = None  # whose it is, whether or not it is one of the revision's
    time: datetime | None = None  # when it was made, by the signer's clock
    fault: str = ""  # why it counts for nothing


@dataclass(frozen=True, slots=True)
class Before:
    """The revision that was in force last."""

    revision: str  # its hash
    number: int
    parties: frozenset[Enterprise]


@dataclass(frozen=True, slots=True)
class Adopted:
    """A revision that all its parties signed. Made by `adopt` only."""

    agreement: Agreement
    signatures: Mapping[Enterprise, Signature]


class AdoptionError(Exception):
    """Parties are missing. `missing`: which; none when the revision names no parties. `faults`: what does not count."""

    def __init__(self, missing: frozenset[Enterprise], faults: tuple[Signature, ...]) -> None:
        super().__init__(", ".join(sorted(map(str, missing))))
        self.missing = missing
        self.faults = faults


def sign(files: Mapping[str, bytes], key: SigningKey, now: datetime) -> bytes:
    """A party's signature over a revision, XML. Raises Refusal when a held key does not sign."""
    return signature_over({name: files[name] for name in sorted(files)}, key, now)


@dataclass(frozen=True, slots=True)
class Judge:
    """Of signatures over these files. `lasting`: they are in force already, and their signatures were judged then."""

    files: Mapping[str, bytes]
    trust: Trust
    now: datetime
    lasting: bool
    answers: Answers = field(default_factory=Answers)  # of responders so far: at a start there are none

    def of(self, found: Mapping[str, bytes | None]) -> Iterator[Signature]:
        """What each is worth. `found`: name → content, None for what cannot be read."""
        for name, data in found.items():
            try:
                yield Signature(name, fault="cannot be read") if data is None else self._one(name, data)
            except Refusal as refusal:
                yield Signature(name, fault=refusal.about)
            except ProofError:
                yield Signature(name, fault="no valid signature")

    def _one(self, name: str, data: bytes) -> Signature:
        """Raises `ProofError`; Refusal: CERTIFICATE."""
        sealed = signer_of(data, self.files)
        if sealed is None:
            return Signature(name, fault=OTHER_FILES)
        if sealed.time > self.now + _AHEAD:
            return Signature(name, fault="made in the future")
        leaf = read_leaf(sealed.certificate, Usage.SIGNING)
        self._path(leaf.certificate, sealed.time)
        # The time is the signer's own word, and with an old or stolen key anybody could have said it.
        if not self.lasting:
            self._require_not_revoked(self._path(leaf.certificate, self.now))
        return Signature(name, leaf.enterprise, sealed.time)

    def _path(self, certificate: x509.Certificate, moment: datetime) -> Sequence[x509.Certificate]:
        """Raises Refusal: CERTIFICATE."""
        require_time(certificate, moment)
        return build_path(certificate, self.trust, moment)

    def _require_not_revoked(self, path: Sequence[x509.Certificate]) -> None:
        """By the list of each issuer, whatever its age, or a responder. Raises Refusal: CERTIFICATE."""
        for one, issuer in pairwise(path):
            known = self.trust.revocations.get(issuer.fingerprint(SHA256()))
            word = self.answers.about(one)
            if known is None and word is None:
                raise Refusal(Code.CERTIFICATE, "revocation unknown")
            listed = known and known.crl.get_revoked_certificate_by_serial_number(one.serial_number)
            if listed is not None or (word is not None and word.revoked):
                raise Refusal(Code.CERTIFICATE, "revoked")


def signed(judged: Iterable[Signature]) -> Mapping[Enterprise, Signature]:
    """Those that count, by whose they are."""
    return {one.party: one for one in judged if one.party is not None}


def adopt(agreement: Agreement, judged: Iterable[Signature], also: Iterable[Enterprise] = ()) -> Adopted:
    """`also`: who has to sign besides its own parties: those of the revision in force. Raises AdoptionError."""
    signatures = tuple(judged)
    by_party = signed(signatures)
    missing = agreement.parties.union(also) - by_party.keys()
    if missing or not agreement.parties:
        raise AdoptionError(missing, tuple(one for one in signatures if one.party is None))
    return Adopted(agreement, {party: one for party, one in by_party.items() if party in agreement.parties})
