"""What the hub believed, and since when: certificates of authorities, their lists, answers of responders.

Kept so that a signature can be judged later as it was then. Each file is stored once; nothing of it is personal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.adapters.store_session import Session
from gateway.adapters.store_work import instant
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.identity.revocation import Word
from gateway.identity.trust import Trust

ANCHORS, INTERMEDIATES, CRLS, ANSWERS = "anchors", "intermediates", "crls", "answers"
_HASH: Final = 32  # bytes
_FILE: Final = "INSERT INTO trusted VALUES (?,?,?) ON CONFLICT DO NOTHING"
_SINCE: Final = "SELECT hashes FROM trusted_since WHERE since <= ? ORDER BY since DESC LIMIT 1"
_REMEMBER: Final = """
INSERT INTO trusted_since VALUES (?,?) ON CONFLICT (since) DO UPDATE SET hashes = excluded.hashes
"""
_FILES: Final = "SELECT kind, der FROM trusted WHERE hash = ?"
_ANSWER: Final = """
INSERT INTO answers VALUES (?,?,?,?,?) ON CONFLICT (certificate, since)
DO UPDATE SET until = excluded.until, revoked = excluded.revoked, hash = excluded.hash
"""
_LAST: Final = "SELECT until, revoked FROM answers WHERE certificate = ? ORDER BY since DESC LIMIT 1"
_ANSWERED: Final = """
SELECT t.der FROM answers AS a JOIN trusted AS t ON t.hash = a.hash WHERE a.since = (
  SELECT max(since) FROM answers AS b WHERE b.certificate = a.certificate AND b.since <= ?
)
"""


@dataclass(frozen=True, slots=True)
class Believe:
    """From now on these are believed."""

    files: Sequence[tuple[str, bytes]]  # kind, DER
    now: int

    @classmethod
    def of(cls, trust: Trust, now: datetime) -> Believe:
        files = [(ANCHORS, one.public_bytes(Encoding.DER)) for one in trust.anchors]
        files += [(INTERMEDIATES, one.public_bytes(Encoding.DER)) for one in trust.intermediates]
        lists = {one.crl.public_bytes(Encoding.DER) for one in trust.revocations.values()}
        return cls([*files, *((CRLS, one) for one in sorted(lists))], instant(now))

    def apply(self, connection: Session, index: int) -> None:  # noqa: ARG002 - an effect's form
        """A row only where something changed."""
        hashes = b"".join(sorted(_store(connection, kind, der) for kind, der in self.files))
        if connection.execute(_SINCE, (self.now,)).fetchone() != (hashes,):
            connection.execute(_REMEMBER, (self.now, hashes))


@dataclass(frozen=True, slots=True)
class Hear:
    """A responder answered, and its answer was judged to be worth something."""

    certificate: x509.Certificate
    word: Word
    answer: bytes
    now: int

    def apply(self, connection: Session, index: int) -> None:  # noqa: ARG002 - an effect's form
        """Stored when it says something new, or holds for twice as long as the last one will: one may come each minute."""
        about, until = self.certificate.fingerprint(SHA256()), instant(self.word.next_update)
        last = connection.execute(_LAST, (about,)).fetchone()
        if last is not None and last[1] == self.word.revoked and until - self.now < 2 * (last[0] - self.now):
            return
        row = (about, self.now, until, int(self.word.revoked), _store(connection, ANSWERS, self.answer))
        connection.execute(_ANSWER, row)


def believed(connection: Session, at: datetime) -> Mapping[str, Sequence[bytes]]:
    """Kind → DER, as it was then. Raises `ProofError` (LOG685)."""
    row = connection.execute(_SINCE, (instant(at),)).fetchone()
    if row is None:
        raise ProofError(Flaw.NO_REVISION, "trusted certificates")
    hashes = bytes(row[0])
    files = [connection.execute(_FILES, (one,)).fetchone() for one in _each(hashes)]
    answers = [(ANSWERS, der) for (der,) in connection.execute(_ANSWERED, (instant(at),))]
    found: dict[str, list[bytes]] = {kind: [] for kind in (ANCHORS, INTERMEDIATES, CRLS, ANSWERS)}
    for kind, der in [*(one for one in files if one is not None), *answers]:
        found[str(kind)].append(bytes(der))
    return found


def _store(connection: Session, kind: str, der: bytes) -> bytes:
    """Its hash, by which it is found."""
    digest = sha256(der).digest()
    connection.execute(_FILE, (digest, kind, der))
    return digest


def _each(hashes: bytes) -> Iterable[bytes]:
    return (hashes[at : at + _HASH] for at in range(0, len(hashes), _HASH))
