"""A crowd of requesters in one process: connections of several authorities that ask as fast as they are answered.

Who is turned away asks again with the very same message, since nothing of it was read: after the seconds that it was
told, and as many more by chance, as contracts/clients.md says, or at once, as a flood does.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Final

import uvloop

from gateway.bench.messages import ACTION, Asked, ask, plausible
from gateway.bench.place import Party
from gateway.bench.wire import HOST, Channel, connect, contexts
from gateway.model import AuthorityId

_TROUBLE: Final = (OSError, EOFError, ValueError)
_RETRY: Final = re.compile(rb"<(?:\w+:)?retryAfter>([0-9]+)</")


@dataclass(frozen=True, slots=True)
class Door:
    """Where the hub is."""

    port: int
    path: str
    name: str  # of the hub's TLS certificate


@dataclass(frozen=True, slots=True)
class Crowding:
    """One round."""

    kilobytes: int
    connections: Mapping[AuthorityId, int]
    seconds: float
    heeds: bool = True  # whoever is turned away comes back when it was told to
    pause: float = 0.0  # seconds from a reply to the next question
    delay: float = 0.0  # seconds until the first question
    ready: int = 0  # messages for each authority that are signed beforehand


@dataclass(slots=True)
class Crowded:
    """What it gave. Times are of CLOCK_MONOTONIC, which all processes share."""

    started: float = 0.0
    ended: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds, from the first time that it was asked
    turned_away: int = 0
    errors: int = 0
    trouble: str = ""  # the first error

    def error(self, trouble: str) -> None:
        self.errors += 1
        self.trouble = self.trouble or trouble


def crowd(pipe: Connection, door: Door, parties: Sequence[Party]) -> None:
    """Work of the process: a Crowding, then "ready", a word to begin, and Crowded; and again."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        members = [_Member(door, party) for party in parties]
        while True:
            runner.run(_round(pipe, pipe.recv(), members))


async def _round(pipe: Connection, order: Crowding, members: Sequence[_Member]) -> None:
    """Blocking on the pipe is right here: between the phases nothing is under way."""
    coming = [one for one in members if order.connections.get(one.party.authority.id)]
    for member in coming:
        await member.prepare(order)
    pipe.send("ready")
    pipe.recv()
    await asyncio.sleep(order.delay)
    result = Crowded(started=perf_counter())
    until = result.started + order.seconds
    await asyncio.gather(*(member.ask_all(order, until, result) for member in coming))
    result.ended = perf_counter()
    pipe.send(result)


class _Member:
    """The connections of one authority."""

    def __init__(self, door: Door, party: Party) -> None:
        self.party = party
        self._door = door
        self._key = party.signing_key()
        self._context, _ = contexts(party)
        self._ready = deque[Asked]()
        self._channels: list[Channel] = []
        self._head = (
            f"POST {door.path} HTTP/1.1\r\nHost: {HOST}:{door.port}\r\n"
            f'Content-Type: text/xml; charset=utf-8\r\nSOAPAction: "{ACTION}"\r\n'
        )

    async def prepare(self, order: Crowding) -> None:
        """Sign and connect."""
        self._ready = deque(self._sign(order.kilobytes) for _ in range(order.ready))
        for _ in range(order.connections[self.party.authority.id]):
            self._channels.append(await connect(self._door.port, self._door.name, self._context))

    async def ask_all(self, order: Crowding, until: float, result: Crowded) -> None:
        """Ask over all connections until that moment, then close them."""
        await asyncio.gather(*(self._converse(one, order, until, result) for one in self._channels))
        for channel in self._channels:
            channel.close()
        self._channels.clear()

    async def _converse(self, channel: Channel, order: Crowding, until: float, result: Crowded) -> None:
        try:
            while perf_counter() < until:
                one = self._ready.popleft() if self._ready else self._sign(order.kilobytes)
                await self._ask(channel, one, order, until, result)
                await asyncio.sleep(order.pause)
        except _TROUBLE as error:
            result.error(f"the connection broke ({type(error).__name__}: {error})")

    async def _ask(
        self, channel: Channel, asked: Asked, order: Crowding, until: float, result: Crowded
    ) -> None:
        """Ask until there is an answer or the round is over. To be turned away is to wait, too."""
        began = perf_counter()
        while perf_counter() < until:
            await channel.send(self._head, asked.message)
            line, reply = await channel.receive()
            told = _RETRY.search(reply)
            if told is None:
                trouble = plausible(reply, asked.ticket)
                if trouble is None:
                    result.latencies.append(perf_counter() - began)
                else:
                    result.error(f"{line.decode()}: {trouble}")
                return
            result.turned_away += 1
            if order.heeds:
                seconds = int(told[1]) * (1 + random.random())  # noqa: S311 - no secret
                await asyncio.sleep(max(0.0, min(seconds, until - perf_counter())))

    def _sign(self, kilobytes: int) -> Asked:
        return ask(kilobytes, self.party.authority.enterprise, self._key)
