"""The key that signs checkpoints, from its file, under the name of its log; and a first, empty log for it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.adapters.store_log import new_log
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer


def log_signer(path: Path, origin: str) -> Signer:
    """`origin`: the name of the log. Raises `ProofError` (LOG202, LOG509)."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ProofError(Flaw.FILE, f"{path}: {error.strerror}") from error
    except (ValueError, TypeError):
        raise ProofError(Flaw.KEY_FORM, str(path)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ProofError(Flaw.KEY_FORM, str(path))
    return Signer.of(origin, key)


def ensure_log(store: Path, key: Path, origin: str) -> None:
    """An empty log where there is none yet: for places that a program makes itself, never for a hub."""
    if not store.exists():
        new_log(store, log_signer(key, origin))
