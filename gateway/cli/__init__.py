"""The commands. Each group has a file of its own; errors leave as a code, a sentence and a remedy."""

from __future__ import annotations

import sys
from typing import NoReturn

from gateway.cli.commands import app
from gateway.reading import FORESEEN, in_words


def main() -> NoReturn:
    """Entry point of `gateway`."""
    try:
        app()
    except FORESEEN as error:
        sys.exit("\n".join(in_words(error)))
    sys.exit(0)
