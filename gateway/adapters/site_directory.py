"""A log as a directory of files (C2SP tlog-tiles): written so that a reader at any moment finds a whole log.

Each file appears by a rename, with its bytes on stable storage; the checkpoint appears last, once the files
that it covers and the directories that name them are. A crash at any point leaves the checkpoint of before,
and files that it does not cover.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.adapters.durable import sync_directory
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.site import CHECKPOINT
from gateway.exchangelog.tile import MAX_ENTRY, WIDTH, TileId

# A bundle of the longest entries, and a byte that makes it wrong; tiles and checkpoints are far shorter.
_LARGEST: Final = WIDTH * (2 + MAX_ENTRY) + 1
_NEW: Final = ".new"  # what is being written; outside of tile/, and only one at a time


class SiteDirectory:
    """Satisfies `site.Resources`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, path: str) -> bytes | None:
        """See `Resources`. A file of others may be a device, a pipe, or of any length: no more is read than could be right."""
        try:
            with open(self._path / path, "rb", opener=_without_waiting) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise ProofError(Flaw.FILE, f"{self._path / path}: not a file")
                return file.read(_LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failed(self._path / path, error) from error

    def paths(self) -> Iterator[str]:
        """See `Resources`."""
        for folder, _, names in os.walk(self._path / "tile", onerror=_raise):
            for name in names:
                yield Path(folder, name).relative_to(self._path).as_posix()

    def has(self, name: TileId) -> bool:
        return (self._path / name.path).is_file()


class SiteWriter:
    """The end that writes. One at a time: `writing`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed: set[Path] = set()  # directories that have names not yet on stable storage

    @classmethod
    @contextmanager
    def writing(cls, path: Path) -> Iterator[SiteWriter]:
        """The directory, made if it is not there, for this writer alone. Raises `ProofError`: LOG509, LOG606."""
        try:
            if (
                not path.exists()
            ):  # entries tell who asked whom: only its owner may look, until the owner says so
                path.mkdir(mode=0o700, parents=True)
                sync_directory(path.parent)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _failed(path, error) from error
        try:
            _lock(descriptor, path)
            yield cls(path)
        except OSError as error:
            raise _failed(path, error) from error
        finally:
            os.close(descriptor)

    def require_ours(self) -> None:
        """Raises `ProofError` (LOG604) for a directory without checkpoint that holds what no export left there."""
        strange = {one.name for one in self._path.iterdir()} - {"tile", _NEW}
        if strange:
            raise ProofError(Flaw.OTHER_DIRECTORY, str(self._path))

    def write(self, name: TileId, data: bytes) -> None:
        """A tile or bundle. Its name is on stable storage once a checkpoint is published."""
        self._replace(self._path / name.path, data)

    def publish(self, checkpoint: bytes) -> None:
        """From here on readers see what was written."""
        self._settle()
        self._replace(self._path / CHECKPOINT, checkpoint)
        self._settle()

    def drop(self, name: TileId) -> None:
        """Take away what the log no longer keeps."""
        (self._path / name.path).unlink(missing_ok=True)
        self.drop_partials(name)

    def drop_partials(self, name: TileId) -> None:
        """Take the partial ones of a full tile or bundle away: tlog-tiles permits it once the full one is there."""
        shutil.rmtree(self._path / f"{name.path}.p", ignore_errors=True)

    def _replace(self, path: Path, data: bytes) -> None:
        self._make(path.parent)
        new = self._path / _NEW
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        self._changed.add(path.parent)

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir()
            self._changed.add(folder.parent)

    def _settle(self) -> None:
        for folder in self._changed:
            sync_directory(folder)
        self._changed.clear()


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ProofError(Flaw.EXPORTING, str(path)) from error


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK)  # the other end of a pipe may never come


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise _failed(Path(str(error.filename)), error) from error


def _failed(path: Path, error: OSError) -> ProofError:
    return ProofError(Flaw.FILE, f"{path}: {error.strerror or type(error).__name__}")
