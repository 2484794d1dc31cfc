"""Sets of indices: ranges in ascending order that do not touch, so that a set of millions may be small."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.exchangelog.flaw import Flaw, ProofError

_RANGE: Final = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Indices:
    """Written `3,77-80`: first and last of a range belong to it."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> Indices:
        """The union; ranges may overlap and come in any order."""
        joined: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = joined[-1][0], max(joined[-1][1], last)
            else:
                joined.append((first, last))
        return cls(tuple(joined))

    @classmethod
    def parse(cls, text: str) -> Indices:
        """As a person may write it, in any order. Raises `ProofError` (LOG510)."""
        found = [_RANGE.fullmatch(part) for part in text.split(",")] if text else []
        ranges = [(int(one[1]), int(one[2] or one[1])) for one in found if one is not None]
        if len(ranges) != len(found) or any(last < first for first, last in ranges):
            raise ProofError(Flaw.UNKNOWN_VALUE, f"{text!r}; indices such as 3,77-80")
        return cls.of(ranges)

    def __str__(self) -> str:
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ranges)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self.ranges, index, key=lambda one: one[0]) - 1
        return at >= 0 and index <= self.ranges[at][1]

    def __or__(self, other: Indices) -> Indices:
        return Indices.of((*self.ranges, *other.ranges))

    def __sub__(self, other: Indices) -> Indices:
        return Indices(tuple(_left(self.ranges, other.ranges)))

    def below(self, end: int) -> Indices:
        """Those that are less than `end`."""
        return Indices(tuple((first, min(last, end - 1)) for first, last in self.ranges if first < end))


def _left(ranges: Iterable[tuple[int, int]], taken: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int]]:
    at = 0
    for first, last in ranges:
        while at < len(taken) and taken[at][1] < first:
            at += 1
        start, next_ = first, at
        while next_ < len(taken) and taken[next_][0] <= last:
            if start < taken[next_][0]:
                yield start, taken[next_][0] - 1
            start = taken[next_][1] + 1
            next_ += 1
        if start <= last:
            yield start, last


class Growing:
    """Indices that come in ascending order."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add(self, index: int) -> None:
        if self._ranges and self._ranges[-1][1] == index - 1:
            self._ranges[-1] = self._ranges[-1][0], index
        else:
            self._ranges.append((index, index))

    @property
    def indices(self) -> Indices:
        return Indices(tuple(self._ranges))
