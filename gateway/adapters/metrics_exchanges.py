"""Series of exchanges: how many, how they ended, how long they took, and by which stage."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.broker.event import Event, Stage
from gateway.model import AuthorityId
from gateway.refusal import Code

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Most stages take less than a millisecond, a commit some, a provider as long as it likes.
_STAGE: Final = (
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0,
)  # fmt: skip
_DAY: Final = 24 * 3600.0
# Around the terms of the law: 8, 15, 30, 90 and 120 days.
_STEP: Final = tuple(_DAY * days for days in (1, 2, 5, 8, 15, 21, 30, 45, 60, 90, 120, 180))


class ExchangeSeries:
    """A part of `Metrics`."""

    def _count_exchanges(self, counted: CollectorRegistry) -> None:
        self._exchanges = Counter(
            "gateway_exchanges",
            "Exchanges answered.",
            ["operation", "authority", "outcome"],
            registry=counted,
        )
        self._notifications = Counter(
            "gateway_notifications",
            "Notifications answered.",
            ["operation", "sender", "outcome"],
            registry=counted,
        )
        self._refusals = Counter(
            "gateway_refusals", "Refusals by label of the code table.", ["code"], registry=counted
        )
        for code in Code:  # a series that is there from the start can be seen to rise: alerts watch the first
            self._refusals.labels(code.row.label)
        self._withheld = Counter(
            "gateway_fields_withheld",
            "Fields that a permitted view withheld.",
            ["operation"],
            registry=counted,
        )
        self._in_flight = Gauge(
            "gateway_in_flight", "Exchanges under way.", registry=counted, multiprocess_mode="livesum"
        )
        self._waiting = Gauge(
            "gateway_waiting",
            "Requests under way that wait for their turn.",
            registry=counted,
            multiprocess_mode="livesum",
        )
        self._turned_away = Counter(
            "gateway_turned_away",
            "Messages that were not read: their authority is over its quota, or the hub is busy.",
            ["authority", "code"],
            registry=counted,
        )
        self._checkpoint = Gauge(
            "gateway_checkpoint_timestamp_seconds",
            "Time of the newest signed checkpoint.",
            registry=counted,
            multiprocess_mode="max",
        )
        self._time_exchanges(counted)

    def _time_exchanges(self, counted: CollectorRegistry) -> None:
        self._own = Histogram(
            "gateway_own_seconds",
            "Time of an exchange that the hub itself took.",
            ["operation"],
            buckets=_BUCKETS,
            registry=counted,
        )
        self._provider = Histogram(
            "gateway_provider_seconds",
            "Time of an exchange spent waiting for providers, or for a message to list.",
            ["operation"],
            buckets=_BUCKETS,
            registry=counted,
        )
        self._stages = Histogram(
            "gateway_stage_seconds",
            "Time of an exchange or of a delivery by stage of the path.",
            ["stage"],
            buckets=_STAGE,
            registry=counted,
        )
        self._step = Histogram(
            "gateway_step_seconds",
            "Time that a dossier spent at a status, observed when it leaves it.",
            ["course", "step"],
            buckets=_STEP,
            registry=counted,
        )
        # Labels come from closed lists, so that what they name can be kept: a look-up costs more than the count.
        self._exchange, self._stage = cache(self._exchanges.labels), cache(self._stages.labels)
        self._own_of, self._provider_of = cache(self._own.labels), cache(self._provider.labels)
        self._withheld_of = cache(self._withheld.labels)

    def emit(self, event: Event) -> None:
        """Count one finished request."""
        operation = event.request.operation if event.request else "unknown"
        self._exchange(operation, event.peer.id, event.outcome).inc()
        if event.request is not None and event.request.payload is not None:  # it tells something
            self._notifications.labels(operation, event.peer.id, event.outcome).inc()
        if event.left is not None:
            self._step.labels(event.left.course, event.left.status).observe(event.left.seconds)
        if event.code is not None:
            self._refusals.labels(event.code.row.label).inc()
        self._provider_of(operation).observe(event.provider_seconds)
        self._own_of(operation).observe(event.own_seconds)
        self.staged(event.seconds)
        if event.log_index is not None:
            self._checkpoint.set_to_current_time()
        if event.withheld:
            self._withheld_of(operation).inc(event.withheld)

    def staged(self, seconds: Mapping[Stage, float]) -> None:
        """Count the stages of an exchange, or of an attempt to deliver."""
        for stage, spent in seconds.items():
            self._stage(stage).observe(spent)

    def refused_on_the_wire(self, label: str) -> None:
        """Count a bare HTTP refusal, before any exchange began."""
        self._refusals.labels(label).inc()

    def _expect_turned_away(self, authority: AuthorityId) -> None:
        for code in (Code.QUOTA, Code.BUSY):
            self._turned_away.labels(authority, code.row.label)

    def turned_away(self, authority: AuthorityId, label: str) -> None:
        """Count a message that was not read."""
        self._refusals.labels(label).inc()
        self._turned_away.labels(authority, label).inc()

    def waiting(self, count: int) -> None:
        self._waiting.set(count)

    def in_flight(self, count: int) -> None:
        self._in_flight.set(count)
