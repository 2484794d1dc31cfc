"""A requester's process: signs its questions beforehand, then asks them over connections that it keeps.

Every reply's HTTP status, signature element, ticket and dossier are looked at; the last one is verified in
full when the clock has stopped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import perf_counter

import uvloop

from gateway.bench.messages import ACTION, Asked, ask, plausible, verified
from gateway.bench.place import Party
from gateway.bench.wire import HOST, Channel, connect, contexts
from gateway.refusal import Refusal

# Whatever a connection or a reply may do wrong is one error of the count, never the end of the run.
_TROUBLE = (OSError, EOFError, ValueError)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the hub is and who asks."""

    port: int
    path: str
    name: str  # of the hub's TLS certificate
    hub_certificates: frozenset[bytes]
    party: Party


@dataclass(frozen=True, slots=True)
class Order:
    """One round: `warmup` exchanges that do not count, then `exchanges` over `connections` at once."""

    kilobytes: int
    connections: int
    warmup: int
    exchanges: int


@dataclass(slots=True)
class Tally:
    """What a round gave. Times are of CLOCK_MONOTONIC, which all processes share."""

    started: float = 0.0
    ended: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds, of exchanges without error
    errors: int = 0
    trouble: str = ""  # the first error
    request: bytes = b""
    reply: bytes = b""  # to a request of the same size

    def error(self, trouble: str) -> None:
        self.errors += 1
        self.trouble = self.trouble or trouble


def request(pipe: Connection, target: Target) -> None:
    """Work of the process: an Order, then "ready", a word to begin, the Tally; and again."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            runner.run(_round(pipe, pipe.recv(), target))


async def _round(pipe: Connection, order: Order, target: Target) -> None:
    """Blocking on the pipe is right here: between the phases nothing is under way."""
    enterprise, key = target.party.authority.enterprise, target.party.signing_key()
    asked = deque(ask(order.kilobytes, enterprise, key) for _ in range(order.warmup + order.exchanges))
    context, _ = contexts(target.party)
    channels = [await connect(target.port, target.name, context) for _ in range(order.connections)]
    before = Tally()
    await _ask_all(channels, deque(asked.popleft() for _ in range(order.warmup)), target, before)
    pipe.send("ready")
    pipe.recv()
    tally = Tally(errors=before.errors, trouble=before.trouble, started=perf_counter())
    await _ask_all(channels, asked, target, tally)
    tally.ended = perf_counter()
    _verify_sample(tally, target)
    pipe.send(tally)
    for channel in channels:
        channel.close()


async def _ask_all(channels: list[Channel], asked: deque[Asked], target: Target, tally: Tally) -> None:
    """Each connection takes the next question as soon as it has its reply: a closed loop."""
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {HOST}:{target.port}\r\n"
        f'Content-Type: text/xml; charset=utf-8\r\nSOAPAction: "{ACTION}"\r\n'
    )

    async def converse(channel: Channel) -> None:
        while asked:
            one = asked.popleft()
            began = perf_counter()
            try:
                await channel.send(head, one.message)
                line, reply = await channel.receive()
            except _TROUBLE as error:
                tally.error(f"the connection broke ({type(error).__name__}: {error})")
                return
            _count(tally, one, line, reply, perf_counter() - began)

    await asyncio.gather(*(converse(channel) for channel in channels))
    for _ in asked:  # every connection broke: what nobody asked is an error too
        tally.error("no connection was left")


def _count(tally: Tally, asked: Asked, line: bytes, reply: bytes, seconds: float) -> None:
    status = line.split(b" ")[1].decode()
    trouble = plausible(reply, asked.ticket) if status == "200" else f"HTTP status {status}: {_told(reply)}"
    if trouble is not None:
        tally.error(trouble)
        return
    tally.latencies.append(seconds)
    tally.request, tally.reply = asked.message, reply


def _told(reply: bytes) -> str:
    """What a refusal says: the fault string, or the bare text."""
    _, found, after = reply.decode(errors="replace").partition("<faultstring>")
    return (after if found else reply.decode(errors="replace"))[:300].partition("</faultstring>")[0]


def _verify_sample(tally: Tally, target: Target) -> None:
    if not tally.reply:
        return
    try:
        verified(tally.reply, target.hub_certificates)
    except (Refusal, ValueError) as error:
        tally.error(f"the sample reply does not verify ({error})")
