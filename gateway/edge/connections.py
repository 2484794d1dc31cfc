"""How many connections there may be, and for how long one may stand in the way (attacks H16, H18, H29, H30); and the
change of their TLS while they are accepted.

A connection has a place of all, and one of its address, before its TLS handshake; one of its authority after it.
Whoever finds no place is closed without a word: to answer, the hub would have to listen first.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

Make = Callable[[asyncio.Future[None]], asyncio.Protocol]  # of a connection; it fulfils the future at its end

_PAUSE: Final = 0.1  # seconds, when the process has no file descriptor left for one more


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What connections may use of one listener."""

    in_all: int
    of_an_address: int
    of_an_authority: int
    header_seconds: float  # for a handshake, for each request's headers, for the rest of a refused body
    reply_seconds: float  # for a peer to take what is written to it


class Cut(StrEnum):
    """Why the hub did not take a connection, or cut it: the label of the metric."""

    ALL = "all"
    ADDRESS = "address"
    AUTHORITY = "authority"
    HANDSHAKE = "handshake"  # no TLS, no acceptable certificate, or too slow
    REPLY = "reply"  # what was written was not read in time


class Counts(Protocol):
    """What is told of connections: `Metrics`."""

    def connections(self, listener: str, count: int) -> None: ...

    def cut(self, listener: str, reason: str, count: int) -> None: ...


class Watch:
    """Tells the metrics of one listener's connections."""

    def __init__(self, metrics: Counts, listener: str) -> None:
        self._metrics = metrics
        self._listener = listener
        self.open = 0
        for why in Cut:  # a series that is there from the start can be seen to rise
            metrics.cut(listener, why, 0)

    def count(self, change: int) -> None:
        self.open += change
        self._metrics.connections(self._listener, self.open)

    def cut(self, why: Cut) -> None:
        self._metrics.cut(self._listener, why, 1)


class Shares:
    """Places: so many for each key. Owns their count."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[Hashable] = Counter()

    def take(self, key: Hashable) -> bool:
        """Take a place; False when none is left."""
        if self._taken[key] >= self._most:
            return False
        self._taken[key] += 1
        return True

    def give_back(self, key: Hashable) -> None:
        self._taken[key] -= 1
        if not self._taken[key]:  # addresses are without number
            del self._taken[key]


class Door:
    """Accepts the connections of one listening socket. Owns the socket and one task for each connection."""

    def __init__(
        self,
        bound: socket.socket,
        make: Make,
        tls: ssl.SSLContext | None,
        limits: ConnectionLimits,
        watch: Watch,
    ) -> None:
        """`tls`: of connections that begin from now on; those that are there keep theirs. It may be replaced:
        a session of another context cannot be resumed (attack I06).
        """
        bound.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self.tls = tls
        self._bound = bound
        self._make = make
        self._limits = limits
        self._watch = watch
        self._of = Shares(limits.of_an_address)
        accepting = asyncio.create_task(self._accept(), name="door")
        accepting.add_done_callback(lambda _: bound.close())  # not while the loop still watches it
        self._tasks = {accepting}

    @property
    def port(self) -> int:
        return int(self._bound.getsockname()[1])

    def close(self) -> None:
        """Take no more connections and give up the handshakes under way; established ones are left alone."""
        for task in self._tasks:
            task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, address = await loop.sock_accept(self._bound)
            except OSError:
                await asyncio.sleep(_PAUSE)
                continue
            task = asyncio.create_task(self._serve(peer, address[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, peer: socket.socket, address: str) -> None:
        """From its first byte to its end."""
        with self._place(address) as refused:
            if refused is not None:
                peer.close()
                self._watch.cut(refused)
                return
            ended = asyncio.get_running_loop().create_future()
            if await self._established(peer, ended):
                await ended
            else:
                self._watch.cut(Cut.HANDSHAKE)

    @contextmanager
    def _place(self, address: str) -> Iterator[Cut | None]:
        """Why there is none, or None."""
        if self._watch.open >= self._limits.in_all:
            yield Cut.ALL
        elif not self._of.take(address):
            yield Cut.ADDRESS
        else:
            self._watch.count(1)
            try:
                yield None
            finally:
                self._watch.count(-1)
                self._of.give_back(address)

    async def _established(self, peer: socket.socket, ended: asyncio.Future[None]) -> bool:
        """Whether TLS was agreed, with a certificate that OpenSSL accepts."""
        seconds = self._limits.header_seconds if self.tls else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._make, ended),
                peer,
                ssl=self.tls,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )
        except OSError:  # ssl.SSLError is one, and what asyncio raises when a handshake takes too long
            return False
        return True
