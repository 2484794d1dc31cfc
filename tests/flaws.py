"""For tests that feed parsers anything at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.exchangelog.flaw import Flaw, ProofError


@contextmanager
def may_be_refused(*flaws: Flaw) -> Iterator[None]:
    """Either nothing is raised, or one of these flaws."""
    try:
        yield
    except ProofError as error:
        if error.flaw not in flaws:
            raise
