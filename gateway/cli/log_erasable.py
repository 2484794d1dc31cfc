"""Which entries an officer means to erase, and whether they may be: found by index, by dossier or by person.

To find entries by dossier or person is a look-up, and recorded as one before anything is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from gateway.adapters.store_filter import Filter
from gateway.adapters.store_former import LogAt
from gateway.adapters.store_reader import LogReader
from gateway.cli.log_look_up import Sought
from gateway.cli.log_officer import Acting, LookUp
from gateway.cli.log_operator import Operator
from gateway.cli.log_place import Place
from gateway.exchangelog.bucket import bucket_of
from gateway.exchangelog.erasure import Erasing
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Ground, Kind, Query
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.leaf import Leaf

# What officers did. Nobody's trace is taken away by itself: it goes with its bucket, a look-up also with whom it found.
_ACTS: Final = (Kind.ACCESS, Kind.ERASURE, Kind.PRUNING)


@dataclass(slots=True)
class Erasable:
    """What an officer means to erase, log by log; and whether it may be."""

    operator: Operator
    officer: Acting
    erasing: Erasing
    now: datetime
    found: dict[LogAt | None, Indices] = field(default_factory=dict)  # None: of the log in force

    def named(self, place: Place, entries: str) -> None:
        """These entries of a log. Raises `ProofError` (LOG510, LOG651)."""
        wanted = Indices.parse(entries)
        with LogReader.open(place.store) as log:
            _require_no_acts(log, wanted)
        self._add(place.of, wanted)

    def about(self, places: Sequence[Place], sought: Sequence[Sought]) -> None:
        """What is about any of those sought, in these logs: each a look-up. Raises `ProofError`.

        A look-up is about the same, and goes with what was found, this one as well; by itself it stays.
        """
        for one in sought:
            ranges = [place.whole() for place in places]  # before any of these look-ups
            about = [self._about(place, covered, one) for place, covered in zip(places, ranges, strict=True)]
            if not any(found.beyond_looks for found in about):
                continue
            for place, found in zip(places, about, strict=True):
                self._add(place.of, found.indices)
                self._add(None, Indices(((found.access, found.access),)))

    def judged(self, places: Sequence[Place]) -> list[tuple[LogAt | None, Indices]]:
        """The same, once it may go; the logs in the order of these. Raises `ProofError`: LOG652, LOG653."""
        found = [(place, self.found.get(place.of, Indices())) for place in places]
        if not any(indices.ranges for _, indices in found):
            raise ProofError(Flaw.NOTHING, "no entry is about it")
        if self.erasing.ground is Ground.NOT_NECESSARY:
            for place, indices in found:
                with LogReader.open(place.store) as log:
                    _require_expired(log, indices, self.operator.years, self.now)
        return [(place.of, indices) for place, indices in found if indices.ranges]

    def _about(self, place: Place, covered: tuple[int, int], sought: Sought) -> _About:
        """By opening commitments, not by the index beside them: what an altered index hid must go as well."""
        asked = {sought.by.value: sought.value}
        look_up = LookUp(Query.ERASURE, sought.by, *covered, asked, sought.dossier, sought.person)
        access = self.officer.record(place, look_up)
        # From here on: who looked for it is durable, so it may be told.
        with LogReader.open(place.store, self.operator.keys) as log:
            wanted = Filter(about=replace(sought.about, every=True))
            found = {index: _leaf(data) for index, data, _ in log.found(wanted, *covered)}
        indices = Indices.of((index, index) for index in found)
        beyond = any(leaf is None or leaf.kind is not Kind.ACCESS for leaf in found.values())
        return _About(access, indices, beyond)

    def _add(self, of: LogAt | None, more: Indices) -> None:
        self.found[of] = self.found.get(of, Indices()) | more


@dataclass(frozen=True, slots=True)
class _About:
    """What a look-up found in one log."""

    access: int  # its own entry
    indices: Indices
    beyond_looks: bool  # there is something but earlier look-ups


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
    for first, last in indices.ranges:
        for index, data in log.leaves(first, last + 1):
            yield index, _leaf(data)


def _leaf(data: bytes) -> Leaf | None:
    """None for an entry that was altered: of its form nothing is left."""
    try:
        return Leaf.parse(data)
    except ProofError:
        return None
