"""A witness over HTTP: what it cosigned it remembers, and what contradicts it it keeps (PROTOCOL §8.17)."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import ssl
import subprocess
import sys
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import apsw
import pytest
from typer.testing import CliRunner

from gateway.adapters.destinations import Destinations
from gateway.adapters.tls import outward_context
from gateway.adapters.witness_client import UnreachableError, WitnessClient
from gateway.cli.commands import app
from gateway.config import ConfigError
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.cosignature import CosignerKey
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import open_note, parse_note
from gateway.exchangelog.witness import AddCheckpoint, WitnessError, monitored, read_cosignature
from gateway.witness import run, service
from gateway.witness.settings import known_logs, load_settings
from gateway.witness.store import WitnessStore
from tests.path import hub as memory
from tests.process.running import TRUST
from tests.witness_world import LOG, ORIGIN, checkpoint, request, witness_settings

KEYS = {ORIGIN: [LOG.verifier]}


@pytest.fixture
def settings(tmp_path):
    return witness_settings(tmp_path / "witness")


class Client:
    """Speaks to a witness."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def post(self, data: bytes, path: str = "/add-checkpoint", **options) -> tuple[int, str, bytes]:
        async with self._session.post(self._url + path, data=data, **options) as response:
            return response.status, response.headers["Content-Type"], await response.read()

    async def get(self, path: str) -> tuple[int, bytes]:
        async with self._session.get(self._url + path) as response:
            return response.status, await response.read()


@asynccontextmanager
async def running(settings, lines: io.StringIO | None = None):
    async with run.witness(settings, lines or io.StringIO()) as url, aiohttp.ClientSession() as session:
        yield Client(session, url)


def key(settings) -> CosignerKey:
    return run.load_cosigner(settings, own=True).public


@pytest.mark.parametrize("ml_dsa", [False, True], ids=["ed25519", "ml-dsa-44"])
async def test_a_growing_log_is_cosigned_and_monitors_read_it(tmp_path, ml_dsa):
    settings = witness_settings(tmp_path, ml_dsa=ml_dsa)
    async with running(settings) as client:
        assert (await client.get(f"/{monitored(ORIGIN)}"))[0] == 404
        for old, new in ((0, 5), (5, 7), (7, 7)):
            status, kind, answer = await client.post(request(old, new).serialise())
            assert (status, kind) == (200, "text/plain; charset=utf-8")
            read_cosignature(answer, parse_note(checkpoint(new)).text, key(settings))
        status, note = await client.get(f"/{monitored(ORIGIN)}")
        assert status == 200
        assert open_checkpoint(note, [LOG.verifier]).size == 7
        open_note(note, [key(settings)])
        assert note.startswith(checkpoint(7))


async def test_refusals_have_the_statuses_and_bodies_of_the_specification(settings):
    async with running(settings) as client:
        await client.post(request(0, 7).serialise())
        assert await client.post(request(5, 9).serialise()) == (409, "text/x.tlog.size", b"7\n")
        for data, status in (
            (b"nothing", 400),
            (request(9, 7).serialise(), 400),
            (request(0, 7).serialise().replace(ORIGIN.encode(), b"another.example/log"), 404),
            (request(0, 7).serialise().replace(b"\n7\n", b"\n8\n"), 403),
            (request(7, 9, fork=3).serialise(), 422),
            (b"x" * 300_000, 413),
        ):
            found, kind, answer = await client.post(data)
            assert (found, kind) == (status, "text/plain; charset=utf-8")
            assert "\u2014".encode() not in answer
        packed = {"Content-Encoding": "gzip"}
        assert (await client.post(request(7, 9).serialise(), headers=packed))[0] == 400
        assert (await client.post(b"", path="/other"))[0] == 404
        assert (await client.get("/add-checkpoint"))[0] == 404
        assert (await client.get("/healthz")) == (200, b"ok\n")
        assert (await client.post(request(7, 9).serialise()))[0] == 200  # none of it has moved the witness


async def test_what_was_cosigned_holds_after_a_restart(settings):
    async with running(settings) as client:
        await client.post(request(0, 7).serialise())
    async with running(settings) as client:
        assert (await client.post(request(0, 5).serialise()))[::2] == (409, b"7\n")
        assert (await client.post(request(7, 7, fork=3).serialise()))[0] == 422
        assert (await client.post(request(7, 8).serialise()))[0] == 200


def shown(settings) -> tuple[int, list[dict], list[dict]]:
    """Of `gateway witness show`: exit status, evidence, what was not proved."""
    config = str(settings.key.with_name("witness.toml"))
    result = CliRunner().invoke(app, ["witness", "show", "--config", config, "--json"])
    facts = json.loads(result.stdout)
    return result.exit_code, facts["evidence"], facts["unproved"]


def sizes(kept: list[dict]) -> list[int]:
    notes = (b64decode(one["request"]).partition(b"\n\n")[2] for one in kept)
    return [open_checkpoint(note, [LOG.verifier]).size for note in notes]


def rubbish(old: int, note: bytes, count: int) -> list[bytes]:
    """As a stranger makes them of what the log signed."""
    return [AddCheckpoint(old, (bytes([n] * 32),), note).serialise() for n in range(count)]


async def test_what_the_log_signed_against_itself_is_kept(settings):
    async with running(settings) as client:
        await client.post(request(0, 7).serialise())
        forked, stale = request(7, 7, fork=3).serialise(), request(5, 7, fork=2).serialise()
        again = [forked, *rubbish(5, checkpoint(7, fork=3), 2), *rubbish(7, checkpoint(7, fork=3), 2)]
        for data in (*again, stale, request(5, 9).serialise()):
            await client.post(data)
    status, evidence, unproved = shown(settings)
    assert (status, unproved) == (1, [])
    assert [one["code"] for one in evidence] == ["LOG702", "LOG102"]  # each once; growth is none
    assert b64decode(evidence[0]["request"]) == forked
    against = evidence[0]["against"].encode()
    mine = open_checkpoint(against, [LOG.verifier])
    theirs = open_checkpoint(forked.partition(b"\n\n")[2], [LOG.verifier])
    assert mine.size == theirs.size
    assert mine.root != theirs.root


async def test_a_stranger_leaves_no_evidence_and_keeps_none_out(settings, monkeypatch):
    monkeypatch.setattr("gateway.witness.store.MAX_EVIDENCE", 2)
    monkeypatch.setattr("gateway.witness.store.MAX_UNPROVED", 2)
    async with running(settings) as client:
        before = rubbish(0, checkpoint(5), 3)
        assert {(await client.post(data))[0] for data in before} == {422}
        await client.post(request(0, 5).serialise())
        _, public = await client.get(f"/{monitored(ORIGIN)}")
        sent = rubbish(5, public, 3)
        for size in (7, 8, 9):
            sent += rubbish(5, checkpoint(size), 2)
        assert {(await client.post(data))[0] for data in sent} == {422}
        status, evidence, unproved = shown(settings)
        assert (status, evidence, sizes(unproved)) == (0, [], [7, 8])
        for fork in (1, 2, 3):
            await client.post(request(5, 5, fork=fork).serialise())
    status, evidence, unproved = shown(settings)
    assert (status, sizes(evidence), sizes(unproved)) == (1, [5, 5], [7, 8])
    config = str(settings.key.with_name("witness.toml"))
    lines = CliRunner().invoke(app, ["witness", "show", "--config", config]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["vkey", "log", *["evidence"] * 2, *["unproved"] * 2]


async def test_what_was_not_proved_is_settled_by_what_is_cosigned(settings):
    async with running(settings) as client:
        await client.post(request(0, 5).serialise())
        for data in (*rubbish(5, checkpoint(7), 2), request(5, 7, fork=3).serialise()):
            assert (await client.post(data))[0] == 422
        status, evidence, unproved = shown(settings)
        assert (status, evidence, sizes(unproved)) == (0, [], [7, 7])
        await client.post(request(5, 7).serialise())
        assert shown(settings)[2] == unproved[1:]
        await client.post(request(7, 7, fork=3).serialise())
    status, evidence, unproved = shown(settings)
    assert (status, sizes(evidence), unproved) == (1, [7], [])


async def test_a_pinned_log_begins_at_its_pin(tmp_path):
    (tmp_path / "log.pin").write_bytes(checkpoint(5))
    settings = witness_settings(tmp_path, more='pin = "log.pin"')
    async with running(settings) as client:
        assert (await client.post(request(0, 7).serialise()))[::2] == (409, b"5\n")
        assert (await client.post(request(5, 7, fork=3).serialise()))[0] == 422
        assert (await client.post(request(5, 7).serialise()))[0] == 200


async def test_a_clock_that_went_back_cosigns_nothing(settings, monkeypatch):
    async with running(settings) as client:
        await client.post(request(0, 5).serialise())
        monkeypatch.setattr(run.time, "time", lambda: 1.0)
        status, _, answer = await client.post(request(5, 7).serialise())
        assert (status, answer[:6]) == (503, b"LOG710")
        monkeypatch.undo()
        assert (await client.post(request(5, 7).serialise()))[0] == 200


def test_of_requests_at_once_from_one_size_one_is_cosigned(settings):
    cosigner = run.load_cosigner(settings, own=True)

    def add(size: int) -> int:
        store = WitnessStore.open(settings.store, cosigner.public)  # as another process would
        try:
            store.cosign(request(0, size).serialise(), KEYS, {}, cosigner, 99)
        except WitnessError as error:
            return error.status
        finally:
            store.close()
        return 200

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(add, range(1, 17)))
    assert sorted(statuses) == [200] + [409] * 15
    store = WitnessStore.open(settings.store, cosigner.public)
    held = Checkpoint.parse(parse_note(store.checkpoint(ORIGIN)).text)
    assert held.size == statuses.index(200) + 1


def test_nothing_is_cosigned_that_is_not_stored(settings):
    cosigner = run.load_cosigner(settings, own=True)
    store = WitnessStore.open(settings.store, cosigner.public)
    store._connection.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON main.logs BEGIN SELECT raise(FAIL, 'full'); END"
    )
    with pytest.raises(ProofError) as caught:
        store.cosign(request(0, 5).serialise(), KEYS, {}, cosigner, 99)
    assert caught.value.flaw is Flaw.UNREADABLE
    store.close()
    store = WitnessStore.open(settings.store, cosigner.public)
    assert store.checkpoint(ORIGIN) is None


async def test_what_a_reader_of_the_file_holds_up_is_undone_and_not_served(settings, monkeypatch):
    monkeypatch.setattr("gateway.witness.store.BUSY_MS", 0)
    grown, forked = request(5, 7).serialise(), request(5, 5, fork=3).serialise()
    page = f"/{monitored(ORIGIN)}"
    async with running(settings) as client:
        await client.post(request(0, 5).serialise())
        held = await client.get(page)
        reader = apsw.Connection(str(settings.store))
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM logs").fetchall()
        for data in (grown, forked, grown):
            status, _, answer = await client.post(data)
            assert (status, answer[:6]) == (503, b"LOG520")
            assert await client.get(page) == held
        reader.close()
        assert (await client.post(forked))[0] == 422  # evidence is kept before the refusal is told
        assert (await client.post(grown))[0] == 200
    store = WitnessStore.open(settings.store, key(settings))
    assert [one.request for one in store.evidence()] == [forked]
    assert open_checkpoint(store.checkpoint(ORIGIN), [LOG.verifier]).size == 7
    store.close()


def test_a_lost_memory_is_not_made_again_under_its_key(settings, tmp_path):
    settings.store.unlink()
    config = str(settings.key.with_name("witness.toml"))
    command = [sys.executable, "-m", "gateway", "witness", "serve", "--config", config]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr[:6]) == (1, "LOG708")
    assert CliRunner().invoke(app, ["witness", "init", "--config", config]).stderr[:6] == "LOG709"
    assert not settings.store.exists()


def test_a_memory_of_another_key_is_not_used(settings, tmp_path):
    other = witness_settings(tmp_path / "other")
    settings.store.write_bytes(other.store.read_bytes())
    with pytest.raises(ProofError) as caught:
        WitnessStore.open(settings.store, key(settings))
    assert caught.value.flaw is Flaw.WITNESS_STORE
    apsw.Connection(str(tmp_path / "none.db")).execute("CREATE TABLE logs (x)")
    with pytest.raises(ProofError) as caught:
        WitnessStore.open(tmp_path / "none.db", key(settings))
    assert caught.value.flaw is Flaw.WITNESS_STORE


def speaking_tls(place: Path):
    """Settings of a witness with the hub's certificate."""
    memory.place_pki(place / "pki")
    config = witness_settings(place / "witness").key.with_name("witness.toml")
    tls = 'tls_certificate = "../pki/HUB/tls.crt.pem"\ntls_key = "../pki/HUB/tls.key.pem"\n'
    config.write_text(tls + config.read_text())
    return load_settings(config)


async def test_a_witness_speaks_tls(tmp_path):
    settings = speaking_tls(tmp_path)
    context = ssl.create_default_context()
    for name in TRUST[:2]:
        context.load_verify_locations(tmp_path / "pki" / name)
    asked = {"ssl": context, "server_hostname": "gateway.wib.example"}
    async with running(settings) as client:
        assert (await client.post(request(0, 5).serialise(), **asked))[0] == 200


async def test_a_log_reaches_a_witness_by_what_it_was_given_last(tmp_path):
    settings = speaking_tls(tmp_path)
    nobody, trusting = outward_context([]), outward_context([tmp_path / "pki" / name for name in TRUST[:2]])
    for context in (nobody, trusting):
        context.check_hostname = False  # it is reached by its address here
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(run.witness(settings, io.StringIO()))
        client = await stack.enter_async_context(WitnessClient(Destinations(["127.0.0.0/8"]), nobody, 5.0))
        for tls_now, reached in ((nobody, False), (trusting, True), (nobody, False)):
            client.renew(tls_now)
            with contextlib.nullcontext() if reached else pytest.raises(UnreachableError):
                assert (await client.add(url, request(0, 5).serialise())).status in {200, 409}


async def test_a_body_that_does_not_come_is_not_waited_for(settings, monkeypatch):
    monkeypatch.setattr(service, "_BODY_SECONDS", 0.05)

    async def drip():
        yield b"old 0\n"
        await asyncio.sleep(60)

    async with running(settings) as client:
        assert (await client.post(drip()))[0] == 408


async def test_lines_of_the_operational_log_name_the_log_and_nothing_that_was_sent(settings):
    lines = io.StringIO()
    async with running(settings, lines) as client:
        await client.post(request(0, 5).serialise())
        await client.post(b"old 0\n\n<canary>")
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [one["event"] for one in told] == ["serving", "cosigned", "not cosigned", "stopping"]
    assert (told[1]["origin"], told[1]["size"]) == (ORIGIN, 5)
    assert "canary" not in lines.getvalue()


def test_the_settings_file_of_the_repository_loads_and_wrong_ones_are_told(tmp_path):
    root = Path(__file__).parents[2]
    settings = load_settings(root / "deploy/witness.toml")
    assert (settings.host, settings.port) == ("127.0.0.1", 8470)
    assert len(known_logs(settings)) == 1
    text = (root / "deploy/witness.toml").read_text()
    for change, code in (
        (("name =", "title ="), "CFG002"),
        (("# tls_key", "tls_key"), "CFG002"),
        (('"gateway.example.be', '"another.example'), "LOG202"),
        (('# pin = "gateway.pin"', 'pin = "none"'), "LOG701"),
    ):
        (tmp_path / "witness.toml").write_text(text.replace(*change))
        result = CliRunner().invoke(app, ["witness", "init", "--config", str(tmp_path / "witness.toml")])
        assert (result.exit_code, result.stderr[:6]) == (1, code)
    assert not (tmp_path / "witness.key.pem").exists()


def test_beginning_prints_the_key_that_logs_need(tmp_path):
    (tmp_path / "witness.toml").write_bytes((Path(__file__).parents[2] / "deploy/witness.toml").read_bytes())
    config = ["--config", str(tmp_path / "witness.toml")]
    vkey = CliRunner().invoke(app, ["witness", "init", *config]).stdout.strip()
    assert CosignerKey.parse(vkey).name == "witness.example.be/2026"
    assert (tmp_path / "witness.key.pem").stat().st_mode & 0o777 == 0o600
    shown = CliRunner().invoke(app, ["witness", "show", *config])
    assert shown.exit_code == 0
    assert vkey in shown.stdout


def test_a_key_in_the_place_of_its_path_is_not_repeated(settings):
    """Attack G08, as with the hub's settings."""
    path = settings.key.with_name("witness.toml")
    secret = settings.key.read_text()
    path.write_text(path.read_text().replace('"witness.key.pem"', f"'''{secret}'''"))
    assert secret in path.read_text()
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert caught.value.code == "CFG002"
    assert secret.splitlines()[1] not in str(caught.value)
