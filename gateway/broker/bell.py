"""A bell: whoever waits for work hears that some has come.

And the mark of who only waits: see `aside`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from typing import Final

from gateway.model import AuthorityId

# Entered by a request while it does nothing but wait: then it holds no place among the exchanges under way.
# Who counts those sets it for each request; the paths of the broker know nothing of places.
aside: Final[ContextVar[Callable[[], AbstractContextManager[None]]]] = ContextVar(
    "aside", default=nullcontext
)


class Bell:
    """Rung in this process only; what another process of the hub took in is found by looking again.

    Each recipient is called by name, so that a message to one does not make all others look for theirs.
    """

    def __init__(self) -> None:
        self._called: defaultdict[AuthorityId | None, asyncio.Event] = defaultdict(asyncio.Event)

    def ring(self, *recipients: AuthorityId) -> None:
        """Wake who waits for these, and who waits for anybody."""
        for name in (None, *recipients):
            if name in self._called:
                self._called.pop(name).set()

    async def wait(self, seconds: float, recipient: AuthorityId | None = None) -> None:
        """Until the bell rings for the recipient, None: for anybody; at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._called[recipient].wait()
