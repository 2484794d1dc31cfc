"""Documents that were uploaded, until they expire: one file each, sealed, with a random name.

As in the spool, but with names and for days: the key of a file stands, itself sealed, in its row of the store.
Whoever has the files, or a backup of them, cannot read them; a row that is gone takes its document with it.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.adapters.durable import sync_directory
from gateway.adapters.spool import Claim, SealedDocument, refused, require_usable
from gateway.broker.content import Uploaded
from gateway.model import AuthorityId
from gateway.refusal import Code, Refusal

_OWNER: Final = 0o600
_NAME: Final = re.compile(r"[0-9a-f]{32}\.sealed")


class Shelf:
    """The directory of uploaded documents. Several hub processes may share it, as they share the store."""

    def __init__(self, directory: Path, claim: Callable[[AuthorityId], Claim]) -> None:
        """Makes the directory if it is not there, for this user alone. Raises SpoolError.

        `claim`: while a document is being uploaded it is under way like any, and takes room of the spool, as
        `Spool.claim`.
        """
        self._directory = directory
        self._claim = claim
        require_usable(directory)

    def create(self, holder: AuthorityId) -> ShelvedDocument:
        """See `broker.content.Shelf`."""
        path = self._directory / f"{secrets.token_hex(16)}.sealed"
        try:
            return ShelvedDocument(path, AESGCM.generate_key(256), self._claim(holder))
        except OSError as error:
            raise refused(error) from error

    def open(self, uploaded: Uploaded) -> SealedDocument:
        """See `broker.content.Shelf`."""
        try:
            file = (self._directory / uploaded.file).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise Refusal(Code.SPOOL_UNAVAILABLE, "damaged") from error
        except OSError as error:
            raise refused(error) from error
        return SealedDocument(file, uploaded.key, size=uploaded.size)

    async def remove(self, file: str) -> None:
        """See `broker.content.Shelf`."""
        await asyncio.to_thread(_remove, self._directory / file)

    async def files(self, written_before: datetime) -> list[str]:
        """See `broker.content.Shelf`."""
        return await asyncio.to_thread(self._files, written_before.timestamp())

    def _files(self, written_before: float) -> list[str]:
        found = []
        try:
            for entry in os.scandir(self._directory):
                if not _NAME.fullmatch(entry.name):  # not ours to remove
                    continue
                try:
                    written = entry.stat(follow_symlinks=False).st_mtime
                except FileNotFoundError:  # another process of the hub sweeps, too
                    continue
                if written < written_before:
                    found.append(entry.name)
        except OSError as error:
            raise refused(error) from error
        return found


class ShelvedDocument(SealedDocument):
    """A new document on the shelf."""

    def __init__(self, path: Path, key: bytes, claim: Claim) -> None:
        """Raises OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER)
        super().__init__(os.fdopen(descriptor, "w+b", buffering=0), key, claim=claim)
        self._path = path
        self._finished = False
        self.key = key

    @property
    def file(self) -> str:
        """See `broker.content.Shelved`."""
        return self._path.name

    async def finish(self) -> None:
        """See `broker.content.Shelved`."""
        await asyncio.to_thread(self._finish)
        self._finished = True

    async def discard(self) -> None:
        """See `broker.content.Shelved`."""
        await asyncio.to_thread(_remove, self._path)

    async def close(self) -> None:
        """See `broker.content.Shelved`."""
        await super().close()
        if not self._finished:
            await self.discard()

    def _finish(self) -> None:
        """The bytes, then the name: durable before a row says that they are there."""
        try:
            os.utime(self._path)  # nobody's only in two hours from now: a clock may have been set forward
            with self._using:
                os.fsync(self._file.fileno())
            sync_directory(self._path.parent)
        except OSError as error:
            raise refused(error) from error


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(error) from error
