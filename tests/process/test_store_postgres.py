"""What a PostgreSQL server must be, what its tables refuse, and what a hub does when it hangs."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from gateway.adapters import store_postgres, store_reading
from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store import LogReader
from gateway.adapters.store_connect import connect, exists
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_erasure import EraseEntries, EraseOfFormer
from gateway.adapters.store_log import Log, new_log
from gateway.adapters.store_migrate import migrate
from gateway.adapters.store_session import Begin, Use
from gateway.exchangelog.erasure import Listed
from gateway.exchangelog.fields import SALT_SIZE
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.indices import Indices
from gateway.model import Receipt
from gateway.refusal import Code, Refusal
from tests.exchanges import exchange_entries, request_entry
from tests.notifications import DOSSIER, accepted, leased, tell
from tests.process.store_world import (
    ORIGIN,
    SIGNER,
    At,
    append_all,
    findings,
    keys_beside,
    open_store,
    placed_beside,
)


@pytest.fixture
def place(postgres, tmp_path):
    return placed_beside(tmp_path, postgres.database())


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://hub:secret@localhost/gateway",
        "postgresql://hub@localhost/gateway?password=secret",
        "postgresql://hub@db.example/gateway",
        "postgresql://hub@db.example/gateway?sslmode=require",
        "postgresql://hub@localhost,db.example/gateway",
        "postgresql:///gateway",
        "postgresql:///?service=gateway",
        "postgresql://hub@localhost/gateway?unheard=of",
    ],
)
def test_uri_with_a_password_or_without_tls_to_another_machine_is_refused(uri):
    with pytest.raises(ValueError) as caught:
        PostgresUri.parse(uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://hub@localhost/gateway",
        "postgresql://hub@127.0.0.1,[::1]/gateway",
        "postgresql://hub@/gateway?host=/run/postgresql",
        "postgresql://hub@db1.example,db2.example/gateway?sslmode=verify-full",
        "postgresql:///?service=gateway&sslmode=verify-full",
    ],
)
def test_uri_is_taken(uri):
    assert PostgresUri.parse(uri).uri == uri


def flaw_of(call) -> Flaw:
    with pytest.raises(ProofError) as caught:
        call()
    return caught.value.flaw


def test_database_without_tables_or_without_a_log_is_no_store(postgres, place):
    assert not exists(place)
    assert flaw_of(lambda: LogReader.open(place)) is Flaw.NO_STORE
    empty = postgres.empty_database()
    assert flaw_of(lambda: LogReader.open(empty)) is Flaw.NO_STORE
    new_log(empty, [SIGNER])
    assert flaw_of(lambda: new_log(empty, [SIGNER])) is Flaw.STORE_EXISTS


def test_server_that_is_not_there_is_told(tmp_path):
    away = PostgresUri.parse(f"postgresql://hub@/gateway?host={tmp_path}")
    assert flaw_of(lambda: LogReader.open(away)) is Flaw.DATABASE
    assert flaw_of(lambda: migrate(away)) is Flaw.DATABASE


def test_tables_of_another_version_are_refused(postgres, place):
    new_log(place, [SIGNER])
    change(postgres, place, "UPDATE alembic_version SET version_num = '9999'")
    assert flaw_of(lambda: open_store(place)) is Flaw.SCHEMA
    assert flaw_of(lambda: migrate(place)) is Flaw.SCHEMA


@pytest.mark.parametrize(
    ("setting", "flaw"),
    [
        ("synchronous_commit = off", Flaw.SERVER_DURABILITY),
        ("synchronous_commit = local", Flaw.SERVER_DURABILITY),
    ],
)
def test_server_that_does_not_wait_for_its_disk_is_refused(postgres, place, setting, flaw):
    new_log(place, [SIGNER])
    change(postgres, place, f"ALTER DATABASE {name_of(place)} SET {setting}")
    assert flaw_of(lambda: open_store(place)) is flaw


def test_database_in_another_encoding_is_refused(postgres):
    postgres.ask("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    assert flaw_of(lambda: new_log(postgres.uri("latin"), [SIGNER])) is Flaw.SERVER_ENCODING


@pytest.mark.parametrize(
    "statement",
    ["UPDATE entries SET leaf = leaf", "DELETE FROM entries WHERE idx = 1", "TRUNCATE entries"],
)
async def test_entries_are_neither_changed_nor_removed_by_mistake(postgres, place, statement):
    async with open_store(place) as store:
        await append_all(store, exchange_entries("t"))
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        change(postgres, place, statement)
    assert findings(place) == []


def test_role_that_there_is_not_is_named(place):
    with pytest.raises(ProofError) as caught:
        migrate(place, "nobody'")
    assert (caught.value.flaw, caught.value.about) == (Flaw.ROLE, "nobody'")


def reached_by(role, postgres, place, tmp_path):
    """A new log, as a role of its own reaches it."""
    new_log(place, [SIGNER])
    postgres.ask(f"CREATE ROLE {role} LOGIN")
    migrate(place, role)
    return placed_beside(tmp_path, PostgresUri.parse(place.uri.replace("postgres@", f"{role}@")))


async def test_role_of_a_hub_can_do_what_a_hub_does_and_not_change_an_entry(postgres, place, tmp_path):
    hub = reached_by("hub", postgres, place, tmp_path)
    async with open_store(hub) as store:
        await append_all(store, exchange_entries("t"))
        await tell(store)
        assert await store.scope(DOSSIER) is not None
        assert len(await leased(store, accepted().recipients[0].authority.id)) == 1
    with closing(connect(hub, Use.WRITE)) as session:
        for statement in (
            "UPDATE entries SET leaf = leaf",
            "TRUNCATE entries",
            "DELETE FROM head",
            "UPDATE claim_key SET key = key",
            "ALTER TABLE entries DISABLE TRIGGER USER",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)


async def test_a_node_that_finds_no_session_to_look_things_up_with_says_so(postgres, place, tmp_path):
    few = reached_by("few", postgres, place, tmp_path)
    async with open_store(few) as store:
        await append_all(store, exchange_entries("t"))
        postgres.ask("ALTER ROLE few CONNECTION LIMIT 1")  # what appends has one already
        with pytest.raises(Refusal):
            await store.scope(DOSSIER)
        with pytest.raises(Refusal):
            await store.watch()
        assert store.trouble is Flaw.DATABASE
        postgres.ask("ALTER ROLE few CONNECTION LIMIT -1")
        await store.watch()
        assert store.trouble is None


async def test_lease_waits_for_nobody_who_appends(place):
    """Another node holds the head: what has no entry goes on."""
    async with open_store(place) as store:
        await tell(store)
        with closing(connect(place, Use.WRITE)) as other:
            other.begin(Begin.EXCLUSIVE)
            (delivery,) = await leased(store, accepted().recipients[0].authority.id)
            await store.postpone(delivery, delivery.notification.accepted, "WIB10001")
            other.roll_back()


async def test_what_another_node_is_changing_is_passed_over(place):
    async with open_store(place) as store:
        await tell(store)
        with closing(connect(place, Use.WRITE)) as other:
            other.begin(Begin.WRITE)
            other.execute("UPDATE deliveries SET attempts = attempts + 1")
            assert await leased(store, accepted().recipients[0].authority.id) == []
            other.roll_back()
        assert len(await leased(store, accepted().recipients[0].authority.id)) == 1


async def test_node_follows_what_others_append_and_refuses_a_head_that_they_cannot_have_made(place):
    async with open_store(place) as one:
        async with open_store(place) as other:
            for number in range(3):
                assert await append_all(one, [request_entry(f"a{number}")]) == [At(2 * number)]
                assert await append_all(other, [request_entry(f"b{number}")]) == [At(2 * number + 1)]
        log = Log.open(place, [SIGNER], keys_beside(place))
        log._connection.execute("UPDATE head SET size = size - 1")
        log.close()
        assert await append_all(one, [request_entry("c")]) == [Code.LOG_UNAVAILABLE]
        assert not one.ready


async def test_server_that_hangs_fails_exchanges_and_blocks_nobody(postgres, place, monkeypatch):
    monkeypatch.setattr(store_postgres, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(store_reading, "READ_SECONDS", 0.5)
    async with open_store(place) as store:
        await append_all(store, exchange_entries("t"))
        with hanging(postgres):
            calls = store.scope(DOSSIER), store.checkpoint(), store.append(request_entry("u"))
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert [one.code for one in found if isinstance(one, Refusal)] == 3 * [Code.LOG_UNAVAILABLE]
            assert not store.ready
        while not store.ready:  # noqa: ASYNC110 - its own thread brings it back
            await asyncio.sleep(0.05)
        assert At(1) == Receipt(
            ORIGIN, 1, store._appender.checkpoint
        )  # for whoever has not heard of it until now
        assert await append_all(store, [request_entry("v")]) != [Code.LOG_UNAVAILABLE]
        assert await store.scope(DOSSIER) is None
    assert {one.flaw for one in findings(place)} <= {Flaw.OUTCOME_UNKNOWN}


async def test_look_ups_go_on_after_their_sessions_were_ended(postgres, place):
    async with open_store(place) as store:
        await tell(store)
        with closing(Directory.open(place, writes=False)) as directory:
            assert directory.get(DOSSIER) is not None
            end_sessions(postgres, place)
            assert await store.scope(DOSSIER) is not None
            with pytest.raises(psycopg.OperationalError):
                directory.get(DOSSIER)
            assert directory.get(DOSSIER) is not None


def name_of(place: PostgresUri) -> str:
    return place.uri.split("@/")[1].split("?")[0]


def change(postgres, place: PostgresUri, statement: str) -> None:
    postgres.ask(statement, database=name_of(place))


def end_sessions(postgres, place: PostgresUri) -> None:
    """But for those that ask for it."""
    postgres.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{name_of(place)}' AND pid <> pg_backend_pid()"
    )


@contextmanager
def hanging(postgres):
    """Its processes stand still, and none of them ends."""
    postgres.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        postgres.signal(signal.SIGCONT)


def pages(postgres, place: PostgresUri) -> bytes:
    """All that the files of the database hold."""
    postgres.ask("CHECKPOINT")
    ((path,),) = postgres.ask(
        "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database "
        f"WHERE datname = '{name_of(place)}'"
    )
    return b"".join(one.read_bytes() for one in Path(path).iterdir())


NOTHING = Listed(Indices(), bytes(SALT_SIZE))
ONE, MORE = (
    Listed(Indices.of([(0, 0)]), b"\x11" * SALT_SIZE),
    Listed(Indices.of([(0, 1)]), b"\x22" * SALT_SIZE),
)


@pytest.mark.parametrize(
    "replaced",
    [
        (EraseEntries(ONE.indices, NOTHING, ONE), EraseEntries(Indices.of([(1, 1)]), ONE, MORE)),
        (EraseOfFormer("log/0", None, ONE), EraseOfFormer("log/0", (ONE, 7), MORE)),
    ],
    ids=["of this log", "of a former log"],
)
async def test_list_of_an_earlier_erasure_is_on_no_page_afterwards(postgres, place, replaced):
    async with open_store(place) as store:
        await append_all(store, exchange_entries("t"))
    with closing(connect(place, Use.APPEND)) as session:
        for effect in replaced:
            with session:
                effect.apply(session, 7)
            assert session.forget()
            assert effect.after.salt in pages(postgres, place)
    assert ONE.salt not in pages(postgres, place)
