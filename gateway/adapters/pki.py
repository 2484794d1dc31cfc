"""A PKI's directory on disk: private where it must be, written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.adapters.durable import sync_directory
from gateway.identity.issue import PkiFiles

PRIVATE = (".key.pem", ".key")  # every file that ends so is readable by its owner alone


class ExistsError(Exception):
    """The file or directory is there already; a key that is overwritten is lost."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists already")
        self.path = path


def write_pki(directory: Path, files: PkiFiles) -> None:
    """Write a whole PKI to a new or empty directory.

    The files are written beside it and the directory is renamed into place: after a crash there is a
    complete PKI, or none. Raises ExistsError, OSError.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ExistsError(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))  # mode 0700
    try:
        for name, content in files.items():
            (staged / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(staged / name, content)
        staged.rename(directory)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Whoever else would change what is in it waits: what is written anew is what was read. Raises OSError.

    The kernel gives the lock back when its holder dies.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes, *, replace: bool = False, private: bool = False) -> None:
    """Write one file, whole or not at all, and durable. Raises ExistsError, OSError.

    A private key has mode 0600: its name says so, or `private`. Whoever runs it as root takes no file from its
    owner, for a hub that cannot read its files stops.
    """
    mode = 0o600 if private or path.name.endswith(PRIVATE) else 0o644
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    staged = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if os.geteuid() == 0:
                os.fchown(descriptor, *owner_of(path))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if replace:
            staged.replace(path)
        else:
            path.hardlink_to(staged)  # fails when `path` exists, unlike a rename
        sync_directory(path.parent)  # what was withdrawn must not be back after a power failure
    except FileExistsError as error:
        raise ExistsError(path) from error
    finally:
        staged.unlink(missing_ok=True)


def owner_of(path: Path) -> tuple[int, int]:
    """User and group of the file that is there; of its directory when there is none. Raises OSError."""
    try:
        found = path.stat()
    except FileNotFoundError:
        found = path.parent.stat()
    return found.st_uid, found.st_gid
