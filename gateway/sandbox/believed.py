"""Whom the back offices of a sandbox believe: read from the hub's own files, and again when one of them changed.

A hub that rotates its keys would else become a stranger to them (PROTOCOL §5.1).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from gateway.config import Settings
from gateway.identity.chain import Certificates
from gateway.reading import Found
from gateway.trusted import load_certificates, read_register, trust_files

Look = tuple[tuple[int, int], ...]  # of each file the number of its inode and its time of change, ns


class Believed:
    """The certificates, as the files are now. Owned by one thread."""

    def __init__(self, settings: Settings) -> None:
        """Raises StartError with everything that is wrong in the files; OSError."""
        self._settings = settings
        self._look = self._looked()
        found = Found()
        certificates = self._read(found)
        found.done()
        assert certificates is not None
        self._certificates = certificates

    def now(self) -> Certificates:
        """Files that do not read, or do not fit each other, leave in force what was read before: as in the hub."""
        look = self._looked()
        if look != self._look:
            self._look = look
            self._certificates = self._read(Found()) or self._certificates
        return self._certificates

    def _read(self, found: Found) -> Certificates | None:
        register = found.of(partial(read_register, self._settings.contracts.register))
        return load_certificates(self._settings, register, found)

    def _looked(self) -> Look:
        return tuple(_state(path) for path in self._files())

    def _files(self) -> list[Path]:
        settings = self._settings
        return [settings.contracts.register, settings.trust.enrolled, *trust_files(settings)]


def _state(path: Path) -> tuple[int, int]:
    """(0, 0) for a file that is not there: being replaced, perhaps."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns
