"""When a delivery is tried again, and when a recipient is left alone for a while. Values and `now` in, values out.

A failed attempt waits twice as long as the one before it, up to a cap, and somewhat less by chance, so that what
failed together does not come back together. A recipient that fails several times in a row gets no attempts until a
pause has passed, and then one: the queue is not its punishment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

_DOUBLINGS: Final = 32  # of the first delay; more would only overflow: any cap is reached long before


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a failed delivery waits, all in seconds. Raises ValueError for bounds that make no schedule."""

    first: float  # before the second attempt
    cap: float  # the longest delay
    dead_after: float  # age of the notification at which the operator takes over

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.cap:
            raise ValueError("the first delay is positive and no longer than the cap")
        if self.dead_after <= 0:
            raise ValueError("a delivery is not dead from the start")

    def delay(self, attempts: int, draw: float) -> timedelta:
        """After so many failed attempts. `draw`: uniform in [0, 1); it takes away up to half of the delay."""
        doubled = self.first * 2.0 ** min(max(attempts - 1, 0), _DOUBLINGS)
        return timedelta(seconds=min(self.cap, doubled) * (1 - draw / 2))

    def due(self, attempts: int, now: datetime, draw: float) -> datetime:
        """When the next attempt is due; arguments as in `delay`."""
        return now + self.delay(attempts, draw)

    def is_dead(self, accepted: datetime, now: datetime) -> bool:
        """Was the notification accepted so long ago that another attempt is the operator's to order?"""
        return now - accepted >= timedelta(seconds=self.dead_after)


class Circuit(StrEnum):
    """State of a recipient's circuit."""

    CLOSED = "closed"  # attempts go through
    OPEN = "open"  # none does
    HALF_OPEN = "half-open"  # one does: it decides


class Breaker:
    """The circuit of one recipient, by its consecutive failures. Owned by whoever carries its deliveries."""

    def __init__(self, threshold: int, pause: timedelta) -> None:
        """`threshold`: failures in a row that open the circuit; `pause`: how long it then stays open."""
        if threshold < 1:
            raise ValueError("a circuit opens after at least one failure")
        self._threshold: Final = threshold
        self._pause: Final = pause
        self._failures = 0
        self._since: datetime | None = None  # when it was opened; None: closed

    def state(self, now: datetime) -> Circuit:
        if self._since is None:
            return Circuit.CLOSED
        # A clock that is set back makes no pause longer.
        return Circuit.OPEN if self._since <= now < self._since + self._pause else Circuit.HALF_OPEN

    def is_open(self, now: datetime) -> bool:
        """Is the recipient left alone now?"""
        return self.state(now) is Circuit.OPEN

    def allows(self, now: datetime, limit: int, under_way: int) -> int:
        """How many attempts may begin now. `limit`: at once when all is well; `under_way`: begun and not ended."""
        match self.state(now):
            case Circuit.CLOSED:
                return max(0, limit - under_way)
            case Circuit.OPEN:
                return 0
            case Circuit.HALF_OPEN:
                return 0 if under_way else min(1, limit)

    def succeeded(self) -> None:
        """An attempt reached the recipient: the circuit is closed."""
        self._failures, self._since = 0, None

    def failed(self, now: datetime) -> None:
        """An attempt failed: the circuit opens, or stays open for another pause, once there are enough in a row."""
        self._failures += 1
        if self._failures >= self._threshold:
            self._since = now
