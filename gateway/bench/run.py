"""The benchmark's plan and its results: which rounds are run, and what each of them says.

Every run is floor, load, floor, and that several times over: the figure that counts is hub CPU ÷ floor, and its
spread over the rounds shows how far it can be believed on a machine that others may use too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from math import ceil
from pathlib import Path
from typing import Final

from gateway.bench import profiled
from gateway.bench.dossiers import payload
from gateway.bench.floor import Floor
from gateway.bench.load import MAX_ROUND, Load, Round, Setting, World, world
from gateway.bench.messages import compact
from gateway.bench.place import CROWD
from gateway.bench.process import Spent
from gateway.bench.profiles import Profile
from gateway.bench.raw import Act, Sample
from gateway.bench.scrape import Stage
from gateway.bench.trouble import BenchError

_POINTS: Final = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100)  # percentiles that are told
# Stages in which the event loop does nothing else, so that their time is CPU time; the others wait for something.
_COMPUTING: Final = (
    "read", "verify", "identify", "admit", "recall", "decide", "question", "answer", "release", "sign",
)  # fmt: skip

Json = dict[str, object]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Either `seconds` for each load, or the number of `exchanges`."""

    profiles: tuple[Profile, ...]
    sizes: tuple[float, ...]  # KB of payload
    suites: tuple[str, ...]
    clients: tuple[int, ...]  # that are at work at once
    workers: tuple[int, ...]  # processes of the hub
    seconds: float
    exchanges: int | None
    rounds: int  # of each run
    repetitions: int  # of each piece of the floor

    def loads(self) -> Iterator[Load]:
        """All that is put to one hub, in order."""
        for profile in self.profiles:
            for size in self.sizes:
                for clients in self.clients:
                    yield Load(profile, size, clients)


@dataclass(frozen=True, slots=True)
class Run:
    """One line of the result. There is one floor more than there are rounds: each has one before and one after."""

    suite: str
    workers: int
    load: Load
    rounds: tuple[Round, ...]
    floors: tuple[Floor, ...]
    samples: Sequence[tuple[float, Sample]]

    @property
    def exchanges(self) -> int:
        return sum(one.exchanges for one in self.rounds)

    @property
    def errors(self) -> int:
        return sum(one.errors for one in self.rounds)

    @property
    def trouble(self) -> str:
        return next((one.trouble for one in self.rounds if one.trouble), "")

    @property
    def latencies(self) -> list[float]:
        """Seconds, in ascending order."""
        return sorted(second for one in self.rounds for second in one.latencies)

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.rounds)

    @property
    def throughput(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def spent_ms(self) -> Spent:
        """CPU of one exchange in milliseconds, user and system."""
        spent = zip(*(astuple(one.spent) for one in self.rounds), strict=True)
        return Spent(*(sum(seconds) / self.exchanges * 1000 for seconds in spent))

    @property
    def hub_cpu_ms(self) -> float:
        """CPU of one exchange, user and system, all threads of all workers."""
        return self.spent_ms.total

    @property
    def floor(self) -> Floor:
        return Floor.mean((1.0, one) for one in self.floors)

    @property
    def ratio(self) -> float:
        return self.hub_cpu_ms / self.floor.total_ms

    @property
    def ratios(self) -> list[float]:
        """Of each round to the two floors beside it, in ascending order."""
        beside = zip(self.floors, self.floors[1:], strict=False)
        return sorted(
            one.spent.total / one.exchanges * 1000 / ((before.total_ms + after.total_ms) / 2)
            for one, (before, after) in zip(self.rounds, beside, strict=True)
        )

    @property
    def memory_mb(self) -> tuple[float, ...]:
        """Resident memory of each worker at the end."""
        return self.rounds[-1].memory_mb

    def percentile_ms(self, percent: float) -> float:
        """Nearest rank."""
        latencies = self.latencies
        return latencies[max(ceil(percent / 100 * len(latencies)), 1) - 1] * 1000

    @property
    def stages(self) -> Mapping[str, Stage]:
        """By the hub's histograms, over all rounds."""
        found: dict[str, Stage] = {}
        for one in self.rounds:
            for name, stage in one.metrics.stages.items():
                found[name] = found[name] + stage if name in found else stage
        return found

    @property
    def cpu(self) -> Mapping[str, float]:
        """Where the hub's CPU went: milliseconds of one exchange, by stage as far as a stage computes and no more.

        `threads`: those beside the event loop, above all the one that commits. `loop`: the rest of the event loop:
        HTTP, TLS, asyncio, and handing over to the threads. A stage is timed by the clock; where others had the CPU
        meanwhile, its share of that time is taken off.
        """
        stages, spent = self.stages, self.spent_ms
        running = spent.loops / (spent.loops + spent.held_up)
        computing = {
            name: stages[name].seconds / self.exchanges * 1000 * running
            for name in _COMPUTING
            if name in stages
        }
        rest = spent.loops - sum(computing.values())
        return computing | {"loop": max(rest, 0.0), "threads": spent.total - spent.loops}

    def json(self) -> Json:
        """The fixed keys first; CPU figures are per exchange."""
        ratios, floor = self.ratios, self.floor
        return {
            "profile": self.load.profile.value,
            "size": _whole(self.load.kilobytes),
            "clients": self.load.clients,
            "workers": self.workers,
            "suite": self.suite,
            "exchanges": self.exchanges,
            "errors": self.errors,
            "throughput": round(self.throughput, 1),
            "p50_ms": round(self.percentile_ms(50), 2),
            "p99_ms": round(self.percentile_ms(99), 2),
            "hub_cpu_ms": round(self.hub_cpu_ms, 3),
            "floor_cpu_ms": round(floor.total_ms, 3),
            "ratio": round(self.ratio, 2),
            "rss_mb": round(sum(self.memory_mb), 1),
            "rss_mb_by_worker": [round(one, 1) for one in self.memory_mb],
            "rss_before_mb": round(sum(self.rounds[0].memory_before_mb), 1),
            "ratio_min": round(ratios[0], 2),
            "ratio_max": round(ratios[-1], 2),
            "rounds": len(self.rounds),
            "exchanges_per_cpu_second": round(1000 / self.hub_cpu_ms, 1),
            "seconds": round(self.seconds, 2),
            "latency_ms": {str(point): round(self.percentile_ms(point), 2) for point in _POINTS},
            "cpu_ms": {name: round(value, 4) for name, value in self.cpu.items()},
            "stages": {name: stage.json() for name, stage in self.stages.items()},
            "floor": {name: round(value, 4) for name, value in asdict(floor).items()},
            "floors_ms": [round(one.total_ms, 3) for one in self.floors],
            "payload_bytes": payload_bytes(self.load.kilobytes),
            "wire_bytes": {name: round(value) for name, value in self._wire().items()},
        }

    def _wire(self) -> Mapping[str, float]:
        """Bytes of the messages of an exchange, by what is done with them; of a mixed load those of the average."""
        sizes = {act.value: 0.0 for act in Act if act is not Act.COMMIT}
        for share, sample in self.samples:
            for step in sample:
                if step.act is not Act.COMMIT:
                    sizes[step.act.value] += share * len(step.message)
        return sizes


def _whole(kilobytes: float) -> float | int:
    return int(kilobytes) if kilobytes == int(kilobytes) else kilobytes


def payload_bytes(kilobytes: float) -> int:
    """Size of the payload element on the wire."""
    return len(compact(payload(kilobytes).encode()))


def runs(plan: Plan, directory: Path, contracts: Path, tell: Tell) -> Iterator[Run]:
    """Run the plan; each result as soon as it is there. Raises BenchError."""
    for suite in plan.suites:
        for workers in plan.workers:
            tell(f"{suite}: starting")
            lanes = 0 if set(plan.profiles) <= {Profile.CONSULT} else max(plan.clients)
            setting = Setting(suite, plan.sizes, workers, lanes, CROWD)
            with world(directory / f"{suite}-{workers}", setting, contracts) as here:
                for load in plan.loads():
                    tell(told(suite, workers, load))
                    yield _run(here, plan, suite, workers, load)


def told(suite: str, workers: int, load: Load) -> str:
    """What is being measured."""
    clients = f"{load.clients} client{'s' if load.clients > 1 else ''}"
    return f"{load.profile.value}, {suite}, {load.kilobytes:g} KB, {clients}" + (
        f", {workers} workers" if workers > 1 else ""
    )


def _run(here: World, plan: Plan, suite: str, workers: int, load: Load) -> Run:
    exchanges = plan.exchanges or here.exchanges_for(plan.seconds, load)
    samples = here.samples(load)
    floors, rounds = [here.floor(samples, load.clients, plan.repetitions)], []
    for _ in range(plan.rounds):
        measured = here.load(load, exchanges, warmup=2 * load.clients)
        if not measured.latencies:
            raise BenchError(
                "BEN002", f"no exchange succeeded: {measured.trouble}.", "See hub.log (--directory keeps it)."
            )
        rounds.append(measured)
        floors.append(here.floor(samples, load.clients, plan.repetitions))
    return Run(suite, workers, load, tuple(rounds), tuple(floors), samples)


def profile(  # noqa: PLR0913, PLR0917 - what is loaded, how much, where, and whom to tell
    load: Load, suite: str, exchanges: int, directory: Path, contracts: Path, tell: Tell
) -> str:
    """The hub's hottest functions under a load. Raises BenchError."""
    tell(f"hottest, {told(suite, 1, load)}")
    place = directory / f"profile-{suite}"
    lanes = 0 if load.profile is Profile.CONSULT else load.clients
    setting = Setting(suite, [load.kilobytes], 1, lanes, CROWD, profiled.SERVE)
    with world(place, setting, contracts) as here:
        here.load(load, 10 * load.clients, warmup=load.clients)
        os.kill(here.hub.pid, signal.SIGUSR1)
        here.load(load, exchanges, warmup=0)
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
