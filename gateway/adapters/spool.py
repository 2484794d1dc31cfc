"""Documents on their way through the hub: kept on disk, sealed, until they are checked and passed on.

A file has no name in the file system, and its key exists in memory alone: whatever ends the process ends the
document. AES-256-GCM piece by piece under a key of the document's own, with the number of the piece as nonce.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.broker.content import PIECE
from gateway.model import AuthorityId
from gateway.refusal import Code, Refusal

_NONCE: Final = 12  # bytes
_TAG: Final = 16  # bytes
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PARTS: Final = 4  # of the room, of which one authority with several documents has one


class SpoolError(Exception):
    """The directory cannot be used; the message names it."""


class Spool:
    """Where documents are kept. Owned by the application; holds no more than `capacity` bytes at once."""

    def __init__(self, directory: Path, capacity: int) -> None:
        """Makes the directory if it is not there, for this user alone. Raises SpoolError."""
        self._directory = directory
        self._share = capacity // _PARTS  # bytes
        self._held: Counter[AuthorityId] = Counter()  # bytes
        self.left = capacity  # bytes
        require_usable(directory)

    def open(self, holder: AuthorityId) -> SealedDocument:
        """See `broker.content.Keeping`."""
        try:
            unnamed = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 - closed by its owner
        except OSError as error:
            raise refused(error) from error
        return SealedDocument(unnamed, AESGCM.generate_key(256), claim=self.claim(holder))

    def claim(self, holder: AuthorityId) -> Claim:
        """The room of a new document, for whom it is under way: none of it is taken yet."""
        return Claim(self, holder)

    def take(self, holder: AuthorityId, size: int, before: int) -> None:
        """Room for more bytes of a document that has `before`. Raises Refusal: SPOOL_UNAVAILABLE.

        Who has several documents under way holds no more than a share of the room. One alone may have all that is
        left: no share is too small for a document.
        """
        others = self._held[holder] - before
        if size > self.left or (others and others + before + size > self._share):
            raise Refusal(Code.SPOOL_UNAVAILABLE, "full")
        self._held[holder] += size
        self.left -= size

    def give_back(self, holder: AuthorityId, size: int) -> None:
        """What was taken for a document, once."""
        self._held[holder] -= size
        self.left += size


class Claim:
    """The room that one document takes of the spool. Made by `Spool.claim`."""

    def __init__(self, spool: Spool, holder: AuthorityId) -> None:
        self._spool = spool
        self._holder = holder
        self._taken = 0  # bytes

    def take(self, size: int) -> None:
        """Room for more bytes. Raises Refusal: SPOOL_UNAVAILABLE."""
        self._spool.take(self._holder, size, self._taken)
        self._taken += size

    def give_back(self) -> None:
        """All of it; nothing is left to give back then."""
        self._spool.give_back(self._holder, self._taken)
        self._taken = 0


class SealedDocument:
    """One document in a file: written once, then read as often as needed, then closed. Owned by one exchange."""

    def __init__(self, file: BinaryIO, key: bytes, *, size: int = 0, claim: Claim | None = None) -> None:
        """`size`: bytes of the document that the file holds already. `claim`: the room that what is written takes
        until it is closed; None for a document that is only read.
        """
        self._file = file
        self._claim = claim
        self._cipher = AESGCM(key)
        self._pieces: list[tuple[int, int]] = []  # where each sealed piece begins in the file, and its length
        self._end = 0
        self.size = size  # bytes of the document
        for at in range(0, size, PIECE):
            self._add(min(PIECE, size - at) + _TAG)
        # An exchange that is cut off closes while a thread may still write: the file, or who has its number next.
        self._using = Lock()

    async def write(self, piece: bytes) -> None:
        """Raises Refusal: SPOOL_UNAVAILABLE."""
        assert self._claim is not None
        self._claim.take(len(piece))
        self.size += len(piece)
        await asyncio.to_thread(self._write, piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What was written, in the same pieces. Raises Refusal: SPOOL_UNAVAILABLE."""
        for number in range(len(self._pieces)):
            yield await asyncio.to_thread(self._read, number)

    async def close(self) -> None:
        """Give everything back. Of a file without a name nothing remains."""
        if self._claim is not None:
            self._claim.give_back()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._using:
            self._file.close()

    def _write(self, piece: bytes) -> None:
        sealed = self._cipher.encrypt(_nonce(len(self._pieces)), piece, None)
        left = memoryview(sealed)
        try:
            with self._using:
                while left:  # a disk that fills up takes a part of it first
                    left = left[self._file.write(left) :]
        except OSError as error:
            raise refused(error) from error
        self._add(len(sealed))

    def _add(self, length: int) -> None:
        self._pieces.append((self._end, length))
        self._end += length

    def _read(self, number: int) -> bytes:
        at, length = self._pieces[number]
        try:
            with self._using:
                sealed = os.pread(self._file.fileno(), length, at)
            return self._cipher.decrypt(_nonce(number), sealed, None)
        except OSError as error:
            raise refused(error) from error
        except InvalidTag as error:  # somebody or the disk changed it, or pread returned less
            raise Refusal(Code.SPOOL_UNAVAILABLE, "damaged") from error


def require_usable(directory: Path) -> None:
    """Make the directory if it is not there, for this user alone. Raises SpoolError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise SpoolError(f"{directory}: {error.strerror}") from error


def refused(error: OSError) -> Refusal:
    """What the disk said, in the gateway's own words."""
    return Refusal(Code.SPOOL_UNAVAILABLE, "full" if error.errno in _FULL else "disk")


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE)
