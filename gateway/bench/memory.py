"""Whether memory stays flat: the verdict on a worker's resident memory over many exchanges, by a rule that is stated.

It is about the length that was watched: nothing is extrapolated into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import sqrt
from statistics import linear_regression
from typing import Any, Final, Self

WARM_UP: Final = 0.25  # of the samples, in which caches fill
TOLERATED: Final = 0.05  # of the memory after the warm-up
_CONFIDENT: Final = 1.96  # standard errors to either side: 95 %
LEAST: Final = 20_000  # exchanges that a verdict needs: a short soak cannot see a slow leak
_FEWEST: Final = 8  # samples that a slope needs

RULE: Final = (
    f"A line is fitted to the memory of each worker over the exchanges, without the first {WARM_UP * 100:g} % of the samples."
    f" Flat: the upper end of its slope's 95 % confidence interval makes less than {TOLERATED * 100:g} % of the memory over the"
    f" whole length, of at least {LEAST:,} exchanges. Rising: the lower end makes more. Undecided: neither, or fewer than"
    f" {_FEWEST} samples."
)


class Verdict(StrEnum):
    """What a soak shows of memory."""

    FLAT = "flat"
    RISING = "rising"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Slope:
    """MB for each 1000 exchanges, with the ends of the 95 % confidence interval."""

    estimate: float
    low: float
    high: float

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]]) -> Self:
        """Least squares; points are exchanges and MB, three at least."""
        xs, ys = zip(*points, strict=True)
        line = linear_regression(xs, ys)
        mean = sum(xs) / len(xs)
        spread = sum((x - mean) ** 2 for x in xs)
        residual = sum((y - line.slope * x - line.intercept) ** 2 for x, y in points)
        error = sqrt(residual / (len(points) - 2) / spread)
        slopes = (line.slope + side * _CONFIDENT * error for side in (0, -1, 1))
        return cls(*(slope * 1000 for slope in slopes))


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one worker."""

    start_mb: float
    end_mb: float
    slope: Slope | None  # None: too few samples
    verdict: Verdict

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]]) -> Self:
        """By RULE; points are exchanges and MB, in order."""
        settled = points[int(len(points) * WARM_UP) :]
        if len(points) < _FEWEST:
            return cls(points[0][1], points[-1][1], None, Verdict.UNDECIDED)
        slope, length = Slope.of(settled), points[-1][0] / 1000
        allowed = TOLERATED * settled[0][1]
        verdict = Verdict.UNDECIDED
        if slope.low * length > allowed:
            verdict = Verdict.RISING
        elif slope.high * length <= allowed and points[-1][0] >= LEAST:
            verdict = Verdict.FLAT
        return cls(points[0][1], points[-1][1], slope, verdict)

    def json(self) -> dict[str, Any]:
        slope = (
            None if self.slope is None else {key: round(one, 5) for key, one in asdict(self.slope).items()}
        )
        return {
            "start_mb": round(self.start_mb, 1),
            "end_mb": round(self.end_mb, 1),
            "slope_mb_per_1000": slope,
            "verdict": self.verdict.value,
        }


def worst(memories: Sequence[Memory]) -> Verdict:
    """The verdict on all of them together."""
    verdicts = {one.verdict for one in memories}
    return next(one for one in (Verdict.RISING, Verdict.UNDECIDED, Verdict.FLAT) if one in verdicts)
