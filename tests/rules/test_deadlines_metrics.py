"""The series of notifications, deliveries and dossiers: by closed labels, and never by a dossier."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.adapters.metrics import Metrics
from gateway.broker.event import DeliveryEvent, Event, Left
from gateway.broker.ports import Depth
from gateway.model import (
    AuthorityId,
    Delivery,
    ExchangeId,
    LegalContext,
    Notification,
    OperationName,
    Settlement,
)
from gateway.refusal import Code, Refusal
from tests.rules.notify_world import NUMBER, WORK, party, request

ACCEPTED = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
LIEGE = AuthorityId("MUN_LIEGE")
TOLD = Notification(
    ExchangeId("e-1"),
    AuthorityId("BRUSSELS"),
    OperationName("notifyWorkDecision"),
    NUMBER,
    ACCEPTED,
    "",
    "WORK_GRANTED",
    b"",
)
DELIVERY = Delivery(ExchangeId("d-1"), TOLD, LIEGE, LegalContext("WIB:CARD_ISSUE"), 1, recorded=True)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def series(metrics: Metrics, name: str) -> dict[str, float]:
    """The lines of one series: its labels, as they are printed, and its value."""

    def lines() -> Iterator[tuple[str, float]]:
        for line in metrics.exposition().decode().splitlines():
            labels, _, value = line.partition("} ")
            if line.startswith(f"{name}{{"):
                yield labels.removeprefix(f"{name}{{"), float(value)

    return dict(lines())


def answered(outcome: str, *, tells: bool) -> Event:
    asked = request("BRUSSELS", "notifyWorkDecision", WORK, {"workDecision": {"outcome": "GRANTED"}})
    event = Event(ExchangeId("e-1"), party("BRUSSELS"), 100, outcome=outcome)
    event.request = asked if tells else None
    return event


def test_a_notification_is_counted_by_operation_sender_and_outcome(metrics: Metrics):
    for outcome in ("accepted", "repeated", "accepted"):
        metrics.emit(answered(outcome, tells=True))
    metrics.emit(answered("released", tells=False))
    labels = 'operation="notifyWorkDecision",outcome="{}",sender="BRUSSELS"'
    assert series(metrics, "gateway_notifications_total") == {
        labels.format("accepted"): 2,
        labels.format("repeated"): 1,
    }


def test_a_failed_attempt_is_counted_and_has_no_time(metrics: Metrics):
    event = DeliveryEvent(DELIVERY)
    event.refused(Refusal(Code.PROVIDER_UNREACHABLE))
    metrics.delivered(event, ACCEPTED + timedelta(seconds=5))
    assert series(metrics, "gateway_deliveries_total") == {'outcome="refused",recipient="MUN_LIEGE"': 1}
    assert series(metrics, "gateway_delivery_seconds_count") == {}


def test_the_end_of_a_delivery_is_counted_with_its_time_since_acceptance(metrics: Metrics):
    event = DeliveryEvent(DELIVERY)
    event.ended(Settlement.ACKNOWLEDGED)
    metrics.delivered(event, ACCEPTED + timedelta(seconds=5))
    metrics.settled(LIEGE, Settlement.EXPIRED, ACCEPTED, ACCEPTED + timedelta(days=30))
    assert series(metrics, "gateway_deliveries_total") == {
        'outcome="acknowledged",recipient="MUN_LIEGE"': 1,
        'outcome="expired",recipient="MUN_LIEGE"': 1,
    }
    assert series(metrics, "gateway_delivery_seconds_sum") == {'recipient="MUN_LIEGE"': 5 + 30 * 86_400}


def test_what_waits_is_stated_and_what_waits_no_more_is_gone(metrics: Metrics):
    metrics.queue([Depth(LIEGE, 3, 1, ACCEPTED), Depth(AuthorityId("NSSO"), 2, 0, ACCEPTED)])
    metrics.queue([Depth(LIEGE, 2, 0, ACCEPTED)])
    assert series(metrics, "gateway_queue_depth") == {
        'recipient="MUN_LIEGE",state="waiting"': 2,
        'recipient="MUN_LIEGE",state="dead"': 0,
    }
    assert series(metrics, "gateway_queue_oldest_timestamp_seconds") == {
        'recipient="MUN_LIEGE"': ACCEPTED.timestamp()
    }


def test_a_circuit_is_open_or_not(metrics: Metrics):
    metrics.circuit(LIEGE, is_open=True)
    metrics.circuit(AuthorityId("NSSO"), is_open=False)
    assert series(metrics, "gateway_circuit_open") == {'recipient="MUN_LIEGE"': 1, 'recipient="NSSO"': 0}


def test_open_dossiers_are_stated_anew_each_time(metrics: Metrics):
    metrics.dossiers({("FIRST", "SUBMITTED", "8-30"): 4, ("FIRST", "ADMISSIBLE", "overdue"): 1})
    metrics.dossiers({("FIRST", "SUBMITTED", "0-7"): 4})
    assert series(metrics, "gateway_dossiers_open") == {
        'days_left="0-7",procedure="FIRST",step="SUBMITTED"': 4
    }


def test_the_time_at_a_status_is_observed_when_it_is_left(metrics: Metrics):
    event = answered("accepted", tells=True)
    event.left = Left("FIRST", "SUBMITTED", 10 * 86_400)
    metrics.emit(event)
    assert series(metrics, "gateway_step_seconds_sum") == {'course="FIRST",step="SUBMITTED"': 864_000}
    buckets = series(metrics, "gateway_step_seconds_bucket")
    within = {float(labels.split('le="')[1].split('"')[0]): count for labels, count in buckets.items()}
    assert (within[8 * 86_400], within[15 * 86_400]) == (0, 1)
