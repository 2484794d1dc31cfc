"""The courier: takes what is due from the queue and has it delivered, so many at once for each recipient.

Decides nothing about a delivery: that is `broker.deliver`. Here are the loop, the bounds and the waiting.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.adapters.metrics import Metrics
from gateway.broker.bell import Bell
from gateway.broker.deliver import Deliverer
from gateway.broker.event import DeliveryEvent, trace
from gateway.broker.ports import Depth, Mailbox, Queue
from gateway.broker.rules import RulesInForce
from gateway.broker.schedule import Breaker
from gateway.edge.operational_log import OperationalLog
from gateway.model import AuthorityId, Delivery, ExchangeId, Settlement
from gateway.refusal import Category, Code, Refusal

_LOOK_AGAIN: Final = 1.0  # seconds between two looks at the queue when nobody rings
_SWEEP: Final = timedelta(minutes=10)  # between two looks for what has waited too long
_MEASURE: Final = timedelta(seconds=5)  # between two looks at how much waits: it reads the whole queue
_BATCH: Final = 100  # deliveries that a sweep looks at in one go
# Whose fault it is that nothing was delivered: only these say something about the recipient's health.
_RECIPIENT: Final = frozenset({Category.PROVIDER})


@dataclass(frozen=True, slots=True)
class CourierLimits:
    """How much is carried at once, and for how long a delivery is this process's."""

    at_once: int  # deliveries under way for one recipient
    lease: timedelta


class Courier:
    """One per hub process. Owns the count of deliveries under way and the breakers."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        deliverer: Deliverer,
        queue: Queue,
        mailbox: Mailbox,
        in_force: RulesInForce,
        limits: CourierLimits,
        breaker: Callable[[], Breaker],
        bell: Bell,
        metrics: Metrics,
        log: OperationalLog,
        clock: Callable[[], datetime],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """`leads`: whether this process measures the queue and sweeps it, for all processes of the hub."""
        self._deliverer = deliverer
        self._queue = queue
        self._mailbox = mailbox
        self._in_force = in_force
        self._limits = limits
        self._breakers: defaultdict[AuthorityId, Breaker] = defaultdict(breaker)
        self._bell = bell
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._leads = leads
        self._under_way: defaultdict[AuthorityId, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._depth: Sequence[Depth] = ()
        self._measured = self._swept = datetime.min.replace(tzinfo=clock().tzinfo)

    async def run(self) -> None:
        """Until cancelled. What is under way then ends by itself; see `finish`."""
        while True:
            try:
                if self._leads():
                    await self._measure()
                    await self._sweep()
                await self._round()
            except Refusal as refusal:  # the store is busy, or has failed: /readyz tells
                self._log.note("courier", code=refusal.code.row.code)
            except Exception as error:  # noqa: BLE001 - the courier outlives a bug
                self._log.note("failed", trace=trace(error))
            await self._bell.wait(_LOOK_AGAIN)

    async def finish(self, seconds: float) -> None:
        """Let deliveries under way end. Those that do not are delivered again when their lease has ended."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()

    async def _round(self) -> None:
        """Lease what is due, recipient by recipient, and start it."""
        for name in self._endpoints():
            now = self._clock()
            allowed = self._breakers[name].allows(now, self._limits.at_once, self._under_way[name])
            if not allowed:
                continue
            for delivery in await self._queue.lease([name], now, now + self._limits.lease, allowed):
                self._under_way[name] += 1
                task = asyncio.create_task(self._deliver(delivery))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _endpoints(self) -> list[AuthorityId]:
        known = self._in_force.rules.register.authorities
        return [one.id for one in known if one.active and one.endpoint is not None]

    async def _deliver(self, delivery: Delivery) -> None:
        event = DeliveryEvent(delivery)
        try:
            await self._deliverer.attempt(delivery, event, self._in_force.rules)
        except Refusal as refusal:  # the queue could not be written: the lease ends by itself
            event.refused(refusal)
        finally:
            self._under_way[delivery.recipient] -= 1
            self._heed(event)
            self._told(event)
            self._bell.ring_here(delivery.recipient)  # the next of its dossier may be due

    def _told(self, event: DeliveryEvent) -> None:
        self._log.delivery(event)
        self._metrics.delivered(event, self._clock())
        self._metrics.staged(event.seconds)

    def _heed(self, event: DeliveryEvent) -> None:
        recipient = event.delivery.recipient
        breaker = self._breakers[recipient]
        if event.outcome == Settlement.ACKNOWLEDGED:
            breaker.succeeded()
        elif event.code is not None and event.code.row.category in _RECIPIENT:
            breaker.failed(self._clock())
        self._metrics.circuit(recipient, is_open=breaker.is_open(self._clock()))

    async def _measure(self) -> None:
        """Tell how much waits."""
        now = self._clock()
        if not _within(_MEASURE, self._measured, now):
            self._measured = now
            self._depth = await self._queue.depth()
            self._metrics.queue(self._depth)

    async def _sweep(self) -> None:
        """Purge what has waited longer than the agreement allows; bury what nobody will carry."""
        now = self._clock()
        if _within(_SWEEP, self._swept, now):
            return
        self._swept = now
        rules = self._in_force.rules
        await self._expire(now - timedelta(days=rules.agreement.retention.payload_days))
        served = {one.id for one in rules.register.authorities if one.active}  # they get or take what waits
        for idle in [one.recipient for one in self._depth if one.recipient not in served]:
            for delivery in await self._queue.lease([idle], now, now + self._limits.lease, _BATCH):
                event = DeliveryEvent(delivery)
                await self._deliverer.give_up(delivery, event)
                if event.dead:
                    self._told(event)

    async def _expire(self, accepted_before: datetime) -> None:
        """All of it, whatever becomes of one: those that cannot be ended now are passed over."""
        stuck: set[ExchangeId] = set()
        while True:
            limit = _BATCH + len(stuck)
            found = await self._queue.overdue(accepted_before, limit)
            left = [one for one in found if one.id not in stuck]
            ended = await asyncio.gather(*(self._ended(one) for one in left))
            stuck.update(one.id for one, done in zip(left, ended, strict=True) if not done)
            if len(found) < limit:
                return

    async def _ended(self, delivery: Delivery) -> bool:
        """False for what somebody has at this moment, who may still acknowledge it, and what cannot be ended."""
        try:
            if not await self._taken(delivery):
                return False
            await self._deliverer.expire(delivery, self._in_force.rules)
        except Refusal as refusal:
            self._log.note("courier", code=refusal.code.row.code, delivery=delivery.id)
        except Exception as error:  # noqa: BLE001 - one that meets a bug does not keep the others
            self._log.note("failed", trace=trace(error), delivery=delivery.id)
        else:
            accepted = delivery.notification.accepted
            self._metrics.settled(delivery.recipient, Settlement.EXPIRED, accepted, self._clock())
            return True
        return False

    async def _taken(self, delivery: Delivery) -> bool:
        """What is not to be had for another reason, dead or behind another or unreadable, nobody has either."""
        now = self._clock()
        try:
            await self._mailbox.take(delivery.recipient, delivery.id, now, now + self._limits.lease)
        except Refusal as refusal:
            return refusal.code is not Code.MESSAGE_LEASED
        return True


def _within(span: timedelta, last: datetime, now: datetime) -> bool:
    """Whether it was done so short a time ago. A clock that was set back does not put it off."""
    return timedelta() <= now - last < span
