"""One suite's world, and the rounds that are run in it: floor, load, floor.

The load is a closed loop: each connection asks its next question when it has the reply to the last one.
How many exchanges a round has is fixed before it starts, because every message is signed before it starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from gateway.bench import client, floor, provider
from gateway.bench.client import Order, Tally, Target
from gateway.bench.floor import EchoOrder, Floor, FloorOrder
from gateway.bench.hub import Hub, running
from gateway.bench.place import PROVIDER, REQUESTER, Place, prepare, write_endpoint
from gateway.bench.process import Helper, Side
from gateway.bench.raw import Sample
from gateway.bench.trouble import BenchError
from gateway.bench.wire import HOST

T = TypeVar("T")

MAX_ROUND: Final = 20_000  # exchanges signed beforehand: some 4 KB each, and valid for five minutes
_CLIENT_PROCESSES: Final = 2
_CALIBRATION: Final = 40  # exchanges after which the length of a round is known


@dataclass(frozen=True, slots=True)
class Round:
    """What one round under load gave."""

    tallies: tuple[Tally, ...]
    cpu_seconds: float  # of the hub
    rss_before_mb: float
    rss_mb: float

    @property
    def latencies(self) -> list[float]:
        """Seconds, in ascending order."""
        return sorted(second for tally in self.tallies for second in tally.latencies)

    @property
    def errors(self) -> int:
        return sum(tally.errors for tally in self.tallies)

    @property
    def trouble(self) -> str:
        return next((tally.trouble for tally in self.tallies if tally.trouble), "")

    @property
    def seconds(self) -> float:
        """From the first question to the last reply."""
        return max(tally.ended for tally in self.tallies) - min(tally.started for tally in self.tallies)


class World:
    """A hub and everything around it, for one suite. Made by `world`."""

    def __init__(self, place: Place, hub: Hub, answering: Helper, stack: ExitStack) -> None:
        self.hub = hub
        self._provider = answering
        target = Target(
            hub.port,
            hub.path,
            place.register.hub.tls_name,
            frozenset({place.hub_key.certificate}),
            place.party(REQUESTER),
        )
        self._clients = [
            stack.enter_context(Helper(f"client {number}", client.request, target))
            for number in range(1, _CLIENT_PROCESSES + 1)
        ]
        signing = "sign-rsa" if place.suite == "rsa" else "sign-ec"
        peer = place.party(PROVIDER)
        self._floor = stack.enter_context(
            Helper("floor", floor.measure, place.hub, signing, peer.authority.tls_name, side=Side.MEASURED)
        )
        self._echo = stack.enter_context(
            Helper("echo", floor.echo, place.party(REQUESTER), peer, place.register.hub.tls_name)
        )

    def load(self, kilobytes: int, clients: int, exchanges: int, warmup: int) -> Round:
        """One round: all sign, connect and warm up; then the clock runs for all at once."""
        used = self._clients[: min(clients, len(self._clients))]
        shares = [_share(total, len(used)) for total in (clients, warmup, exchanges)]
        for helper, connections, before, asked in zip(used, *shares, strict=True):
            helper.send(Order(kilobytes, connections, before, asked))
        _gather(used, str)
        cpu, rss = self.hub.cpu, self.hub.rss_mb
        for helper in used:
            helper.send("begin")
        tallies = tuple(_gather(used, Tally))
        return Round(tallies, self.hub.cpu - cpu, rss, self.hub.rss_mb)

    def sample(self, kilobytes: int, after: Round) -> Sample:
        """The four messages of an exchange of this size. Raises BenchError when there was none."""
        self._provider.send(kilobytes)
        pair = self._provider.receive()
        tally = next((tally for tally in after.tallies if tally.reply), None)
        if tally is None or not isinstance(pair, provider.Pair):
            raise BenchError(
                "BEN002",
                f"no exchange of {kilobytes} KB succeeded: {after.trouble or 'the provider was not asked'}.",
                "Run gateway check on the settings, then see hub.log (--directory keeps it).",
            )
        return Sample(tally.request, pair.question, pair.answer, tally.reply)

    def floor(self, sample: Sample, clients: int, repetitions: int) -> Floor:
        """The raw work of this sample at this concurrency."""
        self._echo.send(EchoOrder(sample.sizes, clients, repetitions))
        peer = _expect(self._echo, int)
        self._floor.send(FloorOrder(sample, clients, repetitions, peer))
        self._echo.send(_expect(self._floor, int))
        measured = _expect(self._floor, Floor)
        _expect(self._echo, str)
        return measured

    def exchanges_for(self, seconds: float, kilobytes: int, clients: int) -> int:
        """How many exchanges take about this long; a short round tells."""
        probe = self.load(kilobytes, clients, max(_CALIBRATION, 2 * clients), 2 * clients)
        rate = len(probe.latencies) / probe.seconds
        return min(MAX_ROUND, max(2 * clients, round(rate * seconds)))


@contextmanager
def world(
    directory: Path, suite: str, contracts: Path, sizes: Sequence[int], serve: Sequence[str] | None = None
) -> Iterator[World]:
    """Certificates, provider, hub and helpers, up and then down again. Raises BenchError."""
    place = prepare(directory, suite, contracts)
    with ExitStack() as stack:
        answering = stack.enter_context(Helper("provider", provider.provide, place.party(PROVIDER)))
        write_endpoint(place, f"https://{HOST}:{_expect(answering, int)}/soap")
        hub = stack.enter_context(running(place, sizes, *([serve] if serve else [])))
        yield World(place, hub, answering, stack)


def _share(total: int, parts: int) -> list[int]:
    """`total` in whole parts that differ by one at most."""
    return [total // parts + (place < total % parts) for place in range(parts)]


def _gather(helpers: Sequence[Helper], kind: type[T]) -> list[T]:
    return [_expect(helper, kind) for helper in helpers]


def _expect(helper: Helper, kind: type[T]) -> T:
    message = helper.receive()
    assert isinstance(message, kind)  # the protocol of two halves of one program
    return message
