"""A bell: whoever waits for work hears that some has come.

And the mark of who only waits: see `aside`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
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
    """Each recipient is called by name, so that a message to one does not make all others look for theirs.

    What the bells of other processes do not tell, since a ring may be lost, is found by looking again.
    """

    def __init__(self, elsewhere: Callable[[Collection[AuthorityId]], None] = lambda _: None) -> None:
        """`elsewhere`: rings in the other processes of the hub, for these recipients."""
        self._elsewhere = elsewhere
        self._called: defaultdict[AuthorityId | None, asyncio.Event] = defaultdict(asyncio.Event)

    def ring(self, *recipients: AuthorityId) -> None:
        """Wake who waits for these, wherever they wait, and who waits here for anybody."""
        self.ring_here(*recipients)
        self._elsewhere(recipients)

    def ring_here(self, *recipients: AuthorityId) -> None:
        """As `ring`, in this process alone."""
        self._wake(None, *recipients)

    def rung(self, recipients: Collection[AuthorityId]) -> None:
        """It rang elsewhere: wake who waits for these. Who waits for anybody waits in every process, and one of them
        is enough.
        """
        self._wake(*recipients)

    def _wake(self, *names: AuthorityId | None) -> None:
        for name in names:
            if name in self._called:
                self._called.pop(name).set()

    async def wait(self, seconds: float, recipient: AuthorityId | None = None) -> None:
        """Until the bell rings for the recipient, None: for anybody; at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._called[recipient].wait()
