"""What the overload of a hub is told by: what is left of its throughput, and how much longer the calm wait."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import ceil

from gateway.bench.crowd import Crowded
from gateway.bench.trouble import BenchError

Json = dict[str, object]


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


class Quotas(Enum):
    """What binds the flood."""

    NONE = "none"
    BURST = "burst"  # the shipped agreement: at first it lets a burst in
    SPENT = "spent"  # the same, once the burst is used up


@dataclass(frozen=True, slots=True)
class Fairness:
    """A calm authority: alone, beside a flood, alone."""

    suite: str
    size: int
    quotas: Quotas
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
            "quotas": self.quotas.value,
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


def _calm(result: Crowded) -> Json:
    return {
        "exchanges": len(result.latencies),
        "turned_away": result.turned_away,
        "p50_ms": percentile_ms(result, 50),
        "p99_ms": percentile_ms(result, 99),
    }
