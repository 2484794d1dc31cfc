"""The commands. Each group has a file of its own; errors leave as a code, a sentence and a remedy."""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper
from typing import NoReturn

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_INTERRUPTED = 130  # as a shell tells of SIGINT: 128 and its number


def main() -> NoReturn:
    """Entry point of `gateway`."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        # Everything that can be wrong with a hub: most commands need none of it.
        from gateway.reading import FORESEEN, in_words, of_file

        foreseen = _of_output(error) or of_file(error)
        if not isinstance(foreseen, FORESEEN):
            raise
        sys.exit("\n".join(in_words(foreseen)))
    sys.exit(0)


def _run() -> None:
    if isinstance(sys.stdout, TextIOWrapper):
        # Pages, JSON and CSV are UTF-8; names of files are any bytes.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    from gateway.cli.commands import app  # takes a moment, in which somebody may press Ctrl-C

    try:
        app()
    except SystemExit:
        if sys.stdout is not None:  # who starts it may have closed it
            sys.stdout.flush()  # not at the very end, where nobody could tell what is wrong with it
        raise


def _of_output(error: Exception) -> Exception | None:
    """What is wrong with standard output, such as a full disk behind `> FILE`: of other files the name is known."""
    if not isinstance(error, OSError) or error.errno not in _DISK or error.filename is not None:
        return None
    from gateway.exchangelog.flaw import Flaw, ProofError

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter tries once more
    return ProofError(Flaw.FILE, f"standard output: {error.strerror}")
