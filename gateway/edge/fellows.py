"""The other workers of this hub, as one of them knows them: through their supervisor. A hub of one process has none.

What is done once for all of them, such as pinning, feeding witnesses, counting dossiers and answering the
operations listener, does the one that *leads*. The supervisor names it, and another one when it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from gateway.adapters.channel import Channel, Lead, Look, Message, Ready, Ring, State, Troubles
from gateway.model import AuthorityId


class Fellows:
    """Owns this end of the channel."""

    def __init__(
        self, channel: Channel | None = None, *, number: int = 0, of: int = 1, joins: bool = False
    ) -> None:
        """`channel`: to the supervisor; None for the only process of a hub, which leads. `of`: so many workers.
        `joins`: others serve.
        """
        self._channel = channel
        self.number: Final = number
        self.of: Final = of
        self.joins: Final = joins
        self.leads: Final = asyncio.Event()
        self.others: Mapping[str, str] = {}  # of a worker that leads: which are not ready, and why
        self.rung: Callable[[Collection[AuthorityId]], None] = lambda _: None  # it rang at another one
        if channel is None:
            self.leads.set()

    @property
    def several(self) -> bool:
        return self._channel is not None

    @property
    def worker(self) -> int | None:
        """The number of this one among several."""
        return self.number if self.several else None

    def listen(self, look: Callable[[], None], ended: Callable[[], None]) -> None:
        """Hear the others from now on. `look`: at the files. `ended`: there is no supervisor any more."""
        if self._channel is None:
            return
        loop, channel = asyncio.get_running_loop(), self._channel

        def readable() -> None:
            try:
                for message in channel.receive():
                    self._heard(message, look)
            except EOFError:
                loop.remove_reader(channel.fileno())
                ended()

        loop.add_reader(channel.fileno(), readable)

    def ready(self, url: str, operations: str, agreement: str) -> None:
        """Tell that one more serves, where, and under which revision."""
        self._tell(Ready(url, operations, agreement))

    def state(self, trouble: str | None) -> None:
        """Tell that this one is there. `trouble`: why it is not ready."""
        self._tell(State(trouble))

    def ring(self, recipients: Collection[AuthorityId]) -> None:
        """Something has come for these."""
        self._tell(Ring(tuple(recipients)))

    def look(self) -> None:
        """The files changed."""
        self._tell(Look())

    def _tell(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def _heard(self, message: Message, look: Callable[[], None]) -> None:
        match message:
            case Ring():
                self.rung([AuthorityId(one) for one in message.recipients])
            case Look():
                look()
            case Lead():
                self.leads.set()
            case Troubles():
                self.others = message.of
            case Ready() | State():  # a supervisor says neither
                pass


async def once_leading(fellows: Fellows, work: Callable[[], Awaitable[None]]) -> None:
    """Do what one of the workers does for all, from the moment when this one leads."""
    await fellows.leads.wait()
    await work()
