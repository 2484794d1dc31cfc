"""The courier: takes what is due from the queue and has it delivered, so many at once for each recipient.

Decides nothing about a delivery: that is `broker.deliver`. Here are the loop, the bounds and the waiting.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.adapters.metrics import Metrics
from gateway.agreement.register import Register
from gateway.broker.bell import Bell
from gateway.broker.deliver import Deliverer
from gateway.broker.event import DeliveryEvent, trace
from gateway.broker.ports import Queue
from gateway.broker.schedule import Breaker
from gateway.edge.operational_log import OperationalLog
from gateway.model import AuthorityId, Delivery
from gateway.refusal import Category, Code, Refusal

_LOOK_AGAIN: Final = 1.0  # seconds between two looks at the queue when nobody rings
_SWEEP: Final = timedelta(minutes=10)  # between two looks for what has waited too long
_BATCH: Final = 100  # expired deliveries settled at one sweep
# Whose fault it is that nothing was delivered: only these say something about the recipient's health.
_RECIPIENT: Final = frozenset({Category.PROVIDER})


@dataclass(frozen=True, slots=True)
class CourierLimits:
    """How much is carried at once, and for how long a delivery is this process's."""

    at_once: int  # deliveries under way for one recipient
    lease: timedelta
    keep: timedelta  # the agreement's cap on stored messages


class Courier:
    """One per hub process. Owns the count of deliveries under way and the breakers."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        deliverer: Deliverer,
        queue: Queue,
        register: Register,
        limits: CourierLimits,
        breaker: Callable[[], Breaker],
        bell: Bell,
        metrics: Metrics,
        log: OperationalLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._deliverer = deliverer
        self._queue = queue
        self._endpoints = [one.id for one in register.authorities if one.active and one.endpoint is not None]
        self._limits = limits
        self._breakers = {name: breaker() for name in self._endpoints}
        self._bell = bell
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._under_way: defaultdict[AuthorityId, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._swept = datetime.min.replace(tzinfo=clock().tzinfo)

    async def run(self) -> None:
        """Until cancelled. What is under way then ends by itself; see `finish`."""
        while True:
            try:
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
        for name in self._endpoints:
            now = self._clock()
            allowed = self._breakers[name].allows(now, self._limits.at_once, self._under_way[name])
            if not allowed:
                continue
            for delivery in await self._queue.lease([name], now, now + self._limits.lease, allowed):
                self._under_way[name] += 1
                task = asyncio.create_task(self._deliver(delivery))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        event = DeliveryEvent(delivery)
        try:
            await self._deliverer.attempt(delivery, event)
        except Refusal as refusal:  # the queue could not be written: the lease ends by itself
            event.refused(refusal)
        finally:
            self._under_way[delivery.recipient] -= 1
            self._heed(delivery.recipient, event.code)
            self._log.delivery(event)
            self._metrics.delivered(event, self._clock())
            self._bell.ring()  # the next of its dossier may be due

    def _heed(self, recipient: AuthorityId, code: Code | None) -> None:
        breaker = self._breakers[recipient]
        if code is None:
            breaker.succeeded()
        elif code.row.category in _RECIPIENT:
            breaker.failed(self._clock())
        self._metrics.circuit(recipient, is_open=breaker.is_open(self._clock()))

    async def _sweep(self) -> None:
        """Purge what has waited longer than the agreement allows, and tell how much waits."""
        self._metrics.queue(await self._queue.depth())
        now = self._clock()
        if now - self._swept < _SWEEP:
            return
        self._swept = now
        for delivery in await self._queue.overdue(now - self._limits.keep, _BATCH):
            try:
                await self._deliverer.expire(delivery)
            except Refusal as refusal:  # one that cannot be ended does not keep the others
                self._log.note("courier", code=refusal.code.row.code, delivery=delivery.id)
