"""A process of clients: signs what it has to say beforehand, then says it over connections that it keeps.

Every reply's HTTP status, signature element, ticket and content are looked at; the last one of each kind is verified
in full when the clock has stopped. Who tells something waits until both recipients have acknowledged it.
"""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from ssl import SSLContext
from time import perf_counter
from typing import Any, Final

import uvloop

from gateway.bench.acknowledgements import Acknowledgements
from gateway.bench.errands import Desk, Errand, dealt
from gateway.bench.messages import verified
from gateway.bench.notifications import exchange_of
from gateway.bench.place import Party
from gateway.bench.profiles import RECIPIENTS, Kind
from gateway.bench.wire import HOST, Channel, connect, contexts
from gateway.model import SERVICE, AuthorityId
from gateway.refusal import Refusal

# Whatever a connection or a reply may do wrong is one error of the count, never the end of the run.
_TROUBLE: Final = (OSError, EOFError, ValueError)
_PATIENCE: Final = 60.0  # seconds in which what was told must have been acknowledged


@dataclass(frozen=True, slots=True)
class Target:
    """Where the hub is, and who speaks to it."""

    port: int
    path: str
    name: str  # of the hub's TLS certificate
    hub_certificates: frozenset[bytes]
    parties: Mapping[AuthorityId, Party]


@dataclass(frozen=True, slots=True)
class Order:
    """One round: `warmup` exchanges that do not count, then `kinds`, by `clients` at once.

    `rate`: exchanges due a second; None: each client begins the next as soon as the last is over. Dossiers of which
    something is told begin at number `first`: no two processes tell of the same.
    """

    kilobytes: float
    clients: int
    warmup: tuple[Kind, ...]
    kinds: tuple[Kind, ...]
    first: int = 0
    rate: float | None = None


@dataclass(slots=True)
class Tally:
    """What a round gave. Times are of CLOCK_MONOTONIC, which all processes share."""

    started: float = 0.0
    ended: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds since it was due, of each without error
    errors: int = 0
    trouble: str = ""  # the first error
    samples: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)  # by operation: request and reply
    kinds: Counter[Kind] = field(default_factory=Counter)  # that ended well

    def error(self, trouble: str) -> None:
        self.errors += 1
        self.trouble = self.trouble or trouble


def request(pipe: Connection, target: Target) -> None:
    """Work of the process: the port where it hears of acknowledgements; an Order, then how often something
    was told in the warm-up, a word to begin, the Tally; and again.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(pipe, target))


async def _serve(pipe: Connection, target: Target) -> None:
    """Until the pipe closes. What it waits for comes by a thread: acknowledgements for others arrive meanwhile."""
    crowd = _Crowd(target)
    pipe.send(await crowd.told.listen())
    receive: Callable[[], Awaitable[Any]] = partial(to_thread, pipe.recv)
    while True:
        await _round(pipe, receive, await receive(), crowd)


async def _round(
    pipe: Connection, receive: Callable[[], Awaitable[Any]], order: Order, crowd: _Crowd
) -> None:
    before, tally = Tally(), Tally()
    crowd.told.forget()
    warmup, asked = crowd.prepare(order, order.warmup), crowd.prepare(order, order.kinds)
    clients = [_Client(crowd) for _ in range(order.clients)]
    await _all(clients, deque(warmup), before, None)
    pipe.send(before.kinds[Kind.TELL])
    await receive()
    tally.errors, tally.trouble, tally.started = before.errors, before.trouble, perf_counter()
    await _all(clients, deque(asked), tally, order.rate)
    tally.ended = perf_counter()
    crowd.verify(tally)
    pipe.send(tally)
    for client in clients:
        client.close()


async def _all(
    clients: list[_Client], errands: deque[Errand | None], tally: Tally, rate: float | None
) -> None:
    """Each client takes the next errand when it is done with the last, and begins it when it is due."""
    began, count = perf_counter(), len(errands)

    async def work(client: _Client) -> None:
        while errands:
            due = None if rate is None else began + (count - len(errands)) / rate
            errand = errands.popleft()  # now: of two that wait, each waits for its own
            if due is not None:
                await asyncio.sleep(due - perf_counter())
            if not await client.do(errand, tally, due):
                return

    await asyncio.gather(*(work(client) for client in clients))
    for _ in errands:  # every connection broke: what nobody did is an error too
        tally.error("no connection was left")


class _Crowd:
    """What the clients of a process share."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.told = Acknowledgements()
        self.desk = Desk(target.parties)
        self.contexts: Mapping[AuthorityId, SSLContext] = {
            name: contexts(party)[0] for name, party in target.parties.items()
        }

    def prepare(self, order: Order, kinds: tuple[Kind, ...]) -> list[Errand | None]:
        lanes = dealt(iter(kinds), order.clients)
        return [self.desk.prepare(kind, order.kilobytes, order.first + lane) for lane, kind in lanes]

    def verify(self, tally: Tally) -> None:
        """Verify a reply of each operation in full, as its requester would."""
        for operation, (_, reply) in tally.samples.items():
            try:
                verified(reply, self.target.hub_certificates)
            except (Refusal, ValueError) as error:
                tally.error(f"the reply to {operation} does not verify ({error})")


class _Client:
    """One exchange at a time, on a connection for each authority that it speaks for."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._channels: dict[AuthorityId, Channel] = {}

    async def do(self, errand: Errand | None, tally: Tally, due: float | None) -> bool:
        """Count it; False when the connection broke. No errand: the mailbox's next.

        `due`: when it should have begun. It counts from then: what waits for a hub that stands still waits, too.
        """
        errand = errand or self._crowd.desk.visit()
        began = perf_counter() if due is None else due
        try:
            channel = await self._channel(errand.who)
            await channel.send(self._head(errand), errand.asked.message)
            line, reply = await channel.receive()
            trouble = _trouble(errand, line, reply)
            if trouble is None and errand.kind is Kind.TELL:
                async with asyncio.timeout(_PATIENCE):
                    await self._crowd.told.of(exchange_of(reply), RECIPIENTS)
        except TimeoutError:
            tally.error("what was told was not acknowledged")
            return True
        except _TROUBLE as error:
            tally.error(f"the connection broke ({type(error).__name__}: {error})")
            return False
        if trouble is not None:
            tally.error(trouble)
            return True
        tally.latencies.append(perf_counter() - began)
        tally.kinds[errand.kind] += 1
        tally.samples[errand.operation] = errand.asked.message, reply
        self._crowd.desk.mailbox.learn(errand, reply)
        return True

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    async def _channel(self, who: AuthorityId) -> Channel:
        if who not in self._channels:
            target = self._crowd.target
            self._channels[who] = await connect(target.port, target.name, self._crowd.contexts[who])
        return self._channels[who]

    def _head(self, errand: Errand) -> str:
        target = self._crowd.target
        return (
            f"POST {target.path} HTTP/1.1\r\nHost: {HOST}:{target.port}\r\n"
            f'Content-Type: text/xml; charset=utf-8\r\nSOAPAction: "{SERVICE}/{errand.operation}"\r\n'
        )


def _trouble(errand: Errand, line: bytes, reply: bytes) -> str | None:
    status = line.split(b" ")[1].decode()
    return errand.wrong(reply) if status == "200" else f"HTTP status {status}: {_told(reply)}"


def _told(reply: bytes) -> str:
    """What a refusal says: the fault string, or the bare text."""
    _, found, after = reply.decode(errors="replace").partition("<faultstring>")
    return (after if found else reply.decode(errors="replace"))[:300].partition("</faultstring>")[0]
