"""A moment for each authority, in memory that the workers of a hub share: when its quota will be full again.

A file in the directory that the supervisor makes, mapped by each worker: rows of the hash of an id and a double. A row
stays its authority's. Two workers that count a message of one authority at the same instant may count one for both;
nobody waits for anybody.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from pathlib import Path
from typing import Final

from gateway.model import AuthorityId

_HASH, _MOMENT = struct.Struct("Q"), struct.Struct("d")
_ROW: Final = _HASH.size + _MOMENT.size
_SIZE: Final = (
    16_384 * _ROW
)  # more rows than a register has authorities; pages that nobody wrote take no memory


class SharedMoments:
    """Seconds of the machine's one clock (`time.monotonic`), by authority."""

    def __init__(self, path: Path) -> None:
        """Opens the table; the first to come makes it. Raises OSError."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _SIZE)
        self._map = mmap.mmap(self._file, _SIZE)
        self._known: dict[AuthorityId, int] = {}

    def get(self, authority: AuthorityId, default: float) -> float:
        """As a dict has it: the moment, or the default as long as none was set."""
        (moment,) = _MOMENT.unpack_from(self._map, self._place(authority))
        return float(moment) or default

    def __setitem__(self, authority: AuthorityId, moment: float) -> None:
        _MOMENT.pack_into(self._map, self._place(authority), moment)

    def _place(self, authority: AuthorityId) -> int:
        if authority not in self._known:
            fcntl.lockf(self._file, fcntl.LOCK_EX)  # held for microseconds, once for each authority
            try:
                self._known[authority] = self._claimed(_hash(authority)) + _HASH.size
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        return self._known[authority]

    def _claimed(self, wanted: int) -> int:
        """Where the row is, or the first that is free."""
        for row in range(0, _SIZE, _ROW):
            (found,) = _HASH.unpack_from(self._map, row)
            if found in {wanted, 0}:
                _HASH.pack_into(self._map, row, wanted)
                return row
        raise OSError("no row is free for one more authority")


def _hash(authority: AuthorityId) -> int:
    """64 bits, and not zero: so is a row that is free."""
    return int.from_bytes(hashlib.sha256(authority.encode()).digest()[:8]) or 1
