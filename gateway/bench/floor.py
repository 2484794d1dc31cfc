"""The floor: CPU time of one exchange's raw work, measured in a process of its own beside the load.

A bare process does what no hub can avoid, exchange by exchange: it is server to one real peer and client to
another over TLS, at the sizes and the concurrency of the load, without HTTP, and between receiving and
sending it parses, canonicalises, verifies, signs and makes durable. What the peers spend is not counted. The
same pieces in loops of their own are told beside it: hot in the caches, they are cheaper.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time
from typing import Final, Self

import uvloop

from gateway.bench import raw
from gateway.bench.place import Party
from gateway.bench.raw import Act, Sample
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
    def mean(cls, floors: Iterable[tuple[float, Self]]) -> Self:
        """Of floors with their weights."""
        weighed = list(floors)
        whole = sum(weight for weight, _ in weighed)
        names = asdict(weighed[0][1])
        return cls(
            **{name: sum(weight * asdict(one)[name] for weight, one in weighed) / whole for name in names}
        )


@dataclass(frozen=True, slots=True)
class FloorOrder:
    """One measurement; `peer` is the port of the peer's server."""

    sample: Sample
    connections: int
    repetitions: int
    peer: int


@dataclass(frozen=True, slots=True)
class EchoOrder:
    """What the peers send of a sample, one exchange after the other on each connection."""

    sample: Sample
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
            pipe.send(Floor(total, *alone))


def echo(pipe: Connection, requester: Party, provider: Party, hub_name: str) -> None:
    """Work of the peers' process: an EchoOrder, then its port, then the floor's port in return, then a word."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            runner.run(_drive(pipe, pipe.recv(), requester, provider, hub_name))


def _alone(order: FloorOrder, key: SigningKey, directory: Path) -> tuple[float, float, float]:
    """Cryptography, XML and fsync, one after the other as in an exchange, not each in a loop of its own.

    What is repeated alone finds its code and data in the caches and looks cheaper than it ever is.
    """
    durable, close = raw.durable(directory)
    commits = sum(one.act is Act.COMMIT for one in order.sample)
    pieces: tuple[raw.Work, ...] = (
        raw.cryptography(order.sample, key),
        raw.xml(order.sample),
        partial(_repeat, durable, commits),
    )
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


def _repeat(work: raw.Work, times: int) -> None:
    for _ in range(times):
        work()


class _Bare:
    """Server of one leg and client of the other: bytes in, raw work, bytes on, raw work, bytes back."""

    def __init__(self, order: FloorOrder, hub: Party, key: SigningKey, peer_name: str) -> None:
        self._order = order
        durable, self._close = raw.durable(hub.pki.parent)
        self._steps = [(one, raw.step(one, key, durable)) for one in order.sample]
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
        onward = await connect(self._order.peer, self._peer_name, self._client)
        try:
            while True:
                await self._exchange(channel, onward)
                self._tick()
        finally:
            onward.close()

    async def _exchange(self, channel: Channel, onward: Channel) -> None:
        for one, work in self._steps:
            match one.act:
                case Act.TAKE | Act.HEAR:
                    peer = channel if one.act is Act.TAKE else onward
                    await peer.reader.readexactly(len(one.message))
                    work()
                case Act.GIVE | Act.ASK:
                    work()
                    peer = channel if one.act is Act.GIVE else onward
                    peer.writer.write(one.message)
                case Act.COMMIT:
                    work()

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
    (client, _), (_, server_side) = contexts(requester), contexts(provider)
    sizes = {act: [len(one.message) for one in order.sample if one.act is act] for act in Act}

    async def provide(channel: Channel) -> None:
        if not sizes[Act.ASK]:  # nobody is asked in this exchange
            await channel.reader.read()
        while sizes[Act.ASK]:
            for question, answer in zip(sizes[Act.ASK], sizes[Act.HEAR], strict=True):
                await channel.reader.readexactly(question)
                channel.writer.write(bytes(answer))

    listener = Listener(provide)
    pipe.send(await listener.open(server_side))
    port = pipe.recv()
    channels = [await connect(port, hub_name, client) for _ in range(order.connections)]
    left = _echoes(order)

    async def ask(channel: Channel) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            channel.writer.write(bytes(sizes[Act.TAKE][0]))
            await channel.reader.readexactly(sizes[Act.GIVE][0])

    await asyncio.gather(*(ask(channel) for channel in channels))
    for channel in channels:
        channel.close()
    listener.close()
    pipe.send("done")
