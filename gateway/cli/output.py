"""What a command writes to a file that its user names."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.adapters.pki import write_file


def is_writable(path: Path, *read: Path | None) -> bool:
    """Whether `write_output` may write there, as far as can be told before it does: not whether a disk has room.

    Not in the place of a file that the same command reads: of a reply or a stamped checkpoint there is no other.
    Raises OSError where that cannot be asked.
    """
    place = path.resolve()
    if place.is_file() and any(one is not None and one.exists() and one.samefile(place) for one in read):
        return False
    if path.exists() and not place.is_file():
        return not place.is_dir() and os.access(path, os.W_OK)
    # A file is put in its place by its directory.
    return place.parent.is_dir() and os.access(place.parent, os.W_OK | os.X_OK)


def write_output(path: Path, data: bytes, *, private: bool) -> None:
    """Whole or not at all, in the place of a file that is there; a pipe or a device is written to as it is.

    `private`: there is a person in it, so that its owner alone may read it, whatever the umask says. Raises OSError.
    """
    place = path.resolve()  # past links: the file that they lead to is the one that is replaced
    if path.exists() and not place.is_file():
        path.write_bytes(data)  # as it was given: a pipe among /dev/fd leads to no place that has a name
    else:
        write_file(place, data, replace=True, private=private)
