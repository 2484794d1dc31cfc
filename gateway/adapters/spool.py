"""Documents on their way through the hub: kept on disk, sealed, until they are checked and passed on.

A file has no name in the file system, and its key exists in memory alone: whatever ends the process ends the
document. AES-256-GCM piece by piece under a key of the document's own, with the number of the piece as nonce.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.refusal import Code, Refusal

_NONCE: Final = 12  # bytes
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class SpoolError(Exception):
    """The directory cannot be used; the message names it."""


class Spool:
    """Where documents are kept. Owned by the application; holds no more than `capacity` bytes at once."""

    def __init__(self, directory: Path, capacity: int) -> None:
        """Makes the directory if it is not there, for this user alone. Raises SpoolError."""
        self._directory = directory
        self.left = capacity  # bytes
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            raise SpoolError(f"{directory}: {error.strerror}") from error

    def open(self) -> SpooledDocument:
        """An empty document. Raises Refusal: SPOOL_UNAVAILABLE."""
        try:
            return SpooledDocument(self, tempfile.TemporaryFile(dir=self._directory, buffering=0))
        except OSError as error:
            raise _refused(error) from error

    def claim(self, size: int) -> None:
        """Take room for bytes, or with a negative size give it back. Raises Refusal: SPOOL_UNAVAILABLE."""
        if size > self.left:
            raise Refusal(Code.SPOOL_UNAVAILABLE, "full")
        self.left -= size


class SpooledDocument:
    """One document: written once, then read as often as needed, then closed. Owned by one exchange."""

    def __init__(self, spool: Spool, file: BinaryIO) -> None:
        self._spool = spool
        self._file = file
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._pieces: list[tuple[int, int]] = []  # where each sealed piece begins in the file, and its length
        self._end = 0
        self.size = 0  # bytes of the document
        # An exchange that is cut off closes while a thread may still write: the file, or who has its number next.
        self._using = Lock()

    async def write(self, piece: bytes) -> None:
        """Raises Refusal: SPOOL_UNAVAILABLE."""
        self._spool.claim(len(piece))
        self.size += len(piece)
        await asyncio.to_thread(self._write, piece)

    async def pieces(self) -> AsyncIterator[bytes]:
        """What was written, in the same pieces. Raises Refusal: SPOOL_UNAVAILABLE."""
        for number in range(len(self._pieces)):
            yield await asyncio.to_thread(self._read, number)

    async def close(self) -> None:
        """Give everything back; nothing of the document remains."""
        self._spool.claim(-self.size)
        self.size = 0
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
            raise _refused(error) from error
        self._pieces.append((self._end, len(sealed)))
        self._end += len(sealed)

    def _read(self, number: int) -> bytes:
        at, length = self._pieces[number]
        try:
            with self._using:
                sealed = os.pread(self._file.fileno(), length, at)
            return self._cipher.decrypt(_nonce(number), sealed, None)
        except OSError as error:
            raise _refused(error) from error
        except InvalidTag as error:  # somebody or the disk changed it, or pread returned less
            raise Refusal(Code.SPOOL_UNAVAILABLE, "damaged") from error


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE)


def _refused(error: OSError) -> Refusal:
    return Refusal(Code.SPOOL_UNAVAILABLE, "full" if error.errno in _FULL else "disk")
