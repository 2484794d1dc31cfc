"""Bucket keys: made once by whoever comes first, durable before an entry needs them, and forgotten for good."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.adapters import store_log
from gateway.adapters.bucket_keys import KEY_SIZE, BucketKeys
from gateway.adapters.secret_file import ExposedError, read_own_secret
from gateway.exchangelog import entry
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import DossierNumber
from gateway.refusal import Code
from tests.exchanges import exchange_entries, exchange_id, permitted, request_entry
from tests.process.store_world import alter, append_all, findings, keys_beside, open_store, query

ROOT = Path(__file__).parents[2]
NOVEMBER, DECEMBER = Bucket("exchange", "2026-11"), Bucket("exchange", "2026-12")
MARCH = Bucket("exchange", "2026-03")  # of the entries of these tests
SECRET, ABOUT = bytes(range(32)), b"subject 17"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "bucket-keys"


@pytest.fixture
def keys(place):
    made = BucketKeys.create(place)
    made.make(NOVEMBER)
    made.make(DECEMBER)
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


def flaw_of(step) -> Flaw:
    with pytest.raises(ProofError) as caught:
        step()
    return caught.value.flaw


def test_what_is_wrapped_opens_with_the_same_bucket_and_purpose_alone(keys, place):
    wrapped = keys.wrap(NOVEMBER, SECRET, ABOUT)
    assert SECRET not in wrapped
    assert BucketKeys.open(place, read_own_secret).unwrap(NOVEMBER, wrapped, ABOUT) == SECRET
    assert flaw_of(lambda: keys.unwrap(DECEMBER, wrapped, ABOUT)) is Flaw.WRAPPED
    assert flaw_of(lambda: keys.unwrap(NOVEMBER, wrapped, b"subject 18")) is Flaw.WRAPPED
    for at in range(0, len(wrapped), 7):
        altered = wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :]
        assert flaw_of(lambda altered=altered: keys.unwrap(NOVEMBER, altered, ABOUT)) is Flaw.WRAPPED
    assert flaw_of(lambda: keys.unwrap(NOVEMBER, b"", ABOUT)) is Flaw.WRAPPED


def test_nothing_is_wrapped_twice_the_same_way(keys):
    assert len({keys.wrap(NOVEMBER, SECRET, ABOUT) for _ in range(100)}) == 100


def test_each_opening_wraps_under_a_key_of_its_own(place, keys):
    one, other = (BucketKeys.open(place).wrap(NOVEMBER, SECRET, ABOUT) for _ in range(2))
    assert one[:8] != other[:8]
    assert keys.unwrap(NOVEMBER, one, ABOUT) == keys.unwrap(NOVEMBER, other, ABOUT) == SECRET


def test_digest_is_that_of_its_bucket(keys, place):
    found = keys.digest(NOVEMBER, b"dossier X")
    assert found == BucketKeys.open(place).digest(NOVEMBER, b"dossier X")
    assert len({found, keys.digest(DECEMBER, b"dossier X"), keys.digest(NOVEMBER, b"dossier Y")}) == 3


def test_key_belongs_to_its_owner_alone_and_stays_when_it_is_made_again(keys, place):
    file = place / "exchange_2026-11.key"
    assert (file.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o600, 0o700)
    before = file.read_bytes()
    keys.make(NOVEMBER)
    assert (file.read_bytes(), len(before)) == (before, KEY_SIZE)
    assert keys.held() == {NOVEMBER, DECEMBER}


def test_key_that_others_could_read_or_exchange_is_not_used(keys, place):
    (place / "exchange_2026-11.key").chmod(0o640)
    assert flaw_of(lambda: BucketKeys.open(place).wrap(NOVEMBER, SECRET, ABOUT)) is Flaw.BUCKET_KEYS
    assert BucketKeys.open(place).wrap(DECEMBER, SECRET, ABOUT)
    place.chmod(0o770)
    with pytest.raises(ExposedError):
        BucketKeys.open(place)


MAKING = """
import sys
from pathlib import Path
from gateway.adapters.bucket_keys import BucketKeys
from gateway.exchangelog.bucket import Bucket
keys = BucketKeys.create(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for month in range(1, 13):
    bucket = Bucket("exchange", f"2026-{month:02}")
    keys.make(bucket)
    print(bucket, keys.wrap(bucket, b"secret", b"of a process").hex(), flush=True)
"""


def test_processes_that_make_the_same_keys_at_once_share_them(place):
    command = [sys.executable, "-c", MAKING, str(place)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(6)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 6
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    lines = [line.split() for child in children for line in child.communicate()[0].splitlines()]
    keys = BucketKeys.open(place)
    assert len(lines) == 6 * 12
    for name, wrapped in lines:
        assert keys.unwrap(Bucket.parse(name), bytes.fromhex(wrapped), b"of a process") == b"secret"
    assert len(list(place.iterdir())) == 12


def test_what_a_killed_process_left_of_a_key_is_no_key(keys, place):
    (place / "exchange_2027-01.new").write_bytes(b"half a key")
    january = Bucket("exchange", "2027-01")
    assert keys.held() == {NOVEMBER, DECEMBER}
    keys.make(january)
    assert keys.unwrap(january, keys.wrap(january, SECRET, ABOUT), ABOUT) == SECRET
    assert not (place / "exchange_2027-01.new").exists()


def test_destroyed_key_opens_nothing_any_more_for_whoever_had_read_it(keys, place, tmp_path):
    other = BucketKeys.open(place)
    wrapped = other.wrap(NOVEMBER, SECRET, ABOUT)
    os.link(place / "exchange_2026-11.key", tmp_path / "block")  # what lies on the disk
    keys.destroy(NOVEMBER)
    assert (tmp_path / "block").read_bytes() == bytes(KEY_SIZE)
    assert keys.held() == {DECEMBER}
    for one in (keys, other, BucketKeys.open(place)):
        assert flaw_of(lambda one=one: one.unwrap(NOVEMBER, wrapped, ABOUT)) is Flaw.BUCKET_KEY
        assert flaw_of(lambda one=one: one.wrap(NOVEMBER, SECRET, ABOUT)) is Flaw.BUCKET_KEY
    keys.destroy(NOVEMBER)  # again: nothing to do


def test_overwritten_key_is_no_key_though_its_file_is_still_there(keys, place):
    wrapped = keys.wrap(NOVEMBER, SECRET, ABOUT)
    (place / "exchange_2026-11.key").write_bytes(bytes(KEY_SIZE))  # killed between overwriting and removing
    assert flaw_of(lambda: BucketKeys.open(place).unwrap(NOVEMBER, wrapped, ABOUT)) is Flaw.BUCKET_KEY
    keys.destroy(NOVEMBER)
    assert keys.held() == {DECEMBER}


def test_directory_that_is_not_there_is_told(tmp_path):
    assert flaw_of(lambda: BucketKeys.open(tmp_path / "mistyped")) is Flaw.BUCKET_KEYS


# With the store.


async def test_no_seed_stands_in_the_store(path):
    entries = exchange_entries("t")
    async with open_store(path) as store:
        await append_all(store, entries)
    kept = path.read_bytes()
    assert not [one for one in entries if one.seed in kept]
    assert not [one for one in entries if one.fields is not None and one.fields.seed in kept]
    for index, bucket, subject, fields in query(path, "SELECT idx, bucket, subject, fields FROM seeds"):
        keys, made = keys_beside(path), entries[index]
        assert keys.unwrap(Bucket.parse(bucket), subject, b"subject %d" % index) == made.seed
        if made.fields is not None:
            assert keys.unwrap(MARCH, fields, b"fields %d" % index) == made.fields.seed


async def test_each_month_has_its_bucket_and_releases_are_found_in_all_of_them(path):
    async with open_store(path) as store:
        for month in (1, 2, 12):
            exchange, now = exchange_id(), datetime(2026, month, 28, tzinfo=UTC)
            await store.append(entry.forwarded(permitted(f"t{month}"), exchange, now, os.urandom))
            for made in exchange_entries(f"u{month}")[:1]:
                await store.append(made)
        dossiers = query(path, "SELECT count(DISTINCT dossier) FROM seeds")
    names = [name for (name,) in query(path, "SELECT name FROM buckets ORDER BY name")]
    assert names == ["exchange/2026-01", "exchange/2026-02", "exchange/2026-03", "exchange/2026-12"]
    assert {str(one) for one in keys_beside(path).held()} == set(names)
    assert dossiers == [(4,)]  # one dossier, with another digest in each bucket


async def test_key_is_there_before_the_entry_commits(path, monkeypatch):
    held = []

    def commit(connection):
        held.append(keys_beside(path).held())
        connection.execute("COMMIT")

    monkeypatch.setattr(store_log, "_commit", commit)
    async with open_store(path) as store:
        await store.append(request_entry("a"))
        await store.append(request_entry("b"))
    assert held == [{MARCH}, {MARCH}]


async def test_without_its_key_no_entry_is_recorded_and_with_it_the_log_goes_on(path, tmp_path):
    async with open_store(path) as store:
        place = path.parent / "bucket-keys"
        place.rename(tmp_path / "elsewhere")
        assert await append_all(store, [request_entry("a")]) == [Code.LOG_UNAVAILABLE]
        assert store.ready
        await store.watch()
        assert store.trouble is Flaw.BUCKET_KEYS
        (tmp_path / "elsewhere").rename(place)
        await store.watch()
        assert store.trouble is None
        (receipt,) = await append_all(store, [request_entry("a")])
        assert receipt.index == 0
    assert not any(one.fails for one in findings(path))


async def test_keys_of_another_log_are_refused_at_the_start(path, tmp_path):
    async with open_store(path) as store:
        await store.append(request_entry("a"))
    other = BucketKeys.create(tmp_path / "other")
    assert flaw_of(lambda: open_store(path, bucket_keys=other)) is Flaw.BUCKET_KEY
    other.make(MARCH)
    assert flaw_of(lambda: open_store(path, bucket_keys=other)) is Flaw.WRAPPED
    async with open_store(path) as store:
        assert store.size == 1


async def test_lost_key_is_not_made_anew_under_its_name(path):
    async with open_store(path) as store:
        await store.append(request_entry("a"))
        shutil.rmtree(path.parent / "bucket-keys")
        keys_beside(path)
    async with open_store(path.with_name("new.db")) as store:
        await store.append(request_entry("a"))
    assert flaw_of(lambda: open_store(path)) is Flaw.WRAPPED


async def test_bucket_that_was_erased_takes_nothing_in(path):
    async with open_store(path) as store:
        await store.append(request_entry("a"))
    alter(path, "UPDATE buckets SET erased = 0")
    async with open_store(path) as store:
        assert await append_all(store, [request_entry("b")]) == [Code.LOG_UNAVAILABLE]
        exchange, now = exchange_id(), datetime(2026, 4, 1, tzinfo=UTC)
        assert (await store.append(entry.forwarded(permitted("c"), exchange, now, os.urandom))).index == 1


async def test_rectification_stops_where_a_key_is_missing(path):
    async with open_store(path) as store:
        await append_all(store, exchange_entries("t"))
        assert len(await store.releases(DossierNumber("WIB-2026-0000001-59"))) == 1
        keys_beside(path).destroy(MARCH)
        with pytest.raises(Exception) as caught:
            await store.releases(DossierNumber("WIB-2026-0000001-59"))
        assert caught.value.code is Code.LOG_UNAVAILABLE
