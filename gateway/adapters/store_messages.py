"""Kept messages: what others signed, and what `body` of a release commits to, sealed beside the entry's seed.

Each entry has a key of its own, made of its seed, which is wrapped under the key of its bucket: when either is gone
nobody can read them. Documents are not among them (`soap.kept`).
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.adapters.store_session import Session
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.soap.kept import without_content

_INSERT: Final = "INSERT INTO messages VALUES (?,?,?,?)"
_RECEIVED: Final = "SELECT 1 FROM entries WHERE exchange = ? AND kind = 'request'"
_OF: Final = "SELECT n, sealed FROM messages WHERE idx = ? ORDER BY n"
_PAYLOAD: Final = 0  # its number; signed messages are counted from 1
_LEVEL: Final = 1  # of zlib: messages shrink to a third, and a higher one takes longer than all the rest
_MOST: Final = 32 * 1024 * 1024  # bytes of one message: twice what a message may have


def keep(connection: Session, entries: Iterable[tuple[Sequence[Any], Entry]]) -> None:
    """In the transaction of the entries, so that there is none without its messages. With each its row of `seeds`."""
    connection.insert(
        _INSERT,
        [
            (index, bucket, n, sealed)
            for (index, bucket, *_), entry in entries
            for n, sealed in _sealed(connection, entry)
        ],
    )


def _sealed(connection: Session, entry: Entry) -> Iterator[tuple[int, bytes]]:
    """What is kept of the entry, by its number."""
    if not entry.messages and entry.payload is None:
        return
    # A refusal after commit 1: its message stands beside the request already.
    if entry.kind is Kind.REFUSAL and connection.execute(_RECEIVED, (entry.exchange,)).fetchone():
        return
    parts = dict(enumerate(map(without_content, entry.messages), 1))
    if entry.payload is not None:
        parts[_PAYLOAD] = entry.payload
    cipher = _cipher(entry.seed)
    for n, part in parts.items():
        about = _about(entry.exchange, entry.kind, n)
        yield n, cipher.encrypt(_nonce(n), zlib.compress(part, _LEVEL), about)


def opened(
    connection: Session, index: int, exchange: str, kind: Kind, seed: bytes
) -> tuple[bytes | None, list[bytes]]:
    """The payload, if `body` is not of a signed message, and the signed messages. Raises `ProofError` (LOG644)."""
    rows: list[tuple[Any, ...]] = connection.execute(_OF, (index,)).fetchall()
    cipher = _cipher(seed)
    parts = {n: _opened(cipher, sealed, n, _about(exchange, kind, n)) for n, sealed in rows}
    return parts.pop(_PAYLOAD, None), list(parts.values())


def _opened(cipher: AESGCM, sealed: bytes, n: int, about: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(cipher.decrypt(_nonce(n), sealed, about), _MOST)
    except (InvalidTag, ValueError, zlib.error):
        raise ProofError(Flaw.WRAPPED, about.decode()) from None


def _cipher(seed: bytes) -> AESGCM:
    """AES-256-GCM under a key for this entry alone. Salts are made of the seed by SHAKE256, so neither tells the other."""
    return AESGCM(hmac.digest(seed, b"messages", "sha256"))


def _nonce(n: int) -> bytes:
    """Each number is used once under a key, which seals a few texts and never again (NIST SP 800-38D §8.2.1)."""
    return n.to_bytes(12)


def _about(exchange: str, kind: Kind, n: int) -> bytes:
    """What is authenticated: no message can be put in the place of another."""
    return f"{exchange} {kind.value} {n}".encode()
