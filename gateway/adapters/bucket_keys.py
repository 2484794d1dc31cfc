"""Bucket keys: what stands beside the tree of the exchange log is wrapped under them, and dies with them.

One key for each bucket (`exchangelog.bucket`), each a file of 32 random bytes in a directory of its own, outside
the store and outside the store's backups: a backup of the store holds what is wrapped, and nothing that opens it.
Destroying the key of a bucket therefore erases what is in it from every copy (crypto-shredding).

Whoever writes something beside an entry does so within the transaction of that entry:

    bucket = bucket_of(entry.leaf)
    keys.make(bucket)                                # once, before the first entry of the bucket commits
    wrapped = keys.wrap(bucket, secret, about)       # bytes; never makes a key
    secret = keys.unwrap(bucket, wrapped, about)     # raises ProofError: LOG643, LOG644
    digest = keys.digest(bucket, b"dossier WIB-…")   # blind index: is found again, and dies with the bucket

`about` is authenticated with the secret and must say what it is and of which entry, as `b"subject 17"`, so that
nothing wrapped can be put in the place of something else.

AES-256-GCM. NIST SP 800-38D §8.3 allows 2³² invocations with random nonces of 96 bits under one key, which a
month of a busy log may pass. So each opening of a bucket wraps under a key of its own, derived from the bucket's
key and a random salt by HMAC-SHA256 (HKDF-Expand, RFC 5869 §2.3), and takes a new salt long before 2³² uses:
wrapped is salt (8 bytes), nonce (12), ciphertext and tag (16). Two openings that draw the same salt share a key
and nothing else; nonces are random, so processes and forks need not agree on anything.

Trusted for: keeping keys readable by their owner only, and for forgetting them. A file is overwritten before it
is removed; a medium that writes elsewhere (SSD, copy-on-write) may keep the old block, so the directory belongs
on an encrypted volume.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.adapters.durable import sync_directory
from gateway.adapters.secret_file import ExposedError, read_secret, require_quiet
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import Flaw, ProofError

KEY_SIZE: Final = 32  # bytes
_SALT_SIZE: Final = 8  # bytes
_NONCE_SIZE: Final = 12  # bytes
_USES: Final = 1 << 31  # of one derived key: half of what SP 800-38D §8.3 allows
_SUFFIX: Final = ".key"
_NEW: Final = ".new"


class BucketKeys:
    """The keys in one directory. Threads may share it, and processes the directory."""

    def __init__(self, directory: Path, read: Callable[[Path], bytes]) -> None:
        self._directory = directory
        self._read = read
        self._loaded: dict[Bucket, _Loaded] = {}

    @classmethod
    def open(cls, directory: Path, read: Callable[[Path], bytes] = read_secret) -> BucketKeys:
        """`read`: how strictly the files are judged (`secret_file`).

        Raises `ProofError` (LOG642), and ExposedError when others may exchange the keys.
        """
        if not directory.is_dir():
            raise ProofError(Flaw.BUCKET_KEYS, str(directory))
        require_quiet(directory)
        return cls(directory, read)

    @classmethod
    def create(cls, directory: Path) -> BucketKeys:
        """Of a new log: the directory is made where there is none. Raises as `open`."""
        with _told(directory):
            _make_directory(directory)
        return cls.open(directory)

    def there(self) -> bool:
        """Whether the directory is, and may be used: what was read of it serves on without, for a while."""
        return os.access(self._directory, os.R_OK | os.W_OK | os.X_OK)

    def make(self, bucket: Bucket) -> None:
        """A key for the bucket, durable when this returns; where there is one, it stays. Raises `ProofError`.

        Several processes may come at once, from several machines: a link is made by one of them, without a lock,
        which a file system across a network may not have. Whoever finds the file makes its name durable as well:
        who wrote it may not have come so far.
        """
        path = self._path(bucket)
        with _told(path):
            if not path.exists():
                new = path.with_suffix(f".{secrets.token_hex(8)}{_NEW}")
                _write(new, os.urandom(KEY_SIZE), self._directory)
                with suppress(FileExistsError, FileNotFoundError):  # somebody was first, and has tidied up
                    os.link(new, path)
                for one in self._begun(path):
                    one.unlink(missing_ok=True)
            sync_directory(self._directory)

    def wrap(self, bucket: Bucket, secret: bytes, about: bytes) -> bytes:
        """Raises `ProofError`: LOG643 when the bucket has no key, LOG642 when others could read it."""
        return self._of(bucket).wrap(secret, about)

    def unwrap(self, bucket: Bucket, wrapped: bytes, about: bytes) -> bytes:
        """Raises `ProofError`: LOG643 when the key is gone, LOG644 when this was not wrapped with it, so."""
        self._require(bucket)
        try:
            return self._of(bucket).unwrap(wrapped, about)
        except (InvalidTag, ValueError):  # ValueError: too short to be anything
            raise ProofError(Flaw.WRAPPED, about.decode()) from None

    def digest(self, bucket: Bucket, value: bytes) -> bytes:
        """Finds what is about the value within this bucket, and tells nothing without its key.

        Raises `ProofError` (LOG643).
        """
        return hmac.digest(self._of(bucket).index, value, "sha256")

    def held(self) -> frozenset[Bucket]:
        """The buckets that have a key. Raises `ProofError`."""
        with _told(self._directory):
            names = [one.stem for one in self._directory.iterdir() if one.suffix == _SUFFIX]
        return frozenset(Bucket.parse(name.replace("_", "/")) for name in names)

    def destroy(self, bucket: Bucket) -> None:
        """Overwrites and removes the key, durably; where there is none, nothing. Raises `ProofError`."""
        path = self._path(bucket)
        self._loaded.pop(bucket, None)
        with _told(path):
            for one in (path, *self._begun(path)):
                with suppress(FileNotFoundError):  # another process destroys it, too
                    _overwrite(one)
                    one.unlink()
            sync_directory(self._directory)

    def _path(self, bucket: Bucket) -> Path:
        return self._directory / f"{bucket.retention}_{bucket.month}{_SUFFIX}"

    def _require(self, bucket: Bucket) -> None:
        """Another process may have destroyed it since it was read."""
        loaded = self._loaded.get(bucket)
        if not os.path.exists(self._path(bucket) if loaded is None else loaded.file):  # noqa: PTH110 - for each seed
            self._loaded.pop(bucket, None)
            raise ProofError(Flaw.BUCKET_KEY, str(bucket))

    def _of(self, bucket: Bucket) -> _Loaded:
        loaded = self._loaded.get(bucket)
        if loaded is None:
            self._require(bucket)
            key = self._read_key(self._path(bucket))
            if len(key) != KEY_SIZE or not any(key):  # overwritten: it was on its way out
                raise ProofError(Flaw.BUCKET_KEY, str(bucket))
            loaded = self._loaded[bucket] = _Loaded(key, str(self._path(bucket)))
        return loaded

    def _read_key(self, path: Path) -> bytes:
        try:
            with _told(path):
                return self._read(path)
        except ExposedError as error:
            raise ProofError(Flaw.BUCKET_KEYS, str(error)) from error

    def _begun(self, path: Path) -> list[Path]:
        """Keys of this bucket that never got its name, of a process that was killed perhaps: nothing is wrapped under them."""
        return list(self._directory.glob(f"{path.stem}*{_NEW}"))


class _Loaded:
    """One key, as read, and what is derived from it."""

    def __init__(self, key: bytes, file: str) -> None:
        self._key = key
        self.file = file
        self.index = _derived(key, b"index")
        self._ciphers: dict[bytes, AESGCM] = {}
        self._renew()

    def _renew(self) -> None:
        self._salt, self._uses = os.urandom(_SALT_SIZE), 0
        self._cipher = self._cipher_of(self._salt)

    def wrap(self, secret: bytes, about: bytes) -> bytes:
        self._uses += 1
        if self._uses > _USES:
            self._renew()
        nonce = os.urandom(_NONCE_SIZE)
        return self._salt + nonce + self._cipher.encrypt(nonce, secret, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Raises InvalidTag, ValueError."""
        salt, nonce = wrapped[:_SALT_SIZE], wrapped[_SALT_SIZE : _SALT_SIZE + _NONCE_SIZE]
        return self._cipher_of(salt).decrypt(nonce, wrapped[_SALT_SIZE + _NONCE_SIZE :], about)

    def _cipher_of(self, salt: bytes) -> AESGCM:
        """One for each opening of the bucket by some process."""
        if salt not in self._ciphers:
            self._ciphers[salt] = AESGCM(_derived(self._key, b"wrap " + salt))
        return self._ciphers[salt]


def _derived(key: bytes, info: bytes) -> bytes:
    """HKDF-Expand (RFC 5869 §2.3) for one block; the key is uniformly random, so nothing need be extracted."""
    return hmac.digest(key, info + b"\x01", "sha256")


def _make_directory(directory: Path) -> None:
    """Durably, and those above it where they are missing: readable by their owner only."""
    if not directory.is_dir():
        _make_directory(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_directory(directory.parent)


def _write(path: Path, key: bytes, directory: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0:  # a command run by root, on what is the hub's
            owner = directory.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(key)
        file.flush()
        os.fsync(descriptor)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProofError(Flaw.BUCKET_KEYS, f"{path}: {error.strerror}") from error
