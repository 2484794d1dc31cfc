"""The benchmark's plan and its results: which rounds are run, and what each of them says.

Every run is floor, load, floor: the figure that counts is hub CPU ÷ floor, and the two floors show how far
the machine drifted meanwhile.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Final

from gateway.bench import profiled
from gateway.bench.dossiers import payload
from gateway.bench.floor import Floor
from gateway.bench.load import MAX_ROUND, Round, World, world
from gateway.bench.messages import OPERATION, compact
from gateway.bench.raw import Sample
from gateway.bench.trouble import BenchError

WORKERS: Final = 1  # processes of the hub
_SOAK_CLIENTS: Final = 8
_SOAK_ROUND: Final = 500
_PROFILED: Final = 1500  # exchanges that are sampled

Json = dict[str, object]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Either `seconds` for each load, or the number of `exchanges`."""

    sizes: tuple[int, ...]  # KB of payload
    suites: tuple[str, ...]
    clients: tuple[int, ...]  # connections that ask at once
    seconds: float
    exchanges: int | None
    repetitions: int  # of each piece of the floor

    @property
    def count(self) -> int:
        return len(self.sizes) * len(self.suites) * len(self.clients)


@dataclass(frozen=True, slots=True)
class Run:
    """One line of the result."""

    suite: str
    size: int
    clients: int
    round: Round
    floors: tuple[Floor, Floor]
    sample: Sample

    @property
    def exchanges(self) -> int:
        return len(self.round.latencies) + self.round.errors

    @property
    def throughput(self) -> float:
        return len(self.round.latencies) / self.round.seconds

    @property
    def hub_cpu_ms(self) -> float:
        """CPU of one exchange, user and system, all threads of the hub."""
        return self.round.cpu_seconds / self.exchanges * 1000

    @property
    def floor(self) -> Floor:
        return Floor.mean(*self.floors)

    @property
    def ratio(self) -> float:
        return self.hub_cpu_ms / self.floor.total_ms

    def percentile_ms(self, percent: int) -> float:
        """Nearest rank."""
        latencies = self.round.latencies
        return latencies[ceil(percent / 100 * len(latencies)) - 1] * 1000

    def json(self) -> Json:
        """The fixed keys first; CPU figures are per exchange."""
        return {
            "profile": OPERATION,
            "size": self.size,
            "clients": self.clients,
            "workers": WORKERS,
            "suite": self.suite,
            "exchanges": self.exchanges,
            "errors": self.round.errors,
            "throughput": round(self.throughput, 1),
            "p50_ms": round(self.percentile_ms(50), 2),
            "p99_ms": round(self.percentile_ms(99), 2),
            "hub_cpu_ms": round(self.hub_cpu_ms, 3),
            "floor_cpu_ms": round(self.floor.total_ms, 3),
            "ratio": round(self.ratio, 2),
            "rss_mb": round(self.round.rss_mb, 1),
            "rss_before_mb": round(self.round.rss_before_mb, 1),
            "exchanges_per_cpu_second": round(1000 / self.hub_cpu_ms, 1),
            "seconds": round(self.round.seconds, 2),
            "floor": {name: round(value, 4) for name, value in asdict(self.floor).items()},
            "floor_before_ms": round(self.floors[0].total_ms, 3),
            "floor_after_ms": round(self.floors[1].total_ms, 3),
            "payload_bytes": payload_bytes(self.size),
            "wire_bytes": dict(
                zip(("request", "question", "answer", "reply"), self.sample.sizes, strict=True)
            ),
        }


@dataclass(frozen=True, slots=True)
class Soak:
    """Resident memory of the hub over many exchanges."""

    suite: str
    size: int
    errors: int
    trouble: str  # the first error
    samples: tuple[tuple[int, float], ...]  # exchanges so far, MB

    def slope(self, samples: Sequence[tuple[int, float]]) -> float:
        """MB for each 1000 exchanges: least squares."""
        mean_x = sum(x for x, _ in samples) / len(samples)
        mean_y = sum(y for _, y in samples) / len(samples)
        spread = sum((x - mean_x) ** 2 for x, _ in samples)
        return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread * 1000 if spread else 0.0

    def json(self) -> Json:
        """The second half is apart, because caches fill in the first."""
        half = self.samples[len(self.samples) // 2 :]
        return {
            "suite": self.suite,
            "size": self.size,
            "clients": _SOAK_CLIENTS,
            "exchanges": self.samples[-1][0],
            "errors": self.errors,
            "start_mb": round(self.samples[0][1], 1),
            "end_mb": round(self.samples[-1][1], 1),
            "slope_mb_per_1000": round(self.slope(self.samples), 3),
            "second_half_slope_mb_per_1000": round(self.slope(half), 3),
            "samples": [[count, round(memory, 1)] for count, memory in self.samples],
        }


def payload_bytes(kilobytes: int) -> int:
    """Size of the answer's payload element on the wire."""
    return len(compact(payload(kilobytes).encode()))


def runs(plan: Plan, directory: Path, contracts: Path, tell: Tell) -> Iterator[Run]:
    """Run the plan; each result as soon as it is there. Raises BenchError."""
    for suite in plan.suites:
        tell(f"{suite}: starting")
        with world(directory / suite, suite, contracts, plan.sizes) as here:
            for size in plan.sizes:
                for clients in plan.clients:
                    tell(f"{suite}, {size} KB, {clients} client{'s' if clients > 1 else ''}")
                    yield _run(here, plan, suite, size, clients)


def _run(here: World, plan: Plan, suite: str, size: int, clients: int) -> Run:
    exchanges = plan.exchanges or here.exchanges_for(plan.seconds, size, clients)
    sample = here.sample(size, here.load(size, clients, clients, clients))
    before = here.floor(sample, clients, plan.repetitions)
    measured = here.load(size, clients, exchanges, warmup=2 * clients)
    if not measured.latencies:
        here.sample(size, measured)  # says why
    after = here.floor(sample, clients, plan.repetitions)
    return Run(suite, size, clients, measured, (before, after), sample)


def soak(plan: Plan, exchanges: int, directory: Path, contracts: Path, tell: Tell) -> Soak:
    """Resident memory over many exchanges of the plan's first suite and size. Raises BenchError."""
    suite, size = plan.suites[0], plan.sizes[0]
    tell(f"{suite}: starting")
    with world(directory / f"soak-{suite}", suite, contracts, [size]) as here:
        first = here.load(size, _SOAK_CLIENTS, _SOAK_CLIENTS * 8, _SOAK_CLIENTS)
        here.sample(size, first)  # refuses to soak a hub that refuses
        samples, errors, trouble, done = [(0, here.hub.rss_mb)], first.errors, first.trouble, 0
        while done < exchanges:
            tell(f"soak, {suite}, {size} KB: {done} of {exchanges}, {samples[-1][1]:.0f} MB")
            count = min(_SOAK_ROUND, exchanges - done)
            measured = here.load(size, _SOAK_CLIENTS, count, warmup=0)
            done, errors, trouble = done + count, errors + measured.errors, trouble or measured.trouble
            samples.append((done, measured.rss_mb))
    return Soak(suite, size, errors, trouble, tuple(samples))


def profile(plan: Plan, directory: Path, contracts: Path, tell: Tell) -> str:
    """The hub's hottest functions at the plan's first suite, size and clients. Raises BenchError."""
    suite, size, clients = plan.suites[0], plan.sizes[0], plan.clients[0]
    tell(f"profile, {suite}, {size} KB, {clients} clients")
    place = directory / f"profile-{suite}"
    with world(place, suite, contracts, [size], profiled.SERVE) as here:
        here.sample(size, here.load(size, clients, 10 * clients, warmup=clients))
        os.kill(here.hub.pid, signal.SIGUSR1)
        exchanges = plan.exchanges or _PROFILED
        here.load(size, clients, exchanges, warmup=0)
    return profiled.hottest(place, exchanges, lines=60)


def checked(plan: Plan) -> Plan:
    """The same plan. Raises BenchError for one that cannot be run."""
    if plan.exchanges is not None and not max(plan.clients) <= plan.exchanges <= MAX_ROUND:
        raise BenchError(
            "BEN004",
            f"{plan.exchanges} exchanges cannot be shared by {max(plan.clients)} clients in one round.",
            f"Take at least as many exchanges as clients, and at most {MAX_ROUND}.",
        )
    return plan
