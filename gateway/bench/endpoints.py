"""The endpoints of the authorities that the hub speaks to, each of one process: they answer, or acknowledge.

They verify nothing: that is the hub's work. Authorities would; its cost is not what is measured here. Each keeps the
last pair of messages as a sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

import uvloop

from gateway.bench.acknowledgements import Tellers
from gateway.bench.messages import answer
from gateway.bench.notifications import acknowledge, exchange_of
from gateway.bench.place import Party
from gateway.bench.wire import Channel, Listener, contexts

_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\n"


@dataclass(frozen=True, slots=True)
class Pair:
    """What the hub sent, and the answer to it, as they went over the wire."""

    question: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """Where acknowledgements are to be told."""

    ports: tuple[int, ...]


def provide(pipe: Connection, party: Party) -> None:
    """Work of a provider's process: tells its port, then gives the last pair whenever it is asked for it."""
    key = party.signing_key()
    _run(_Endpoint(party, lambda question: answer(question, key)), pipe)


def receive(pipe: Connection, party: Party) -> None:
    """Work of a recipient's process, as `provide`; first it is told the ports where acknowledgements are heard."""
    key = party.signing_key()
    _run(_Endpoint(party, lambda told: acknowledge(told, key)), pipe)


def _run(endpoint: _Endpoint, pipe: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(endpoint.serve(pipe))


class _Endpoint:
    def __init__(self, party: Party, respond: Callable[[bytes], bytes]) -> None:
        self._party = party
        self._respond = respond
        self._tellers: Tellers | None = None
        self._last: Pair | None = None

    async def serve(self, pipe: Connection) -> None:
        _, context = contexts(self._party)
        pipe.send(await Listener(self._converse).open(context))
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pipe.fileno(), partial(self._order, pipe, ended))
        await ended.wait()
        loop.remove_reader(pipe.fileno())

    def _order(self, pipe: Connection, ended: asyncio.Event) -> None:
        try:
            order = pipe.recv()
        except EOFError:
            ended.set()
            return
        if isinstance(order, Heard):
            self._tellers = Tellers(order.ports)
        else:
            pipe.send(self._last)

    async def _converse(self, channel: Channel) -> None:
        while True:
            _, question = await channel.receive()
            responded = self._respond(question)
            self._last = Pair(question, responded)
            await channel.send(_HEAD, responded)
            if self._tellers is not None:
                await self._tellers.tell(exchange_of(question))
