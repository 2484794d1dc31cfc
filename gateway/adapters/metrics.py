"""Every metric of the hub, declared once. Labels come from closed lists, never from a peer.

PROTOCOL.md's annex lists each series; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from gateway.broker.event import Event

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The series of one hub process. Owned by the application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        self._exchanges = Counter(
            "gateway_exchanges",
            "Exchanges answered.",
            ["operation", "authority", "outcome"],
            registry=registry,
        )
        self._refusals = Counter(
            "gateway_refusals", "Refusals by label of the code table.", ["code"], registry=registry
        )
        self._own = Histogram(
            "gateway_own_seconds",
            "Time of an exchange that the hub itself took.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._provider = Histogram(
            "gateway_provider_seconds",
            "Time of an exchange spent waiting for providers.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._stages = Counter(
            "gateway_stage_seconds", "Time by stage of the path.", ["stage"], registry=registry
        )
        self._stage = cache(self._stages.labels)  # a closed list: one look-up saved, nine times an exchange
        self._withheld = Counter(
            "gateway_fields_withheld",
            "Fields that a permitted view withheld.",
            ["operation"],
            registry=registry,
        )
        self._log_size = Gauge("gateway_log_entries", "Entries in the exchange log.", registry=registry)
        self._checkpoint = Gauge(
            "gateway_checkpoint_timestamp_seconds", "Time of the newest signed checkpoint.", registry=registry
        )
        self._certificates = Gauge(
            "gateway_certificate_expiry_timestamp_seconds",
            "End of validity of the hub's own certificates.",
            ["certificate"],
            registry=registry,
        )
        self._lists = Gauge(
            "gateway_revocation_list_expiry_timestamp_seconds",
            "nextUpdate of the revocation lists in force; past it every certificate of the issuer is refused.",
            ["issuer"],
            registry=registry,
        )
        self._agreement = Gauge(
            "gateway_agreement_revision", "Revision number of the agreement in force.", registry=registry
        )
        self._in_flight = Gauge("gateway_in_flight", "Exchanges under way.", registry=registry)

    def emit(self, event: Event) -> None:
        """Count one finished request."""
        operation = event.request.operation if event.request else "unknown"
        self._exchanges.labels(operation, event.peer.id, event.outcome).inc()
        if event.code is not None:
            self._refusals.labels(event.code.row.label).inc()
        self._provider.labels(operation).observe(event.provider_seconds)
        self._own.labels(operation).observe(sum(event.seconds.values()) - event.provider_seconds)
        for stage, seconds in event.seconds.items():
            self._stage(stage).inc(seconds)
        if event.log_index is not None:
            self._checkpoint.set_to_current_time()
        if event.withheld:
            self._withheld.labels(operation).inc(event.withheld)

    def refused_on_the_wire(self, label: str) -> None:
        """Count a bare HTTP refusal, before any exchange began."""
        self._refusals.labels(label).inc()

    def watch_log(self, size: Callable[[], int]) -> None:
        """Read the size of the exchange log at each scrape."""
        self._log_size.set_function(size)

    def configured(
        self, certificates: Mapping[str, datetime], lists: Mapping[str, datetime], revision: int
    ) -> None:
        """State what was loaded at start: ends of validity by name, and the agreement's revision number."""
        for name, expiry in lists.items():
            self._lists.labels(name).set(expiry.timestamp())
        for name, expiry in certificates.items():
            self._certificates.labels(name).set(expiry.timestamp())
        self._agreement.set(revision)

    def in_flight(self, count: int) -> None:
        self._in_flight.set(count)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
