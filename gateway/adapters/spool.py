"""Documents on their way through the hub: kept on disk, sealed, until they are checked and passed on.

A file has no name in the file system, and its key exists in memory alone: whatever ends the process ends the
document. AES-256-GCM piece by piece under a key of the document's own, with the number of the piece as nonce.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.broker.content import PIECE
from gateway.refusal import Code, Refusal

_NONCE: Final = 12  # bytes
_TAG: Final = 16  # bytes
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class SpoolError(Exception):
    """The directory cannot be used; the message names it."""


class Spool:
    """Where documents are kept. Owned by the application; holds no more than `capacity` bytes at once."""

    def __init__(self, directory: Path, capacity: int) -> None:
        """Makes the directory if it is not there, for this user alone. Raises SpoolError."""
        self._directory = directory
        self.left = capacity  # bytes
        require_usable(directory)

    def open(self) -> SealedDocument:
        """An empty document. Raises Refusal: SPOOL_UNAVAILABLE."""
        try:
            unnamed = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 - closed by its owner
        except OSError as error:
            raise refused(error) from error
        return SealedDocument(unnamed, AESGCM.generate_key(256), claim=self.claim)

    def claim(self, size: int) -> None:
        """Take room for bytes, or with a negative size give it back. Raises Refusal: SPOOL_UNAVAILABLE."""
        if size > self.left:
            raise Refusal(Code.SPOOL_UNAVAILABLE, "full")
        self.left -= size


class SealedDocument:
    """One document in a file: written once, then read as often as needed, then closed. Owned by one exchange."""

    def __init__(
        self, file: BinaryIO, key: bytes, *, size: int = 0, claim: Callable[[int], None] | None = None
    ) -> None:
        """`size`: bytes of the document that the file holds already. `claim`: what is written takes room of,
        until it is closed, as `Spool.claim`; None for a document that is only read.
        """
        self._file = file
        self._claim = claim
        self._claimed = 0  # bytes
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
        self._claim(len(piece))
        self._claimed += len(piece)
        self.size += len(piece)
        await asyncio.to_thread(self._write, piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What was written, in the same pieces. Raises Refusal: SPOOL_UNAVAILABLE."""
        for number in range(len(self._pieces)):
            yield await asyncio.to_thread(self._read, number)

    async def close(self) -> None:
        """Give everything back. Of a file without a name nothing remains."""
        if self._claim is not None:
            self._claim(-self._claimed)
            self._claimed = 0
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
