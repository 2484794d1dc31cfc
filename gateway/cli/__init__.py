"""The commands. Each group has a file of its own; errors leave as a code, a sentence and a remedy."""

from __future__ import annotations

import sys
from typing import NoReturn

from gateway.cli.commands import app


def main() -> NoReturn:
    """Entry point of `gateway`."""
    try:
        app()
    except Exception as error:
        # Everything that can be wrong with a hub: most commands need none of it.
        from gateway.reading import FORESEEN, in_words

        if not isinstance(error, FORESEEN):
            raise
        sys.exit("\n".join(in_words(error)))
    sys.exit(0)
