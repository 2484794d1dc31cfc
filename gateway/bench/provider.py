"""The provider's process: answers each question of the hub, uniquely signed, and keeps one pair as a sample.

It verifies nothing: that is the hub's work. A platform would; its cost is not what is measured here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvloop

from gateway.bench.dossiers import dossier_number
from gateway.bench.messages import answer
from gateway.bench.place import Party
from gateway.bench.wire import Channel, Listener, contexts
from gateway.wss.sign import SigningKey

_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\n"


@dataclass(frozen=True, slots=True)
class Pair:
    """The hub's question and the answer to it, as they went over the wire."""

    question: bytes
    answer: bytes


def provide(pipe: Connection, party: Party) -> None:
    """Work of the process: tells its port, then gives a sample for each size in KB that it is asked for."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Provider(party).serve(pipe))


class _Provider:
    def __init__(self, party: Party) -> None:
        self._party = party
        self._key: SigningKey = party.signing_key()
        self._last: Pair | None = None

    async def serve(self, pipe: Connection) -> None:
        _, context = contexts(self._party)
        pipe.send(await Listener(self._converse).open(context))
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pipe.fileno(), self._order, pipe, ended)
        await ended.wait()
        loop.remove_reader(pipe.fileno())

    def _order(self, pipe: Connection, ended: asyncio.Event) -> None:
        try:
            wanted = dossier_number(pipe.recv()).encode()
        except EOFError:
            ended.set()
            return
        pair = self._last
        pipe.send(pair if pair is not None and wanted in pair.question else None)

    async def _converse(self, channel: Channel) -> None:
        while True:
            _, question = await channel.receive()
            signed = answer(question, self._key)
            self._last = Pair(question, signed)
            await channel.send(_HEAD, signed)
