"""Pins: what was seen of a log stays its measure, for officers and for the hub itself (PROTOCOL §8.16)."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import app as application
from gateway import loading
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.metrics import Metrics
from gateway.adapters.pin import keep_evidence, read_pin
from gateway.adapters.store import LogReader, Store
from gateway.cli.commands import app
from gateway.edge import pinning
from gateway.edge.operational_log import OperationalLog
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.pin import prover
from gateway.exchangelog.witness import AddCheckpoint
from tests.exchanges import exchange_entries, refusal_entry
from tests.path import hub as memory
from tests.process import running
from tests.process.store_world import VERIFIER, fill
from tests.process.test_store_keys import NEW_VERIFIER

KEY = ("--vkey", VERIFIER.vkey)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = tmp_path / "store.db"
    asyncio.run(fill(store, exchange_entries("a")))
    return store


def run(*arguments: object):
    return CliRunner().invoke(app, ["log", *map(str, arguments)])


def outcome(*arguments: object) -> tuple[int, str]:
    """Exit status, and the code on standard error."""
    result = run(*arguments)
    return result.exit_code, result.stderr[:6]


def checkpoint(path: Path) -> bytes:
    with LogReader.open(path) as log:
        return log.checkpoint


def another_history(path: Path) -> None:
    """The same log, from the same key, with other entries: what a restored backup leads to."""
    path.unlink()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    asyncio.run(fill(path, [refusal_entry() for _ in range(5)]))


def test_a_pin_is_kept_and_moved_on_at_each_visit(path, tmp_path):
    pin = tmp_path / "pin"
    assert run("pin", pin, "--store", path, *KEY).exit_code == 0
    first = pin.read_bytes()
    assert first == checkpoint(path)
    asyncio.run(fill(path, exchange_entries("b")))
    told = json.loads(run("pin", pin, "--store", path, *KEY, "--json").stdout)
    assert (told["before"]["size"], told["size"]) == (2, 4)
    assert pin.read_bytes() == checkpoint(path) != first
    assert open_checkpoint(pin.read_bytes(), [VERIFIER]).size == 4


@pytest.mark.parametrize(("size", "code"), [(5, "LOG413"), (2, "LOG702"), (1, "LOG413")])
def test_another_history_moves_no_pin_and_is_kept_beside_it(path, tmp_path, size, code):
    pin = tmp_path / "pin"
    run("pin", pin, "--store", path, *KEY)
    kept = pin.read_bytes()
    path.unlink()
    asyncio.run(fill(path, [refusal_entry() for _ in range(size)]))
    for _ in range(2):  # the same evidence is kept once
        assert outcome("pin", pin, "--store", path, *KEY) == (1, code)
    assert pin.read_bytes() == kept
    assert [one.read_bytes() for one in tmp_path.glob("pin.fork-*")] == [checkpoint(path)]


def test_a_pin_of_another_key_is_not_replaced(path, tmp_path):
    pin = tmp_path / "pin"
    run("pin", pin, "--store", path, *KEY)
    kept = pin.read_bytes()
    assert outcome("pin", pin, "--store", path, "--vkey", NEW_VERIFIER.vkey) == (1, "LOG204")
    assert pin.read_bytes() == kept


def test_pins_of_one_size_are_compared_without_a_log(path, tmp_path):
    mine, yours, forked = (tmp_path / name for name in ("mine", "yours", "forked"))
    for pin in (mine, yours):
        pin.write_bytes(checkpoint(path))
    assert run("compare-pins", mine, yours, *KEY).exit_code == 0
    path.unlink()
    asyncio.run(fill(path, [refusal_entry(), refusal_entry()]))
    forked.write_bytes(checkpoint(path))
    assert outcome("compare-pins", mine, forked, *KEY) == (1, "LOG702")


def test_pins_of_two_sizes_need_the_log_or_a_proof(path, tmp_path):
    older, newer, proof = (tmp_path / name for name in ("older", "newer", "proof"))
    older.write_bytes(checkpoint(path))
    asyncio.run(fill(path, exchange_entries("b")))
    newer.write_bytes(checkpoint(path))
    asyncio.run(fill(path, exchange_entries("c")))
    assert outcome("compare-pins", older, newer, *KEY) == (1, "LOG703")
    told = json.loads(run("compare-pins", newer, older, *KEY, "--store", path, "--json").stdout)
    assert (told["older"]["size"], told["newer"]["size"]) == (2, 4)
    site = tmp_path / "site"
    assert run("export", "--output", site, "--store", path, *KEY).exit_code == 0
    assert run("compare-pins", newer, older, *KEY, "--site", site).exit_code == 0
    asyncio.run(fill(path, exchange_entries("d")))
    beyond = tmp_path / "beyond"
    beyond.write_bytes(checkpoint(path))
    assert run("compare-pins", older, beyond, *KEY, "--site", site).exit_code == 1  # the export has less
    assert run("prove-consistency", 2, "--store", path, *KEY, "--output", proof).exit_code == 0
    assert run("compare-pins", older, beyond, *KEY, "--proof", proof).exit_code == 0
    with LogReader.open(path) as log:
        hashes = prover(6, log.tile)(2, 4)
        wrong = prover(6, log.tile)(2, 6)
    note = newer.read_bytes()
    for made, code in (
        (AddCheckpoint(2, tuple(hashes), note), ""),
        (AddCheckpoint(2, tuple(wrong), note), "LOG103"),
        (AddCheckpoint(2, tuple(hashes), checkpoint(path)), "LOG703"),
        (AddCheckpoint(1, tuple(hashes), note), "LOG703"),
    ):
        proof.write_bytes(made.serialise())
        result = run("compare-pins", older, newer, *KEY, "--proof", proof)
        assert (result.exit_code, result.stderr[:6]) == (int(bool(code)), code)
    proof.write_bytes(b"".join(hashes))
    assert outcome("compare-pins", older, newer, *KEY, "--proof", proof) == (1, "LOG707")


def test_a_pin_that_the_log_does_not_hold_is_found_though_the_other_is_sound(path, tmp_path):
    lost, sound = tmp_path / "lost", tmp_path / "sound"
    lost.write_bytes(checkpoint(path))
    another_history(path)
    sound.write_bytes(checkpoint(path))
    assert run("compare-pins", lost, sound, *KEY, "--store", path).exit_code == 1
    assert run("compare-pins", sound, sound, *KEY, "--store", path).exit_code == 0
    assert outcome("compare-pins", lost, lost, *KEY, "--store", path) == (1, "LOG413")


def test_what_is_kept_as_evidence_replaces_nothing(tmp_path):
    pin = tmp_path / "pin"
    (one,) = keep_evidence(pin, b"one")
    (two,) = keep_evidence(pin, b"two")
    assert keep_evidence(pin, b"one", b"two") == [one, two]
    assert (one.read_bytes(), two.read_bytes()) == (b"one", b"two")


def test_a_pin_that_is_missing_or_torn_is_none(tmp_path):
    pin = tmp_path / "pin"
    with pytest.raises(ProofError) as caught:
        read_pin(pin, [VERIFIER])
    assert caught.value.flaw is Flaw.PIN_MISSING
    pin.write_bytes(b"half of a check")
    with pytest.raises(ProofError) as caught:
        read_pin(pin, [VERIFIER])
    assert caught.value.flaw is Flaw.NOTE_FORM


# The hub.


@pytest.fixture
def place(tmp_path):
    """Settings of a hub with a pin on another path."""
    memory.place_pki(tmp_path / "pki")
    settings = running.write_settings(tmp_path, "https://127.0.0.1:9/soap", {})
    settings.log.store.unlink()
    text = (tmp_path / "gateway.toml").read_text()
    text = text.replace('# pin = "/mnt/other-disk/wib-gateway/log.pin"', 'pin = "elsewhere/pin"')
    (tmp_path / "gateway.toml").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


def settings_of(place: Path):
    return running.config.load(place / "gateway.toml")


async def serve(place: Path, entries=()) -> bytes:
    """Run a hub, record something, stop it; the log's checkpoint."""
    settings = settings_of(place)
    async with application.hub(settings, loading.load(settings), io.StringIO()):
        await record(settings, entries)
    return checkpoint(settings.log.store)


async def record(settings, entries) -> None:
    signers = log_signers(settings.keys.log_key, settings.log.origin)
    key = loading.secret_key(settings.keys.payload_key)
    async with Store.open(
        settings.log.store,
        signers[0].key,
        settings.log.origin,
        payload_key=key,
        bucket_keys=BucketKeys.open(settings.log.bucket_keys),
    ) as store:
        for entry in entries:
            await store.append(entry)


def init(place: Path) -> str:
    return run("init", "--config", place / "gateway.toml").stderr[:6]


async def test_a_hub_pins_its_log_and_does_not_start_behind_the_pin(place):
    assert init(place) == ""
    store, pin = settings_of(place).log.store, place / "elsewhere/pin"
    backup = store.read_bytes()
    note = await serve(place, exchange_entries("a"))
    assert pin.read_bytes() == note
    assert await serve(place) == note
    store.write_bytes(backup)
    with pytest.raises(ProofError) as caught:
        await serve(place)
    assert caught.value.flaw is Flaw.ROLLBACK
    assert pin.read_bytes() == note  # what stands higher is not written over
    checked = CliRunner().invoke(app, ["check", "--config", str(place / "gateway.toml"), "--without-names"])
    assert "LOG413" in checked.stderr


def test_no_command_appends_behind_the_pin(place):
    assert init(place) == ""
    asyncio.run(serve(place))  # an agreement is in force
    store = settings_of(place).log.store
    backup = store.read_bytes()
    asyncio.run(serve(place, exchange_entries("a")))
    store.write_bytes(backup)
    asyncio.run(record(settings_of(place), [refusal_entry()]))  # by somebody who does not ask
    act = ("erase", "--basis", "court-order", "--ground", "ordered", "--entries", "0", "--confirm")
    assert outcome(*act, "--config", place / "gateway.toml") == (1, "LOG413")
    # Nor is somebody looked up there: the record would be signed beside what was signed before.
    before = store.read_bytes()
    look_up = ("list", "--dossier", memory.DOSSIER)
    assert outcome(*look_up, "--config", place / "gateway.toml") == (1, "LOG413")
    assert store.read_bytes() == before


async def test_a_hub_does_not_start_without_the_pin_that_it_should_have(place):
    assert init(place) == ""
    pin = place / "elsewhere/pin"
    pin.unlink()
    with pytest.raises(ProofError) as caught:
        await serve(place)
    assert caught.value.flaw is Flaw.PIN_MISSING
    assert run("pin", pin, "--config", place / "gateway.toml").exit_code == 0
    await serve(place)


def test_a_log_that_is_there_is_named_and_not_its_pin(place):
    assert init(place) == ""
    before = (place / "elsewhere/pin").read_bytes()
    assert init(place) == "LOG507"
    assert (place / "elsewhere/pin").read_bytes() == before


def test_no_log_is_begun_where_the_pin_tells_of_one(place):
    assert init(place) == ""
    settings_of(place).log.store.unlink()
    assert init(place) == "LOG704"
    assert not settings_of(place).log.store.exists()


async def test_a_pin_that_cannot_be_written_stops_no_exchange(place):
    assert init(place) == ""
    settings = settings_of(place)
    loaded = loading.load(settings)
    lines = io.StringIO()
    async with application.hub(settings, loaded, lines):
        (place / "elsewhere/pin").unlink()
        (place / "elsewhere/pin").mkdir()  # nothing can be renamed onto it
        await record(settings, exchange_entries("a"))
    assert '"event": "pin"' in lines.getvalue()
    assert '"code": "LOG509"' in lines.getvalue()


async def test_a_pin_that_another_process_writes_without_end_is_left_for_the_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr(pinning, "_LOOKS", 2)
    store, pin, lines = tmp_path / "log/store.db", tmp_path / "pin", io.StringIO()
    await fill(store, exchange_entries("a"))

    async def present() -> bytes:
        return checkpoint(store)

    kept = pinning.Pinning(pin, present, Metrics(), OperationalLog(lines))
    hanging = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(hanging, fcntl.LOCK_EX)
    await kept.keep()
    assert not pin.exists()
    assert json.loads(lines.getvalue())["code"] == "LOG520"
    os.close(hanging)
    await kept.keep()
    assert pin.read_bytes() == checkpoint(store)


def test_a_pin_that_is_never_written_is_seen_to_stand_still(tmp_path):
    pin, metrics = tmp_path / "pin", Metrics()
    pin.touch()
    os.utime(pin, (1_000, 1_000))
    pinning.Pinning(pin, bytes, metrics, OperationalLog(io.StringIO()))
    assert b"gateway_pin_timestamp_seconds 1000.0\n" in metrics.exposition()
