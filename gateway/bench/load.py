"""One suite's world, and the rounds that are run in it: floor, load, floor.

The load is a closed loop: each client begins its next exchange when the last one is over. How many exchanges a round
has is fixed before it starts, because nearly every message is signed before it starts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeVar

from gateway.bench import client, endpoints, floor, raw
from gateway.bench.client import Order, Tally, Target
from gateway.bench.endpoints import Heard, Pair
from gateway.bench.floor import EchoOrder, Floor, FloorOrder
from gateway.bench.hub import Dossiers, Hub, running
from gateway.bench.messages import OPERATION
from gateway.bench.notifications import ACKNOWLEDGE, FETCH, TRANSFER
from gateway.bench.place import (
    PARTIES,
    PROVIDER,
    RECIPIENTS,
    REQUESTER,
    Party,
    Place,
    prepare,
    write_endpoints,
)
from gateway.bench.process import Helper, Side, Spent
from gateway.bench.profiles import SHARES, Kind, Profile, schedule
from gateway.bench.raw import Sample
from gateway.bench.scrape import Scrape
from gateway.bench.trouble import BenchError
from gateway.bench.wire import HOST

T = TypeVar("T")

MAX_ROUND: Final = 20_000  # exchanges signed beforehand: some 4 KB each, and valid for five minutes
_CLIENT_PROCESSES: Final = 2
_CALIBRATION: Final = 40  # exchanges after which the length of a round is known
_TRIAL: Final = 100  # exchanges among which there is one of each kind, a message fetched as well
_LOOK_AGAIN: Final = 0.02  # seconds
_PATIENCE: Final = 60.0  # seconds in which what was told is settled


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the hub: how much at once, and how large (KB of payload)."""

    profile: Profile
    kilobytes: float
    clients: int
    rate: float | None = None  # exchanges due a second; None: as fast as they come back


@dataclass(frozen=True, slots=True)
class Round:
    """What one round under load gave."""

    tallies: tuple[Tally, ...]
    spent: Spent  # by the hub
    memory_before_mb: tuple[float, ...]  # resident, of each worker
    memory_mb: tuple[float, ...]
    metrics: Scrape  # what the round added

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
    def exchanges(self) -> int:
        return sum(len(tally.latencies) + tally.errors for tally in self.tallies)

    @property
    def kinds(self) -> Counter[Kind]:
        """What ended well."""
        return sum((tally.kinds for tally in self.tallies), Counter())

    @property
    def seconds(self) -> float:
        """From the first exchange to the end of the last."""
        return max(tally.ended for tally in self.tallies) - min(tally.started for tally in self.tallies)

    def pair(self, operation: str) -> tuple[bytes, bytes]:
        """A request and its reply. Raises BenchError when there was none."""
        for tally in self.tallies:
            if operation in tally.samples:
                return tally.samples[operation]
        raise BenchError(
            "BEN002",
            f"no {operation} succeeded: {self.trouble or 'it was not asked'}.",
            "Run gateway check on the settings, then see hub.log (--directory keeps it).",
        )


class World:
    """A hub and everything around it, for one suite. Made by `world`. Processes are started when they are needed."""

    def __init__(
        self, place: Place, hub: Hub, provider: Helper, recipients: Sequence[Helper], stack: ExitStack
    ) -> None:
        self.hub = hub
        self._place = place
        self._provider = provider
        self._recipients = recipients
        self._stack = stack
        self.target = Target(
            hub.port,
            hub.path,
            place.register.hub.tls_name,
            frozenset({place.hub_key.certificate}),
            {name: place.party(name) for name in PARTIES},
        )

    @cached_property
    def _clients(self) -> list[Helper]:
        clients = [
            self._stack.enter_context(Helper(f"client {number}", client.request, self.target))
            for number in range(1, _CLIENT_PROCESSES + 1)
        ]
        heard = Heard(tuple(_gather(clients, int)))
        for recipient in self._recipients:
            recipient.send(heard)
        return clients

    @cached_property
    def _floor(self) -> Helper:
        signing = "sign-rsa" if self._place.suite == "rsa" else "sign-ec"
        peer = self.target.parties[PROVIDER].authority.tls_name
        process = Helper("floor", floor.measure, self._place.hub, signing, peer, side=Side.MEASURED)
        return self._stack.enter_context(process)

    @cached_property
    def _echo(self) -> Helper:
        parties = self.target.parties
        process = Helper("echo", floor.echo, parties[REQUESTER], parties[PROVIDER], self.target.name)
        return self._stack.enter_context(process)

    def load(self, load: Load, exchanges: int, warmup: int) -> Round:
        """One round: all sign, connect and warm up; then the clock runs for all at once. Raises BenchError."""
        used = self._used(load)
        idle = self.hub.scrape()
        self._settled(idle, self._order(used, load, exchanges, warmup))
        before, spent, memory = self.hub.scrape(), self.hub.spent, self.hub.memory_mb
        for helper in used:
            helper.send("begin")
        tallies = tuple(_gather(used, Tally))
        asked_only = self.hub.spent - spent  # scraping costs the hub something, too
        told = sum(tally.kinds[Kind.TELL] for tally in tallies)
        metrics = self._settled(before, told)
        used_up = self.hub.spent - spent if told else asked_only
        return Round(tallies, used_up, memory, self.hub.memory_mb, metrics)

    def _used(self, load: Load) -> list[Helper]:
        """A mailbox has one owner: all of a load that has one comes from one process."""
        most = 1 if Kind.MAILBOX in SHARES[load.profile] else len(self._clients)
        return self._clients[: min(load.clients, most)]

    def _order(self, used: Sequence[Helper], load: Load, exchanges: int, warmup: int) -> int:
        """Have all sign, connect and warm up; how many notifications they told."""
        first = 0
        shares = [_share(total, len(used)) for total in (load.clients, warmup, exchanges)]
        for helper, clients, before, asked in zip(used, *shares, strict=True):
            kinds = [tuple(schedule(load.profile, count)) for count in (before, asked)]
            rate = None if load.rate is None else load.rate / len(used)
            helper.send(Order(load.kilobytes, clients, kinds[0], kinds[1], first, rate))
            first += clients
        return sum(_gather(used, int))

    def _settled(self, before: Scrape, told: int) -> Scrape:
        """What was added, once every delivery is settled: what happens after the acknowledgement counts too."""
        deadline, deliveries = time.monotonic() + _PATIENCE, told * len(RECIPIENTS)
        while (added := self.hub.scrape() - before).acknowledged < deliveries and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN)
        return added

    def samples(self, load: Load) -> list[tuple[float, Sample]]:
        """One exchange of each kind in the load, with its share. Raises BenchError when one did not succeed."""
        shares = SHARES[load.profile]
        trial = self.load(load, max(load.clients, _TRIAL if Kind.MAILBOX in shares else 1), 0)
        return [(shares[kind] / 100, one) for kind in shares for one in self._sampled(kind, trial)]

    def _sampled(self, kind: Kind, trial: Round) -> Iterator[Sample]:
        """Of a mailbox' turns one that does the work of the average one."""
        match kind:
            case Kind.CONSULT:
                (request, reply), pair = trial.pair(OPERATION), _pair(self._provider)
                yield raw.consultation(request, pair.question, pair.answer, reply)
            case Kind.TELL:
                told = trial.pair(TRANSFER)
                pairs = [_pair(helper) for helper in self._recipients]
                yield raw.notification(*told, [(one.question, one.answer) for one in pairs])
            case Kind.POST:
                yield raw.notification(*trial.pair(TRANSFER), [])
            case Kind.MAILBOX:
                operation = FETCH if any(FETCH in tally.samples for tally in trial.tallies) else ACKNOWLEDGE
                yield raw.visit(*trial.pair(operation))

    def floor(self, samples: Sequence[tuple[float, Sample]], clients: int, repetitions: int) -> Floor:
        """The raw work of these samples at this concurrency."""
        return Floor.mean(
            (share, self._floor_of(sample, clients, max(8, round(share * repetitions))))
            for share, sample in samples
        )

    def _floor_of(self, sample: Sample, clients: int, repetitions: int) -> Floor:
        self._echo.send(EchoOrder(sample, clients, repetitions))
        peer = _expect(self._echo, int)
        self._floor.send(FloorOrder(sample, clients, repetitions, peer))
        self._echo.send(_expect(self._floor, int))
        measured = _expect(self._floor, Floor)
        _expect(self._echo, str)
        return measured

    def exchanges_for(self, seconds: float, load: Load) -> int:
        """How many exchanges take about this long; a short round tells."""
        probe = self.load(load, max(_CALIBRATION, 2 * load.clients), 2 * load.clients)
        rate = len(probe.latencies) / probe.seconds
        return min(MAX_ROUND, max(2 * load.clients, round(rate * seconds)))


@dataclass(frozen=True, slots=True)
class Setting:
    """Which world. `limits`: as `place.CROWD`, or {} for those that the hub is shipped with."""

    suite: str
    sizes: Sequence[float]  # KB
    workers: int = 1
    lanes: int = 0  # clients that tell something at once
    limits: Mapping[str, str] | None = None
    serve: Sequence[str] | None = None  # how the hub is started, if not as `gateway serve`
    provide: Callable[[Connection, Party], None] = endpoints.provide  # the platform


@contextmanager
def world(directory: Path, setting: Setting, contracts: Path) -> Iterator[World]:
    """Certificates, endpoints, hub and helpers, up and then down again. Raises BenchError."""
    place = prepare(directory, setting.suite, contracts, setting.limits or {})
    with ExitStack() as stack:
        answering = stack.enter_context(Helper("provider", setting.provide, place.party(PROVIDER)))
        receiving = {
            name: stack.enter_context(Helper(name, endpoints.receive, place.party(name)))
            for name in (RECIPIENTS if setting.lanes else ())
        }
        ports = {name: _expect(helper, int) for name, helper in ({PROVIDER: answering} | receiving).items()}
        write_endpoints(place, {name: f"https://{HOST}:{port}/soap" for name, port in ports.items()})
        dossiers = Dossiers(setting.sizes, setting.lanes)
        hub = stack.enter_context(
            running(place, dossiers, setting.workers, *([setting.serve] if setting.serve else []))
        )
        yield World(place, hub, answering, list(receiving.values()), stack)


def _pair(helper: Helper) -> Pair:
    helper.send("sample")
    return _expect(helper, Pair)


def _share(total: int, parts: int) -> list[int]:
    """`total` in whole parts that differ by one at most."""
    return [total // parts + (place < total % parts) for place in range(parts)]


def _gather(helpers: Sequence[Helper], kind: type[T]) -> list[T]:
    return [_expect(helper, kind) for helper in helpers]


def _expect(helper: Helper, kind: type[T]) -> T:
    message = helper.receive()
    assert isinstance(message, kind)  # the protocol of two halves of one program
    return message
