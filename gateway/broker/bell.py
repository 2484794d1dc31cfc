"""A bell: whoever waits for work hears that some has come."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Bell:
    """Rung in this process only; what another process of the hub took in is found by looking again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake everybody who waits now."""
        rung, self._event = self._event, asyncio.Event()
        rung.set()

    async def wait(self, seconds: float) -> None:
        """Until the bell rings, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
