"""Who may come in, and in which order: quota, places, turns; and what those are told who may not (PROTOCOL §2.9).

All of it goes by the authority of the TLS certificate, before anything of a message is read by a parser: what is
refused here costs the hub next to nothing, and nobody can use up what is another's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Final, Protocol

from gateway.broker.bell import aside
from gateway.edge.fair_queue import FairQueue
from gateway.model import AuthorityId, Quota
from gateway.policy.quota import draw
from gateway.refusal import Code, Refusal

# The next exchanges begin when the event loop has nothing else to do, so that what was begun is finished first: a turn
# of the loop that took less than `_IDLE` seconds did nothing. Where connections leave it no such turn, they begin after
# `_TURNS`.
_IDLE: Final = 0.0001
_TURNS: Final = 24
_TOGETHER: Final = 8  # exchanges: one by one each would have a commit of its own
_ABOUT: Final = 1.0  # seconds for which an authority counts that has asked: the others begin fewer together
_COST_BYTES: Final = 32 * 1024  # of a message that is read cost as much again as what each exchange costs
# Refusals of one authority that are told at once. Whoever wants more does not heed Retry-After: each further one is
# told after `_HELD` seconds, during which its connection is not read. A refusal costs the hub about a sixth of what an
# exchange does: a flood over all connections of an authority so takes a tenth of a CPU.
_AT_ONCE: Final = Quota(per_second=10.0, burst=40)
_HELD: Final = 2.0


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """What exchanges may use of one process, from their headers until their reply is taken."""

    in_flight: int
    of_an_authority: int
    in_flight_bytes: int
    wait_seconds: float  # for a turn


class Counts(Protocol):
    """What is told of admissions: `Metrics`."""

    def in_flight(self, count: int) -> None: ...

    def waiting(self, count: int) -> None: ...


class Moments(Protocol):
    """A moment for each authority: a dict, or what several processes share."""

    def get(self, authority: AuthorityId, default: float, /) -> float: ...

    def __setitem__(self, authority: AuthorityId, moment: float, /) -> None: ...


@dataclass(eq=False, slots=True)
class Place:
    """What a request holds."""

    peer: AuthorityId
    size: int  # bytes that its message may have
    held: bool = False
    turn: asyncio.Future[None] | None = None  # that it waits for


class Admission:
    """Owns the places, the turns, and what is left of each authority's quota."""

    def __init__(
        self,
        limits: AdmissionLimits,
        counts: Counts,
        clock: Callable[[], float],
        quotas: Moments | None = None,
    ) -> None:
        """`clock`: seconds that never go back. `quotas`: where the workers of a hub keep what is left of each."""
        self._limits = limits
        self._counts = counts
        self._clock = clock
        self._taken: Counter[AuthorityId] = Counter()
        self._bytes = 0
        self._queue: FairQueue[AuthorityId, Place] = FairQueue()
        self._asked: dict[AuthorityId, float] = {}  # when each wanted a turn last
        self._looking = False  # for the end of a turn of the loop, after which the next may begin
        self._turns = 0  # of the loop, since one began
        self._turned = clock()  # when the last of them ended
        self._full_at: Moments = {} if quotas is None else quotas  # see `policy.quota`
        self._told_at: dict[AuthorityId, float] = {}  # the same of refusals

    def charge(self, peer: AuthorityId, quota: Quota | None) -> None:
        """One message more of this authority. Raises Refusal: QUOTA."""
        if quota is None:
            return
        now = self._clock()
        self._full_at[peer], wait = draw(quota, self._full_at.get(peer, now), now)
        if wait:
            raise Refusal(Code.QUOTA, retry_after=ceil(wait))

    @contextmanager
    def place(self, peer: AuthorityId, size: int) -> Iterator[Place]:
        """A place among the exchanges under way, for a message of at most `size` bytes. Raises Refusal: BUSY."""
        if self._taken[peer] >= self._limits.of_an_authority:
            raise Refusal(Code.BUSY)
        while not self._room(size):
            self._push_out(peer)
        place = Place(peer, size)
        self._hold(place)
        token = aside.set(partial(self._aside, place))
        try:
            yield place
        finally:
            aside.reset(token)
            self._give_back(place)

    async def turn(self, place: Place) -> None:
        """Return when the exchange may begin. Raises Refusal: BUSY, when that took too long, or the place went to
        an authority that has fewer.
        """
        self._queue.push(place.peer, place, 1 + place.size / _COST_BYTES)
        self._asked[place.peer] = self._turned
        if not self._looking:
            self._begin()  # nobody else waits
            return
        place.turn = asyncio.get_running_loop().create_future()
        self._counts.waiting(len(self._queue))
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await place.turn
        except TimeoutError as error:
            raise Refusal(Code.BUSY) from error
        finally:
            self._queue.remove(place.peer, place)
            self._counts.waiting(len(self._queue))

    def patience(self, peer: AuthorityId) -> float:
        """Seconds after which a refusal is told to this authority."""
        now = self._clock()
        self._told_at[peer], wait = draw(_AT_ONCE, self._told_at.get(peer, now), now)
        return _HELD if wait else 0.0

    def _begin(self) -> None:
        """Give the next turns, if anybody waits for one. Those that begin together share their commits."""
        now = self._clock()
        given = list(self._next(now))
        self._looking = bool(given)
        if not given:
            return
        for place in given:
            if place.turn is not None and not place.turn.done():
                place.turn.set_result(None)
        self._turns, self._turned = 0, now
        asyncio.get_running_loop().call_soon(self._look)

    def _next(self, now: float) -> Iterator[Place]:
        """No more of one authority than its share, nor than wait of whichever is about and has fewest waiting, yet
        always one: whoever asks now and then finds little begun before it.
        """
        self._asked = {peer: at for peer, at in self._asked.items() if now - at < _ABOUT}
        fewest = min(map(self._queue.waiting, self._asked), default=0)
        share, begun = max(1, min(_TOGETHER // max(1, len(self._asked)), fewest)), Counter[AuthorityId]()
        for _ in range(_TOGETHER):
            place = self._queue.pop({peer for peer, count in begun.items() if count >= share})
            if place is None:
                return
            begun[place.peer] += 1
            yield place

    def _look(self) -> None:
        """A turn of the loop is over."""
        began, self._turned = self._turned, self._clock()
        self._turns += 1
        if self._turned - began < _IDLE or self._turns == _TURNS:
            self._begin()
        else:
            asyncio.get_running_loop().call_soon(self._look)

    def _room(self, size: int) -> bool:
        """Is there a place? A message that is alone always has one."""
        under_way = self._taken.total()
        fits = self._bytes + size <= self._limits.in_flight_bytes or not under_way
        return under_way < self._limits.in_flight and fits

    def _push_out(self, peer: AuthorityId) -> None:
        """Make room: of whoever has most places, and more than the newcomer would have, the request goes that has not
        begun and came last. A few who ask much so cannot take all places. Raises Refusal: BUSY.
        """
        for holder, places in self._taken.most_common():
            if places <= self._taken[peer] + 1:
                break
            last = self._queue.drop_last(holder)
            if last is not None and last.turn is not None:
                self._give_back(last)
                if not last.turn.done():  # else its time is over, or its peer left, and it does not know yet
                    last.turn.set_exception(Refusal(Code.BUSY))
                return
        raise Refusal(Code.BUSY)

    @contextmanager
    def _aside(self, place: Place) -> Iterator[None]:
        """While a request only waits its place is another's. It comes back unasked: little is left to do."""
        self._give_back(place)
        try:
            yield
        finally:
            self._hold(place)

    def _hold(self, place: Place) -> None:
        place.held = True
        self._taken[place.peer] += 1
        self._bytes += place.size
        self._counts.in_flight(self._taken.total())

    def _give_back(self, place: Place) -> None:
        if place.held:
            place.held = False
            self._taken[place.peer] -= 1
            self._bytes -= place.size
            self._counts.in_flight(self._taken.total())
