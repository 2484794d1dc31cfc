"""Erasure and pruning: what is gone cannot be found again by anybody, everything else still verifies (PROTOCOL §8.11)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from msgspec import structs

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store import LogReader
from gateway.adapters.store_eraser import Done, Eraser
from gateway.adapters.store_filter import About, Filter
from gateway.adapters.store_log import Log
from gateway.adapters.store_seeds import blind
from gateway.adapters.store_session import StorePlace
from gateway.agreement.identifiers import dossier_number
from gateway.exchangelog import entry, merkle
from gateway.exchangelog.audit import audit
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.commitment import subject_commitment
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.erasure import Erasing, Hand
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.form import Basis, Ground, Kind
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.tile import TileNodes
from gateway.model import Criteria, DossierNumber
from gateway.refusal import Code, Refusal
from tests.exchanges import BRUSSELS, exchange_id, permitted, released
from tests.notifications import accepted, content, tell
from tests.process import search_world
from tests.process.store_world import (
    SIGNER,
    VERIFIER,
    DiskError,
    Failing,
    alter,
    append_all,
    keys_beside,
    of_a_file,
    open_store,
    placed_beside,
    query,
)

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
MARCH = Bucket("exchange", "2026-03")
ASKED = Erasing(Hand("0999099901", "officer-1"), Basis.DATA_SUBJECT, Ground.UNLAWFUL)
EXPIRED = Erasing(Hand("0999099901", "officer-1"), Basis.RETENTION, Ground.EXPIRED)
NUMBERS = [dossier_number(2026, number) for number in range(1, 60)]
MINE, OTHER = NUMBERS[7], NUMBERS[8]


def exchange(dossier: DossierNumber, ticket: str, month: int = 3, year: int = 2026) -> list[Entry]:
    """A consultation about the dossier, in that month."""
    granted = permitted(ticket)
    request = structs.replace(granted.request, criteria=Criteria(dossier))
    granted, now, id_ = (
        structs.replace(granted, request=request),
        datetime(year, month, 9, tzinfo=UTC),
        exchange_id(),
    )
    return [
        entry.forwarded(granted, id_, now, os.urandom),
        entry.returned(released(granted), id_, now, os.urandom),
    ]


async def fill(path: Path, entries: Iterable[Entry]) -> None:
    async with open_store(path) as store:
        for one in entries:
            await store.append(one)


@pytest.fixture
async def path(place):
    """Entries 0, 1, 4, 5 and 8, 9 are about the one dossier, 2, 3 and 6, 7 about the other; from 6 on they are of April."""
    turns = [(MINE, 3), (OTHER, 3), (MINE, 3), (OTHER, 4), (MINE, 4)]
    await fill(
        place,
        [one for at, (dossier, month) in enumerate(turns) for one in exchange(dossier, f"t{at}", month)],
    )
    return place


ABOUT_MINE = Indices.parse("0-1,4-5,8-9")


def eraser(path: Path) -> Eraser:
    return Eraser(path, keys_beside(path))


def erase(path: Path, wanted: Indices = ABOUT_MINE, now: datetime = NOW) -> Done:
    with eraser(path) as one:
        return one.erase_entries(one.standing(wanted), ASKED, [SIGNER], now)


def erase_bucket(path: Path, bucket: Bucket = MARCH, now: datetime = NOW) -> Done:
    with eraser(path) as one:
        return one.erase_bucket(one.state(bucket, now).bucket, ASKED, [SIGNER], now)


def findings(path: Path, keys: BucketKeys | None = None) -> list[Finding]:
    with LogReader.open(path, keys or keys_beside(path)) as log:
        return list(audit(log, log.head(), [VERIFIER]))


def flaws(path: Path) -> set[tuple[Flaw, int | None]]:
    return {(one.flaw, one.index) for one in findings(path)}


def found(path: Path, dossier: DossierNumber) -> list[int]:
    with LogReader.open(path, keys_beside(path)) as log:
        return sorted(
            index
            for index, _ in log.listed(Filter(about=About((dossier,), every=True)), 1_000_000, 1_000_000)
        )


def flaw_of(step) -> Flaw:
    with pytest.raises(ProofError) as caught:
        step()
    return caught.value.flaw


def guessed(path: Path, keys: BucketKeys) -> dict[int, str]:
    """A dictionary attack by who has the store and all keys that are left: entry → the dossier that it is about.

    Every number is tried against every commitment, with every seed that opens, and looked for by its digest.
    """
    opened, known = [], {}
    for index, bucket, subject, digest in query(path, "SELECT idx, bucket, subject, dossier FROM seeds"):
        try:
            opened.append(keys.unwrap(Bucket.parse(bucket), subject, b"subject %d" % index))
            digests = {keys.digest(Bucket.parse(bucket), blind(one)): one for one in NUMBERS}
        except ProofError:
            continue
        if digest in digests:
            known[index] = digests[digest]
    tried = {subject_commitment(one, seed): one for one in NUMBERS for seed in opened}
    for index, leaf in query(path, "SELECT idx, leaf FROM entries"):
        subject = Leaf.parse(leaf).subject
        if subject in tried:
            known[index] = tried[subject]
    return known


def on_disk(path: StorePlace) -> bytes:
    """The store as it lies there: rows, free pages, unused room, write-ahead log. Of a database what a dump of it has."""
    if not isinstance(path, Path):
        tables = ("seeds", "contents", "messages")
        values = [one for table in tables for row in query(path, f"SELECT * FROM {table}") for one in row]
        return b"".join(one for one in values if isinstance(one, bytes))
    return b"".join(
        one.read_bytes() for one in sorted(path.parent.glob(path.name + "*")) if one.suffix != ".copy"
    )


def traces(path: Path, kept: Iterable[bytes]) -> list[bytes]:
    """What of these texts, or of any part of them, is still on the disk."""
    disk = on_disk(path)
    return [one[at : at + 16] for one in kept for at in range(len(one) - 15) if one[at : at + 16] in disk]


KEPT = "SELECT subject FROM seeds WHERE idx IN {0} UNION ALL SELECT fields FROM seeds WHERE idx IN {0} AND fields IS NOT NULL UNION ALL SELECT dossier FROM seeds WHERE idx IN {0}"


async def test_erased_entries_tell_nothing_any_more_and_the_rest_is_as_it_was(path):
    keys, kept = keys_beside(path), [one for (one,) in query(path, KEPT.format((0, 1, 4, 5, 8, 9)))]
    assert guessed(path, keys) == {
        **dict.fromkeys((0, 1, 4, 5, 8, 9), MINE),
        **dict.fromkeys((2, 3, 6, 7), OTHER),
    }
    assert len(traces(path, kept)) > 100  # the search finds them
    assert found(path, MINE) == [0, 1, 4, 5, 8, 9]
    done = erase(path)
    assert done == Done(index=10, count=6, truncated=True)
    assert guessed(path, keys) == dict.fromkeys((2, 3, 6, 7), OTHER)
    assert traces(path, kept) == []
    assert (found(path, MINE), found(path, OTHER)) == ([], [2, 3, 6, 7])
    assert findings(path) == []
    async with open_store(path) as store:
        assert await store.releases(MINE) == []
        assert [one.index for one in await store.releases(OTHER)] == [3, 7]


async def test_the_entry_says_how_many_and_why_but_not_which(path):
    erase(path)
    ((leaf,),) = query(path, "SELECT leaf FROM entries WHERE idx = 10")
    said = Leaf.parse(leaf)
    assert (said.kind, said.caller, said.decision) == (Kind.ERASURE, "0999099901", "erased")
    more = dict(said.more)
    assert len(more.pop("erased")) == 43
    assert more == {"basis": "gdpr-17", "ground": "unlawful-processing", "bucket": None, "count": 6}
    erase(path, Indices.parse("2"))
    ((listed,),) = query(path, "SELECT indices FROM erased")
    assert listed == "0-2,4-5,8-9"  # one list: which went together is not told
    assert findings(path) == []


async def test_proofs_and_pins_from_before_still_verify(path):
    with LogReader.open(path) as log:
        pinned = open_checkpoint(log.checkpoint, [VERIFIER])
        proofs = [log.prove(index).serialise() for index in range(10)]
    erase(path)
    erase_bucket(path)
    for text in proofs:
        proof = TlogProof.parse(text)
        assert proof.verify(proof.extra, [VERIFIER]) == pinned
    with LogReader.open(path, keys_beside(path)) as log:
        assert list(audit(log, log.head(), [VERIFIER], pinned)) == []
        again = log.prove(4)
        again.verify(again.extra, [VERIFIER])


@of_a_file
async def test_no_copy_of_the_store_tells_what_was_in_an_erased_bucket(path, tmp_path):
    copy = tmp_path / "backup" / "store.db"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    keys, kept = keys_beside(path), [one for (one,) in query(path, KEPT.format(tuple(range(6))))]
    assert guessed(copy, keys) == guessed(path, keys) != {}
    assert erase_bucket(path) == Done(index=10, count=6, truncated=True)
    april = {6: OTHER, 7: OTHER, 8: MINE, 9: MINE}
    assert guessed(path, keys) == april
    assert (
        guessed(copy, BucketKeys.open(path.parent / "bucket-keys")) == april
    )  # a backup with the keys that are left
    assert traces(path, kept) == []
    assert findings(path) == []
    assert {str(one) for one in keys.held()} == {"exchange/2026-04", "exchange/2026-06"}


async def test_erased_bucket_is_named_and_takes_nothing_in(path):
    erase_bucket(path)
    ((leaf,),) = query(path, "SELECT leaf FROM entries WHERE idx = 10")
    more = Leaf.parse(leaf).more
    assert (more["bucket"], more["count"], more["erased"]) == ("exchange/2026-03", 6, None)
    async with open_store(path) as store:
        late, due = exchange(MINE, "late", 3), exchange(MINE, "due", 4)
        assert await append_all(store, late[:1]) == [Code.LOG_UNAVAILABLE]
        assert (await store.append(due[0])).index == 11
    assert not any(one.fails for one in findings(path))


@pytest.mark.parametrize("act", [lambda path: erase(path, Indices.parse("0")), erase_bucket])
async def test_what_was_told_cannot_be_tried_any_more_and_its_ticket_stays_refused(place, act):
    path = place
    async with open_store(path) as store:
        receipt = await tell(store, accepted("t1"))
        assert (await store.told(BRUSSELS.id, "t1", content("t1"))).receipt == receipt
        ((digest,),) = query(path, "SELECT digest FROM contents")
        assert digest == keys_beside(path).digest(MARCH, b"content " + content("t1"))
        act(path)
        assert query(path, "SELECT * FROM contents") == []
        assert traces(path, [digest]) == []
        with pytest.raises(Refusal) as caught:
            await store.told(BRUSSELS.id, "t1", content("t1"))
        assert caught.value.code is Code.TICKET


async def test_single_entries_of_a_bucket_may_go_before_it(path):
    erase(path)
    assert erase_bucket(path).count == 2
    assert erase_bucket(path, Bucket("exchange", "2026-04")).count == 2
    assert findings(path) == []
    assert guessed(path, keys_beside(path)) == {}


async def test_erasure_beside_a_hub_that_runs(path):
    async with open_store(path) as store:
        await store.append(exchange(OTHER, "before", 5)[0])
        assert [one.index for one in await store.releases(MINE)] == [1, 5, 9]
        assert erase(path).index == 11
        assert erase_bucket(path).index == 12
        assert await store.releases(MINE) == []
        assert [one.index for one in await store.releases(OTHER)] == [7]
        assert (await store.append(exchange(OTHER, "after", 5)[0])).index == 13
        assert store.ready
    assert not any(one.fails for one in findings(path))


async def test_what_cannot_be_erased_is_told(path):
    with eraser(path) as one:
        assert flaw_of(lambda: one.standing(Indices.parse("10"))) is Flaw.ABSENT
        assert flaw_of(lambda: one.state(Bucket("exchange", "2026-05"), NOW)) is Flaw.NOTHING
        assert (
            flaw_of(lambda: one.state(Bucket("exchange", "2026-04"), NOW.replace(month=4)))
            is Flaw.NOT_ERASABLE
        )
        assert one.state(Bucket("exchange", "2026-04"), NOW.replace(month=5)).seeds == 4
    erase(path)
    erase_bucket(path)
    with eraser(path) as one:
        assert flaw_of(lambda: one.standing(ABOUT_MINE)) is Flaw.NOTHING
        assert flaw_of(lambda: one.state(MARCH, NOW)) is Flaw.NOTHING


async def test_two_erasures_at_once_do_not_overwrite_each_other(path):
    with eraser(path) as one, eraser(path) as other:
        mine, theirs = one.standing(Indices.parse("0-1")), other.standing(Indices.parse("1-2"))
        one.erase_entries(mine, ASKED, [SIGNER], NOW)
        assert flaw_of(lambda: other.erase_entries(theirs, ASKED, [SIGNER], NOW)) is Flaw.NOT_DONE
    assert query(path, "SELECT indices FROM erased") == [("0-1",)]
    assert findings(path) == []


# What verify says when somebody had a hand in it.


async def test_seed_that_is_gone_without_an_erasure_is_an_alarm(path):
    erase(path, Indices.parse("0"))
    erase_bucket(path, Bucket("exchange", "2026-04"))
    assert findings(path) == []
    alter(path, "DELETE FROM seeds WHERE idx = 3")
    assert flaws(path) == {(Flaw.SEED, 3)}


async def test_seeds_that_are_gone_in_a_row_are_one_finding(path):
    alter(path, "DELETE FROM seeds WHERE idx BETWEEN 2 AND 5")
    assert findings(path) == [Finding(Flaw.SEED, 2, "up to entry 5")]


TAMPERING = {
    "another entry put on the list": (
        "UPDATE erased SET indices = '0-1,3-5,8-9'; DELETE FROM seeds WHERE idx = 3; DELETE FROM messages WHERE idx = 3",
        {(Flaw.ERASURE, 10), (Flaw.SEED, 0), (Flaw.SEED, 3), (Flaw.SEED, 8)},
    ),
    "list gone": ("DELETE FROM erased", {(Flaw.ERASURE, 10), (Flaw.SEED, 0), (Flaw.SEED, 4), (Flaw.SEED, 8)}),
    "salt changed": (
        "UPDATE erased SET salt = ?",
        {(Flaw.ERASURE, 10), (Flaw.SEED, 0), (Flaw.SEED, 4), (Flaw.SEED, 8)},
    ),
    "seed came back": (
        "INSERT INTO seeds SELECT 4, bucket, subject, fields, dossier, person FROM seeds WHERE idx = 2",
        {(Flaw.SEED_REMAINS, 4), (Flaw.WRAPPED, 4)},
    ),
    "seed altered": ("UPDATE seeds SET subject = ? WHERE idx = 2", {(Flaw.WRAPPED, 2)}),
    "seed of the fields altered": (
        "UPDATE seeds SET fields = ? WHERE idx = 3",
        {(Flaw.WRAPPED, 3)},
    ),
    "seeds exchanged": (
        "UPDATE seeds SET idx = 99 WHERE idx = 2; UPDATE seeds SET idx = 2 WHERE idx = 6; UPDATE seeds SET idx = 6 WHERE idx = 99",
        {(Flaw.COLUMN, 2), (Flaw.WRAPPED, 2), (Flaw.COLUMN, 6), (Flaw.WRAPPED, 6)},
    ),
    "bucket marked as erased": (
        "UPDATE buckets SET erased = 10 WHERE name = 'exchange/2026-04'",
        {(Flaw.ERASURE, None)},
    ),
}


@pytest.mark.parametrize("tampering", TAMPERING)
async def test_hand_on_what_stands_beside_the_tree_is_found(path, tampering):
    erase(path)
    assert findings(path) == []
    statements, expected = TAMPERING[tampering]
    alter(path, *statements.split("; "), bindings=(bytes(76),))
    assert flaws(path) == expected


async def test_mark_of_an_erased_bucket_that_is_gone_is_found(path):
    erase_bucket(path)
    alter(path, "UPDATE buckets SET erased = NULL")
    assert flaws(path) == {(Flaw.ERASURE, 10)}


async def test_seeds_of_an_erased_bucket_that_came_back_are_found(path, tmp_path):
    rows = query(path, "SELECT * FROM seeds WHERE idx < 6")
    erase_bucket(path)
    for row in rows:
        alter(path, "INSERT INTO seeds VALUES (?,?,?,?,?,?)", bindings=row)
    assert (Flaw.SEED_REMAINS, 0) in flaws(path)


async def test_key_of_an_erased_bucket_that_came_back_is_found_and_the_next_start_destroys_it(path, tmp_path):
    file = tmp_path / "bucket-keys" / "exchange_2026-03.key"
    before = file.read_bytes()
    erase_bucket(path)
    file.touch(mode=0o600)
    file.write_bytes(before)
    assert flaws(path) == {(Flaw.BUCKET_KEY_REMAINS, 10)}
    async with open_store(path):
        assert not file.exists()
    assert findings(path) == []


async def test_lost_key_is_found_once_and_its_loss_can_be_recorded(path, tmp_path):
    (tmp_path / "bucket-keys" / "exchange_2026-03.key").unlink()
    assert findings(path) == [Finding(Flaw.BUCKET_KEY, 0, "bucket exchange/2026-03")]
    with eraser(path) as one:
        lost = Erasing(Hand("0999099901", "officer-1"), Basis.BREACH, Ground.KEY_LOST)
        one.erase_bucket(one.state(MARCH, NOW).bucket, lost, [SIGNER], NOW)
    assert findings(path) == []


async def test_without_bucket_keys_verify_still_accounts_for_every_seed(path):
    erase(path)
    erase_bucket(path)
    alter(path, "DELETE FROM seeds WHERE idx = 6")
    with LogReader.open(path) as log:
        assert [(one.flaw, one.index) for one in audit(log, log.head(), [VERIFIER])] == [(Flaw.SEED, 6)]


async def test_erasure_while_the_log_is_checked_is_no_finding(path):
    with LogReader.open(path, keys_beside(path)) as log:
        head, rows = log.head(), log.rows

        def slow(*bounds):
            erase(path)
            erase_bucket(path)
            yield from rows(*bounds)

        log.rows = slow
        assert list(audit(log, head, [VERIFIER])) == []


# Crashes.


def crash(_log, _progress):
    raise DiskError


@of_a_file
async def test_failure_at_any_statement_leaves_an_erasure_whole_or_none(path, tmp_path):
    for at in range(40):
        place = tmp_path / str(at)
        shutil.copytree(path.parent, place, ignore=shutil.ignore_patterns("[0-9]*"))
        copy = place / path.name
        original = Log.append

        def append(log, batch, at=at, original=original):
            log._connection = Failing(log._connection, at)
            return original(log, batch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Log, "append", append)
            try:
                erase(copy)
                failed = False
            except DiskError:
                failed = True
        gone = query(copy, "SELECT count(*) FROM seeds WHERE idx IN (0, 1, 4, 5, 8, 9)") == [(0,)]
        assert gone or failed
        assert findings(copy) == []
        if not failed:
            break
    assert at > 10


async def test_crash_between_the_record_and_the_destruction_is_completed_at_the_next_start(path, monkeypatch):
    monkeypatch.setattr(Eraser, "settle", crash)  # after the commit
    with pytest.raises(DiskError):
        erase_bucket(path)
    assert MARCH in keys_beside(path).held()
    assert flaws(path) == {(Flaw.BUCKET_KEY_REMAINS, 10), (Flaw.SEED_REMAINS, 0)}  # recorded, and not done
    async with open_store(path):
        assert MARCH not in keys_beside(path).held()
    assert findings(path) == []


# Pruning.


@pytest.fixture(params=["sqlite", "postgresql"])
async def old(request, tmp_path):
    """600 entries of 2014, 100 of 2026."""
    path = tmp_path / "old.db"
    if request.param == "postgresql":
        path = placed_beside(tmp_path, request.getfixturevalue("postgres").database())
    entries = [one for at in range(300) for one in exchange(MINE, f"o{at}", 1 + at // 100, 2014)]
    async with open_store(path) as store:
        await append_all(store, [one for one in entries if one.kind is Kind.REQUEST])
        await append_all(store, [one for one in entries if one.kind is Kind.RESPONSE])
        await append_all(store, [exchange(OTHER, f"n{at}", 3)[0] for at in range(100)])
    return path


def prune(path: Path) -> Done:
    with eraser(path) as one:
        for state in one.buckets():
            if state.erased is None and state.bucket.due(10) <= NOW:
                one.erase_bucket(state.bucket, EXPIRED, [SIGNER], NOW)
        return one.prune(EXPIRED.hand, one.minimum(10, NOW), [SIGNER], NOW)


async def test_pruned_entries_are_gone_and_everything_that_was_proved_still_holds(old):
    with LogReader.open(old) as log:
        pinned = open_checkpoint(log.checkpoint, [VERIFIER])
        proofs = [log.prove(index).serialise() for index in (0, 255, 511, 512, 699)]
    done = prune(old)
    assert (done.count, done.truncated) == (512, True)
    assert query(old, "SELECT min(idx), count(*) FROM entries WHERE idx < 700") == [(512, 188)]
    said = Leaf.parse(query(old, f"SELECT leaf FROM entries WHERE idx = {done.index}")[0][0])
    assert (said.kind, said.more) == (Kind.PRUNING, {"minimum": 512})
    assert not any(one.fails for one in findings(old))
    with LogReader.open(old, keys_beside(old)) as log:
        assert not any(one.fails for one in audit(log, log.head(), [VERIFIER], pinned))
        nodes = TileNodes(log.head().size, log.tile)
        assert merkle.tree_root(nodes, 300) == merkle.root([log.hash(index) for index in range(300)])
        for text in proofs:
            proof = TlogProof.parse(text)
            assert proof.verify(proof.extra, [VERIFIER]) == pinned
            assert merkle.leaf_hash(proof.extra) == log.hash(proof.index)


async def test_what_lies_below_the_minimum_index_is_not_served(old):
    prune(old)
    with LogReader.open(old) as log:
        assert flaw_of(lambda: log.resource("tile/entries/001")) is Flaw.PRUNED
        assert log.resource("tile/entries/002.p/188")
        assert len(log.resource("tile/0/000")) == 8_192
        for call in (log.entry, log.prove):
            assert flaw_of(lambda call=call: call(511)) is Flaw.PRUNED
            assert call(512)


@pytest.mark.parametrize("old", ["sqlite"], indirect=True)
async def test_a_pruned_log_is_searched_and_its_answers_are_whole_from_the_minimum_index_on(old, tmp_path):
    prune(old)
    config = search_world.write_settings(tmp_path, old, search_world.officer())
    report = search_world.asked("subject", search_world.SSIN, "--config", config)
    assert report["range"] == {"start": 512, "end": 704}
    assert report["unopened"] is True
    search_world.asked("list", "--kind", "pruning", "--config", config, "--proof", tmp_path / "answer")
    answer = search_world.asked("verify", "--answer", tmp_path / "answer", "--vkey", VERIFIER.vkey)
    assert (answer["range"]["start"], answer["indices"]) == (512, [703])


async def test_ticket_of_a_pruned_entry_stays_spent(old):
    prune(old)
    async with open_store(old) as store:
        assert await append_all(store, [exchange(MINE, "o0", 3)[0]]) == [Code.TICKET]
        assert await append_all(store, [exchange(MINE, "n0", 3)[0]]) == [Code.TICKET]
        assert (await store.append(exchange(MINE, "fresh", 3)[0])).index == 704
    assert not any(one.fails for one in findings(old))


async def test_nothing_is_pruned_before_its_bucket_is_erased_or_its_years_are_over(old, path):
    with eraser(old) as one:
        assert flaw_of(lambda: one.minimum(10, NOW)) is Flaw.NOT_ERASABLE
        assert flaw_of(lambda: one.minimum(20, NOW)) is Flaw.NOTHING
    with eraser(path) as one:
        assert flaw_of(lambda: one.minimum(10, NOW)) is Flaw.NOTHING
    prune(old)
    with eraser(old) as one:
        assert flaw_of(lambda: one.minimum(10, NOW)) is Flaw.NOTHING


async def test_hand_on_the_minimum_index_is_found(old):
    prune(old)
    alter(old, "UPDATE minimum SET idx = 256")
    assert {(Flaw.PRUNING, None), (Flaw.MISSING, 256)} <= flaws(old)
    alter(
        old,
        "UPDATE minimum SET idx = 768",
        "DELETE FROM seeds WHERE idx < 600",
        "DELETE FROM entries WHERE idx < 600",
    )
    assert (Flaw.PRUNING, None) in flaws(old)


async def test_entries_deleted_as_if_they_had_been_pruned_are_found(old):
    alter(
        old,
        "UPDATE minimum SET idx = 256",
        "DELETE FROM seeds WHERE idx < 256",
        "DELETE FROM entries WHERE idx < 256",
    )
    assert {one.flaw for one in findings(old) if one.fails} == {Flaw.PRUNING}


async def test_pruning_that_was_interrupted_goes_on(old, monkeypatch):
    for month in (1, 2, 3):
        erase_bucket(old, Bucket("exchange", f"2014-{month:02}"))
    monkeypatch.setattr(Eraser, "settle", crash)  # after the commit
    with pytest.raises(DiskError):
        prune(old)
    assert flaws(old) >= {(Flaw.PRUNED_REMAINS, 0)}
    assert not any(one.fails for one in findings(old))  # it goes on by itself
    async with open_store(old):
        pass
    assert query(old, "SELECT min(idx) FROM entries") == [(512,)]
    assert not any(one.fails for one in findings(old))


@pytest.mark.parametrize("old", ["sqlite"], indirect=True)
async def test_what_came_back_below_the_minimum_index_with_its_seed_is_no_pruning_under_way(old, tmp_path):
    backup = tmp_path / "backup.db"
    shutil.copyfile(old, backup)
    prune(old)
    alter(
        old,
        f"ATTACH '{backup}' AS backup",
        "INSERT INTO entries SELECT * FROM backup.entries WHERE idx = 301",
        "INSERT INTO seeds SELECT * FROM backup.seeds WHERE idx = 301",
    )
    assert (Flaw.SURPLUS, 301) in flaws(old)


class Overtaken(LogReader):
    """The log is pruned between the look at its minimum index and that at its entries."""

    def rows(self, start: int | None, end: int):
        if self.minimum == 0:
            prune(self.path)
        return super().rows(start, end)


async def test_a_pruning_during_a_check_makes_nothing_missing(old):
    Overtaken.path = old
    with Overtaken.open(old, keys_beside(old)) as log:
        found = list(audit(log, log.head(), [VERIFIER]))
        assert log.minimum == 512
    assert not any(one.fails for one in found)


@pytest.mark.parametrize("old", ["sqlite"], indirect=True)
async def test_entries_that_are_kept_cannot_be_deleted_by_mistake(old):
    prune(old)
    connection = apsw.Connection(str(old))
    with pytest.raises(apsw.ConstraintError):
        connection.execute("DELETE FROM entries WHERE idx = 512")
    connection.close()


async def test_the_hub_knows_how_many_buckets_are_due(old):
    async with open_store(old) as store:
        assert [await store.due(years, NOW) for years in (10, 12, 20)] == [3, 3, 0]
        assert await store.due(12, datetime(2026, 3, 31, tzinfo=UTC)) == 2
    erase_bucket(old, Bucket("exchange", "2014-01"))
    async with open_store(old) as store:
        assert await store.due(10, NOW) == 2
