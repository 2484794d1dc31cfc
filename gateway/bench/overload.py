"""More than the hub can do: what is left of its throughput, and of the patience of those who ask little.

Two questions, each answered by a ratio of figures of one run, taken in turns, so that a machine that is shared
cancels out. Overload: the exchanges a second when four times as many clients ask as the hub is best with. Fairness:
how long a calm authority waits while another floods the hub and heeds no Retry-After, against how long it waits alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Final, TypeVar

from gateway.adapters.store_directory import Directory
from gateway.agreement.register import load_register
from gateway.app import secret_key
from gateway.bench import endpoints
from gateway.bench.crowd import Crowded, Crowding, Door, crowd
from gateway.bench.dossiers import dossier_number
from gateway.bench.hub import Dossiers, Hub, running
from gateway.bench.place import ORIGIN, PROVIDER, SUITES, Place, certify, write_endpoints
from gateway.bench.process import Helper
from gateway.bench.trouble import BenchError
from gateway.bench.wire import HOST
from gateway.model import AuthorityId, DossierScope, Inscription, Role
from gateway.policy.person import person_digest
from gateway.sandbox.settings import hub_settings

REGIONS: Final = tuple(map(AuthorityId, ("BRUSSELS", "FLANDERS", "WALLONIA", "GERMAN_COMMUNITY")))
CALM, FLOODING = REGIONS[0], REGIONS[2]
OVER: Final = 4  # times as many
_CALM_CLIENTS: Final = 2
_CALM_PAUSE: Final = 0.02  # seconds
_WORKER: Final = "90612400144"  # of the test range: nobody's
_UNBOUND: Final = "quota = { per_second = 100000.0, burst = 1000000 }\n"
# Many clients at one address, which wait until all have connected.
_LIMITS: Final = "[limits]\nconnections_per_address = 1024\nheader_seconds = 120.0\n"

Json = dict[str, object]
Tell = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Load:
    """One round of some clients."""

    clients: int
    heeds: bool
    result: Crowded
    cpu_seconds: float  # of the hub
    rss_mb: float

    @property
    def throughput(self) -> float:
        """Exchanges a second; those that were turned away are none."""
        return len(self.result.latencies) / (self.result.ended - self.result.started)

    @property
    def per_cpu_second(self) -> float:
        return len(self.result.latencies) / self.cpu_seconds

    def json(self) -> Json:
        return {
            "clients": self.clients,
            "heeds_retry_after": self.heeds,
            "throughput": round(self.throughput, 1),
            "per_cpu_second": round(self.per_cpu_second, 1),
            "p50_ms": percentile_ms(self.result, 50),
            "p99_ms": percentile_ms(self.result, 99),
            "turned_away": self.result.turned_away,
            "errors": self.result.errors,
            "rss_mb": round(self.rss_mb, 1),
        }


@dataclass(frozen=True, slots=True)
class Overload:
    """Peak, then four times as many clients, then the peak again."""

    suite: str
    size: int
    peaks: tuple[Load, Load]
    over: tuple[Load, Load]  # clients that heed Retry-After, and others

    def kept(self, load: Load) -> float:
        """Which part of the peak's throughput is left."""
        return load.throughput / (sum(peak.throughput for peak in self.peaks) / 2)

    def kept_per_cpu(self, load: Load) -> float:
        """The same of exchanges for each CPU second of the hub."""
        return load.per_cpu_second / (sum(peak.per_cpu_second for peak in self.peaks) / 2)

    @property
    def errors(self) -> int:
        return sum(load.result.errors for load in (*self.peaks, *self.over))

    @property
    def trouble(self) -> str:
        return next((load.result.trouble for load in (*self.peaks, *self.over) if load.result.trouble), "")

    def json(self) -> Json:
        return {
            "profile": "overload",
            "suite": self.suite,
            "size": self.size,
            "peak": [peak.json() for peak in self.peaks],
            "over": [
                {
                    **load.json(),
                    "kept": round(self.kept(load), 2),
                    "kept_per_cpu": round(self.kept_per_cpu(load), 2),
                }
                for load in self.over
            ],
        }


@dataclass(frozen=True, slots=True)
class Fairness:
    """A calm authority: alone, beside a flood, alone."""

    suite: str
    size: int
    quotas: bool  # those of the shipped agreement hold; otherwise none do
    alone: tuple[Crowded, Crowded]
    beside: Crowded
    flood: Crowded
    connections: int  # of the flood

    def slower(self, percent: int) -> float:
        """How many times as long it waits beside the flood."""
        alone = [percentile_ms(one, percent) for one in self.alone]
        return percentile_ms(self.beside, percent) / (sum(alone) / 2)

    @property
    def errors(self) -> int:
        return sum(one.errors for one in self._all)

    @property
    def trouble(self) -> str:
        return next((one.trouble for one in self._all if one.trouble), "")

    @property
    def _all(self) -> tuple[Crowded, ...]:
        return *self.alone, self.beside, self.flood

    def json(self) -> Json:
        return {
            "profile": "fairness",
            "suite": self.suite,
            "size": self.size,
            "quotas": self.quotas,
            "alone": [_calm(one) for one in self.alone],
            "beside": _calm(self.beside),
            "p50_times": round(self.slower(50), 2),
            "p99_times": round(self.slower(99), 2),
            "flood": {
                "connections": self.connections,
                "throughput": round(len(self.flood.latencies) / (self.flood.ended - self.flood.started), 1),
                "turned_away": self.flood.turned_away,
            },
            "errors": self.errors,
        }


def percentile_ms(result: Crowded, percent: int) -> float:
    """Nearest rank. Raises BenchError when there was no exchange."""
    latencies = sorted(result.latencies)
    if not latencies:
        raise BenchError(
            "BEN002", f"no exchange succeeded: {result.trouble or 'all were turned away'}.", "See hub.log."
        )
    return round(latencies[ceil(percent / 100 * len(latencies)) - 1] * 1000, 2)


@dataclass(frozen=True, slots=True)
class Trial:
    """What to measure, and where."""

    suite: str
    size: int  # KB of payload
    clients: int  # with which the hub is about at its peak; as many connections has a flood
    seconds: float  # of each round
    directory: Path
    contracts: Path


def overload(trial: Trial, tell: Tell) -> Overload:
    """Measure what is left at four times the clients. Raises BenchError."""
    name = f"overload, {trial.suite}, {trial.size} KB"
    with _crowded(trial, quotas=False) as here:
        tell(f"{name}: warming up")
        here.load(trial.clients, min(2.0, trial.seconds), heeds=True)

        def load(clients: int, *, heeds: bool) -> Load:
            tell(f"{name}: {clients} clients{'' if heeds else ' that heed nothing'}")
            return here.load(clients, trial.seconds, heeds=heeds)

        first = load(trial.clients, heeds=True)
        over = load(OVER * trial.clients, heeds=True), load(OVER * trial.clients, heeds=False)
        return Overload(trial.suite, trial.size, (first, load(trial.clients, heeds=True)), over)


def fairness(trial: Trial, tell: Tell, *, quotas: bool) -> Fairness:
    """Measure how much a flood slows the calm. Raises BenchError."""
    name = f"fairness, {trial.suite}, {trial.size} KB, {'with' if quotas else 'without'} quotas"
    with _crowded(trial, quotas=quotas) as here:
        tell(f"{name}: a calm authority alone")
        here.calm(min(2.0, trial.seconds))
        before = here.calm(trial.seconds)
        tell(f"{name}: beside a flood")
        beside, flood = here.beside_flood(trial.clients, trial.seconds)
        tell(f"{name}: alone again")
        alone = before, here.calm(trial.seconds)
        return Fairness(trial.suite, trial.size, quotas, alone, beside, flood, trial.clients)


class _World:
    """A hub, and two processes that ask it."""

    def __init__(self, hub: Hub, size: int, many: Helper, few: Helper) -> None:
        self._hub, self._size, self._many, self._few = hub, size, many, few

    def load(self, clients: int, seconds: float, *, heeds: bool) -> Load:
        shares = {name: clients // 4 + (at < clients % 4) for at, name in enumerate(REGIONS)}
        self._many.send(Crowding(self._size, shares, seconds, heeds, ready=round(75 * seconds)))
        _expect(self._many, str)
        spent = self._hub.spent
        self._many.send("begin")
        result = _expect(self._many, Crowded)
        return Load(clients, heeds, result, (self._hub.spent - spent).total, sum(self._hub.memory_mb))

    def calm(self, seconds: float) -> Crowded:
        self._few.send(self._calm(seconds))
        _expect(self._few, str)
        self._few.send("begin")
        return _expect(self._few, Crowded)

    def beside_flood(self, connections: int, seconds: float) -> tuple[Crowded, Crowded]:
        """The flood begins a second before, and ends a second after."""
        flood = Crowding(
            self._size, {FLOODING: connections}, seconds + 2, heeds=False, ready=round(150 * seconds)
        )
        self._many.send(flood)
        _expect(self._many, str)
        self._few.send(self._calm(seconds, delay=1.0))
        _expect(self._few, str)
        self._many.send("begin")
        self._few.send("begin")
        return _expect(self._few, Crowded), _expect(self._many, Crowded)

    def _calm(self, seconds: float, delay: float = 0.0) -> Crowding:
        return Crowding(
            self._size,
            {CALM: _CALM_CLIENTS},
            seconds,
            pause=_CALM_PAUSE,
            ready=round(100 * seconds),
            delay=delay,
        )


@contextmanager
def _crowded(trial: Trial, *, quotas: bool) -> Iterator[_World]:
    """The hub with all its regions, up and then down again. Raises BenchError."""
    place = _prepare(trial, quotas=quotas)
    with ExitStack() as stack:
        answering = stack.enter_context(Helper("provider", endpoints.provide, place.party(PROVIDER)))
        write_endpoints(place, {PROVIDER: f"https://{HOST}:{_expect(answering, int)}/soap"})
        hub = stack.enter_context(running(place, Dossiers([], 0)))
        _inscribe(place, trial.size)
        door = Door(hub.port, hub.path, place.register.hub.tls_name)
        parties = [place.party(name) for name in REGIONS]
        many = stack.enter_context(Helper("crowd", crowd, door, parties))
        few = stack.enter_context(Helper("calm", crowd, door, parties[:1]))
        yield _World(hub, trial.size, many, few)


def _prepare(trial: Trial, *, quotas: bool) -> Place:
    """Register, certificates and settings. Raises BenchError."""
    suite, directory = trial.suite, trial.directory
    source = trial.contracts / "register.toml"
    if not source.is_file():
        raise BenchError(
            "BEN005", f"{source} does not exist.", "Name the directory of the contracts with --contracts."
        )
    line = f'suite = "{SUITES[suite]}"\n'
    register = re.sub(r'(?m)^suite = ".*"\n', line if quotas else line + _UNBOUND, source.read_text())
    place = Place(suite, directory, load_register(register.encode(), str(source)))
    certify(
        place, (*REGIONS, PROVIDER, AuthorityId("IMMIGRATION_OFFICE"), AuthorityId("NSSO")), trial.contracts
    )
    settings = hub_settings(trial.contracts, ORIGIN, "https://gateway.wib.example/soap/v1")
    place.settings.write_text(settings.replace("[limits]\n", _LIMITS))
    (directory / "register.toml").write_text(register)
    return place


def _inscribe(place: Place, size: int) -> None:
    """All regions have a part in the dossier, so that each may ask for it."""
    since = datetime.now(UTC) - timedelta(days=1)
    roles: Mapping[AuthorityId, Role] = {PROVIDER: Role.PLAT} | dict.fromkeys(REGIONS, Role.REG)
    lines = tuple(Inscription(name, role, since, None) for name, role in roles.items())
    person = person_digest(secret_key(place.directory_key), _WORKER)
    with closing(Directory.open(place.store, writes=True)) as dossiers:
        number = dossier_number(size)
        dossiers.put(DossierScope(number, "SINGLE_PERMIT", "FIRST", "UNDER_REVIEW", since, lines, person))


def _calm(result: Crowded) -> Json:
    return {
        "exchanges": len(result.latencies),
        "p50_ms": percentile_ms(result, 50),
        "p99_ms": percentile_ms(result, 99),
    }


def _expect(helper: Helper, kind: type[T]) -> T:
    message = helper.receive()
    assert isinstance(message, kind)  # the protocol of two halves of one program
    return message
