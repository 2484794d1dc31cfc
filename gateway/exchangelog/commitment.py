"""Commitments of an entry: salted hashes that tell nothing until their salt is shown."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.exchangelog.fields import base64url, disclosure, salts
from gateway.exchangelog.flaw import Flaw, ProofError

if TYPE_CHECKING:
    from gateway.model import DossierNumber


def subject_commitment(dossier: DossierNumber | None, seed: bytes) -> str:
    """Salted commitment to the dossier number; of the same form when there is none."""
    return _commitment(0, "subj", dossier, seed)


def body_commitment(body: bytes, seed: bytes) -> str:
    """Salted commitment to the SHA-256 of the canonical body: bounded work for a document of any size."""
    return _commitment(1, "body", digest(body), seed)


def body_salt(seed: bytes) -> bytes:
    """What opens the commitment to the body, and nothing else: text, base64url."""
    return base64url(salts(seed, 2)[1])


def verify_body(commitment: str, salt: bytes, bodies: Sequence[bytes]) -> None:
    """One of the bodies is what was committed to. Raises `ProofError` (LOG676)."""
    try:
        raw = urlsafe_b64decode(salt + b"=" * (-len(salt) % 4))
    except ValueError:
        raise ProofError(Flaw.BODY, "salt") from None
    if commitment not in {digest(disclosure(raw, "body", digest(body))) for body in bodies}:
        raise ProofError(Flaw.BODY)


def actor_commitment(officer: str, seed: bytes) -> str:
    """Salted commitment to the officer who looked something up."""
    return _commitment(2, "actor", officer, seed)


def signatures_digest(signatures: Sequence[bytes]) -> str | None:
    """Hash over the hashes of the answers' signatures, in order; None when the hub answered, unsigned."""
    if not signatures:
        return None
    return digest(b"".join(sha256(signature).digest() for signature in signatures))


def digest(data: bytes) -> str:
    """SHA-256 as an entry writes it."""
    return base64url(sha256(data).digest()).decode("ascii")


def _commitment(position: int, name: str, value: str | None, seed: bytes) -> str:
    return digest(disclosure(salts(seed, position + 1)[position], name, value))
