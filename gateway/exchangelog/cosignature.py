"""Cosignatures (C2SP tlog-cosignature): that somebody saw a log grow consistently up to a checkpoint, and when.

Type 04 is Ed25519 over two lines and the note's text. Type 06 is ML-DSA-44 over origin, size and root, not over
extension lines; a log may sign its own checkpoints so, too. The time is the signer's, in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import PUBLIC_KEY_SIZE, Signature, key_id, parse_vkey, require_name, write_vkey

if TYPE_CHECKING:
    from collections.abc import Callable

COSIGNATURE_V1 = b"\x04"
ML_DSA_44 = b"\x06"
TIME_SIZE = 8  # bytes, big-endian
MAX_TIME = (1 << 63) - 1
_MAX_NAME = 255  # bytes of a cosigner's name or an origin, counted in one byte
_LABEL = b"subtree/v1\n\x00"
_SIZES: Final[Mapping[bytes, int]] = {COSIGNATURE_V1: PUBLIC_KEY_SIZE, ML_DSA_44: 1312}  # bytes; FIPS 204
_SIGNATURES: Final[Mapping[bytes, int]] = {COSIGNATURE_V1: 64, ML_DSA_44: 2420}

_PublicKey: TypeAlias = Ed25519PublicKey | MLDSA44PublicKey
_LOAD: Final[Mapping[bytes, Callable[[bytes], _PublicKey]]] = {
    COSIGNATURE_V1: Ed25519PublicKey.from_public_bytes,
    ML_DSA_44: MLDSA44PublicKey.from_public_bytes,
}


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """The public key of a witness, or an ML-DSA-44 key of a log, under the name of its owner."""

    name: str
    kind: bytes
    public: bytes

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.kind, self.public)

    @property
    def vkey(self) -> str:
        return write_vkey(self.name, self.kind, self.public)

    @classmethod
    def parse(cls, vkey: str) -> CosignerKey:
        """Raises `ProofError`."""
        return cls(*parse_vkey(vkey, _SIZES))

    def verify(self, text: str, signature: Signature) -> int:
        """When the checkpoint was cosigned; 0 where its signer says nothing of the time. Raises `ProofError`."""
        time, value = int.from_bytes(signature.value[:TIME_SIZE]), signature.value[TIME_SIZE:]
        if len(value) != _SIGNATURES[self.kind] or time > MAX_TIME:
            raise ProofError(Flaw.SIGNATURE, self.name)
        try:
            _LOAD[self.kind](self.public).verify(value, signed_message(self.kind, self.name, text, time))
        except (InvalidSignature, ValueError):
            raise ProofError(Flaw.SIGNATURE, self.name) from None
        return time


class CosigningKey(Protocol):
    """An Ed25519 or ML-DSA-44 private key."""

    def sign(self, data: bytes, /) -> bytes: ...

    def public_key(self) -> _PublicKey: ...


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A private key under the name of its owner. It signs what it is given: what to sign is for its owner."""

    key: CosigningKey
    public: CosignerKey

    @classmethod
    def of(cls, name: str, key: CosigningKey) -> Cosigner:
        """Raises `ProofError` for a name that no note can carry."""
        public = key.public_key()
        kind = ML_DSA_44 if isinstance(public, MLDSA44PublicKey) else COSIGNATURE_V1
        return cls(key, CosignerKey(require_name(name, Flaw.KEY_FORM), kind, public.public_bytes_raw()))

    def sign(self, text: str, time: int) -> Signature:
        """The line of the checkpoint whose note has this text. Raises `ProofError` when it is none."""
        public = self.public
        value = self.key.sign(signed_message(public.kind, public.name, text, time))
        return Signature(public.name, public.key_id, time.to_bytes(TIME_SIZE) + value)

    def undated(self, text: str) -> Signature:
        """As a log signs its own checkpoint, beside its Ed25519 key: nothing is said of the time."""
        return self.sign(text, 0)


def signed_message(kind: bytes, name: str, text: str, time: int) -> bytes:
    """What is signed. Raises `ProofError` for a text that is no checkpoint."""
    checkpoint = Checkpoint.parse(text)
    if kind == COSIGNATURE_V1:
        return f"cosignature/v1\ntime {time}\n{text}".encode()
    return b"".join(
        (
            _LABEL,
            _counted(name),
            time.to_bytes(8),
            _counted(checkpoint.origin),
            (0).to_bytes(8),  # from the first leaf
            checkpoint.size.to_bytes(8),  # to the last
            checkpoint.root,
        )
    )


def _counted(name: str) -> bytes:
    data = name.encode()
    if len(data) > _MAX_NAME:
        raise ProofError(Flaw.CHECKPOINT_FORM, "too long a name")
    return len(data).to_bytes(1) + data
