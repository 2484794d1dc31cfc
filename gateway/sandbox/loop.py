"""Where the back offices run: an event loop in a thread of its own, and ports of the loopback interface."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any, Final, Self, TypeVar

from gateway.config import ConfigError

T = TypeVar("T")
_HUB_PORTS: Final = range(20_000, 32_000)


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="back-offices", daemon=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    """End what is still under way, such as the sleep of a slow provider."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def bound(port: int) -> socket.socket:
    """A listening socket of the loopback interface: at this port if it is free."""
    with suppress(OSError):
        return socket.create_server(("127.0.0.1", port))
    return socket.create_server(("127.0.0.1", 0))


def free_port(wanted: int, taken: int = 0) -> int:
    """One that the hub will open itself, since what it serves tells its URL: the wanted one if it is free.

    Else not from the range that the kernel gives to outgoing connections: one of those could take a port
    between this look and the hub's start. Raises ConfigError.
    """
    for port in (wanted, *random.sample(_HUB_PORTS, 100)):
        if port not in {0, taken}:
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
    raise ConfigError("SBX012", "No free port between 20000 and 32000.", "End what listens there.")
