"""Taking notifications in: all of it becomes durable in one transaction, or nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.adapters.sealing import Seal
from gateway.adapters.store import LogReader
from gateway.adapters.store_agreements import last
from gateway.adapters.store_log import Log, new_log
from gateway.adapters.store_notifications import Accept
from gateway.adapters.store_queue import Settle
from gateway.adapters.store_session import PerEngine
from gateway.adapters.store_work import Work, instant
from gateway.broker.ports import Told
from gateway.exchangelog.bucket import bucket_of
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import AuthorityId, DossierNumber, Inscription, Passage, Receipt, Role, Settlement, Ticket
from gateway.policy.rectify import Outstanding
from gateway.refusal import Code, Refusal
from tests.exchanges import BRUSSELS, NOW, PLATFORM, VALUES, exchange_entries, exchange_id, request_entry
from tests.notifications import (
    DOSSIER,
    OFFICE,
    OTHER,
    PAYLOAD,
    accepted,
    accepted_entry,
    acknowledge,
    content,
    delivered_entry,
    delivery,
    leased,
    scope,
    settled_entry,
    tell,
)
from tests.process.store_world import (
    PAYLOAD_KEY,
    SIGNER,
    At,
    DiskError,
    Failing,
    alter,
    findings,
    keys_beside,
    of_a_file,
    open_store,
    query,
)

TABLES = (
    "entries",
    "seeds",
    "contents",
    "dossiers",
    "inscriptions",
    "passages",
    "notifications",
    "deliveries",
)


def counted(path) -> dict[str, object]:
    return {table: query(path, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


async def refused(call) -> Code:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value.code


def told(store, ticket: str, said: str | None = None):
    return store.told(BRUSSELS.id, Ticket(ticket), content(said or ticket))


async def test_accepted_notification_is_all_there(path):
    async with open_store(path) as store:
        assert await tell(store) == At(0)
        assert await store.scope(DOSSIER) == scope(version=1)
        assert await store.history(DOSSIER) == (Passage("UNDER_REVIEW", NOW, "notifyWorkDecision"),)
        for recipient in (PLATFORM, OFFICE):
            (delivery,) = await leased(store, recipient.id)
            notification = delivery.notification
            assert (delivery.recipient, delivery.legal_context) == (recipient.id, "WIB:FOLLOW_UP")
            assert (delivery.attempts, delivery.recorded) == (0, False)
            assert (notification.sender, notification.operation) == (BRUSSELS.id, "notifyWorkDecision")
            assert (notification.dossier, notification.accepted) == (DOSSIER, NOW)
            assert (notification.status, notification.payload) == ("UNDER_REVIEW", PAYLOAD)
    assert counted(path) == {
        "entries": 1, "seeds": 1, "contents": 1, "dossiers": 1, "inscriptions": 4, "passages": 1, "notifications": 1,
        "deliveries": 2,
    }  # fmt: skip
    assert [one.flaw for one in findings(path)] == [Flaw.UNSETTLED]


async def test_notification_that_nobody_receives_keeps_no_payload(path):
    async with open_store(path) as store:
        await tell(store, recipients=())
    assert query(path, "SELECT sealed FROM notifications") == [(None,)]
    assert findings(path) == []


async def test_scope_is_stored_whole_and_ended_inscriptions_stay(path):
    ended = Inscription(AuthorityId("FLANDERS"), Role.REG, NOW - timedelta(days=9), NOW)
    later = NOW + timedelta(days=1)
    async with open_store(path) as store:
        await tell(store)
        lines = (ended, *scope().inscriptions)
        new = scope(status="INFO_REQUESTED", status_since=later, resumes="UNDER_REVIEW", person=bytes(32))
        new = replace(new, inscriptions=lines)
        await tell(store, accepted("t2", scope=new))
        assert await store.scope(DOSSIER) == replace(new, version=2)
        assert [one.status for one in await store.history(DOSSIER)] == ["UNDER_REVIEW", "INFO_REQUESTED"]


async def test_passage_is_one_time_that_a_status_began(path):
    async with open_store(path) as store:
        await tell(store, accepted("t1"))
        await tell(store, accepted("t2"))  # the status stays
        back = [
            scope(status="INFO_REQUESTED", status_since=NOW + timedelta(days=1)),
            scope(status_since=NOW + timedelta(days=3)),
        ]
        for number, one in enumerate(back):
            await tell(store, accepted(f"b{number}", scope=one))
        await store.put_scope(scope(status="CLOSED", status_since=NOW + timedelta(days=5)))
        history = await store.history(DOSSIER)
    assert [(one.status, one.since - NOW, one.operation) for one in history] == [
        ("UNDER_REVIEW", timedelta(0), "notifyWorkDecision"),
        ("INFO_REQUESTED", timedelta(days=1), "notifyWorkDecision"),
        ("UNDER_REVIEW", timedelta(days=3), "notifyWorkDecision"),
        ("CLOSED", timedelta(days=5), None),
    ]


# Tickets.


async def test_same_content_under_the_same_ticket_was_told(path):
    async with open_store(path) as store:
        assert await told(store, "t1") is None
        entry, taken = accepted_entry(accepted("t1")), accepted("t1")
        names = [exchange_id(), exchange_id()]
        receipt = await store.accept(entry, taken, PAYLOAD, content("t1"), NOW, names)
        assert receipt == At(0)
        first = Told(entry.exchange, NOW, At(0))
        assert await told(store, "t1") == first
        assert await told(store, "t2") is None
        assert await store.told(PLATFORM.id, Ticket("t1"), content("t1")) is None
        for delivery in [*await leased(store, PLATFORM.id), *await leased(store, OFFICE.id)]:
            await acknowledge(store, delivery)
        assert await told(store, "t1") == first  # also when everything is purged
    async with open_store(path) as store:
        assert await told(store, "t1") == first


async def test_ticket_that_was_used_for_something_else_is_refused(path):
    async with open_store(path) as store:
        await tell(store)
        assert await refused(told(store, "t1", "something else")) is Code.TICKET
        await store.append(request_entry("asked"))
        assert await refused(told(store, "asked")) is Code.TICKET


@pytest.mark.parametrize("other", ["notification", "question"])
async def test_claimed_ticket_accepts_nothing(path, other):
    async with open_store(path) as store:
        if other == "question":
            await store.append(request_entry("t1"))
        else:
            await tell(store)
        before = counted(path)
        assert await refused(tell(store, accepted("t1", OTHER))) is Code.TICKET
        assert counted(path) == before
        assert await store.scope(OTHER) is None
        assert await tell(store, accepted("t2", OTHER)) == At(1)


# The dossier's version.


async def test_decision_on_old_knowledge_is_refused_and_leaves_nothing(path):
    async with open_store(path) as store:
        await tell(store)
        before = counted(path)
        for expected in (0, 2):
            taken = accepted("t2", expected=expected)
            names = [exchange_id(), exchange_id()]
            call = store.accept(accepted_entry(taken), taken, PAYLOAD, content("t2"), NOW, names)
            assert await refused(call) is Code.DOSSIER_CHANGED
            assert counted(path) == before
        assert (await store.scope(DOSSIER)).version == 1
        assert await told(store, "t2") is None  # the ticket is free
        assert await tell(store, accepted("t2")) == At(1)
    assert [one.flaw for one in findings(path)] == [Flaw.UNSETTLED] * 2


async def test_change_by_hand_makes_a_decision_old(path):
    async with open_store(path) as store:
        await tell(store)
        await store.put_scope(scope(version=77))
        assert (await store.scope(DOSSIER)).version == 2
        taken = accepted("t2", expected=1)
        names = [exchange_id(), exchange_id()]
        call = store.accept(accepted_entry(taken), taken, PAYLOAD, content("t2"), NOW, names)
        assert await refused(call) is Code.DOSSIER_CHANGED


async def test_of_many_at_once_on_one_version_one_is_accepted_and_others_are_not_touched(path):
    async with open_store(path) as store:
        await tell(store)
        same = [accepted(f"s{number}", expected=1) for number in range(20)]
        calls = [
            store.accept(
                accepted_entry(one),
                one,
                PAYLOAD,
                content(one.request.ticket),
                NOW,
                [exchange_id() for _ in one.recipients],
            )
            for one in same
        ]
        others = [store.append(one) for number in range(20) for one in exchange_entries(f"c{number}")]
        results = await asyncio.gather(*calls, *others, return_exceptions=True)
    receipts = [one for one in results if isinstance(one, Receipt)]
    codes = [one.code for one in results if isinstance(one, Refusal)]
    assert sorted(one.index for one in receipts) == list(range(1, 42))
    assert codes == [Code.DOSSIER_CHANGED] * 19
    assert (counted(path)["entries"], counted(path)["seeds"], counted(path)["notifications"]) == (42, 42, 2)
    assert not any(one.fails for one in findings(path))


async def test_view_that_came_with_refused_work_is_stored_by_the_next(path):
    """A refused work takes back what it stored: the others of its batch must not make it pass for stored."""
    async with open_store(path) as store:
        await tell(store)
        (one,), (other,) = await leased(store, PLATFORM.id), await leased(store, OFFICE.id)
        await store.settle(one, settled_entry(one, Settlement.EXPIRED))
        late = refused(store.record(one, delivered_entry(one)))
        codes = await asyncio.gather(late, store.append(request_entry("beside")))
        assert codes == [Code.MESSAGE_UNKNOWN, At(2)]
        assert query(path, "SELECT count(*) FROM views") == [(0,)]
        await store.record(other, delivered_entry(other))
        assert query(path, "SELECT count(*) FROM views") == [(1,)]


# Payloads are sealed.


@of_a_file
async def test_payload_stands_nowhere_in_the_files(path):
    async with open_store(path) as store:
        await tell(store)
        stored = b"".join(one.read_bytes() for one in path.parent.iterdir() if one.is_file())
        assert b"Amina" not in stored
        assert PAYLOAD_KEY not in stored
        ((sealed,),) = query(path, "SELECT sealed FROM notifications")
        assert len(sealed) == 12 + len(PAYLOAD) + 16
        assert content("t1") not in stored  # few enough texts could be tried one by one


def test_seal_opens_what_it_closed_and_nothing_else():
    seal = Seal(PAYLOAD_KEY)
    closed = seal.close(b"text", b"about")
    assert seal.open(closed, b"about") == b"text"
    assert seal.close(b"text", b"about") != closed
    for sealed, about, one in (
        (closed, b"other", seal),
        (closed[:-1] + bytes([closed[-1] ^ 1]), b"about", seal),
        (bytes([closed[0] ^ 1]) + closed[1:], b"about", seal),
        (closed[:20], b"about", seal),
        (b"", b"about", seal),
        (closed, b"about", Seal(bytes(32))),
    ):
        with pytest.raises(ProofError) as caught:
            one.open(sealed, about)
        assert caught.value.flaw is Flaw.SEALED
    with pytest.raises(ValueError, match="32 bytes"):
        Seal(bytes(16))


async def test_store_is_not_opened_with_another_key_while_payloads_wait(path):
    async with open_store(path) as store:
        await tell(store)
    with pytest.raises(ProofError) as caught:
        open_store(path, payload_key=bytes(32))
    assert caught.value.flaw is Flaw.SEALED
    async with open_store(path) as store:
        for delivery in [*await leased(store, PLATFORM.id), *await leased(store, OFFICE.id)]:
            await acknowledge(store, delivery)
    async with open_store(path, payload_key=bytes(32)) as store:  # nothing waits: the key may be a new one
        await tell(store, accepted("t2"))
        assert len(await leased(store, PLATFORM.id)) == 1
    with pytest.raises(ProofError):
        open_store(path)


@pytest.mark.parametrize(
    "alteration",
    [
        PerEngine(
            "UPDATE notifications SET sealed = zeroblob(length(sealed)) WHERE exchange = ?",
            "UPDATE notifications SET sealed = set_byte(sealed, 0, 1 - sign(get_byte(sealed, 0))::int)"
            " WHERE exchange = ?",
        ),
        "UPDATE notifications SET sealed = substr(sealed, 1, 20) WHERE exchange = ?",
        "UPDATE notifications SET sealed = NULL WHERE exchange = ?",
        "UPDATE notifications SET sender = 'NSSO' WHERE exchange = ?",
        "UPDATE notifications SET operation = 'notifyVisa' WHERE exchange = ?",
    ],
)
async def test_payload_that_cannot_be_opened_is_not_delivered_and_holds_up_nobody_else(path, alteration):
    async with open_store(path) as store:
        bad, good = accepted_entry(accepted("t1")), accepted("t2", OTHER)
        names = [exchange_id(), exchange_id()]
        await store.accept(bad, accepted("t1"), PAYLOAD, content("t1"), NOW, names)
        await tell(store, good)
        alter(path, alteration, bindings=(bad.exchange,))
        assert [one.notification.dossier for one in await leased(store, PLATFORM.id)] == [OTHER]
        until = NOW + timedelta(minutes=1)
        assert await refused(store.take(OFFICE.id, names[1], NOW, until)) is Code.MESSAGE_UNKNOWN
        assert await refused(store.find(OFFICE.id, names[1])) is Code.MESSAGE_UNKNOWN  # as often as one asks
        dead = query(path, "SELECT id, last_code FROM deliveries WHERE state = 'dead' ORDER BY position")
        assert dead == [(name, "LOG511") for name in names]
        (overdue,) = await store.overdue(NOW + timedelta(days=1), 1)  # yet it can be purged
        assert (overdue.id, overdue.notification.payload) == (names[0], b"")


async def test_payload_of_one_notification_does_not_pass_for_that_of_another(path):
    async with open_store(path) as store:
        await tell(store, accepted("t1"))
        await tell(store, accepted("t2", OTHER))
        alter(
            path,
            "UPDATE notifications SET sealed = (SELECT o.sealed FROM outstanding AS o ORDER BY o.position LIMIT 1)"
            " WHERE exchange = (SELECT o.exchange FROM outstanding AS o ORDER BY o.position DESC LIMIT 1)",
        )
        assert [one.notification.dossier for one in await leased(store, PLATFORM.id)] == [DOSSIER]


# The agreement, and earlier releases.


async def test_the_agreement_that_served_last_is_known_though_the_clock_went_back(path):
    async with open_store(path) as store:
        await store.remember("ab" * 32, {"agreement.toml": b"a"})
        alter(path, f"UPDATE agreements SET remembered = remembered + {10**12}")  # it was ahead by days
        for revision in ("cd" * 32, "ab" * 32, "cd" * 32):
            await store.remember(revision, {"agreement.toml": b"b"})
            assert last(path)[0] == revision


async def test_agreement_is_remembered_with_its_files(path):
    files = {"agreement.toml": b"a" * 10_000, "xsd/dossier.xsd": bytes(range(256))}
    async with open_store(path) as store:
        assert await store.agreement("ab" * 32) is None
        await store.remember("ab" * 32, files)
        await store.remember("ab" * 32, files)
        await store.remember("cd" * 32, {"agreement.toml": b"b"})
    async with open_store(path) as store:
        assert await store.agreement("ab" * 32) == files
        assert await store.agreement("cd" * 32) == {"agreement.toml": b"b"}
        alter(path, "UPDATE agreements SET files = ?", bindings=(bytes(1),))
        assert await refused(store.agreement("ab" * 32)) is Code.LOG_UNAVAILABLE
    assert query(path, "SELECT count(*) FROM agreements") == [(2,)]


async def test_releases_of_a_dossier_are_found_with_who_received_what(path):
    async with open_store(path) as store:
        assert await store.releases(DOSSIER) == []
        for entry in exchange_entries("asked"):
            await store.append(entry)
        await tell(store, accepted("t1"))
        await tell(store, accepted("t2", OTHER))
        (mine, other) = await leased(store, PLATFORM.id)
        await acknowledge(store, mine)
        await acknowledge(store, other)
        asked, pushed = await store.releases(DOSSIER)
        (elsewhere,) = await store.releases(OTHER)
    assert (asked.enterprise, asked.operation) == ("0999000110", "consultDossier")
    assert (pushed.enterprise, pushed.operation) == ("0999000209/PLATFORM", "notifyWorkDecision")
    assert (asked.legal_context, pushed.legal_context) == ("WIB:WORK_DECISION", "WIB:FOLLOW_UP")
    released = {"dossier/header/status", "dossier/worker/familyName", "dossier/worker/ssin"}
    assert asked.released == pushed.released == elsewhere.released == released


async def test_release_says_of_what_there_was_a_value(path):
    async with open_store(path) as store:
        for entry in exchange_entries("asked"):
            await store.append(entry)
        (asked,) = await store.releases(DOSSIER)
        values = {name for name, texts in VALUES.items() if texts}
        assert asked.present == values < asked.released
        alter(path, "UPDATE seeds SET fields = NULL")
        assert (await store.releases(DOSSIER))[0].present == frozenset()


async def test_release_is_that_of_its_entry_and_notification(path):
    async with open_store(path) as store:
        for entry in exchange_entries("asked"):
            await store.append(entry)
        await tell(store, accepted("t1"))
        (mine,) = await leased(store, PLATFORM.id)
        await acknowledge(store, mine)
        found = await store.releases(DOSSIER)
    assert [(one.index, one.notification) for one in found] == [(1, None), (3, mine.notification.exchange)]


async def test_outstanding_deliveries_of_a_dossier_are_those_that_are_not_settled(path):
    async with open_store(path) as store:
        await tell(store, accepted("t1"))
        await tell(store, accepted("t2", OTHER))
        waiting = [
            Outstanding(one.id, BRUSSELS.id, "notifyWorkDecision", "WIB:FOLLOW_UP")
            for one in (PLATFORM, OFFICE)
        ]
        assert await store.outstanding(DOSSIER) == waiting
        (first, _) = await leased(store, PLATFORM.id)
        await store.bury(first, "WIB10001")
        assert await store.outstanding(DOSSIER) == waiting  # dead: the operator may send it still
        await acknowledge(store, first)
        assert await store.outstanding(DOSSIER) == waiting[1:]


async def test_what_follows_the_log_is_refused_when_something_was_released_meanwhile(path):
    async with open_store(path) as store:
        await tell(store, accepted("t1"))
        seen = [one.index for one in await store.releases(DOSSIER)]
        assert seen == []
        for entry in exchange_entries("asked"):
            await store.append(entry)
        before = counted(path)
        assert await refused(tell(store, accepted("t2", newest=-1))) is Code.DOSSIER_CHANGED
        assert counted(path) == before
        (release,) = await store.releases(DOSSIER)
        assert await refused(tell(store, accepted("t2", newest=release.index - 1))) is Code.DOSSIER_CHANGED
        await tell(store, accepted("t2", newest=release.index))
        await tell(store, accepted("t3"))  # what does not follow it does not ask
        await tell(store, accepted("t4", OTHER, newest=-1))  # another dossier is no matter


async def test_release_whose_seed_is_erased_is_tied_to_no_dossier_any_more(path):
    async with open_store(path) as store:
        for entry in exchange_entries("asked"):
            await store.append(entry)
        assert len(await store.releases(DOSSIER)) == 1
        alter(path, "DELETE FROM seeds")
        assert await store.releases(DOSSIER) == []


@of_a_file
async def test_dossier_number_stands_in_no_log_table(path):
    async with open_store(path) as store:
        for entry in exchange_entries("asked"):
            await store.append(entry)
    ((digest,), *_) = query(path, "SELECT DISTINCT dossier FROM seeds")
    assert len(digest) == 32
    assert DOSSIER.encode() not in path.read_bytes()


async def test_damaged_tables_are_unavailable(path):
    async with open_store(path) as store:
        await tell(store)
        tables = ("deliveries", "agreements", "seeds")
        alter(path, *(PerEngine(f"DROP TABLE {one}", f"DROP TABLE {one} CASCADE") for one in tables))
        for call in (
            store.depth(),
            store.overdue(NOW, 1),
            store.waiting(PLATFORM.id, None, 1, NOW),
            store.lease([PLATFORM.id], NOW, NOW, 1),
            store.agreement("ab" * 32),
            store.releases(DOSSIER),
            store.outstanding(DOSSIER),
        ):
            assert await refused(call) is Code.LOG_UNAVAILABLE


@of_a_file
async def test_store_of_an_earlier_version_is_not_opened(path):
    await open_store(path).close()
    alter(path, "PRAGMA user_version = 2")
    with pytest.raises(ProofError) as caught:
        LogReader.open(path)
    assert caught.value.flaw is Flaw.UNREADABLE


def test_entries_beside_other_work_and_beside_refused_ones_have_each_their_place(path):
    new_log(path, [SIGNER])
    log = Log.open(path, [SIGNER], keys_beside(path))
    first, again = (acceptance(path, "told", accepted("told", DossierNumber(number))) for number in "de")
    batch = [*map(Work, exchange_entries("a")), first, *map(Work, exchange_entries("b"))]
    refused = [again, Work(request_entry("a")), Work(request_entry("told"))]
    assert log.append(batch) == [0, 1, 2, 3, 4]
    outcomes = log.append([Work(request_entry("c")), *refused, acceptance(path, "new", accepted("new", OTHER)),
                           Work(request_entry("d"))])  # fmt: skip
    assert [one.code if isinstance(one, Refusal) else one for one in outcomes] == [
        5,
        *[Code.TICKET] * 3,
        6,
        7,
    ]
    log.close()
    assert not any(finding.fails for finding in findings(path))
    assert counted(path)["entries"] == 8


# Failure in the middle.


def acceptance(path: Path, ticket: str, taken) -> Work:
    entry = accepted_entry(taken)
    names = tuple(exchange_id() for _ in taken.recipients)
    keys, bucket = keys_beside(path), bucket_of(entry.leaf)
    effect = Accept(entry.exchange, taken, keys, bucket, content(ticket), b"sealed", instant(NOW), names)
    return Work(entry, effect)


def test_failure_at_any_statement_leaves_all_of_an_acceptance_or_nothing(path):
    new_log(path, [SIGNER])
    statement, failed = 0, True
    while failed:
        taken = accepted(f"t{statement}", DossierNumber(f"d{statement}"))
        log, before = Log.open(path, [SIGNER], keys_beside(path)), counted(path)
        log._connection = Failing(log._connection, statement)
        try:
            log.append([acceptance(path, f"t{statement}", taken)])
            failed = False
        except DiskError:
            log.close()
            assert counted(path) == before
        statement += 1
    assert counted(path) == {
        "entries": 1, "seeds": 1, "contents": 1, "dossiers": 1, "inscriptions": 4, "passages": 1, "notifications": 1,
        "deliveries": 2,
    }  # fmt: skip
    assert statement > 14
    log.close()
    assert [one.flaw for one in findings(path)] == [Flaw.UNSETTLED]


def test_failure_at_any_statement_leaves_all_of_a_settlement_or_nothing(path):
    new_log(path, [SIGNER])
    log, taken = Log.open(path, [SIGNER], keys_beside(path)), accepted(recipients=(PLATFORM,))
    work = acceptance(path, "t1", taken)
    log.append([work])
    log.close()
    ((name,),) = query(path, "SELECT id FROM deliveries")
    usual = delivery()
    notification = replace(usual.notification, exchange=work.entry.exchange)
    of = replace(usual, id=name, notification=notification)
    state = "SELECT state, (SELECT sealed FROM notifications), (SELECT count(*) FROM entries) FROM deliveries"
    statement, failed = 0, True
    while failed:
        log = Log.open(path, [SIGNER], keys_beside(path))
        log._connection = Failing(log._connection, statement)
        try:
            log.append([Work(settled_entry(of, Settlement.EXPIRED), Settle(name))])
            failed = False
        except DiskError:
            log.close()
            assert query(path, state) == [("waiting", b"sealed", 1)]
        statement += 1
    assert query(path, state) == [("settled", None, 2)]
    assert statement > 8
    log.close()
    assert findings(path) == []


@of_a_file
async def test_full_disk_accepts_nothing_and_loses_nothing(path):
    async with open_store(path) as store:
        await tell(store)
        before = counted(path)
        connection = store._appender._log._connection
        connection.pragma("max_page_count", connection.pragma("page_count") + 2)
        taken = accepted("t2", OTHER)
        names = [exchange_id() for _ in taken.recipients]
        call = store.accept(accepted_entry(taken), taken, bytes(100_000), content("t2"), NOW, names)
        assert await refused(call) is Code.LOG_UNAVAILABLE
        assert not store.ready
    assert counted(path) == before
    async with open_store(path) as store:
        assert await store.scope(OTHER) is None
        assert await tell(store, accepted("t2", OTHER)) == At(1)
        assert len(await leased(store, PLATFORM.id)) == 2
