"""The floor: CPU time of one exchange's raw work, measured in a process of its own beside the load.

A bare process does what no hub can avoid, exchange by exchange: it is server to one real peer and client to
another over TLS, at the sizes and the concurrency of the load, without HTTP, and between receiving and
sending it parses, canonicalises, verifies, signs and makes durable. What the peers spend is not counted. The
same pieces in loops of their own are told beside it: hot in the caches, they are cheaper.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time
from typing import Final, Self

import uvloop

from gateway.bench import raw
from gateway.bench.place import Party
from gateway.bench.raw import Sample
from gateway.bench.wire import Channel, Listener, connect, contexts
from gateway.wss.sign import SigningKey

_WARMUP: Final = 20


@dataclass(frozen=True, slots=True)
class Floor:
    """CPU milliseconds of one exchange, user and system."""

    total_ms: float  # all of it, exchange by exchange
    crypto_ms: float  # a piece, in a loop of its own
    xml_ms: float
    fsync_ms: float

    @classmethod
    def mean(cls, one: Self, other: Self) -> Self:
        values = zip(asdict(one).items(), asdict(other).values(), strict=True)
        return cls(**{name: (value + second) / 2 for (name, value), second in values})


@dataclass(frozen=True, slots=True)
class FloorOrder:
    """One measurement; `peer` is the port of the peer's server."""

    sample: Sample
    connections: int
    repetitions: int
    peer: int


@dataclass(frozen=True, slots=True)
class EchoOrder:
    """What the peer sends: messages of these sizes, one after the other on each connection."""

    sizes: tuple[int, int, int, int]
    connections: int
    repetitions: int


def measure(pipe: Connection, hub: Party, signing: str, peer_name: str) -> None:
    """Work of the floor's process: a FloorOrder, then the port of its server, then the Floor; and again."""
    key = hub.signing_key(signing)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            order: FloorOrder = pipe.recv()
            alone = _alone(order, key, hub.pki.parent)
            total = runner.run(_Bare(order, hub, key, peer_name).run(pipe))
            pipe.send(Floor(total_ms=total, crypto_ms=alone[0], xml_ms=alone[1], fsync_ms=alone[2]))


def echo(pipe: Connection, requester: Party, provider: Party, hub_name: str) -> None:
    """Work of the peer's process: an EchoOrder, then its port; the floor's port, then "done"; and again."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            runner.run(_drive(pipe, pipe.recv(), requester, provider, hub_name))


def _alone(order: FloorOrder, key: SigningKey, directory: Path) -> tuple[float, float, float]:
    """Cryptography, XML and fsync, one after the other as in an exchange, not each in a loop of its own.

    What is repeated alone finds its code and data in the caches and looks cheaper than it ever is.
    """
    durable, close = raw.fsync(directory)
    pieces = (raw.cryptography(order.sample, key), raw.xml(order.sample), durable)
    spent = [0.0] * len(pieces)
    for piece in pieces:
        piece()
    for _ in range(order.repetitions):
        for place, piece in enumerate(pieces):
            began = process_time()
            piece()
            spent[place] += process_time() - began
    close()
    crypto, xml, fsync = (seconds / order.repetitions * 1000 for seconds in spent)
    return crypto, xml, fsync


class _Bare:
    """Server of one leg and client of the other: bytes in, raw work, bytes on, raw work, bytes back."""

    def __init__(self, order: FloorOrder, hub: Party, key: SigningKey, peer_name: str) -> None:
        self._order = order
        self._ask, self._return = raw.legs(order.sample, key)
        self._durable, self._close = raw.fsync(hub.pki.parent, writes=1)
        self._question = b"q" * order.sample.sizes[1]
        self._reply = b"r" * order.sample.sizes[3]
        self._client, self._server = contexts(hub)
        self._peer_name = peer_name
        self._count = 0
        self._began = self._spent = 0.0
        self._done = asyncio.Event()

    async def run(self, pipe: Connection) -> float:
        """CPU milliseconds of one exchange."""
        listener = Listener(self._converse)
        pipe.send(await listener.open(self._server))
        await self._done.wait()
        listener.close()
        self._close()
        return self._spent / (_echoes(self._order) - _warmup(self._order.connections)) * 1000

    async def _converse(self, channel: Channel) -> None:
        request, _, answer, _ = self._order.sample.sizes
        onward = await connect(self._order.peer, self._peer_name, self._client)
        try:
            while True:
                await channel.reader.readexactly(request)
                self._ask()
                self._durable()
                onward.writer.write(self._question)
                await onward.reader.readexactly(answer)
                self._return()
                self._durable()
                channel.writer.write(self._reply)
                self._tick()
        finally:
            onward.close()

    def _tick(self) -> None:
        self._count += 1
        if self._count == _warmup(self._order.connections):
            self._began = process_time()
        elif self._count == _echoes(self._order):
            self._spent = process_time() - self._began
            self._done.set()


def _warmup(connections: int) -> int:
    """Every connection is open and used before the clock starts."""
    return max(_WARMUP, 2 * connections)


def _echoes(order: FloorOrder | EchoOrder) -> int:
    """More than of the pieces alone: the figure that counts."""
    return _warmup(order.connections) + 4 * order.repetitions


async def _drive(
    pipe: Connection, order: EchoOrder, requester: Party, provider: Party, hub_name: str
) -> None:
    """Provider of one leg and requester of the other."""
    request, question, answer, reply = order.sizes
    (client, _), (_, server_side) = contexts(requester), contexts(provider)
    answered = b"a" * answer

    async def provide(channel: Channel) -> None:
        while True:
            await channel.reader.readexactly(question)
            channel.writer.write(answered)

    listener = Listener(provide)
    pipe.send(await listener.open(server_side))
    port = pipe.recv()
    channels = [await connect(port, hub_name, client) for _ in range(order.connections)]
    left = _echoes(order)

    async def ask(channel: Channel) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            channel.writer.write(b"q" * request)
            await channel.reader.readexactly(reply)

    await asyncio.gather(*(ask(channel) for channel in channels))
    for channel in channels:
        channel.close()
    listener.close()
    pipe.send("done")
