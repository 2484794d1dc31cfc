"""Whose dossier it is, without saying whose: the keyed digest of a worker's INSZ (PROTOCOL §7.2).

The number itself is kept nowhere. There are so few possible numbers that a plain digest of one could be found
by trying them all; under a key that is not kept beside it, it cannot. Reading the key is for the shell.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from gateway.model import DossierScope
from gateway.refusal import Code, Refusal

KEY_BYTES: Final = 32
_HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]{64}\s*")


def parse_key(content: bytes) -> bytes:
    """The directory's key in a file: 32 bytes, or 64 hexadecimal digits. Raises ValueError."""
    if _HEXADECIMAL.fullmatch(content):
        return bytes.fromhex(content.decode())
    if len(content) != KEY_BYTES:
        raise ValueError("neither 32 bytes nor 64 hexadecimal digits")
    return content


def person_digest(key: bytes, ssin: str) -> bytes:
    """HMAC-SHA256 (RFC 2104) of the eleven digits: what a dossier is bound to."""
    return hmac.digest(key, ssin.encode("ascii"), "sha256")


def require_person(scope: DossierScope | None, key: bytes, ssin: str) -> None:
    """A dossier is a reason to ask about its worker, and about nobody else.

    One refusal for another person's number and for a dossier bound to nobody, at the same cost: what a caller
    could tell apart, or measure, would be an answer. Raises Refusal: CRITERIA_DENIED.
    """
    bound = scope.person if scope is not None else None
    same = hmac.compare_digest(person_digest(key, ssin), bound if bound is not None else bytes(KEY_BYTES))
    if bound is None or not same:
        raise Refusal(Code.CRITERIA_DENIED)
