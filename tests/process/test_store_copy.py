"""A hub moves from its file to a PostgreSQL database: the log stays the same, and goes on in one place only."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from gateway.adapters.store import LogReader
from gateway.adapters.store_copy import _TABLES, copy
from gateway.cli.commands import app
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.tile import resources
from gateway.refusal import Code
from tests.exchanges import exchange_entries, request_entry
from tests.notifications import DOSSIER, PLATFORM, leased, tell
from tests.process.store_world import (
    KEY,
    VERIFIER,
    alter,
    append_all,
    findings,
    keys_beside,
    open_store,
    placed_beside,
    query,
)
from tests.process.test_store_directory import ROOT


@pytest.fixture
def old(tmp_path):
    return tmp_path / "store.sqlite"


@pytest.fixture
def new(postgres, tmp_path):
    return placed_beside(tmp_path, postgres.empty_database())


async def fill(old) -> None:
    """Something in most tables; a delivery that waits."""
    async with open_store(old) as store:
        await append_all(store, [one for number in range(300) for one in exchange_entries(f"x{number}")])
        await tell(store)
        await store.remember("ab" * 32, {"agreement.toml": b"a"})


def moved(old, new):
    return copy(old, new, [VERIFIER], keys_beside(old), 1_767_225_600)


async def test_every_byte_of_the_log_is_there_and_the_hub_goes_on(old, new):
    await fill(old)
    with LogReader.open(old) as log:
        head, before = log.head(), {one.path: log.resource(one.path) for one in resources(log.head().size)}
        proof = log.prove(17).serialise()
    checkpoint = moved(old, new)
    assert (checkpoint.size, checkpoint.root) == (head.size, head.root)
    with LogReader.open(new) as log:
        assert log.head() == head
        assert {one.path: log.resource(one.path) for one in resources(log.head().size)} == before
        assert log.prove(17).serialise() == proof
    for table in _TABLES:
        assert query(new, f"SELECT count(*) FROM {table}") == query(old, f"SELECT count(*) FROM {table}")
    async with open_store(new) as store:
        assert await append_all(store, [request_entry("x7")]) == [Code.TICKET]
        (delivery,) = await leased(store, PLATFORM.id)
        assert delivery.notification.dossier == DOSSIER
        assert (await store.scope(DOSSIER)).dossier == DOSSIER
        await append_all(store, exchange_entries("later"))
        assert store.size == head.size + 2
    assert {one.flaw for one in findings(new)} == {Flaw.UNSETTLED}


async def test_the_old_store_takes_no_entry_any_more(old, new):
    await fill(old)
    moved(old, new)
    with pytest.raises(ProofError) as caught:
        open_store(old)
    assert caught.value.flaw is Flaw.MOVED


async def test_a_hub_that_still_runs_on_the_old_store_is_stopped(old, new):
    await fill(old)
    async with open_store(old) as store:
        moved(old, new)
        assert await append_all(store, [request_entry("late")]) == [Code.LOG_UNAVAILABLE]
        assert not store.ready


async def test_what_was_cut_off_before_its_end_is_done_again_for_the_same_database_alone(old, new, postgres):
    await fill(old)
    elsewhere = postgres.database()
    with pytest.MonkeyPatch.context() as patch:

        def fail(_session) -> None:
            raise RuntimeError

        patch.setattr("gateway.adapters.store_postgres.PostgresSession.commit", fail)
        with pytest.raises(RuntimeError):
            moved(old, new)
    with pytest.raises(ProofError) as caught:
        moved(old, elsewhere)
    assert caught.value.flaw is Flaw.MOVED
    assert moved(old, new).size == 601
    with pytest.raises(ProofError) as caught:
        moved(old, new)
    assert caught.value.flaw is Flaw.STORE_EXISTS


@pytest.mark.parametrize(
    ("damage", "flaw"),
    [
        ("DELETE FROM entries WHERE idx = 5", Flaw.MISSING),
        ("DELETE FROM seeds WHERE idx = 5", Flaw.SEED),
        ("UPDATE head SET root = ?", Flaw.HEAD),
    ],
)
async def test_a_log_that_does_not_hold_stays_where_it_is(old, new, damage, flaw):
    await fill(old)
    alter(old, damage, bindings=(bytes(32),))
    with pytest.raises(ProofError) as caught:
        moved(old, new)
    assert caught.value.flaw is flaw
    assert query(old, "SELECT count(*) FROM frozen") == [(0,)]


async def test_the_command_names_the_new_place(old, new, tmp_path):
    await fill(old)
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "log.key.pem").write_bytes(key)
    (tmp_path / "log.key.pem").chmod(0o600)
    text = (ROOT / "deploy/gateway.toml").read_text()
    for before, after in (
        ('"store.db"', f'"{old}"'),
        ('origin = "', 'origin = "xlog.hub.example/2026" # '),
        ("bucket_keys = ", f'bucket_keys = "{tmp_path}/bucket-keys" # '),
        ("log_key = ", f'log_key = "{tmp_path}/log.key.pem" # '),
    ):
        assert before in text
        text = text.replace(before, after, 1)
    config = tmp_path / "gateway.toml"
    config.write_text(text)
    done = CliRunner().invoke(app, ["store", "copy", "--config", str(config), "--to", str(new), "--json"])
    assert (done.exit_code, json.loads(done.stdout)["size"]) == (0, 601)
    again = CliRunner().invoke(app, ["store", "copy", "--config", str(config), "--to", str(new)])
    assert (again.exit_code, "LOG507" in again.stderr) == (1, True)
    config.write_text(text.replace(str(old), str(new)))
    done = CliRunner().invoke(app, ["store", "migrate", "--config", str(config), "--json"])
    assert done.exit_code == 0, done.stderr
    with LogReader.open(new) as log:
        assert open_checkpoint(log.checkpoint, [VERIFIER]).size == 601
