"""A log goes on under another name, and what it says of its keys (PROTOCOL §8.5, §8.19)."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from gateway import loading
from gateway.adapters import store_postgres
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.store import LogReader, Store
from gateway.adapters.store_connect import connect, exists
from gateway.adapters.store_session import Use
from gateway.adapters.store_witnessed import Frozen, moved_to
from gateway.cli.commands import app
from gateway.exchangelog import own_entry
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.fields import base64url
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Ending, Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import Signer, open_note
from gateway.refusal import Code, Refusal
from gateway.reload import sign_log
from tests.exchanges import NOW, exchange_entries, request_entry
from tests.notifications import accepted, acknowledge, leased, tell
from tests.path import hub as memory
from tests.process import running
from tests.process.store_world import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    VERIFIER,
    alter,
    append_all,
    open_store,
    query,
)
from tests.witness_world import checkpoint as of_another_history

HUB = "0999000001"
LAST = Checkpoint("xlog.hub.example/2025", 7, bytes(32))
NEW_VERIFIER = Signer.of(ORIGIN, OTHER_KEY).verifier


def leaf(made: Entry) -> Leaf:
    return Leaf.parse(made.leaf)


# The entries.


def test_the_entry_of_a_successor_names_the_old_log_and_nothing_else():
    made = leaf(own_entry.succeeded(LAST, Ending.FORKED, HUB, NOW, os.urandom))
    assert (made.kind, made.decision, made.caller, made.to) == (Kind.SUCCESSOR, "forked", HUB, ())
    root = base64url(bytes(32)).decode()
    assert made.more == {"of_log": LAST.origin, "of_size": 7, "of_root": root}


def test_the_entry_of_a_rotation_names_the_new_key():
    made = leaf(own_entry.rotated(NEW_VERIFIER.vkey, HUB, NOW, os.urandom))
    assert (made.kind, made.decision) == (Kind.KEY_ROTATION, "announced")
    assert made.more == {"vkey": NEW_VERIFIER.vkey}


@pytest.mark.parametrize(
    "broken",
    [
        lambda: own_entry.rotated("no key", HUB, NOW, os.urandom),
        lambda: own_entry.rotated(NEW_VERIFIER.vkey + "\n", HUB, NOW, os.urandom),
        lambda: own_entry.succeeded(Checkpoint("a log", 7, bytes(32)), Ending.ENDED, HUB, NOW, os.urandom),
        lambda: own_entry.succeeded(
            Checkpoint("log", 1 << 53, bytes(32)), Ending.ENDED, HUB, NOW, os.urandom
        ),
        lambda: own_entry.succeeded(Checkpoint("log", 7, bytes(31)), Ending.ENDED, HUB, NOW, os.urandom),
        lambda: own_entry.rotated(NEW_VERIFIER.vkey, "nobody", NOW, os.urandom),
    ],
)
def test_what_is_out_of_form_is_no_entry(broken):
    with pytest.raises(ProofError) as caught:
        broken()
    assert caught.value.flaw is Flaw.ENTRY_FORM


# Rotation.


class Loaded:
    """Of what a hub loads, what `sign_log` needs."""

    def __init__(self, *keys: Ed25519PrivateKey) -> None:
        self.log_keys = keys
        self.rules = self.register = self.hub = self
        self.enterprise = HUB


def notes(path: Path) -> list[Leaf]:
    with LogReader.open(path) as log:
        return [Leaf.parse(log.entry(index)) for index in range(log.head().size)]


def findings(path: Path, *verifiers) -> list[Flaw]:
    with LogReader.open(path) as log:
        return [one.flaw for one in audit(log, log.head(), verifiers)]


async def test_a_new_key_is_announced_once_under_the_old_one(tmp_path):
    path = tmp_path / "store.db"
    async with open_store(path) as store:
        await append_all(store, exchange_entries("a"))
        await sign_log(store, Loaded(KEY))
        assert store.size == 2
        made = []
        sign_with = store.sign_with

        async def watched(keys) -> None:
            made.append(await store.checkpoint())  # of the announcement: the new key has not signed yet
            await sign_with(keys)

        store.sign_with = watched
        await sign_log(store, Loaded(KEY, OTHER_KEY))
        await sign_log(store, Loaded(KEY, OTHER_KEY))
        await sign_log(store, Loaded(OTHER_KEY))
        assert store.size == 3
    announced = open_checkpoint(made[0], [VERIFIER])
    assert announced.size == 3
    with pytest.raises(ProofError):
        open_note(made[0], [NEW_VERIFIER])
    (told,) = [one for one in notes(path) if one.kind is Kind.KEY_ROTATION]
    assert told.more["vkey"] == NEW_VERIFIER.vkey
    assert findings(path, VERIFIER, NEW_VERIFIER) == []


async def test_a_rotation_that_names_no_key_of_the_log_is_found(tmp_path):
    path = tmp_path / "store.db"
    other = Signer.of("another.example/log", OTHER_KEY).verifier.vkey
    async with open_store(path) as store:
        await store.append(own_entry.rotated(other, HUB, NOW, os.urandom))
        await store.append(own_entry.rotated(NEW_VERIFIER.vkey, HUB, NOW, os.urandom))
    assert findings(path, VERIFIER) == [Flaw.ROTATION]


async def test_a_successor_that_begins_in_the_middle_is_found(tmp_path):
    path = tmp_path / "store.db"
    async with open_store(path) as store:
        for ending in (Ending.ENDED, Ending.FORKED):
            await store.append(own_entry.succeeded(LAST, ending, HUB, NOW, os.urandom))
    assert findings(path, VERIFIER) == [Flaw.SUCCESSION]


# Succession.


FILES = ("store.db", "next.db")
everywhere = pytest.mark.parametrize(
    "place",
    [FILES, ("store.db", "database"), ("database", "database"), ("database", "next.db")],
    indirect=True,
    ids=" to ".join,
)
in_databases = pytest.mark.parametrize("place", [("database", "database")], indirect=True)


@pytest.fixture
def place(request, tmp_path):
    """A hub's directory, its log with some exchanges in it; and settings that name the log of the next year. Each is in
    a file, or in a database of its own.
    """
    before, after = (
        str(request.getfixturevalue("postgres").empty_database()) if one == "database" else one
        for one in getattr(request, "param", FILES)
    )
    memory.place_pki(tmp_path / "pki")
    settings = running.write_settings(tmp_path, "https://127.0.0.1:9/soap", {"store": f'"{before}"'})
    running.inscribe(settings.log.store, settings.keys.directory_key)
    text = (tmp_path / "gateway.toml").read_text()
    text = text.replace(f'store = "{before}" ', f'store = "{after}" ', 1).replace(
        "exchange-log/2026", "exchange-log/2027"
    )
    (tmp_path / "next.toml").write_text(text)
    return tmp_path


def settings_of(place: Path, name: str = "gateway.toml"):
    return running.config.load(place / name)


def opened(settings, **options) -> Store:
    signers = log_signers(settings.keys.log_key, settings.log.origin)
    return Store.open(
        settings.log.store,
        signers[0].key,
        settings.log.origin,
        payload_key=loading.secret_key(settings.keys.payload_key),
        bucket_keys=BucketKeys.open(settings.log.bucket_keys),
        **options,
    )


def fill(settings, *tickets: str) -> None:
    async def work() -> None:
        async with opened(settings) as store:
            await store.remember(memory.agreement().revision, memory.agreement().files)
            for ticket in tickets:
                await append_all(store, exchange_entries(ticket))

    asyncio.run(work())


def vkey(settings) -> str:
    return log_signers(settings.keys.log_key, settings.log.origin)[0].verifier.vkey


def succeed(place: Path, *arguments: object, reason: str = "ended"):
    old = settings_of(place)
    given = ["--config", place / "next.toml", "--reason", reason, "--vkey", vkey(old), *arguments]
    return CliRunner().invoke(app, ["log", "succeed", *map(str, given)])


@everywhere
def test_the_next_year_begins_where_the_last_one_ended(place):
    old, new = settings_of(place), settings_of(place, "next.toml")
    fill(old, "a", "b")
    result = succeed(place, "--from", old.log.store, "--json")
    assert result.exit_code == 0, result.stderr
    with LogReader.open(old.log.store) as log:
        last = open_checkpoint(log.checkpoint, [log_signers(old.keys.log_key, old.log.origin)[0].verifier])
        ended = log.frozen()
    assert (ended.theirs, ended.flaw) == (b"", Flaw.ENDED)
    (first,) = notes(new.log.store)
    assert (first.kind, first.decision) == (Kind.SUCCESSOR, "ended")
    assert first.more["of_size"] == last.size == 4
    assert first.more["of_log"] == old.log.origin
    assert json.loads(result.stdout)["old"]["size"] == 4
    with pytest.raises(ProofError) as caught:
        opened(old)
    assert caught.value.flaw is Flaw.ENDED
    checked = CliRunner().invoke(app, ["log", "verify", "--config", str(place / "next.toml")])
    assert checked.exit_code == 0, checked.stdout
    assert CliRunner().invoke(app, ["log", "verify", "--config", str(place / "gateway.toml")]).exit_code == 0
    assert (wrong(place / "gateway.toml"), wrong(place / "next.toml")) == (["LOG714"], ["LOG720"])
    text = (
        place / "next.toml"
    ).read_text()  # as `gateway log succeed` told: the old store is a former one now
    (place / "next.toml").write_text(text.replace("\nformer = []", f'\nformer = ["{old.log.store}"]'))
    assert wrong(place / "next.toml") == []


def wrong(settings: Path) -> list[str]:
    """What `gateway check` finds."""
    told = CliRunner().invoke(app, ["check", "--config", str(settings), "--json"])
    return [one["code"] for one in json.loads(told.stdout)["findings"]]


@everywhere
def test_what_the_hub_works_with_goes_on(place):
    old, new = settings_of(place), settings_of(place, "next.toml")
    fill(old, "a")

    async def before() -> tuple[object, object]:
        async with opened(old) as store:
            return await store.scope(memory.DOSSIER), await store.releases(dossier())

    scope, releases = asyncio.run(before())
    assert releases
    spent = [("BRUSSELS", number.to_bytes(32, "big")) for number in range(2_500)]  # of logs before that one
    with closing(connect(old.log.store, Use.WRITE)) as session, session:
        session.copy("spent", spent)
    assert succeed(place, "--from", old.log.store).exit_code == 0
    kept = [(row[0], bytes(row[1])) for row in query(new.log.store, "SELECT * FROM spent ORDER BY ticket")]
    assert len(kept) == len(spent) + 1
    assert kept[: len(spent)] == spent
    assert query(new.log.store, "SELECT key FROM claim_key") == query(
        old.log.store, "SELECT key FROM claim_key"
    )

    async def after() -> None:
        async with opened(new, former=[old.log.store]) as store:
            assert await store.scope(memory.DOSSIER) == scope
            with pytest.raises(Refusal) as caught:
                await store.append(request_entry("a"))
            assert caught.value.code is Code.TICKET  # used in the old log
            await append_all(store, exchange_entries("b"))
            both = await store.releases(dossier())
            assert [one.index for one in both] == [releases[0].index - 2, 2]
            assert both[0].released == releases[0].released

    asyncio.run(after())


def dossier():
    return exchange_entries("x")[1].dossier


@everywhere
def test_a_running_hub_of_a_log_that_ended_records_nothing_more(place):
    old = settings_of(place)
    fill(old, "a")

    async def work() -> None:
        async with opened(old) as store:
            await append_all(store, exchange_entries("b"))
            result = await asyncio.to_thread(succeed, place, "--from", old.log.store)
            assert result.exit_code == 0, result.stderr
            assert await append_all(store, exchange_entries("c")) == [Code.LOG_UNAVAILABLE] * 2
            assert not store.ready
            assert store.trouble is Flaw.ENDED
            assert not store.failed  # a new process could do no more

    asyncio.run(work())


def test_a_store_from_which_the_log_has_moved_has_no_successor(place):
    old, new = settings_of(place), settings_of(place, "next.toml")
    fill(old, "a")

    async def move() -> None:
        async with opened(old) as store:
            await store.freeze(Frozen(1, await store.checkpoint(), moved_to("postgresql://hub@db/wib")))

    asyncio.run(move())
    assert succeed(place, "--from", old.log.store).stderr[:6] == "LOG518"
    assert not exists(new.log.store)


@everywhere
def test_of_a_forked_log_people_agree_on_the_last_checkpoint(place):
    old, new = settings_of(place), settings_of(place, "next.toml")
    fill(old, "a")
    with LogReader.open(old.log.store) as log:
        agreed = log.checkpoint
    fill(old, "b")

    async def freeze() -> None:
        async with opened(old) as store:
            await tell(store)  # two deliveries, which can neither be made nor dropped any more
            await store.freeze(Frozen(1, await store.checkpoint(), b"what contradicts it"))

    asyncio.run(freeze())
    told = CliRunner().invoke(app, ["log", "fork", "--config", str(place / "gateway.toml")])
    assert told.exit_code == 1
    assert "what contradicts it" in told.stdout
    (place / "agreed").write_bytes(agreed)
    (place / "forged").write_bytes(of_another_history(3))
    forked = {"reason": "forked"}
    assert succeed(place, "--from", old.log.store).stderr[:6] == "LOG713"  # it has not ended in order
    assert succeed(place, "--from", old.log.store, **forked).stderr[:6] == "LOG718"
    assert succeed(place, "--agreed", place / "agreed", **forked).stderr[:6] == "LOG718"
    assert (
        succeed(place, "--from", old.log.store, "--agreed", place / "forged", **forked).stderr[:6] == "LOG204"
    )
    assert not exists(new.log.store)
    done = succeed(place, "--from", old.log.store, "--agreed", place / "agreed", "--json", **forked)
    assert json.loads(done.stdout)["undelivered"] == 2, done.stderr
    (first,) = notes(new.log.store)
    assert (first.decision, first.more["of_size"]) == ("forked", 2)
    with LogReader.open(old.log.store) as log:
        assert log.frozen().theirs == b"what contradicts it"


@pytest.mark.parametrize("place", [FILES, ("store.db", "database")], indirect=True, ids=" to ".join)
def test_a_lost_log_is_succeeded_by_what_was_kept_of_it(place):
    old, new = settings_of(place), settings_of(place, "next.toml")
    fill(old, "a")
    with LogReader.open(old.log.store) as log:
        (place / "agreed").write_bytes(log.checkpoint)
    old.log.store.unlink()
    assert succeed(place, "--agreed", place / "agreed").stderr[:6] == "LOG718"
    assert succeed(place, "--agreed", place / "agreed", reason="lost").exit_code == 0
    (first,) = notes(new.log.store)
    assert (first.decision, first.more["of_size"]) == ("lost", 2)


def test_no_log_succeeds_itself_or_one_that_is_there(place):
    old, new = settings_of(place), settings_of(place, "next.toml")
    fill(old, "a")
    text = (place / "next.toml").read_text()
    bored = succeed(place, "--from", old.log.store, reason="bored").stderr
    assert bored[:6] == "LOG510"
    assert all(f"{one}" in bored for one in Ending)
    (place / "next.toml").write_text(text.replace("exchange-log/2027", "exchange-log/2026"))
    assert succeed(place, "--from", old.log.store).stderr[:6] == "LOG206"
    (place / "next.toml").write_text(text)
    new.log.store.write_bytes(b"")
    assert succeed(place, "--from", old.log.store).stderr[:6] == "LOG507"


def test_a_log_does_not_end_for_a_successor_that_cannot_be(place):
    """Settings that still have the old name, keys without a place, a checkpoint that it does not hold: it goes on."""
    old = settings_of(place)
    fill(old, "a")
    text, agreed = (place / "next.toml").read_text(), place / "agreed"
    agreed.write_bytes(sign_checkpoint(1, bytes(32), log_signers(old.keys.log_key, old.log.origin)))
    (place / "a file").write_bytes(b"")
    for name, new, options, code in (
        ("exchange-log/2027", "exchange-log/2026", (), "LOG206"),
        ('= "bucket-keys"', '= "a file"', (), "LOG642"),
        ("", "", ("--agreed", agreed), "LOG413"),
    ):
        (place / "next.toml").write_text(text.replace(name, new, 1))
        assert succeed(place, "--from", old.log.store, *options).stderr[:6] == code
        with LogReader.open(old.log.store) as log:
            assert log.frozen() is None, code


@in_databases
def test_a_database_with_a_log_takes_no_other(place):
    old, new = settings_of(place), settings_of(place, "next.toml")
    fill(old, "a")
    assert succeed(place, "--from", old.log.store).exit_code == 0
    begun = query(new.log.store, "SELECT note FROM head")
    assert succeed(place, "--from", old.log.store).stderr[:6] == "LOG507"
    assert query(new.log.store, "SELECT note FROM head") == begun


@pytest.mark.parametrize("place", [("store.db", "database")], indirect=True)
def test_a_log_does_not_end_before_there_is_a_place_for_the_next(place, postgres):
    old = settings_of(place)
    fill(old, "a")
    postgres.ask("CREATE ROLE guest LOGIN")
    text = (place / "next.toml").read_text()
    assert "postgres@" in text
    (place / "next.toml").write_text(text.replace("postgres@", "guest@"))  # who may make no table there
    assert succeed(place, "--from", old.log.store).stderr[:6] == "LOG512"
    with LogReader.open(old.log.store) as log:
        assert log.frozen() is None


@pytest.mark.parametrize("place", [("store.db", "database")], indirect=True)
def test_a_successor_is_begun_as_a_whole_or_not_at_all(place):
    old, new = settings_of(place), settings_of(place, "next.toml")
    fill(old, "a")
    alter(old.log.store, "UPDATE dossiers SET resumes = ?", bindings=("no text of a database\0",))
    assert succeed(place, "--from", old.log.store).stderr[:6] == "LOG501"
    assert not exists(new.log.store)
    with closing(store_postgres.begin(new.log.store)) as session:  # which has its tables by now
        for table in ("head", "claim_key", "agreements", "dossiers", "spent"):
            assert session.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    alter(old.log.store, "UPDATE dossiers SET resumes = NULL")
    result = succeed(place, "--from", old.log.store)  # the old log has ended, and may be succeeded again
    assert result.exit_code == 0, result.stderr
    assert len(notes(new.log.store)) == 1


@pytest.mark.parametrize("place", [FILES, ("database", "database")], indirect=True, ids=" to ".join)
def test_a_log_does_not_end_while_something_waits_in_its_store(place):
    old = settings_of(place)

    async def tell_one() -> None:
        async with opened(old) as store:
            await tell(store)

    async def settle_all() -> None:
        async with opened(old) as store:
            for recipient in {one.authority.id for one in accepted().recipients}:
                for delivery in await leased(store, recipient):
                    await acknowledge(store, delivery)

    asyncio.run(tell_one())
    assert succeed(place, "--from", old.log.store).stderr[:6] == "LOG717"
    asyncio.run(settle_all())  # nothing has ended meanwhile
    assert succeed(place, "--from", old.log.store).exit_code == 0
