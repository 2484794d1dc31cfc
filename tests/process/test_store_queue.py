"""The queue: what is due is leased once, in order, and ends with an entry of the log and the purge."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.adapters import store_log
from gateway.adapters.store_witnessed import Frozen
from gateway.exchangelog.flaw import Flaw
from gateway.model import Delivery, DossierNumber, Settlement
from gateway.refusal import Code, Refusal
from tests.exchanges import NOW, NSSO, PLATFORM, request_entry
from tests.notifications import (
    HOUR,
    OFFICE,
    OTHER,
    accepted,
    acknowledge,
    delivered_entry,
    delivery,
    leased,
    settled_entry,
    tell,
)
from tests.process.store_world import DiskError, findings, open_store, query

MINUTE = timedelta(minutes=1)
THIRD = DossierNumber("WIB-2026-0000003-55")


def tickets(path, deliveries: list[Delivery]) -> list[int]:
    """Which notifications these are, counted from the first that was accepted."""
    order = [
        exchange
        for (exchange,) in query(
            path, "SELECT notification FROM deliveries GROUP BY notification ORDER BY min(position)"
        )
    ]
    return [order.index(one.notification.exchange) for one in deliveries]


async def refused(call) -> Code:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value.code


async def test_lease_is_exclusive_until_it_ends(path):
    async with open_store(path) as store:
        await tell(store)
        (first,) = await leased(store, PLATFORM.id)
        assert await leased(store, PLATFORM.id) == []
        assert await leased(store, PLATFORM.id, MINUTE - timedelta(microseconds=1)) == []
        assert await leased(store, PLATFORM.id, MINUTE) == [first]
        assert [one.recipient for one in await leased(store, OFFICE.id)] == [OFFICE.id]


async def test_of_a_log_that_goes_on_elsewhere_nothing_is_leased(path):
    async with open_store(path) as store:
        await tell(store)
        (one,) = await leased(store, PLATFORM.id)
        await store.record(one, delivered_entry(one))
        await store.freeze(Frozen(1, await store.checkpoint(), b"moved elsewhere"))
        assert await store.look()
        assert await leased(store, PLATFORM.id, MINUTE) == []
        assert await leased(store, OFFICE.id) == []


async def test_lease_takes_no_more_than_asked_and_of_nobody_else(path):
    async with open_store(path) as store:
        for number, dossier in enumerate(("a", "b", "c")):
            await tell(store, accepted(f"t{number}", DossierNumber(dossier)))
        assert len(await leased(store, PLATFORM.id, limit=2)) == 2
        assert len(await leased(store, PLATFORM.id, limit=2)) == 1
        assert await leased(store, NSSO.id) == []
        assert await store.lease([], NOW, NOW + MINUTE, 9) == []
        both = await store.lease([PLATFORM.id, OFFICE.id], NOW + MINUTE, NOW + 2 * MINUTE, 9)
        assert len(both) == 6


async def test_one_dossier_is_delivered_in_order_and_others_go_on(path):
    async with open_store(path) as store:
        for number, dossier in enumerate(("a", "a", "b", "a", "b")):
            await tell(store, accepted(f"t{number}", DossierNumber(dossier)))
        batch = await leased(store, PLATFORM.id)
        assert tickets(path, batch) == [0, 2]
        assert await leased(store, PLATFORM.id) == []
        await acknowledge(store, batch[1])
        assert tickets(path, await leased(store, PLATFORM.id)) == [4]
        await acknowledge(store, batch[0])
        (second,) = await leased(store, PLATFORM.id)
        assert tickets(path, [second]) == [1]
        await acknowledge(store, second)
        assert tickets(path, await leased(store, PLATFORM.id)) == [3]
        assert tickets(path, await leased(store, OFFICE.id)) == [0, 2]  # each recipient has its own order


async def test_postponed_delivery_is_due_later_and_holds_back_those_behind_it(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0"))
        await tell(store, accepted("t1"))
        await tell(store, accepted("t2", OTHER))
        first, other = await leased(store, PLATFORM.id)
        await store.postpone(first, NOW + HOUR, "WIB09001")
        assert await leased(store, PLATFORM.id, MINUTE / 2) == []
        await acknowledge(store, other)
        assert await leased(store, PLATFORM.id, HOUR - MINUTE) == []
        assert await leased(store, PLATFORM.id, HOUR) == [replace(first, attempts=1)]
        assert query(path, "SELECT last_code FROM deliveries WHERE attempts = 1") == [("WIB09001",)]


async def test_dead_delivery_holds_back_its_dossier_only(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0"))
        await tell(store, accepted("t1"))
        await tell(store, accepted("t2", OTHER))
        await tell(store, accepted("t3", OTHER))
        first, other = await leased(store, PLATFORM.id)
        await store.bury(first, "WIB09003")
        await acknowledge(store, other)
        later = await leased(store, PLATFORM.id, 100 * HOUR)
        assert tickets(path, later) == [3]
        await store.settle(first, settled_entry(first, Settlement.EXPIRED))
        assert tickets(path, await leased(store, PLATFORM.id, 100 * HOUR)) == [1]


async def test_payload_is_purged_when_the_last_delivery_is_settled(path):
    async with open_store(path) as store:
        await tell(store)
        (one,), (other,) = await leased(store, PLATFORM.id), await leased(store, OFFICE.id)
        await acknowledge(store, one)
        assert query(path, "SELECT sealed IS NULL FROM notifications") == [(0,)]
        assert query(path, "SELECT count(dossier) FROM deliveries") == [(1,)]
        assert [flaw.flaw for flaw in findings(path)] == [Flaw.UNSETTLED]
        await acknowledge(store, other)
        assert query(path, "SELECT sealed IS NULL FROM notifications") == [(1,)]
        assert query(path, "SELECT count(dossier) FROM deliveries") == [(0,)]
        assert await leased(store, PLATFORM.id, HOUR) == []
    assert findings(path) == []


async def test_recorded_delivery_says_so_when_it_is_leased_again(path):
    async with open_store(path) as store:
        await tell(store)
        (first,) = await leased(store, PLATFORM.id)
        await store.record(first, delivered_entry(first))
        (again,) = await leased(store, PLATFORM.id, MINUTE)
        assert again == replace(first, recorded=True)
        assert await refused(store.record(first, delivered_entry(first))) is Code.INTERNAL
        await store.settle(again, settled_entry(again))
    assert [one.flaw for one in findings(path)] == [Flaw.UNSETTLED]


async def test_what_is_settled_is_neither_settled_nor_recorded_nor_moved_again(path):
    async with open_store(path) as store:
        await tell(store)
        (one,) = await leased(store, PLATFORM.id)
        await acknowledge(store, one)
        size = store.size
        again = [
            store.settle(one, settled_entry(one, Settlement.EXPIRED, exchange=delivery().id)),
            store.record(one, delivered_entry(one, delivery().id)),
            store.settle(delivery(), settled_entry(one, exchange=delivery().id)),
            store.settle(one, settled_entry(one, Settlement.EXPIRED)),  # its entry stands already, too
        ]
        for call in again:
            assert await refused(call) is Code.MESSAGE_UNKNOWN
        await store.postpone(one, NOW, "WIB09001")
        await store.bury(one, "WIB09001")
        assert store.size == size
    assert query(path, f"SELECT state, attempts, last_code FROM deliveries WHERE id = '{one.id}'") == [
        ("settled", 0, None)
    ]
    assert [flaw.flaw for flaw in findings(path)] == [Flaw.UNSETTLED]


async def test_overdue_are_those_accepted_before_dead_or_alive(path):
    async with open_store(path) as store:
        await tell(store)
        (one,) = await leased(store, PLATFORM.id)
        await store.bury(one, "WIB09003")
        assert await store.overdue(NOW, 9) == []
        late = await store.overdue(NOW + timedelta(microseconds=1), 9)
        assert [each.recipient for each in late] == [PLATFORM.id, OFFICE.id]
        assert len(await store.overdue(NOW + HOUR, 1)) == 1
        for each in late:
            await store.settle(each, settled_entry(each, Settlement.EXPIRED))
        assert await store.overdue(NOW + HOUR, 9) == []
    assert query(path, "SELECT sealed FROM notifications") == [(None,)]
    assert findings(path) == []


async def test_depth_is_what_waits_for_whom_since_when(path):
    async with open_store(path) as store:
        assert await store.depth() == []
        await tell(store, accepted("t0"))
        await tell(store, accepted("t1", OTHER))
        await tell(store, accepted("t2", THIRD, (PLATFORM,)))
        first, *_ = await leased(store, PLATFORM.id)
        await store.bury(first, "WIB09003")
        depth = [(one.recipient, one.waiting, one.dead, one.oldest) for one in await store.depth()]
        assert depth == [(OFFICE.id, 2, 0, NOW), (PLATFORM.id, 2, 1, NOW)]


# Several processes, and failures.


async def test_leases_of_two_hubs_on_one_queue_never_overlap(path):
    async with open_store(path) as one, open_store(path) as other:
        for number in range(60):
            await tell(one, accepted(f"t{number}", DossierNumber(f"d{number % 40}"), (PLATFORM,)))
        taken: list[Delivery] = []
        while True:
            calls = [leased(store, PLATFORM.id, limit=3) for store in (one, other) for _ in range(3)]
            batches = await asyncio.gather(*calls)
            if not any(batches):
                break
            for store, mine in zip((one, one, one, other, other, other), batches, strict=True):
                taken += mine
                for each in mine:
                    await acknowledge(store, each)
        assert len({each.id for each in taken}) == len(taken) == 60
        by_dossier: dict[str, list[int]] = {}
        for each, number in zip(taken, tickets(path, taken), strict=True):
            by_dossier.setdefault(each.notification.dossier, []).append(number)
        assert all(numbers == sorted(numbers) for numbers in by_dossier.values())
    assert findings(path) == []


async def test_refused_effect_does_not_touch_the_others_of_its_batch(path, monkeypatch):
    async with open_store(path) as store:
        await tell(store)
        (one,), (other,) = await leased(store, PLATFORM.id), await leased(store, OFFICE.id)
        await store.record(one, delivered_entry(one))
        await store.record(other, delivered_entry(other))
        await store.settle(one, settled_entry(one))
        size = store.size
        twice = settled_entry(one, exchange=delivery().id)
        results = await asyncio.gather(
            store.append(request_entry("a")),
            store.settle(one, twice),
            store.settle(other, settled_entry(other)),
            store.append(request_entry("b")),
            tell(store, accepted("a", OTHER)),
            return_exceptions=True,
        )
        codes = [one.code if isinstance(one, Refusal) else one.index - size for one in results]
        assert codes == [0, Code.MESSAGE_UNKNOWN, 1, 2, Code.TICKET]
        assert query(path, "SELECT count(*) FROM entries WHERE exchange = '" + twice.exchange + "'") == [(0,)]
    assert not any(flaw.fails for flaw in findings(path))


async def test_works_without_an_entry_leave_the_checkpoint_as_it_is(path):
    async with open_store(path) as store:
        await tell(store)
        before = query(path, "SELECT note FROM head")
        (one,) = await leased(store, PLATFORM.id)
        await store.postpone(one, NOW, "WIB09001")
        assert query(path, "SELECT note FROM head") == before
        assert query(path, "SELECT attempts FROM deliveries ORDER BY position") == [(1,), (0,)]


async def test_failed_commit_leaves_lease_and_settlement_undone(path, monkeypatch):
    def fail(connection):
        raise DiskError

    async with open_store(path) as store:
        await tell(store)
        (one,) = await leased(store, PLATFORM.id)
        await store.record(one, delivered_entry(one))
        monkeypatch.setattr(store_log, "_commit", fail)
        assert await refused(store.settle(one, settled_entry(one))) is Code.LOG_UNAVAILABLE
        monkeypatch.undo()
        assert not store.ready
        assert await refused(store.postpone(one, NOW, "WIB09001")) is Code.LOG_UNAVAILABLE
    async with open_store(path) as store:
        (again,) = await leased(store, PLATFORM.id, MINUTE)
        assert again == replace(one, recorded=True)
        assert again.notification.payload == one.notification.payload
        assert len(await leased(store, OFFICE.id)) == 1
        await store.settle(again, settled_entry(again))
    assert [flaw.flaw for flaw in findings(path)] == [Flaw.UNSETTLED]
