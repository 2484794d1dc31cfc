"""Waiting for what must come about by itself. How long it takes is not judged; that it comes is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_LOOKS, _PAUSE = 4000, 0.05  # longer than any machine needs: whoever waits so long waits in vain


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Until it holds. Raises AssertionError, which says `what` did not come about."""
    for _ in range(_LOOKS):
        if await holds():
            return
        await asyncio.sleep(_PAUSE)
    raise AssertionError(what)
