"""Which entries an officer means to erase, and whether they may be: found by index, by dossier or by person.

To find entries by dossier or person is a look-up, and recorded as one before anything is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from gateway.adapters.store_filter import Filter
from gateway.adapters.store_reader import LogReader
from gateway.cli.log_look_up import Sought
from gateway.cli.log_officer import Acting, LookUp
from gateway.cli.log_operator import Operator
from gateway.exchangelog.bucket import bucket_of
from gateway.exchangelog.erasure import Erasing
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Ground, Kind, Query
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.leaf import Leaf

# What officers did. Nobody's trace is taken away by itself: it goes with its bucket, a look-up also with whom it found.
_ACTS: Final = (Kind.ACCESS, Kind.ERASURE, Kind.PRUNING)


def erasable(  # noqa: PLR0917 - what is to be erased, why, and by whom
    operator: Operator,
    officer: Acting,
    sought: Sequence[Sought],
    entries: str,
    erasing: Erasing,
    now: datetime,
) -> Indices:
    """What is named, and what is about any of those sought. Raises `ProofError`: LOG651, LOG652, LOG653."""
    named = Indices.parse(entries)
    with LogReader.open(operator.store, operator.keys) as log:
        _require_no_acts(log, named)
        found = named
        for one in sought:
            found |= _about(log, operator, officer, one)
        if not found.ranges:
            raise ProofError(Flaw.NOTHING, "no entry is about it")
        if erasing.ground is Ground.NOT_NECESSARY:
            _require_expired(log, found, operator.years, now)
    return found


def _about(log: LogReader, operator: Operator, officer: Acting, sought: Sought) -> Indices:
    """By opening commitments, not by the index beside them: what an altered index hid must go as well.

    The look-up itself is about the same, and goes with what it found.
    """
    size, minimum = log.head().size, log.minimum
    asked = {sought.by.value: sought.value}
    look_up = LookUp(Query.ERASURE, sought.by, minimum, size, asked, sought.dossier, sought.person)
    access = officer.record(operator.store, look_up)
    # From here on: who looked for it is durable, so it may be told.
    wanted = Filter(about=replace(sought.about, every=True))
    found = Indices.of((index, index) for index, _, _ in log.found(wanted, minimum, size))
    return found | Indices(((access, access),)) if found.ranges else found


def _require_no_acts(log: LogReader, named: Indices) -> None:
    for index, leaf in _leaves(log, named):
        if leaf is not None and leaf.kind in _ACTS:
            about = f"entry {index} says what an officer did: it goes with its bucket, or with the dossier or person it is about"
            raise ProofError(Flaw.NOT_ERASABLE, about)


def _require_expired(log: LogReader, found: Indices, years: int, now: datetime) -> None:
    """For so long the parties agreed that the log is necessary."""
    for index, leaf in _leaves(log, found):
        if leaf is not None and (due := bucket_of(leaf.seal()).due(years)) > now:
            raise ProofError(Flaw.NOT_DUE, f"entry {index} is necessary until {due:%Y-%m-%d}")


def _leaves(log: LogReader, indices: Indices) -> Iterable[tuple[int, Leaf | None]]:
    """None for an entry that was altered: of its form nothing is left."""
    for first, last in indices.ranges:
        for index, data in log.leaves(first, last + 1):
            try:
                yield index, Leaf.parse(data)
            except ProofError:
                yield index, None
