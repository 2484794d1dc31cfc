"""The hub's metrics, as Prometheus would scrape them: what a round added to them, by stage of the path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

_STAGES: Final = "gateway_stage_seconds"
_DELIVERIES: Final = "gateway_deliveries"
_DEPTH: Final = "gateway_queue_depth"
_ENTRIES: Final = "gateway_log_entries"


@dataclass(frozen=True, slots=True)
class Stage:
    """Time of one stage of the path, by the hub's histogram."""

    count: float
    seconds: float  # together
    buckets: tuple[tuple[float, float], ...]  # upper bound in seconds → how many took no longer, ascending

    def __sub__(self, other: Self) -> Self:
        before = dict(other.buckets)
        buckets = tuple((bound, count - before.get(bound, 0.0)) for bound, count in self.buckets)
        return type(self)(self.count - other.count, self.seconds - other.seconds, buckets)

    def __add__(self, other: Self) -> Self:
        before = dict(other.buckets)
        buckets = tuple((bound, count + before.get(bound, 0.0)) for bound, count in self.buckets)
        return type(self)(self.count + other.count, self.seconds + other.seconds, buckets)

    @property
    def mean_ms(self) -> float:
        return self.seconds / self.count * 1000 if self.count else 0.0

    def quantile_ms(self, share: float) -> float:
        """As Prometheus' histogram_quantile: even within a bucket; the last bound for what is beyond it."""
        low = low_count = 0.0
        for bound, count in self.buckets:
            if count >= share * self.count:
                if bound == float("inf") or count == low_count:
                    return low * 1000
                return (low + (bound - low) * (share * self.count - low_count) / (count - low_count)) * 1000
            low, low_count = bound, count
        return low * 1000

    def json(self) -> dict[str, float]:
        return {
            "count": self.count,
            "mean_ms": round(self.mean_ms, 4),
            "p50_ms": round(self.quantile_ms(0.5), 4),
            "p99_ms": round(self.quantile_ms(0.99), 4),
        }


_NONE: Final = Stage(0.0, 0.0, ())


@dataclass(frozen=True, slots=True)
class Scrape:
    """What the metrics said at one moment; a difference of two is what happened between them."""

    stages: Mapping[str, Stage]
    acknowledged: float  # deliveries that ended well
    waiting: float  # deliveries in the queue when it was last measured
    entries: float  # of the exchange log

    @classmethod
    def of(cls, operations: str) -> Self:
        """Scrape. `operations`: the address of the operations listener."""
        with urlopen(f"{operations}/metrics", timeout=30) as reply:  # noqa: S310 - the hub that the benchmark started
            return cls.read(reply.read().decode())

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the text format of Prometheus."""
        buckets: dict[str, dict[float, float]] = {}
        sums, totals = Counter[str](), Counter[str]()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                stage = sample.labels.get("stage", "")
                if sample.name == f"{_STAGES}_bucket":
                    buckets.setdefault(stage, {})[float(sample.labels["le"])] = sample.value
                elif sample.name == f"{_STAGES}_sum":
                    sums[stage] = sample.value  # type: ignore[assignment] # seconds, not a count
                elif _counts(sample.name, sample.labels):
                    totals[family.name] += sample.value  # type: ignore[assignment] # a float of the text format
        stages = {
            name: Stage(max(found.values()), sums[name], tuple(sorted(found.items())))
            for name, found in buckets.items()
        }
        return cls(stages, totals[_DELIVERIES], totals[_DEPTH], totals[_ENTRIES])

    def __sub__(self, other: Self) -> Self:
        stages = {name: stage - other.stages.get(name, _NONE) for name, stage in self.stages.items()}
        return type(self)(
            {name: stage for name, stage in stages.items() if stage.count},
            self.acknowledged - other.acknowledged,
            self.waiting,
            self.entries - other.entries,
        )


def _counts(name: str, labels: Mapping[str, str]) -> bool:
    if name == f"{_DELIVERIES}_total":
        return labels["outcome"] == "acknowledged"
    return name == _ENTRIES or (name == _DEPTH and labels["state"] == "waiting")
