"""Lines that say the same: the first of a minute are told, and then how many more there were (attack L04)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

Facts = tuple[tuple[str, str | None], ...]  # what a line says: closed words, so that there are few

TOLD: Final = 100  # of the same facts in a minute: more help nobody, and fill a disk
_MINUTE: Final = 60.0  # seconds


class Repeats:
    """Counts lines by what they say. Owned by the operational log. `clock`: seconds, from anywhere."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._counts: Counter[Facts] = Counter()

    def passes(self, facts: Facts) -> bool:
        """Is this one to be told?"""
        self._counts[facts] += 1
        return self._counts[facts] <= TOLD

    def over(self, *, ending: bool) -> Iterator[tuple[Facts, int]]:
        """When the minute is over, or the hub is `ending`: what was only counted in it. A new minute begins."""
        now = self._clock()
        if now - self._since < _MINUTE and not ending:
            return
        counts, self._counts, self._since = self._counts, Counter(), now
        for facts, count in counts.items():
            if count > TOLD:
                yield facts, count - TOLD
