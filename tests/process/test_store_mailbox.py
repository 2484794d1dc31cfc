"""Mailboxes: what may be fetched now, by whom, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.adapters import store_mailbox
from gateway.exchangelog.flaw import Flaw
from gateway.model import Settlement
from gateway.refusal import Code, Refusal
from tests.exchanges import BRUSSELS, NOW, NSSO, PLATFORM, exchange_id
from tests.notifications import (
    HOUR,
    OTHER,
    PAYLOAD,
    accepted,
    call_entry,
    delivered_entry,
    settled_entry,
    tell,
)
from tests.process.store_world import findings, of_a_file, open_store, query

MINUTE = timedelta(minutes=1)
TO_NSSO = (NSSO,)


async def refused(call) -> Code:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value.code


async def listed(store, after=None, at=timedelta(), limit=50, recipient=NSSO):
    return [one.message for one in await store.waiting(recipient.id, after, limit, NOW + at)]


async def take(store, message, at=timedelta(), recipient=NSSO):
    return await store.take(recipient.id, message, NOW + at, NOW + at + MINUTE)


async def acknowledge(store, message) -> None:
    found = await store.find(NSSO.id, message)
    exchange = exchange_id()
    await store.append(call_entry("acknowledgeMessage", NSSO, f"a-{message}"[:36], exchange))
    await store.settle(found, settled_entry(found, exchange=exchange))


async def fetch(store, message, at=timedelta()):
    exchange = exchange_id()
    await store.append(call_entry("fetchMessage", NSSO, exchange, exchange))
    taken = await take(store, message, at)
    await store.record(taken, delivered_entry(taken, exchange))
    return taken


async def test_list_tells_what_waits_and_nothing_of_a_dossier(path):
    async with open_store(path) as store:
        assert await store.waiting(NSSO.id, None, 50, NOW) == []
        await tell(store, accepted("t0", recipients=(PLATFORM, NSSO)))
        (one,) = await store.waiting(NSSO.id, None, 50, NOW)
        assert (one.operation, one.legal_context, one.accepted, one.sender) == (
            "notifyWorkDecision",
            "WIB:FOLLOW_UP",
            NOW,
            BRUSSELS.id,
        )
        assert "0000001" not in str(one)
        assert await listed(store, recipient=PLATFORM) != [one.message]


async def test_of_each_dossier_the_earliest_is_listed_in_the_order_of_acceptance(path):
    async with open_store(path) as store:
        for number, dossier in enumerate(("a", "b", "a", "c", "b")):
            await tell(store, accepted(f"t{number}", dossier, TO_NSSO))
        order = [one for (one,) in query(path, "SELECT id FROM deliveries ORDER BY position")]
        assert await listed(store) == [order[0], order[1], order[3]]
        assert await listed(store, limit=2) == [order[0], order[1]]
        assert await listed(store, after=order[1]) == [order[3]]
        assert await listed(store, after=order[3]) == []
        await fetch(store, order[0])
        assert await listed(store) == [order[1], order[3]]
        assert await listed(store, at=MINUTE) == [order[0], order[1], order[3]]
        await acknowledge(store, order[0])
        assert await listed(store) == [order[1], order[2], order[3]]
        assert await listed(store, after=order[0]) == [order[1], order[2], order[3]]


async def test_list_after_a_message_of_somebody_else_is_refused(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=(PLATFORM, NSSO)))
        (mine,) = await listed(store)
        (others,) = await listed(store, recipient=PLATFORM)
        assert await listed(store, after=mine) == []
        assert await refused(listed(store, after=others)) is Code.MESSAGE_UNKNOWN
        assert await refused(listed(store, after=exchange_id())) is Code.MESSAGE_UNKNOWN


async def test_taken_message_is_leased_and_counted(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=TO_NSSO))
        (message,) = await listed(store)
        taken = await take(store, message)
        assert (taken.id, taken.attempts, taken.notification.payload) == (message, 1, PAYLOAD)
        assert await store.find(NSSO.id, message) == taken
        assert await refused(take(store, message)) is Code.MESSAGE_LEASED
        assert await take(store, message, MINUTE) == replace(taken, attempts=2)


async def test_message_of_somebody_else_is_unknown(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=(PLATFORM, NSSO)))
        (message,) = await listed(store)
        for unknown in (exchange_id(), (await listed(store, recipient=PLATFORM))[0]):
            assert await refused(take(store, unknown)) is Code.MESSAGE_UNKNOWN
            assert await refused(store.find(NSSO.id, unknown)) is Code.MESSAGE_UNKNOWN
        assert (await take(store, message)).id == message


async def test_message_behind_another_of_its_dossier_waits(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=TO_NSSO))
        await tell(store, accepted("t1", recipients=TO_NSSO))
        await tell(store, accepted("t2", OTHER, TO_NSSO))
        first, second, third = (one for (one,) in query(path, "SELECT id FROM deliveries ORDER BY position"))
        assert await refused(take(store, second)) is Code.MESSAGE_ORDER
        await fetch(store, first)
        assert await refused(take(store, second)) is Code.MESSAGE_ORDER
        assert (await take(store, third)).id == third
        await acknowledge(store, first)
        assert (await take(store, second)).id == second


async def test_acknowledged_message_is_gone_and_known(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=TO_NSSO))
        (message,) = await listed(store)
        taken = await fetch(store, message)
        await acknowledge(store, message)
        assert await store.find(NSSO.id, message) is None
        assert await refused(take(store, message, HOUR)) is Code.MESSAGE_UNKNOWN
        late = delivered_entry(taken, exchange_id())
        assert await refused(store.record(taken, late)) is Code.MESSAGE_UNKNOWN
        assert await listed(store, at=HOUR) == []
    assert query(path, "SELECT sealed FROM notifications") == [(None,)]
    assert findings(path) == []


async def test_fetched_and_lost_message_is_fetched_again_with_an_entry_each_time(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=TO_NSSO))
        (message,) = await listed(store)
        await fetch(store, message)
        await fetch(store, message, MINUTE)
        assert [flaw.flaw for flaw in findings(path)] == [Flaw.UNSETTLED]
        await acknowledge(store, message)
    kinds = [kind for (kind,) in query(path, "SELECT kind FROM entries ORDER BY idx")]
    assert kinds == [
        "notification",
        *["request", "delivery"] * 2,
        *["request", "settlement"],
    ]
    assert findings(path) == []


async def test_mailbox_and_courier_do_not_take_the_same(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=TO_NSSO))
        (message,) = await listed(store)
        await take(store, message)
        assert await store.lease([NSSO.id], NOW, NOW + MINUTE, 9) == []
        (leased,) = await store.lease([NSSO.id], NOW + MINUTE, NOW + HOUR, 9)
        assert await refused(take(store, message, MINUTE)) is Code.MESSAGE_LEASED
        assert await listed(store, at=MINUTE) == []
        assert leased.id == message


async def test_pause_between_attempts_at_an_endpoint_is_none_of_the_mailbox(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=TO_NSSO))
        (leased,) = await store.lease([NSSO.id], NOW, NOW + MINUTE, 9)
        await store.record(leased, delivered_entry(leased))
        assert await listed(store) == []
        await store.postpone(leased, NOW + HOUR, "WIB09001")
        assert await listed(store) == [leased.id]
        found = await store.find(NSSO.id, leased.id)
        assert (found.recorded, found.fetched) == (True, False)
        await fetch(store, leased.id)
        assert await refused(take(store, leased.id)) is Code.MESSAGE_LEASED
        assert (await store.find(NSSO.id, leased.id)).fetched
        (again,) = await store.lease([NSSO.id], NOW + MINUTE, NOW + HOUR, 9)
        await store.postpone(again, NOW + HOUR, "WIB09001")
        assert (await store.find(NSSO.id, leased.id)).fetched  # it once was, whatever became of it since


async def test_message_that_ended_without_its_recipient_is_unknown(path):
    async with open_store(path) as store:
        await tell(store, accepted("t0", recipients=TO_NSSO))
        (message,) = await listed(store)
        await store.settle(
            found := await store.find(NSSO.id, message), settled_entry(found, Settlement.EXPIRED)
        )
        assert await refused(store.find(NSSO.id, message)) is Code.MESSAGE_UNKNOWN


@of_a_file
async def test_list_reads_no_further_than_its_page(path):
    async with open_store(path):
        sql = store_mailbox._WAITING
        for name in (":recipient", ":after", ":now", ":limit"):
            sql = sql.replace(name, "1")
        plan = [str(step[3]) for step in query(path, "EXPLAIN QUERY PLAN " + sql)]
    assert any("USING INDEX in_mailbox (recipient=? AND position>?)" in step for step in plan)
    assert not any("ORDER BY" in step for step in plan)
