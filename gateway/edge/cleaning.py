"""Cleaning: from the start on and from time to time, documents whose time is over are removed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.broker.event import trace
from gateway.edge.operational_log import OperationalLog
from gateway.refusal import Refusal

_PAUSE: Final = 600.0  # seconds from the end of one sweep to the next


async def cleaning(sweep: Callable[[], Awaitable[None]], log: OperationalLog) -> None:
    """Until cancelled."""
    while True:
        try:
            await sweep()
        except Refusal as refusal:  # the store is busy or has failed, or the disk: the next sweep does it
            log.note("cleaning", code=refusal.code.row.code)
        except Exception as error:  # noqa: BLE001 - the cleaning outlives a bug
            log.note("failed", trace=trace(error))
        await asyncio.sleep(_PAUSE)
