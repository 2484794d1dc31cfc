"""Whether a revision of the agreement is adopted: signed by each of its parties (PROTOCOL §7.9).

Whoever runs a gateway could otherwise widen a view alone. A signature is made once, over all files of the revision,
and lasts: it is judged by the time that it states, and by the lists at hand whatever their age.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm

from gateway.agreement.load import Agreement
from gateway.evidence.revoked import cleared
from gateway.evidence.xades import signature_over, signer_of
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.identity.chain import build_path, require_time
from gateway.identity.leaf import Usage, read_leaf
from gateway.identity.trust import Trust
from gateway.model import Enterprise
from gateway.refusal import Refusal
from gateway.wss.sign import SigningKey

_AHEAD: Final = timedelta(minutes=5)  # by which the clock of a signer may be ahead of ours


@dataclass(frozen=True, slots=True)
class Signature:
    """One file of a signature. Exactly one of `party` and `fault` is set."""

    name: str  # of the file
    party: Enterprise | None = None  # whose it is, whether or not it is one of the revision's
    time: datetime | None = None  # when it was made, by the signer's clock
    fault: str = ""  # why it counts for nothing


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
    return signature_over(_ordered(files), key, now)


def judge(
    files: Mapping[str, bytes], found: Mapping[str, bytes], trust: Trust, now: datetime
) -> Iterator[Signature]:
    """What each of these files is worth for the revision. `found`: name → content."""
    for name, data in found.items():
        try:
            yield _judged(name, data, files, trust, now)
        except Refusal as refusal:
            yield Signature(name, fault=refusal.about)
        except ProofError as error:
            yield Signature(name, fault=error.about if error.flaw is Flaw.REVOKED else "no valid signature")
        except (ValueError, TypeError, UnsupportedAlgorithm):
            yield Signature(name, fault="certificate")


def adopt(agreement: Agreement, judged: Iterable[Signature], also: Iterable[Enterprise] = ()) -> Adopted:
    """`also`: who has to sign besides its own parties: those of the revision in force. Raises AdoptionError."""
    signatures = tuple(judged)
    by_party = {one.party: one for one in signatures if one.party is not None}
    missing = agreement.parties.union(also) - by_party.keys()
    if missing or not agreement.parties:
        raise AdoptionError(missing, tuple(one for one in signatures if one.party is None))
    return Adopted(agreement, {party: one for party, one in by_party.items() if party in agreement.parties})


def _judged(name: str, data: bytes, files: Mapping[str, bytes], trust: Trust, now: datetime) -> Signature:
    """Raises Refusal, `ProofError` and what cryptography raises for certificates and lists that it cannot use."""
    sealed = signer_of(data, _ordered(files))
    if sealed is None:
        return Signature(name, fault="of other files")
    if sealed.time > now + _AHEAD:
        return Signature(name, fault="made in the future")
    leaf = read_leaf(sealed.certificate, Usage.SIGNING)
    path = build_path(leaf.certificate, trust, sealed.time)
    for one in path:
        require_time(one, sealed.time)
    lists = [one.crl for one in trust.revocations.values()]
    if not cleared(path, sealed.time, lists, Flaw.REVOKED):
        return Signature(name, fault="revocation unknown")
    return Signature(name, leaf.enterprise, sealed.time)


def _ordered(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    return {name: files[name] for name in sorted(files)}
