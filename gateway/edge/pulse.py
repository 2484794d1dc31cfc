"""The pulse of a process: every second it says how it is, to the metrics, to its log and to its supervisor, or ends.

And it looks what others did to the exchange log, for which the pulse does not wait: a server may not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from gateway.adapters.metrics import Metrics
from gateway.broker.event import trace
from gateway.edge.fellows import Fellows
from gateway.edge.operational_log import OperationalLog
from gateway.refusal import Refusal

_PAUSE: Final = 1.0  # seconds


async def pulse(
    fellows: Fellows,
    trouble: Callable[[], str | None],
    look: Callable[[], None],
    metrics: Metrics,
    log: OperationalLog,
) -> None:
    """Until cancelled. `trouble`: why this process is not ready. `look`: whether it must end."""
    while True:
        try:
            log.catch_up()
            metrics.measure()
            fellows.state(trouble())
            look()
        except Exception as error:  # noqa: BLE001 - the pulse outlives a bug
            log.note("failed", trace=trace(error))
        await asyncio.sleep(_PAUSE)


async def watch(look: Callable[[], Awaitable[object]], log: OperationalLog) -> None:
    """Until cancelled. `look`: at whether the log has ended or lacks its keys, which otherwise only an exchange would tell."""
    while True:
        try:
            with suppress(Refusal):  # of a store that does not answer its `trouble` tells
                await look()
        except Exception as error:  # noqa: BLE001 - as the pulse
            log.note("failed", trace=trace(error))
        await asyncio.sleep(_PAUSE)
