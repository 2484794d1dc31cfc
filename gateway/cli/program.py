"""How this program was started: printed commands must work when they are copied into another terminal."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def command(*arguments: str | Path) -> str:
    """A command line of this very program, quoted for a shell."""
    return shlex.join([*_program(), *(str(one) for one in arguments)])


def _program() -> list[str]:
    script = Path(sys.argv[0])
    if script.name == "gateway" and script.is_file():
        return [str(script.absolute())]
    return [sys.executable, "-m", "gateway"]
