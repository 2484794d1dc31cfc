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
    """The content. What is judged is the file that was opened, whatever links led there.

    Raises ExposedError, OSError.
    """
    with path.open("rb") as file:
        _require_closed(path, os.fstat(file.fileno()))
        for place in {path.parent, path.resolve().parent}:
            _require_quiet(place)
        return file.read()


def require_own(path: Path) -> None:
    """Its owner knows it: that is this process's user, or root, who reads everything anyway.

    For the hub itself; root may run a command on what is the hub's. Raises ExposedError, OSError.
    """
    owner = path.stat().st_uid
    if owner not in {os.geteuid(), 0}:
        raise ExposedError(
            f"{path}: belongs to user {owner}, not to this process's.",
            "Run as that user, or give the file to the user that runs the hub.",
        )


def _require_closed(path: Path, status: os.stat_result) -> None:
    if status.st_mode & 0o077:
        raise ExposedError(f"{path}: others than the owner may read it.", f"chmod 600 {path}")


def _require_quiet(directory: Path) -> None:
    """Whoever may rename files in the directory could put a key of his own there."""
    mode = directory.stat().st_mode
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise ExposedError(
            f"{directory}: others than the owner may exchange the keys in it.", f"chmod go-w {directory}"
        )
