"""Series of the queue: deliveries and their ends, how much waits, and where open dossiers stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.adapters.metrics_stated import Stated
from gateway.broker.event import DeliveryEvent
from gateway.broker.ports import Depth
from gateway.model import AuthorityId, Settlement

_MINUTE: Final = 60.0
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
# A push takes less than a second, a mailbox is read within days, a payload is kept for 30.
_DELIVERY: Final = (
    0.1,
    0.5,
    1,
    10,
    _MINUTE,
    10 * _MINUTE,
    _HOUR,
    6 * _HOUR,
    _DAY,
    3 * _DAY,
    7 * _DAY,
    30 * _DAY,
)


class DeliverySeries:
    """A part of `Metrics`."""

    def _count_deliveries(self, counted: CollectorRegistry) -> None:
        self._deliveries = Counter(
            "gateway_deliveries",
            "Attempts of delivery and ends of deliveries.",
            ["recipient", "outcome"],
            registry=counted,
        )
        self._delivery = Histogram(
            "gateway_delivery_seconds",
            "Time from acceptance of a notification to the end of its delivery.",
            ["recipient"],
            buckets=_DELIVERY,
            registry=counted,
        )
        self._circuit = Gauge(
            "gateway_circuit_open",
            "1 after too many failed attempts in a row, until one ends otherwise.",
            ["recipient"],
            registry=counted,
            multiprocess_mode="livemax",
        )

    def _state_queue(self, stated: CollectorRegistry) -> None:
        self._depth = Stated(
            "gateway_queue_depth",
            "Deliveries that wait, and those that wait for the operator.",
            ["recipient", "state"],
            registry=stated,
        )
        self._oldest = Stated(
            "gateway_queue_oldest_timestamp_seconds",
            "Acceptance of the oldest notification that waits for a recipient.",
            ["recipient"],
            registry=stated,
        )
        self._dossiers = Stated(
            "gateway_dossiers_open",
            "Dossiers that are not closed, by course, status, and days left of the term that ends first.",
            ["procedure", "step", "days_left"],
            registry=stated,
        )

    def delivered(self, event: DeliveryEvent, now: datetime) -> None:
        """Count one attempt of a delivery, and its time when it was the last."""
        delivery = event.delivery
        if event.outcome in set(Settlement):
            self.settled(delivery.recipient, Settlement(event.outcome), delivery.notification.accepted, now)
        else:
            self._deliveries.labels(delivery.recipient, event.outcome).inc()

    def settled(
        self, recipient: AuthorityId, settlement: Settlement, accepted: datetime, now: datetime
    ) -> None:
        """Count the end of a delivery whose notification was `accepted` then."""
        self._deliveries.labels(recipient, settlement.value).inc()
        self._delivery.labels(recipient).observe((now - accepted).total_seconds())

    def queue(self, depths: Iterable[Depth]) -> None:
        """State how much waits; a recipient that is not named has nothing waiting."""
        depth: dict[tuple[str, ...], float] = {}
        oldest: dict[tuple[str, ...], float] = {}
        for one in depths:
            depth[one.recipient, "waiting"] = one.waiting
            depth[one.recipient, "dead"] = one.dead
            oldest[one.recipient,] = one.oldest.timestamp()
        self._depth.replace(depth)
        self._oldest.replace(oldest)

    def circuit(self, recipient: AuthorityId, *, is_open: bool) -> None:
        self._circuit.labels(recipient).set(is_open)

    def dossiers(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """State the open dossiers: (course, status, bucket of days left; see `policy.deadlines`) → how many."""
        self._dossiers.replace({tuple(labels): count for labels, count in counts.items()})
