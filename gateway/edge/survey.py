"""The survey: counts from time to time where open dossiers stand, and what of the log is due to be erased.

For the metrics: numbers only, no dossier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from gateway.adapters.metrics import Metrics
from gateway.broker.event import trace
from gateway.edge.operational_log import OperationalLog

Counted = Callable[[], Mapping[tuple[str, str, str], int]]  # (course, status, days left) → dossiers
_PAUSE: Final = 60.0  # seconds from the end of one count to the next


async def survey(
    counted: Counted, due: Callable[[], Awaitable[int]], metrics: Metrics, log: OperationalLog
) -> None:
    """Until cancelled. `counted` reads the whole directory, so it works in a thread of its own.

    `due`: how many buckets of the exchange log are kept too long.
    """
    while True:
        try:
            metrics.buckets_due(await due())
            metrics.dossiers(await asyncio.to_thread(counted))
        except Exception as error:  # noqa: BLE001 - a count that fails stops no exchange
            log.note("failed", trace=trace(error))
        await asyncio.sleep(_PAUSE)
