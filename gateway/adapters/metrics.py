"""Every metric of the hub, declared once. Labels come from closed lists, never from a peer.

PROTOCOL.md's annex lists each series; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from gateway.broker.event import DeliveryEvent, Event
from gateway.broker.ports import Depth
from gateway.model import AuthorityId, Settlement
from gateway.refusal import Code

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
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
# Around the terms of the law: 8, 15, 30, 90 and 120 days.
_STEP: Final = tuple(_DAY * days for days in (1, 2, 5, 8, 15, 21, 30, 45, 60, 90, 120, 180))


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
        for (
            code
        ) in Code:  # a series that is there from the start can be seen to rise: alerts watch the first one
            self._refusals.labels(code.row.label)
        self._own = Histogram(
            "gateway_own_seconds",
            "Time of an exchange that the hub itself took.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._provider = Histogram(
            "gateway_provider_seconds",
            "Time of an exchange spent waiting for providers, or for a message to list.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._stages = Counter(
            "gateway_stage_seconds", "Time by stage of the path.", ["stage"], registry=registry
        )
        self._withheld = Counter(
            "gateway_fields_withheld",
            "Fields that a permitted view withheld.",
            ["operation"],
            registry=registry,
        )
        self._log_size = Gauge("gateway_log_entries", "Entries in the exchange log.", registry=registry)
        self._due = Gauge(
            "gateway_buckets_due",
            "Buckets of the exchange log whose retention period has ended and that are not erased.",
            registry=registry,
        )
        self._checkpoint = Gauge(
            "gateway_checkpoint_timestamp_seconds", "Time of the newest signed checkpoint.", registry=registry
        )
        self._pin = Gauge(
            "gateway_pin_timestamp_seconds",
            "When the pin was last found to be the log's checkpoint, or made so.",
            registry=registry,
        )
        self._cosigned = Gauge(
            "gateway_cosigned_timestamp_seconds",
            "When enough witnesses last cosigned a checkpoint.",
            registry=registry,
        )
        self._witnessed = Counter(
            "gateway_witness_answers",
            "Checkpoints sent to witnesses, by what came of them.",
            ["witness", "outcome"],
            registry=registry,
        )
        self._log_reads = Counter(
            "gateway_log_reads",
            "Resources of the exchange log served over HTTP.",
            ["authority", "resource"],
            registry=registry,
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
        self._asked = Counter(
            "gateway_ocsp_answers",
            "Questions to OCSP responders, by what came of them.",
            ["issuer", "outcome"],
            registry=registry,
        )
        self._graced = Counter(
            "gateway_revocation_grace",
            "Certificates accepted by grace alone: what is known of their revocation had run out.",
            ["authority"],
            registry=registry,
        )
        self._list_ages = Gauge(
            "gateway_revocation_list_timestamp_seconds",
            "thisUpdate of the revocation lists in force.",
            ["issuer"],
            registry=registry,
        )
        self._reloads = Gauge(
            "gateway_reload_timestamp_seconds",
            "When the files were last found in force or put in force (good), or could not be (failed).",
            ["outcome"],
            registry=registry,
        )
        self._agreement = Gauge(
            "gateway_agreement_revision", "Revision number of the agreement in force.", registry=registry
        )
        self._in_flight = Gauge("gateway_in_flight", "Exchanges under way.", registry=registry)
        # Labels come from closed lists, so that what they name can be kept: a look-up costs more than the count.
        self._exchange, self._stage = cache(self._exchanges.labels), cache(self._stages.labels)
        self._own_of, self._provider_of = cache(self._own.labels), cache(self._provider.labels)
        self._withheld_of = cache(self._withheld.labels)

        self._connections = Gauge(
            "gateway_connections", "Open connections, by listener.", ["listener"], registry=registry
        )
        self._cut = Counter(
            "gateway_connections_cut",
            "Connections that were not taken, or were cut.",
            ["listener", "reason"],
            registry=registry,
        )
        self._watch_notifications()
        self._watch_dossiers()

    def _watch_notifications(self) -> None:
        registry = self.registry
        self._notifications = Counter(
            "gateway_notifications",
            "Notifications answered.",
            ["operation", "sender", "outcome"],
            registry=registry,
        )
        self._deliveries = Counter(
            "gateway_deliveries",
            "Attempts of delivery and ends of deliveries.",
            ["recipient", "outcome"],
            registry=registry,
        )
        self._delivery = Histogram(
            "gateway_delivery_seconds",
            "Time from acceptance of a notification to the end of its delivery.",
            ["recipient"],
            buckets=_DELIVERY,
            registry=registry,
        )
        self._depth = Gauge(
            "gateway_queue_depth",
            "Deliveries that wait, and those that wait for the operator.",
            ["recipient", "state"],
            registry=registry,
        )
        self._oldest = Gauge(
            "gateway_queue_oldest_timestamp_seconds",
            "Acceptance of the oldest notification that waits for a recipient.",
            ["recipient"],
            registry=registry,
        )
        self._circuit = Gauge(
            "gateway_circuit_open",
            "1 while a recipient gets no attempts because too many failed in a row.",
            ["recipient"],
            registry=registry,
        )

    def _watch_dossiers(self) -> None:
        self._dossiers = Gauge(
            "gateway_dossiers_open",
            "Dossiers that are not closed, by course, status, and days left of the term that ends first.",
            ["procedure", "step", "days_left"],
            registry=self.registry,
        )
        self._step = Histogram(
            "gateway_step_seconds",
            "Time that a dossier spent at a status, observed when it leaves it.",
            ["course", "step"],
            buckets=_STEP,
            registry=self.registry,
        )

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
        self._own_of(operation).observe(sum(event.seconds.values()) - event.provider_seconds)
        for stage, seconds in event.seconds.items():
            self._stage(stage).inc(seconds)
        if event.log_index is not None:
            self._checkpoint.set_to_current_time()
        if event.withheld:
            self._withheld_of(operation).inc(event.withheld)

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
        self._depth.clear()
        self._oldest.clear()
        for one in depths:
            self._depth.labels(one.recipient, "waiting").set(one.waiting)
            self._depth.labels(one.recipient, "dead").set(one.dead)
            self._oldest.labels(one.recipient).set(one.oldest.timestamp())

    def circuit(self, recipient: AuthorityId, *, is_open: bool) -> None:
        self._circuit.labels(recipient).set(is_open)

    def dossiers(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """State the open dossiers: (course, status, bucket of days left; see `policy.deadlines`) → how many."""
        self._dossiers.clear()
        for labels, count in counts.items():
            self._dossiers.labels(*labels).set(count)

    def refused_on_the_wire(self, label: str) -> None:
        """Count a bare HTTP refusal, before any exchange began."""
        self._refusals.labels(label).inc()

    def watch_log(self, size: Callable[[], int]) -> None:
        """Read the size of the exchange log at each scrape."""
        self._log_size.set_function(size)

    def buckets_due(self, number: int) -> None:
        """How many buckets of the exchange log are kept longer than the agreement permits."""
        self._due.set(number)

    def log_read(self, authority: AuthorityId, resource: str) -> None:
        """Count one resource of the log that was served: checkpoint, tile, entries."""
        self._log_reads.labels(authority, resource).inc()

    def pinned(self) -> None:
        """State that the pin is current now."""
        self._pin.set_to_current_time()

    def cosigned(self, time: int) -> None:
        """State when enough witnesses last cosigned; 0: never."""
        self._cosigned.set(time)

    def witnessed(self, witness: str, outcome: str) -> None:
        """Count one answer; `witness`: its name in the trust policy, outcomes are words of `edge.feeding`."""
        self._witnessed.labels(witness, outcome).inc()

    def configured(
        self,
        certificates: Mapping[str, datetime],
        lists: Mapping[str, tuple[datetime, datetime]],
        revision: int,
    ) -> None:
        """State what is in force: ends of validity by name, thisUpdate and nextUpdate by issuer, and the
        agreement's revision number.
        """
        for gauge in (self._lists, self._list_ages, self._certificates):
            gauge.clear()  # what is in force no more has no age
        for name, (since, until) in lists.items():
            self._list_ages.labels(name).set(since.timestamp())
            self._lists.labels(name).set(until.timestamp())
        for name, expiry in certificates.items():
            self._certificates.labels(name).set(expiry.timestamp())
        self._agreement.set(revision)

    def asked(self, issuer: str, outcome: str) -> None:
        """Count one question to a responder; outcomes are words of `identity.ocsp`."""
        self._asked.labels(issuer, outcome).inc()

    def graced(self, authority: AuthorityId) -> None:
        """Count one acceptance that rests on grace."""
        self._graced.labels(authority).inc()

    def reloaded(self, *, good: bool) -> None:
        """State that the files were looked at now, and whether what they say is in force."""
        self._reloads.labels("good" if good else "failed").set_to_current_time()

    def in_flight(self, count: int) -> None:
        self._in_flight.set(count)

    def connections(self, listener: str, count: int) -> None:
        """State how many connections a listener has open."""
        self._connections.labels(listener).set(count)

    def cut(self, listener: str, reason: str, count: int) -> None:
        """Count connections that were not taken, or were cut."""
        self._cut.labels(listener, reason).inc(count)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
