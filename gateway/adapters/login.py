"""Who works at this machine: the one thing that is known of a person at a command line."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Final

_UNSET: Final = (1 << 32) - 1
_AUDITED: Final = Path("/proc/self/loginuid")


def login() -> str:
    """The name of the user who logged in, or its number where the machine has no name for it.

    The kernel remembers who logged in through sudo and su, and lets nobody change it (audit(7), pam_loginuid(8)).
    Where it was never set, as in a container, it is the user of this process.
    """
    number = _logged_in()
    number = os.getuid() if number is None else number
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _logged_in() -> int | None:
    try:
        number = int(_AUDITED.read_text("ascii"))
    except (OSError, ValueError):  # a kernel without audit
        return None
    return None if number == _UNSET else number
