"""A long, constant, moderate load: whether memory stays flat, and what becomes of latency, queue and store meanwhile.

The verdict follows a rule that is stated, and it is about the soak's own length: nothing is extrapolated into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Final

from gateway.bench.load import MAX_ROUND, Load, Round, Setting, World, world
from gateway.bench.memory import RULE, Memory, Verdict, worst
from gateway.bench.place import CROWD
from gateway.bench.profiles import Profile
from gateway.bench.run import Json, Tell, told
from gateway.bench.trouble import BenchError

MODERATE: Final = 0.5  # of the throughput that the hub had at the start
_SAMPLES: Final = 60  # of a short soak; a long one has one at the end of each round
_SECONDS: Final = (1.0, 10.0)  # of a round
_CALIBRATION: Final = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Sample:
    """After one round of the soak."""

    seconds: float  # since the start
    exchanges: int  # since the start
    errors: int
    rss_mb: tuple[float, ...]  # of each worker
    throughput: float
    p50_ms: float
    p99_ms: float
    queue: int  # deliveries that wait, when the hub last counted
    log_entries: int
    store_mb: float  # on disk, with its journal

    def json(self) -> Json:
        numbers = {name: round(value, 2) for name, value in asdict(self).items() if isinstance(value, float)}
        return asdict(self) | numbers | {"rss_mb": [round(one, 1) for one in self.rss_mb]}


@dataclass(frozen=True, slots=True)
class Soak:
    """A whole soak."""

    suite: str
    workers: int
    load: Load
    samples: Sequence[Sample]
    trouble: str  # the first error

    @property
    def memory(self) -> list[Memory]:
        """Of each worker."""
        columns = zip(*(sample.rss_mb for sample in self.samples), strict=True)
        exchanges = [float(sample.exchanges) for sample in self.samples]
        return [Memory.of(list(zip(exchanges, column, strict=True))) for column in columns]

    @property
    def errors(self) -> int:
        return sum(sample.errors for sample in self.samples)

    @property
    def verdict(self) -> Verdict:
        """The worst of the workers'."""
        return worst(self.memory)

    def json(self) -> Json:
        return {
            "profile": self.load.profile.value,
            "suite": self.suite,
            "size": self.load.kilobytes,
            "clients": self.load.clients,
            "workers": self.workers,
            "rate": round(self.load.rate or 0.0, 1),
            "exchanges": self.samples[-1].exchanges,
            "errors": self.errors,
            "seconds": round(self.samples[-1].seconds, 1),
            "verdict": self.verdict.value,
            "rule": RULE,
            "memory": [one.json() for one in self.memory],
            "samples": [one.json() for one in self.samples],
        }


@dataclass(frozen=True, slots=True)
class Length:
    """How long: minutes, or a number of exchanges."""

    minutes: float
    exchanges: int | None

    def round(self, rate: float) -> int:
        """Exchanges of one round at this rate."""
        seconds = self.minutes * 60 if self.exchanges is None else self.exchanges / rate
        least, most = _SECONDS
        return max(1, min(MAX_ROUND, round(rate * min(most, max(least, seconds / _SAMPLES)))))

    def left(self, done: int, seconds: float, each: int) -> int:
        """Exchanges of the next round; 0 when it is over."""
        if self.exchanges is None:
            return each if seconds < self.minutes * 60 else 0
        return min(each, self.exchanges - done)


def soak(  # noqa: PLR0913, PLR0917 - what is soaked, how long, where, and whom to tell
    load: Load, suite: str, workers: int, length: Length, directory: Path, contracts: Path, tell: Tell
) -> Soak:
    """Run it. Raises BenchError."""
    tell(f"{suite}: starting")
    lanes = 0 if load.profile is Profile.CONSULT else load.clients
    setting = Setting(suite, [load.kilobytes], workers, lanes, CROWD)
    with world(directory / f"soak-{suite}", setting, contracts) as here:
        load = Load(load.profile, load.kilobytes, load.clients, _rate(here, load))
        samples, trouble = [], ""
        for sample, measured in _rounds(here, load, length):
            samples.append(sample)
            trouble = trouble or measured.trouble
            memory = "+".join(f"{one:.0f}" for one in sample.rss_mb)
            tell(f"soak, {told(suite, workers, load)}: {sample.exchanges} exchanges, {memory} MB")
    return Soak(suite, workers, load, samples, trouble)


def _rate(here: World, load: Load) -> float:
    """A moderate one, by what the hub does without a limit."""
    probe = here.load(load, here.exchanges_for(_CALIBRATION, load), warmup=load.clients)
    if not probe.latencies:
        raise BenchError(
            "BEN002", f"no exchange succeeded: {probe.trouble}.", "Keep hub.log with --directory."
        )
    return MODERATE * len(probe.latencies) / probe.seconds


def _rounds(here: World, load: Load, length: Length) -> Iterator[tuple[Sample, Round]]:
    assert load.rate is not None
    began, done, each = monotonic(), 0, length.round(load.rate)
    while count := length.left(done, monotonic() - began, each):
        measured = here.load(load, count, warmup=load.clients)
        done += count
        yield _sample(here, measured, done, monotonic() - began), measured


def _sample(here: World, measured: Round, done: int, seconds: float) -> Sample:
    latencies, now = measured.latencies or [0.0], here.hub.scrape()
    store = here.hub.store
    files = (store, store.with_name(f"{store.name}-wal"))
    return Sample(
        seconds=seconds,
        exchanges=done,
        errors=measured.errors,
        rss_mb=measured.memory_mb,
        throughput=len(measured.latencies) / measured.seconds,
        p50_ms=latencies[ceil(0.5 * len(latencies)) - 1] * 1000,
        p99_ms=latencies[ceil(0.99 * len(latencies)) - 1] * 1000,
        queue=int(now.waiting),
        log_entries=int(now.entries),
        store_mb=sum(file.stat().st_size for file in files if file.exists()) / 1e6,
    )
