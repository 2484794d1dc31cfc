"""The keys that sign checkpoints, from their file or their token, under the name of their log; and a first, empty log.

A file holds one key, or two while the log changes its key: then each signs. A token holds one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.pkcs11_uri import Pkcs11Uri
from gateway.adapters.secret_file import read_secret
from gateway.adapters.store_connect import exists
from gateway.adapters.store_log import new_log
from gateway.adapters.store_session import StorePlace
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer

_END = b"-----END PRIVATE KEY-----"


def log_signers(place: Path | Pkcs11Uri, origin: str) -> Sequence[Signer]:
    """`origin`: the name of the log. Raises `ProofError` (LOG202, LOG509), `ExposedError`, `TokenError`."""
    if isinstance(place, Pkcs11Uri):
        from gateway.adapters.token_key import open_log_key  # noqa: PLC0415 - PKCS #11 is for those who have a token

        return [Signer.of(origin, open_log_key(place))]
    try:
        return [Signer.of(origin, key) for key in parse_keys(read_secret(place))]
    except OSError as error:
        raise ProofError(Flaw.FILE, f"{place}: {error.strerror}") from error
    except ValueError:
        raise ProofError(Flaw.KEY_FORM, str(place)) from None


def ml_dsa_signer(path: Path, origin: str) -> Cosigner:
    """The ML-DSA-44 key that signs checkpoints beside those. Raises `ProofError` (LOG202, LOG509), `ExposedError`."""
    try:
        key = load_pem_private_key(read_secret(path), None)
    except OSError as error:
        raise ProofError(Flaw.FILE, f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:  # TypeError: it has a password
        raise ProofError(Flaw.KEY_FORM, str(path)) from error
    if not isinstance(key, MLDSA44PrivateKey):
        raise ProofError(Flaw.KEY_FORM, f"{path}: not ML-DSA-44")
    return Cosigner.of(origin, key)


def parse_keys(data: bytes) -> Sequence[Ed25519PrivateKey]:
    """The Ed25519 keys of a PEM file, at least one. Raises ValueError."""
    blocks = [block + _END for block in data.split(_END)[:-1]]
    return [_parse_key(block) for block in blocks or [data]]


def _parse_key(data: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(data, None)
    except TypeError as error:  # it has a password
        raise ValueError("a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")  # noqa: TRY004 - a wrong file, no wrong type
    return key


def ensure_log(store: StorePlace, key: Path | Pkcs11Uri, origin: str, bucket_keys: Path) -> None:
    """An empty log where there is none yet: for places that a program makes itself, never for a hub."""
    if not exists(store):
        BucketKeys.create(bucket_keys)
        new_log(store, log_signers(key, origin))
