"""Payloads that wait are encrypted: whoever has the store's file, or a backup of it, cannot read them.

AES-256-GCM under a key that is not in the store. With random nonces of 96 bits one key may seal 2³² payloads
(NIST SP 800-38D §8.3). What a payload belongs to is authenticated with it, so that none can be put in the
place of another.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import AuthorityId, ExchangeId, OperationName

KEY_SIZE: Final = 32  # bytes
_NONCE_SIZE: Final = 12  # bytes


class Seal:
    """Seals and opens under one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError("a payload key has 32 bytes")
        self._cipher = AESGCM(key)

    def close(self, payload: bytes, about: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, payload, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Raises `ProofError` (LOG511): another key, an altered text, or that of another notification."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], about)
        except (InvalidTag, ValueError):  # ValueError: too short to be anything
            raise ProofError(Flaw.SEALED, about.decode()) from None


def belongs_to(exchange: ExchangeId, sender: AuthorityId, operation: OperationName) -> bytes:
    """What a payload is authenticated with; none of the three holds a space."""
    return f"{exchange} {sender} {operation}".encode()
