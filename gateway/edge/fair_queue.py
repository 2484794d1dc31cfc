"""Whose turn is next, when there are more who want one than there are turns.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): each authority has a lane, in order of arrival, and
the lanes have turns by what they have used. An authority that sends a thousand messages waits for its own; one
that sends a message now and then is next. All authorities weigh the same: the file of a small municipality is not
worth less than that of a region.

No clock, no event loop: those are for `admission`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """Items by key. Owns the virtual time, which is the start of the turn that was given last.

    What it keeps of a key that nothing waits of is one number; keys are those of the register.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._start: dict[K, float] = {}  # virtual time at which the first item of the key may have its turn
        self._lanes: dict[K, deque[tuple[T, float]]] = {}  # items with their costs; never empty

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def waiting(self, key: K) -> int:
        """How many items wait of this key."""
        return len(self._lanes.get(key, ()))

    def push(self, key: K, item: T, cost: float = 1.0) -> None:
        """Put an item at the end of its lane. `cost`: how much of a turn it will use, more than 0."""
        if key not in self._lanes:
            self._start[key] = max(self._start.get(key, 0.0), self._now)  # nobody saves turns up
            self._lanes[key] = deque()
        self._lanes[key].append((item, cost))

    def pop(self, passed_over: Container[K] = ()) -> T | None:
        """The item whose turn it is, of equals the one whose lane waits longer; None when nothing waits that is not
        to be passed over.
        """
        key = min(
            (one for one in self._lanes if one not in passed_over), key=self._start.__getitem__, default=None
        )
        if key is None:
            return None
        self._now = self._start[key]
        item, cost = self._lanes[key].popleft()
        self._start[key] += cost
        lane = self._lanes.pop(key)
        if lane:
            self._lanes[key] = lane  # behind its equals
        return item

    def drop_last(self, key: K) -> T | None:
        """Take out the item of the key that came last; None when none waits."""
        lane = self._lanes.get(key)
        if lane is None:
            return None
        item, _ = lane.pop()
        if not lane:
            del self._lanes[key]
        return item

    def remove(self, key: K, item: T) -> None:
        """Take out an item, if it still waits."""
        lane = deque(one for one in self._lanes.get(key, ()) if one[0] is not item)
        if lane:
            self._lanes[key] = lane
        else:
            self._lanes.pop(key, None)
