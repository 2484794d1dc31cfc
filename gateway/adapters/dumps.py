"""What a crash, or another process of the same user, could carry out of memory: private keys (attack G08)."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)


def forbid_dumps() -> None:
    """No core file, and no reading of this process's memory but by root. Linux. Raises OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0
    ):  # a core limit of 0 alone does not stop a pipe in core_pattern
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
