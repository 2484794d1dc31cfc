"""The courier's loop: so many at once for each recipient, a failing one left alone, the old ones purged, bugs outlived."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.adapters.metrics import Metrics
from gateway.agreement.identifiers import dossier_number
from gateway.assembly import courier_of
from gateway.config import DeliverySettings
from gateway.edge import courier as courier_module
from gateway.edge.operational_log import OperationalLog
from gateway.model import Authority
from gateway.refusal import Code, Refusal
from tests.path.hub import Hub, agreement
from tests.path.notifying import declare, drain, enrol, findings, mailbox, of_kind, rows, told_to

DOSSIERS = [dossier_number(2026, number) for number in range(301, 309)]


def with_endpoint(one: Authority) -> Authority:
    return replace(one, endpoint=f"https://{one.tls_name}/soap")


@pytest.fixture
async def hub(tmp_path: Path):
    made = await Hub.start(tmp_path)
    enrol(made, with_endpoint)
    for number in DOSSIERS:
        await made.dossier(number, "WORK_GRANTED")
    yield made
    await made.store.close()


@asynccontextmanager
async def courier(hub: Hub, **settings: object):
    """The courier at work, with what it logs and counts."""
    lines, metrics = io.StringIO(), Metrics()
    parts = replace(hub.parts(), delivery=DeliverySettings(**settings))
    hub.in_force = parts.in_force
    made = courier_of(parts, metrics, OperationalLog(lines))
    task = asyncio.create_task(made.run())
    try:
        yield lambda: [json.loads(line) for line in lines.getvalue().splitlines()], metrics
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await made.finish(60)


async def until(condition) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


def settled(hub: Hub) -> int:
    return len(of_kind(hub, "settlement"))


def attempts(lines: list[dict[str, object]], recipient: str) -> int:
    """Those of which everything is recorded and counted: their line is the last of it."""
    return sum(line["event"] == "delivery" and line["recipient"] == recipient for line in lines)


async def test_what_is_told_is_delivered_without_being_asked_for(hub: Hub):
    async with courier(hub) as (lines, metrics):
        await declare(hub, DOSSIERS[0])
        await until(lambda: settled(hub) == 2)
    assert {line["outcome"] for line in lines() if line["event"] == "delivery"} == {"acknowledged"}
    assert (
        b'gateway_deliveries_total{outcome="acknowledged",recipient="PLATFORM"} 1.0' in metrics.exposition()
    )


@pytest.mark.parametrize("at_once", [1, 3])
async def test_a_recipient_is_given_so_many_at_once_and_no_more(hub: Hub, at_once: int):
    now, most, gate = [0], [0], asyncio.Event()
    plain = hub.ask

    async def ask(provider, message, action):
        if provider.id == "PLATFORM":
            now[0] += 1
            most[0] = max(most[0], now[0])
            await gate.wait()
            now[0] -= 1
        return await plain(provider, message, action)

    hub.ask = ask
    async with courier(hub, at_once=at_once):
        for number in DOSSIERS:
            await declare(hub, number)
        await until(lambda: len(told_to(hub, "IMMIGRATION_OFFICE")) == len(DOSSIERS))  # it waits for nobody
        assert now[0] == at_once
        gate.set()
        await until(lambda: settled(hub) == 2 * len(DOSSIERS))
    assert most[0] == at_once


async def test_who_is_suspended_and_resumed_while_the_courier_works_gets_what_waits(hub: Hub):
    enrol(hub, lambda one: replace(with_endpoint(one), active=one.id != "PLATFORM"))
    async with courier(hub):
        for number in DOSSIERS:
            await declare(hub, number)
        await until(lambda: settled(hub) == len(DOSSIERS))
        assert told_to(hub, "PLATFORM") == []
        enrol(hub, with_endpoint)
        hub.in_force.rules = hub.rules()
        await until(lambda: settled(hub) == 2 * len(DOSSIERS))


async def test_a_recipient_that_fails_in_a_row_is_left_alone_and_then_tried_once(hub: Hub):
    tried = []

    async def down(provider, message, action):
        tried.append(provider.id)
        raise Refusal(Code.PROVIDER_UNREACHABLE)

    plain, hub.ask = hub.ask, down
    settings = {"at_once": 1, "breaker_failures": 3, "breaker_seconds": 60.0, "first_retry_seconds": 1.0}
    async with courier(hub, **settings) as (lines, metrics):
        for number in DOSSIERS:
            await declare(hub, number)
        await until(lambda: attempts(lines(), "PLATFORM") == 3)
        await asyncio.sleep(0.3)
        assert tried.count("PLATFORM") == 3
        assert b'gateway_circuit_open{recipient="PLATFORM"} 1.0' in metrics.exposition()
        hub.now += timedelta(seconds=61)
        hub.bell.ring()
        await until(lambda: attempts(lines(), "PLATFORM") == 4)
        await asyncio.sleep(0.3)
        assert tried.count("PLATFORM") == 4  # it decided: another pause
        hub.ask = plain
        hub.now += timedelta(seconds=61)
        hub.bell.ring()
        await until(lambda: settled(hub) == 2 * len(DOSSIERS))
        assert b'gateway_circuit_open{recipient="PLATFORM"} 0.0' in metrics.exposition()
    assert not findings(hub)


async def test_a_fault_of_ours_says_nothing_about_the_recipient(hub: Hub):
    async def bug(provider, message, action):
        raise ValueError("ours")

    plain, hub.ask = hub.ask, bug
    async with courier(hub, breaker_failures=1, first_retry_seconds=1.0) as (lines, metrics):
        await declare(hub, DOSSIERS[0])
        await until(lambda: sum(line["event"] == "delivery" for line in lines()) == 2)
        assert b'gateway_circuit_open{recipient="PLATFORM"} 0.0' in metrics.exposition()
        hub.ask = plain
        hub.now += timedelta(seconds=2)
        hub.bell.ring()
        await until(lambda: settled(hub) == 2)
    failed = [line for line in lines() if line["outcome"] == "failed"]
    assert {line["trace"].split(" ")[0] for line in failed} == {"ValueError"}


async def test_what_has_waited_too_long_is_purged_and_one_that_cannot_be_ended_keeps_no_other(hub: Hub):
    enrol(hub, lambda one: replace(one, endpoint=None))
    for number in DOSSIERS[:3]:
        await declare(hub, number)
    hub.now += timedelta(days=agreement().retention.payload_days, seconds=1)
    (first,) = rows(hub, "SELECT id FROM deliveries ORDER BY position LIMIT 1")[0]
    plain = hub.store.parties

    async def parties(delivery):
        if delivery == first:
            raise Refusal(Code.LOG_UNAVAILABLE)
        return await plain(delivery)

    hub.store.parties = parties
    async with courier(hub) as (lines, _):
        await until(lambda: settled(hub) == 5)
        assert {entry["decision"] for entry in of_kind(hub, "settlement")} == {"expired"}
        assert [line["delivery"] for line in lines() if line["event"] == "courier"] == [first]


async def test_a_store_that_is_busy_for_a_moment_does_not_end_the_courier(hub: Hub):
    plain, troubles = hub.store.lease, [Refusal(Code.BUSY), ValueError("a bug")]

    async def lease(*args):
        if troubles:
            raise troubles.pop()
        return await plain(*args)

    hub.store.lease = lease
    async with courier(hub) as (lines, _):
        await declare(hub, DOSSIERS[0])
        await until(lambda: settled(hub) == 2)
    assert [line["event"] for line in lines()][:2] == ["failed", "courier"]


async def test_a_suspended_recipient_is_left_out_and_its_messages_wait(hub: Hub):
    enrol(hub, lambda one: replace(one, endpoint="https://x.example/soap", active=one.id != "PLATFORM"))
    async with courier(hub):
        await declare(hub, DOSSIERS[0])
        await until(lambda: settled(hub) == 1)
        await asyncio.sleep(0.2)
    assert told_to(hub, "PLATFORM") == []
    assert rows(hub, "SELECT recipient FROM deliveries WHERE state = 'waiting'") == [("PLATFORM",)]


async def test_all_that_has_waited_too_long_is_purged_though_some_cannot_be_ended(hub: Hub, monkeypatch):
    monkeypatch.setattr(courier_module, "_BATCH", 2)
    enrol(hub, lambda one: replace(one, endpoint=None))
    for number in DOSSIERS:
        await declare(hub, number)
    hub.now += timedelta(days=agreement().retention.payload_days, seconds=1)
    stuck = [one for (one,) in rows(hub, "SELECT id FROM deliveries ORDER BY position LIMIT 3")]
    plain = hub.store.parties

    async def parties(delivery):
        if delivery in stuck:
            raise ValueError("a bug of ours")
        return await plain(delivery)

    hub.store.parties = parties
    async with courier(hub) as (lines, metrics):
        await until(lambda: settled(hub) == 2 * len(DOSSIERS) - len(stuck))
        for name, some in (("PLATFORM", 6), ("IMMIGRATION_OFFICE", 7)):  # two and one of them are stuck
            count = f'gateway_deliveries_total{{outcome="expired",recipient="{name}"}} {some}.0'
            await until(lambda count=count: count in metrics.exposition().decode())
    assert sorted(line["delivery"] for line in lines() if line["event"] == "failed") == sorted(stuck)


def kept_for(hub: Hub, time: timedelta) -> None:
    """The agreement lets payloads be kept no longer."""
    changed = replace(agreement().retention, payload_days=time / timedelta(days=1))
    plain = hub.rules_change
    terms = replace(agreement(), retention=changed)
    hub.rules_change = lambda rules: plain(replace(rules, agreement=terms))


async def test_what_is_too_old_is_not_carried_and_has_expired(hub: Hub):
    kept_for(hub, timedelta(days=1))
    await declare(hub, DOSSIERS[0])
    hub.now += timedelta(days=1)
    await drain(hub, None, "PLATFORM")
    hub.now += timedelta(seconds=1)
    await drain(hub)
    assert [str(name) for name, _ in hub.received] == ["PLATFORM"]
    assert [entry["decision"] for entry in of_kind(hub, "settlement")] == ["acknowledged", "expired"]
    assert not findings(hub)


async def test_a_sweep_leaves_alone_what_is_being_handed_over(hub: Hub, monkeypatch):
    monkeypatch.setattr(courier_module, "_SWEEP", timedelta())
    kept_for(hub, timedelta(minutes=1))
    gate, swept, plain, overdue = asyncio.Event(), [], hub.ask, hub.store.overdue

    async def ask(provider, message, action):
        await gate.wait()
        return await plain(provider, message, action)

    async def look(*args):
        swept.append(await overdue(*args))
        return swept[-1]

    hub.ask, hub.store.overdue = ask, look
    async with courier(hub):
        await declare(hub, DOSSIERS[0])
        await until(lambda: rows(hub, "SELECT sum(recorded) FROM deliveries") == [(2,)])
        hub.now += timedelta(seconds=61)
        hub.bell.ring()
        await until(lambda: any(swept))
        gate.set()
        await until(lambda: settled(hub) == 2)
    assert {entry["decision"] for entry in of_kind(hub, "settlement")} == {"acknowledged"}


async def test_a_sweep_leaves_alone_what_its_recipient_has_fetched(hub: Hub):
    enrol(hub, lambda one: replace(one, endpoint=None))
    kept_for(hub, timedelta(minutes=1))
    await declare(hub, DOSSIERS[0])
    ((message,),) = rows(hub, "SELECT id FROM deliveries WHERE recipient = 'PLATFORM'")
    hub.now += timedelta(seconds=59)
    fetched = await mailbox(hub, "PLATFORM", "fetchMessage", "WIB:WORK_DECISION", message=message)
    assert fetched.code is None
    hub.now += timedelta(seconds=2)
    async with courier(hub):
        await until(lambda: settled(hub) == 1)
        await asyncio.sleep(0.1)
    assert [entry["decision"] for entry in of_kind(hub, "settlement")] == ["expired"]
    taken = await mailbox(hub, "PLATFORM", "acknowledgeMessage", "WIB:WORK_DECISION", message=message)
    assert taken.code is None
    assert not findings(hub)


async def test_a_sweep_ends_what_was_fetched_and_never_acknowledged(hub: Hub):
    enrol(hub, lambda one: replace(one, endpoint=None))
    kept_for(hub, timedelta(minutes=1))
    await declare(hub, DOSSIERS[0])
    ((message,),) = rows(hub, "SELECT id FROM deliveries WHERE recipient = 'PLATFORM'")
    await mailbox(hub, "PLATFORM", "fetchMessage", "WIB:WORK_DECISION", message=message)
    hub.now += timedelta(seconds=DeliverySettings().mailbox_lease_seconds)
    async with courier(hub):
        await until(lambda: settled(hub) == 2)
    assert {entry["decision"] for entry in of_kind(hub, "settlement")} == {"expired"}


async def test_an_end_without_the_recipient_does_not_close_its_circuit(hub: Hub):
    """What lapses or expires says nothing about an endpoint that did not answer."""
    kept_for(hub, timedelta(minutes=5))

    async def down(provider, message, action):
        raise Refusal(Code.PROVIDER_UNREACHABLE)

    hub.ask = down
    async with courier(hub, breaker_failures=2, breaker_seconds=400.0) as (lines, metrics):
        for number in DOSSIERS[:2]:
            await declare(hub, number)
        await until(lambda: sum(line["event"] == "delivery" for line in lines()) == 4)
        hub.now += timedelta(seconds=401)  # they are too old now, and the circuit is half open
        hub.bell.ring()
        await until(lambda: settled(hub) == 4)
        assert {entry["decision"] for entry in of_kind(hub, "settlement")} == {"expired"}
        await declare(hub, DOSSIERS[2])
        await until(lambda: sum(line["event"] == "delivery" for line in lines()) == 10)
        assert b'gateway_circuit_open{recipient="PLATFORM"} 1.0' in metrics.exposition()


async def test_a_sender_that_left_the_register_blocks_nobody(hub: Hub):
    """Its messages are the operator's at once, and say nothing about the recipient."""
    for number in DOSSIERS[:3]:
        await declare(hub, number)
    plain = hub.rules_change
    enrol(hub, lambda one: None if one.id == "NSSO" else replace(one, endpoint="https://x.example/soap"))
    async with courier(hub, breaker_failures=1) as (lines, metrics):
        await until(lambda: rows(hub, "SELECT count(*) FROM deliveries WHERE state = 'dead'") == [(6,)])
        assert b'gateway_circuit_open{recipient="PLATFORM"} 0.0' in metrics.exposition()
    assert not hub.received
    assert {(line["code"], line["dead"]) for line in lines() if line["event"] == "delivery"} == {
        ("WIB05002", True)
    }
    hub.rules_change = plain
    async with courier(hub):
        await declare(hub, DOSSIERS[3])
        await until(lambda: settled(hub) == 2)


async def test_what_waits_for_a_suspended_recipient_is_dead_in_the_end(hub: Hub):
    enrol(hub, lambda one: replace(one, active=one.id != "PLATFORM", endpoint=None))
    await declare(hub, DOSSIERS[0])
    hub.now += timedelta(days=DeliverySettings().dead_after_days / 2)
    await declare(hub, DOSSIERS[1])
    hub.now += timedelta(days=DeliverySettings().dead_after_days / 2)
    dead = "SELECT recipient, last_code FROM deliveries WHERE state = 'dead'"
    async with courier(hub) as (lines, metrics):
        await until(lambda: attempts(lines(), "PLATFORM") == 1)
        assert rows(hub, dead) == [("PLATFORM", "WIB05005")]
        assert b'gateway_deliveries_total{outcome="refused",recipient="PLATFORM"} 1.0' in metrics.exposition()
    (line,) = [line for line in lines() if line["event"] == "delivery"]
    assert (line["recipient"], line["dead"]) == ("PLATFORM", True)
    assert rows(hub, "SELECT count(*) FROM deliveries WHERE state = 'waiting'") == [(3,)]


async def test_what_waits_for_one_suspended_recipient_keeps_another_from_nothing(hub: Hub, monkeypatch):
    monkeypatch.setattr(courier_module, "_BATCH", 1)
    away = {"PLATFORM", "IMMIGRATION_OFFICE"}
    enrol(hub, lambda one: replace(one, active=one.id not in away, endpoint=None))
    await declare(hub, DOSSIERS[0])
    await declare(hub, DOSSIERS[1])
    hub.now += timedelta(days=DeliverySettings().dead_after_days)
    async with courier(hub) as (lines, _):
        await until(lambda: {line["recipient"] for line in lines() if line["event"] == "delivery"} == away)


async def test_how_much_waits_is_not_counted_at_every_turn(hub: Hub):
    plain, counted = hub.store.depth, []

    async def depth():
        counted.append(hub.now)
        return await plain()

    hub.store.depth = depth
    async with courier(hub):
        for number in DOSSIERS[:4]:
            await declare(hub, number)
        await until(lambda: settled(hub) == 8)
        assert len(counted) == 1
        hub.now += timedelta(seconds=5)
        hub.bell.ring()
        await until(lambda: len(counted) == 2)
        hub.now -= timedelta(days=1)  # the clock is set back
        hub.bell.ring()
        await until(lambda: len(counted) == 3)
