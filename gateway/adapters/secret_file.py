"""Files that hold a secret: read only when nobody but their owner could read or exchange them."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class ExposedError(Exception):
    """Others could read the file or put another in its place. The message says why, `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def read_secret(path: Path) -> bytes:
    """The content, for a command; root may run one on what is the hub's. Raises ExposedError, OSError.

    What is judged is the file that was opened, whatever links led there.
    """
    return _read(path, own=False)


def read_own_secret(path: Path) -> bytes:
    """The content, for the hub itself: file and directory belong to this process's user or to root, who reads and
    renames everything anyway. Raises ExposedError, OSError.
    """
    return _read(path, own=True)


def require_quiet(directory: Path) -> None:
    """Of a directory that holds secrets. Raises ExposedError, OSError."""
    _require_quiet(directory, own=False)


def _read(path: Path, *, own: bool) -> bytes:
    with open(path, "rb", opener=open_at_once) as file:
        status = os.fstat(file.fileno())
        _require_regular(path, status)
        _require_closed(path, status)
        if own:
            _require_own(path, status)
        for directory in {path.parent, path.resolve().parent}:
            _require_quiet(directory, own=own)
        return file.read()


def open_at_once(path: str, flags: int) -> int:
    """An opener: a pipe without a writer would be waited for."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _require_regular(path: Path, status: os.stat_result) -> None:
    """What another program answers with is not the same twice, and has no owner that means anything."""
    if not stat.S_ISREG(status.st_mode):
        raise ExposedError(f"{path}: is no file.", "Put the secret in a regular file.")


def _require_own(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in {os.geteuid(), 0}:
        raise ExposedError(
            f"{path}: belongs to user {status.st_uid}, not to this process's.",
            "Run as that user, or give it to the user that runs the hub.",
        )


def _require_closed(path: Path, status: os.stat_result) -> None:
    if status.st_mode & 0o077:
        raise ExposedError(f"{path}: others than the owner may read it.", f"chmod 600 {path}")


def _require_quiet(directory: Path, *, own: bool) -> None:
    """Whoever may rename files in the directory, as its owner may, could put a key of his own there."""
    status = directory.stat()
    mode = status.st_mode
    if own:
        _require_own(directory, status)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise ExposedError(
            f"{directory}: others than the owner may exchange the keys in it.", f"chmod go-w {directory}"
        )
