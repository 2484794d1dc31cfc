"""What was in force before a start, as the store has it: it is told, or nothing starts and nothing is erased by it."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import config
from gateway.adapters.log_key import log_signers
from gateway.adapters.store_agreements import packed
from gateway.adapters.store_log import new_log
from gateway.adapters.store_session import StorePlace
from gateway.agreed import before_start
from gateway.agreement.load import revision
from gateway.cli.commands import app
from gateway.evidence.adoption import Before
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.own_entry import rotated
from tests.exchanges import exchange_entries
from tests.path import hub as memory
from tests.process.running import write_settings
from tests.process.store_world import VERIFIER, alter, append_all, open_store, query
from tests.process.test_check import codes, serve
from tests.process.test_log_erase import filled

TERMS = memory.agreement()
NO_HEAD = {"agreement.toml": b"[agreement]\n"}
DAMAGE = {
    "bytes that are no files": ("UPDATE agreements SET files = ?", b"\0"),
    "files cut off": ("UPDATE agreements SET files = ?", packed(TERMS.files)[:-9]),
    "other files": ("UPDATE agreements SET files = ?", packed({**TERMS.files, "x.xsd": b""})),
    "no files": ("UPDATE agreements SET files = ?", packed({})),
    "the name of other files": ("UPDATE agreements SET revision = ?", "ab" * 32),
    "no row": ("DELETE FROM agreements WHERE revision <> ?", ""),
}
damaged = pytest.mark.parametrize(("statement", "value"), DAMAGE.values(), ids=DAMAGE)


async def served(place: StorePlace, files=TERMS.files) -> None:
    """A hub has served on this store, and has passed on an exchange."""
    async with open_store(place) as store:
        await store.remember(revision(files), files)
        await append_all(store, exchange_entries("a"))


def flaw_of(place: StorePlace) -> Flaw:
    with pytest.raises(ProofError) as caught:
        before_start(place)
    return caught.value.flaw


async def test_what_was_in_force_is_told(place):
    await served(place)
    assert before_start(place) == Before(TERMS.revision, TERMS.number, TERMS.parties)


async def test_before_a_hub_has_served_there_was_nothing(place):
    assert before_start(place) is None
    async with open_store(place):
        assert before_start(place) is None
    async with open_store(place) as store:
        await store.append(rotated(VERIFIER.vkey, "0316380841", datetime.now(UTC), os.urandom))
    assert before_start(place) is None


@damaged
async def test_what_was_in_force_and_cannot_be_told_is_not_taken_for_nothing(place, statement, value):
    await served(place)
    alter(place, statement, bindings=(value,))
    assert flaw_of(place) is Flaw.IN_FORCE


async def test_pruned_entries_were_those_of_a_hub_that_served(place):
    async with open_store(place):
        pass
    alter(place, "UPDATE minimum SET idx = 256")
    assert flaw_of(place) is Flaw.IN_FORCE


async def test_a_revision_that_says_neither_number_nor_parties_is_told(place):
    await served(place, NO_HEAD)
    assert flaw_of(place) is Flaw.IN_FORCE


async def test_a_store_that_does_not_answer_is_not_one_without_an_agreement(place):
    await served(place)
    alter(place, "ALTER TABLE agreements RENAME TO gone")
    assert flaw_of(place) is Flaw.UNREADABLE


def test_a_file_that_is_no_store_is_told(tmp_path):
    (tmp_path / "store.db").write_bytes(b"x" * 4096)
    assert flaw_of(tmp_path / "store.db") is Flaw.UNREADABLE


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    memory.place_pki(directory / "pki")
    asyncio.run(filled(write_settings(directory, "https://127.0.0.1:1/soap", {}), exchange_entries("a")))
    return directory


@pytest.fixture
def directory(made, tmp_path) -> Path:
    """Of a hub that has served."""
    return Path(shutil.copytree(made, tmp_path / "hub"))


def run(directory: Path, *words: str):
    return CliRunner().invoke(app, ["log", *words, "--config", str(directory / "gateway.toml")])


def test_in_a_good_world_a_hub_may_start_and_the_years_are_those_in_force(directory):
    assert codes(directory) == []
    assert run(directory, "retention").exit_code == 0


@pytest.mark.parametrize(("statement", "value"), [DAMAGE["other files"], DAMAGE["no row"]])
def test_nothing_is_checked_or_erased_by_files_that_nobody_signed(directory, statement, value):
    store = config.load(directory / "gateway.toml").log.store
    alter(store, statement, bindings=(value,))
    before = query(store, "SELECT count(*) FROM seeds")
    assert codes(directory) == ["LOG522"]
    entry = "erase --entries 0-1 --basis gdpr-17 --ground not-necessary --confirm"
    for command in ("retention", "prune --confirm", entry):
        done = run(directory, *command.split())
        assert (done.exit_code, done.stderr[:7]) == (1, "LOG522:"), command
    assert query(store, "SELECT count(*) FROM seeds") == before


def test_a_hub_does_not_start(directory):
    alter(
        config.load(directory / "gateway.toml").log.store,
        "UPDATE agreements SET files = ?",
        bindings=(b"\0",),
    )
    done = serve(directory)
    assert (done.returncode, done.stderr.splitlines()[-1][:7]) == (1, "LOG522:")


def test_years_that_nobody_has_put_in_force_count_for_nothing(directory):
    settings = config.load(directory / "gateway.toml")
    settings.log.store.unlink()
    assert run(directory, "retention").stderr[:7] == "LOG506:"
    new_log(settings.log.store, log_signers(settings.keys.log_key, settings.log.origin))
    assert codes(directory) == []
    assert run(directory, "retention").stderr[:7] == "LOG522:"
