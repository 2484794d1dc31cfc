"""Appending: what is acknowledged is durable, in the tree and signed; what fails, fails closed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from msgspec import structs

from gateway.adapters import store_log
from gateway.adapters.store import LogReader, Store
from gateway.adapters.store_connect import connect
from gateway.adapters.store_log import Log, new_log
from gateway.adapters.store_session import Begin, PerEngine, Use
from gateway.adapters.store_work import Work
from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import open_checkpoint, sign_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.tile import Edge, parse_bundle, resources
from gateway.model import AuthorityId, Receipt, Ticket
from gateway.refusal import Code, Refusal
from tests.exchanges import exchange_entries, exchange_id, refusal_entry, request_entry, response_entry
from tests.process.store_world import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    PAYLOAD_KEY,
    SIGNER,
    VERIFIER,
    At,
    DiskError,
    Failing,
    alter,
    append_all,
    fill,
    findings,
    keys_beside,
    of_a_file,
    open_store,
    query,
)

ROOT = Path(__file__).parents[2]


def stored(path: Path) -> list[bytes]:
    with LogReader.open(path) as log:
        return [log.entry(index) for index in range(log.head().size)]


async def test_receipts_are_contiguous_from_zero(path):
    async with open_store(path) as store:
        receipts = [await store.append(request_entry(f"t{number}")) for number in range(3)]
    assert receipts == [At(0), At(1), At(2)]


async def test_new_log_has_a_signed_checkpoint_of_nothing(path):
    async with open_store(path) as store:
        assert (store.ready, store.size, store.pending) == (True, 0, 0)
    with LogReader.open(path) as log:
        assert open_checkpoint(log.checkpoint, [VERIFIER]).root == merkle.EMPTY_ROOT
    assert findings(path) == []


@of_a_file
async def test_file_belongs_to_its_owner_only_and_nothing_else_is_left_beside_it(path):
    await fill(path, exchange_entries("t"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert {one.name for one in path.parent.iterdir()} == {path.name, "bucket-keys"}


@of_a_file
async def test_durability_is_asked_of_sqlite(path):
    new_log(path, [SIGNER])
    log = Log.open(path, [SIGNER], keys_beside(path))
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
    assert [log._connection.pragma(name) for name in pragmas] == ["wal", 2, 1, 1]
    log.close()


async def test_entries_of_many_writers_each_have_one_place(path):
    entries = [entry for number in range(300) for entry in exchange_entries(f"t{number}")]
    async with open_store(path) as store:
        receipts = await append_all(store, entries)
        assert store.size == 600
    assert sorted(receipt.index for receipt in receipts) == list(range(600))
    leaves = stored(path)
    assert all(leaves[receipt.index] == entry.leaf for entry, receipt in zip(entries, receipts, strict=True))
    assert findings(path) == []


async def test_checkpoint_covers_the_entry_when_the_receipt_arrives(path):
    async with open_store(path) as store:
        for number in range(3):
            receipt = await store.append(request_entry(f"t{number}"))
            with LogReader.open(path) as log:
                proof = log.prove(receipt.index)
                assert proof.verify(log.entry(receipt.index), [VERIFIER]).size == receipt.index + 1


async def test_every_resource_of_a_tiled_log_is_served(path):
    await fill(path, [request_entry(f"t{number}") for number in range(3)])
    async with open_store(path) as store:
        await append_all(store, [request_entry(f"u{number}") for number in range(600)])
    entries = stored(path)
    edge, tiles = Edge().extend([merkle.leaf_hash(entry) for entry in entries])
    with LogReader.open(path) as log:
        for name in resources(len(entries)):
            served = log.resource(name.path)
            if name.level is None:
                assert parse_bundle(served) == entries[name.n * 256 :][:256]
            else:
                assert served == next(
                    tile.hashes for tile in tiles if (tile.level, tile.n) == (name.level, name.n)
                )
        assert open_checkpoint(log.resource("checkpoint"), [VERIFIER]).root == edge.root()
        assert log.resource("tile/0/002.p/5") == log.resource("tile/0/002.p/91")[: 5 * 32]
        for beyond in (
            "tile/0/002",
            "tile/0/003.p/1",
            "tile/2/000.p/1",
            "tile/entries/002.p/92",
            "tile/0/2",
            "x",
        ):
            with pytest.raises(ProofError) as caught:
                log.resource(beyond)
            assert caught.value.flaw is Flaw.TILE_PATH


# Tickets


async def test_ticket_used_before_is_refused_also_after_reopening(path):
    async with open_store(path) as store:
        assert await append_all(store, [request_entry("same")]) == [At(0)]
        assert await append_all(store, [request_entry("same")]) == [Code.TICKET]
    async with open_store(path) as store:
        assert await append_all(store, [request_entry("same")]) == [Code.TICKET]
        assert await append_all(store, [request_entry("other")]) == [At(1)]


async def test_duplicates_in_one_batch_refuse_only_themselves(path, monkeypatch):
    hold = threading.Event()
    commit = store_log._commit
    monkeypatch.setattr(store_log, "_commit", lambda connection: (hold.wait(60), commit(connection)))
    async with open_store(path) as store:
        first = asyncio.create_task(store.append(request_entry("first")))
        await asyncio.sleep(0.05)  # the appender holds the first batch; the rest becomes the second
        tickets = ["a", "same", "b", "same", "first", "same", "c"]
        rest = asyncio.create_task(append_all(store, [request_entry(ticket) for ticket in tickets]))
        await asyncio.sleep(0.05)
        hold.set()
        assert (await first).index == 0
        results = await rest
    assert [result.index for result in results if isinstance(result, Receipt)] == [1, 2, 3, 4]
    assert results[3:6] == [Code.TICKET] * 3
    assert not any(finding.fails for finding in findings(path))


async def test_batch_of_nothing_but_duplicates_leaves_no_trace(path):
    await fill(path, [request_entry("same")])
    with LogReader.open(path) as log:
        before = log.checkpoint
    async with open_store(path) as store:
        assert await append_all(store, [request_entry("same"), request_entry("same")]) == [Code.TICKET] * 2
    with LogReader.open(path) as log:
        assert log.checkpoint == before


async def test_same_ticket_of_another_authority_is_another_claim(path):
    mine = request_entry("same")
    other = structs.replace(request_entry("same"), claim=(AuthorityId("NSSO"), Ticket("same")))
    async with open_store(path) as store:
        assert await append_all(store, [mine, other]) == [At(0), At(1)]


@of_a_file
async def test_a_ticket_stands_in_no_store_and_tells_no_other_store_anything(path, tmp_path):
    other = tmp_path / "other.sqlite"
    for file in (path, other):
        async with open_store(file) as store:
            await append_all(store, [request_entry("INSZ-90612400144")])
            assert await append_all(store, [request_entry("INSZ-90612400144")]) == [Code.TICKET]
            stored = b"".join(one.read_bytes() for one in file.parent.iterdir() if one.is_file())
            assert b"90612400144" not in stored
    claims = [query(file, "SELECT ticket FROM entries") for file in (path, other)]
    assert claims[0] != claims[1]
    assert all(len(claim) == 32 for ((claim,),) in claims)


async def test_a_store_without_the_key_of_its_claims_is_not_opened(path):
    await fill(path, [request_entry("same")])
    (key,) = query(path, "SELECT key FROM claim_key")
    alter(path, "DELETE FROM claim_key")
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is Flaw.UNREADABLE
    alter(path, "INSERT INTO claim_key VALUES (1, ?)", bindings=key)
    async with open_store(path) as store:
        assert await append_all(store, [request_entry("same")]) == [Code.TICKET]


async def test_exchange_recorded_twice_is_our_own_mistake_and_harms_nobody_else(path):
    exchange = exchange_id()
    async with open_store(path) as store:
        await store.append(request_entry("a", exchange))
        results = await append_all(store, [request_entry("b", exchange), request_entry("c")])
        assert results == [Code.INTERNAL, At(1)]
        assert store.ready
    assert not any(finding.fails for finding in findings(path))


# Failure


async def test_full_queue_is_busy(path, monkeypatch):
    hold = threading.Event()
    commit = store_log._commit
    monkeypatch.setattr(store_log, "_commit", lambda connection: (hold.wait(60), commit(connection)))
    async with open_store(path, queue_limit=3) as store:
        held = asyncio.create_task(store.append(request_entry("held")))
        await asyncio.sleep(0.05)
        queued = [asyncio.create_task(store.append(request_entry(f"t{number}"))) for number in range(2)]
        await asyncio.sleep(0)
        assert store.pending == 3
        assert await append_all(store, [request_entry("late")]) == [Code.BUSY]
        hold.set()
        await asyncio.gather(held, *queued)
        assert (await store.append(request_entry("later"))).index == 3


def fail(connection):
    raise DiskError


def persist_then_fail(connection):
    connection.execute("COMMIT")
    raise DiskError


@pytest.mark.parametrize(("commit", "survives"), [(fail, False), (persist_then_fail, True)])
async def test_failed_commit_stops_the_log_and_reopening_recovers(path, monkeypatch, commit, survives):
    await fill(path, exchange_entries("before"))
    entry = request_entry("doubtful")
    async with open_store(path) as store:
        monkeypatch.setattr(store_log, "_commit", commit)
        results = await append_all(store, [entry, request_entry("t")])
        assert results == [Code.LOG_UNAVAILABLE] * 2
        monkeypatch.undo()
        assert not store.ready
        assert await append_all(store, [request_entry("later")]) == [Code.LOG_UNAVAILABLE]
        async with open_store(path) as another:  # the failed one holds no lock any more
            await another.append(refusal_entry())
    assert (entry.leaf in stored(path)) is survives
    async with open_store(path) as store:
        assert store.ready
        again = await append_all(store, [request_entry("doubtful")])
        assert again == [Code.TICKET if survives else At(3)]
        assert (await store.append(request_entry("after"))).index == (5 if survives else 4)
    assert not any(finding.fails for finding in findings(path))


async def test_failure_at_any_statement_of_a_batch_leaves_all_of_it_or_nothing(path):
    new_log(path, [SIGNER])
    appended, statement, failed = 0, 0, True
    while failed:
        batch = exchange_entries(f"t{statement}")
        log = Log.open(path, [SIGNER], keys_beside(path))
        log._connection = Failing(log._connection, statement)
        try:
            log.append([Work(entry) for entry in batch])
            failed = False
        except DiskError:
            log.close()
        held = [entry.leaf in stored(path) for entry in batch]
        assert held in ([True, True], [False, False])
        assert held[0] is not failed
        appended += sum(held)
        assert len(stored(path)) == appended
        assert findings(path) == []
        statement += 1
    assert statement > 7
    log.close()


async def test_waiting_entries_fail_with_the_batch_before_them(path, monkeypatch):
    hold = threading.Event()
    monkeypatch.setattr(store_log, "_commit", lambda connection: (hold.wait(60), fail(connection)))
    async with open_store(path) as store:
        first = asyncio.create_task(append_all(store, [request_entry("a")]))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(append_all(store, [request_entry("b"), request_entry("c")]))
        await asyncio.sleep(0)
        hold.set()
        assert await first == [Code.LOG_UNAVAILABLE]
        assert await second == [Code.LOG_UNAVAILABLE] * 2
    assert stored(path) == []


async def test_closed_store_accepts_nothing_and_has_kept_what_was_waiting(path):
    store = open_store(path)
    waiting = [asyncio.create_task(store.append(request_entry(f"t{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert len({receipt.index for receipt in await asyncio.gather(*waiting)}) == 20
    with pytest.raises(Refusal) as caught:
        await store.append(request_entry("late"))
    assert caught.value.code is Code.LOG_UNAVAILABLE


async def test_cancelled_waiter_does_not_disturb_the_others(path):
    async with open_store(path) as store:
        tasks = [asyncio.create_task(store.append(request_entry(f"t{number}"))) for number in range(10)]
        await asyncio.sleep(0)
        tasks[4].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(result, Receipt) for result in results) == 9
        assert store.ready


APPENDING = """
import asyncio, sys
from contextlib import closing
from pathlib import Path
from tests.exchanges import exchange_entries
from tests.process.store_world import open_store
async def one(store, name):
    for number in range(10_000):
        for entry in exchange_entries(f"{sys.argv[2]}.{name}.{number}"):
            receipt = await store.append(entry)
            print(receipt.index, entry.leaf.decode(), flush=True)
async def main():
    async with open_store(Path(sys.argv[1])) as store:
        await asyncio.gather(*(one(store, name) for name in range(8)))
asyncio.run(main())
"""


def acknowledged_before_kill(path: Path, run: int, lines: int) -> dict[int, bytes]:
    command = [sys.executable, "-c", APPENDING, str(path), str(run)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        seen = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        seen += child.stdout.readlines()
    whole = [line.split(" ", 1) for line in seen if line.endswith("\n")]
    return {int(index): leaf.strip().encode() for index, leaf in whole}


@of_a_file
async def test_every_acknowledged_entry_survives_kill_9(path):
    known: dict[int, bytes] = {}
    for run, lines in enumerate((40, 333, 150)):
        acknowledged = acknowledged_before_kill(path, run, lines)
        assert len(acknowledged) >= lines
        assert not known.keys() & acknowledged.keys()
        known |= acknowledged
        async with open_store(path) as store:
            assert store.size >= len(known)
        entries = stored(path)
        assert all(entries[index] == leaf for index, leaf in known.items())
        assert not any(finding.fails for finding in findings(path))


# Opening


async def test_log_of_another_key_or_origin_is_not_opened(path):
    await fill(path, exchange_entries("t"))
    for key, origin in ((OTHER_KEY, ORIGIN), (KEY, "other.example")):
        with pytest.raises(ProofError) as caught:
            Store.open(path, key, origin, payload_key=PAYLOAD_KEY, bucket_keys=keys_beside(path))
        assert caught.value.flaw is Flaw.UNSIGNED


def test_no_log_begins_by_itself_behind_a_mistyped_path(tmp_path):
    path = tmp_path / "mistyped" / "store.sqlite"
    keys = keys_beside(tmp_path / "keys" / "store.sqlite")
    with pytest.raises(ProofError) as caught:
        Store.open(path, KEY, ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=keys)
    assert caught.value.flaw is Flaw.NO_STORE
    assert not path.exists()


async def test_a_log_is_begun_once(path):
    new_log(path, [SIGNER])
    async with Store.open(path, KEY, ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=keys_beside(path)) as store:
        assert store.size == 0
        await append_all(store, exchange_entries("t"))
    with pytest.raises(ProofError) as caught:
        new_log(path, [SIGNER])
    assert caught.value.flaw is Flaw.STORE_EXISTS
    assert len(stored(path)) == 2


DAMAGE = {
    "head of another root": ("UPDATE head SET root = ?", Flaw.HEAD),
    "head of another size": ("UPDATE head SET size = size - 1", Flaw.HEAD),
    "no head": ("DELETE FROM head", Flaw.HEAD),
    "checkpoint altered": (
        PerEngine(
            "UPDATE head SET note = CAST(replace(note, '2026', '2025') AS BLOB)",
            "UPDATE head SET note = convert_to(replace(convert_from(note, 'UTF8'), '2026', '2025'), 'UTF8')",
        ),
        Flaw.UNSIGNED,
    ),
    "checkpoint is no note": ("UPDATE head SET note = ?", Flaw.NOTE_FORM),
    "edge tile altered": ("UPDATE tiles SET hashes = ?", Flaw.TREE),
    "edge tile short": ("UPDATE tiles SET hashes = substr(hashes, 1, 32)", Flaw.TILE),
    "edge tile missing": ("DELETE FROM tiles", Flaw.TILE),
    "last entry missing": ("DELETE FROM seeds; DELETE FROM entries WHERE idx = 3", Flaw.MISSING),
    "entry at the edge altered": ("UPDATE entries SET leaf = ? WHERE idx = 2", Flaw.ALTERED),
    "entry too many": (
        "INSERT INTO entries (idx, exchange, kind, leaf) VALUES (4, 'x', 'request', ?)",
        Flaw.SURPLUS,
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damaged_log_is_not_opened(path, damage):
    await fill(path, [*exchange_entries("a"), *exchange_entries("b")])
    statement, flaw = DAMAGE[damage]
    alter(path, statement, bindings=(bytes(4 * 32),))
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is flaw


@of_a_file
@pytest.mark.parametrize("pragma", ["application_id", "user_version"])
async def test_store_of_another_program_or_version_is_not_opened(path, pragma):
    await fill(path, exchange_entries("a"))
    alter(path, f"PRAGMA {pragma} = 99")
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is Flaw.UNREADABLE


@of_a_file
def test_file_that_is_no_database_is_not_opened(path):
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is Flaw.UNREADABLE


@of_a_file
async def test_file_with_damaged_pages_is_not_opened(path):
    await fill(path, [request_entry(f"t{number}") for number in range(40)])
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is Flaw.CORRUPT
    assert "Keep the file" in caught.value.flaw.row.remedy


@of_a_file
async def test_log_behind_a_pinned_checkpoint_is_not_opened(path, tmp_path):
    await fill(path, exchange_entries("a"))
    backup = path.read_bytes()
    await fill(path, exchange_entries("b"))
    with LogReader.open(path) as log:
        pinned = open_checkpoint(log.checkpoint, [VERIFIER])
    await fill(path, exchange_entries("c"))
    await open_store(path, pinned=pinned).close()
    path.write_bytes(backup)
    with pytest.raises(ProofError) as caught:
        open_store(path, pinned=pinned)
    assert caught.value.flaw is Flaw.ROLLBACK
    await fill(path, [refusal_entry(), refusal_entry()])  # as long again, but another history
    with pytest.raises(ProofError) as caught:
        open_store(path, pinned=pinned)
    assert caught.value.flaw is Flaw.ROLLBACK


def test_store_needs_a_directory_that_it_may_make(tmp_path):
    tmp_path.joinpath("file").touch()
    with pytest.raises(ProofError) as caught:
        open_store(tmp_path / "file" / "store.sqlite", bucket_keys=keys_beside(tmp_path / "store.sqlite"))
    assert caught.value.flaw is Flaw.UNREADABLE


@of_a_file
def test_library_with_the_wal_reset_race_is_refused(path, monkeypatch):
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is Flaw.LIBRARY


# Several processes


async def test_two_stores_on_one_file_take_turns(path):
    async with open_store(path) as one, open_store(path) as other:
        stores = [one, other]
        for number in range(20):
            exchange = exchange_id()
            await stores[number % 2].append(request_entry(f"t{number}", exchange))
            await stores[(number + 1) % 2].append(response_entry(exchange))
        crowd = [
            append_all(store, [request_entry(f"{name}{i}") for i in range(150)])
            for name, store in zip("ab", stores, strict=True)
        ]
        receipts = [receipt for group in await asyncio.gather(*crowd) for receipt in group]
        assert len({receipt.index for receipt in receipts}) == 300
        assert await append_all(other, [request_entry("a7")]) == [Code.TICKET]
    assert not any(finding.fails for finding in findings(path))
    assert query(path, "SELECT count(*) FROM entries") == [(340,)]


async def test_log_can_be_opened_while_another_process_appends(path):
    async with open_store(path) as store:
        crowd = asyncio.create_task(
            append_all(store, [request_entry(f"t{number}") for number in range(3000)])
        )
        sizes = []
        while not crowd.done():
            another = await asyncio.to_thread(open_store, path)
            sizes.append(another.size)
            await another.close()
        assert sizes == sorted(sizes)
        assert len({receipt.index for receipt in await crowd}) == 3000


async def test_log_that_was_rolled_back_under_a_running_store_is_not_continued(path):
    async with open_store(path) as store:
        await store.append(request_entry("a"))
        note = query(path, "SELECT note FROM head")[0][0]
        await store.append(request_entry("b"))
        root = open_checkpoint(note, [VERIFIER]).root
        alter(path, "UPDATE head SET size = 1, root = ?, note = ?", bindings=(root, note))
        assert await append_all(store, [request_entry("c")]) == [Code.LOG_UNAVAILABLE]
        assert not store.ready


async def test_fork_signed_with_the_same_key_is_not_continued(path):
    async with open_store(path) as store:
        await store.append(request_entry("a"))
        leaf = Leaf.parse(stored(path)[0])
        forged = merkle.leaf_hash(leaf.seal() + b" ")
        note = sign_checkpoint(1, forged, [SIGNER])
        alter(path, "UPDATE head SET root = ?, note = ?", bindings=(forged, note))
        alter(path, "UPDATE tiles SET hashes = ?", bindings=(forged,))
        assert await append_all(store, [request_entry("b")]) == [Code.LOG_UNAVAILABLE]


async def test_what_comes_while_another_process_has_its_turn_shares_the_next_commit(path):
    async with open_store(path) as store:
        with closing(connect(path, Use.WRITE)) as other:
            other.begin(Begin.EXCLUSIVE)
            first = asyncio.create_task(store.append(request_entry("a")))
            await asyncio.sleep(0.05)  # it waits for its turn by now, or all three do together
            more = [asyncio.create_task(store.append(request_entry(ticket))) for ticket in ("b", "c")]
            await asyncio.sleep(0.05)
            other.roll_back()
            receipts = await asyncio.gather(first, *more)
        assert [one.index for one in receipts] == [0, 1, 2]
        assert len({one.checkpoint for one in receipts}) == 1
    assert not any(finding.fails for finding in findings(path))
