"""Who told something hears when its recipients acknowledge it: from endpoint to clients, past the hub.

The recipients' endpoints tell every process of clients which exchange an acknowledged delivery names; the clock of
whoever told it stops when all of its recipients did.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from gateway.bench.wire import HOST, Channel, Listener

_EXCHANGE = 36  # bytes of an exchange's UUID


class Acknowledgements:
    """Counts the acknowledgements of each exchange. One per process of clients."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()
        self._waiting: dict[bytes, tuple[int, asyncio.Future[None]]] = {}
        self._listener = Listener(self._told)

    async def listen(self) -> int:
        """Listen on a free port of loopback, which it returns."""
        return await self._listener.open(None)

    def forget(self) -> None:
        """A round begins: what others told before is not waited for."""
        self._counts.clear()

    async def of(self, exchange: bytes, count: int) -> None:
        """Wait until so many were told; an acknowledgement may be faster than the receipt."""
        if self._counts[exchange] < count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting[exchange] = count, waiter
            try:
                await waiter
            finally:
                del self._waiting[exchange]
        del self._counts[exchange]

    async def _told(self, channel: Channel) -> None:
        while True:
            exchange = await channel.reader.readexactly(_EXCHANGE)
            self._counts[exchange] += 1
            count, waiter = self._waiting.get(exchange, (0, None))
            if waiter is not None and self._counts[exchange] >= count and not waiter.done():
                waiter.set_result(None)


class Tellers:
    """Tells acknowledgements to the processes of clients, which listen on these ports."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._writers: dict[int, asyncio.StreamWriter] = {}

    async def tell(self, exchange: bytes) -> None:
        for port in self._ports:
            if port not in self._writers:
                _, self._writers[port] = await asyncio.open_connection(HOST, port)
            self._writers[port].write(exchange)
