"""Witnesses of the exchange log: cosigned in the background, watched, and believed against it (PROTOCOL §8.18)."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import socket
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from typer.testing import CliRunner

from gateway import app as application
from gateway import loading
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.destinations import Destinations
from gateway.adapters.log_key import log_signers
from gateway.adapters.metrics import Metrics
from gateway.adapters.store import LogReader, Store
from gateway.adapters.tls import outward_context
from gateway.adapters.witness_client import WitnessClient
from gateway.cli.commands import app
from gateway.config import ConfigError
from gateway.edge import feeding
from gateway.edge.feeding import Feeder, Patience
from gateway.edge.operational_log import OperationalLog
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.cosignature import CosignerKey
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer
from gateway.exchangelog.quorum import TrustPolicy
from gateway.reading import StartError
from gateway.refusal import Code, Refusal
from gateway.witness import run
from gateway.witness.settings import load_settings
from tests.exchanges import exchange_entries, refusal_entry
from tests.path import hub as memory
from tests.process import running
from tests.process.store_world import OTHER_KEY, VERIFIER, append_all, fill, open_store
from tests.witness_world import LOG, request, witness_settings

WARN, STOP = 900.0, 3600.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class World:
    """A log, the policy by which it is cosigned, and what feeds its witnesses."""

    def __init__(self, path: Path, lines: io.StringIO, store: Store, feeder: Feeder, clock: Clock) -> None:
        self.path, self.lines, self.store, self.feeder, self.clock = path, lines, store, feeder, clock

    def events(self, name: str) -> list[dict[str, object]]:
        lines = map(json.loads, self.lines.getvalue().splitlines())
        return [line for line in lines if line["event"] == name]

    async def append(self, ticket: str) -> list[object]:
        return await append_all(self.store, exchange_entries(ticket))

    @property
    def cosigned(self) -> int | None:
        """The size of the newest cosigned checkpoint."""
        with LogReader.open(self.path) as log:
            found = log.cosigned()
        return None if found is None else found.size


@asynccontextmanager
async def witnesses(directory: Path, count: int = 1):
    """Running witnesses of the log; their URLs and keys."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(count):
            place = directory / f"witness{number}"
            settings = loaded(place) if place.exists() else witness_settings(place, name=f"w{number}.example")
            url = await stack.enter_async_context(run.witness(settings, io.StringIO()))
            found.append((url, run.load_cosigner(settings, own=True).public))
        yield found


def loaded(place: Path):
    return load_settings(place / "witness.toml")


def policy(found: list[tuple[str, CosignerKey]], need: int | str = "all") -> TrustPolicy:
    lines = [f"witness W{number} {key.vkey} {url}" for number, (url, key) in enumerate(found)]
    names = " ".join(f"W{number}" for number in range(len(found)))
    return TrustPolicy.parse("\n".join([*lines, f"group G {need} {names}", "quorum G\n"]).encode())


@asynccontextmanager
async def feeding_of(path: Path, trusted: TrustPolicy, stop: float | None = STOP, **options):
    lines, clock = io.StringIO(), Clock()
    async with open_store(path, **options) as store:
        tls = outward_context([])
        async with WitnessClient(Destinations(["127.0.0.0/8"]), tls, 2.0) as client:
            with LogReader.open(path) as reader:
                feeder = Feeder(
                    trusted,
                    Patience(WARN, stop),
                    store=store,
                    reader=reader,
                    client=client,
                    metrics=Metrics(),
                    log=OperationalLog(lines),
                    clock=clock,
                )
                yield World(path, lines, store, feeder, clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def closed_url() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"


async def test_checkpoints_are_cosigned_and_kept_with_their_cosignatures(path, tmp_path):
    async with witnesses(tmp_path, 2) as found, feeding_of(path, trusted := policy(found)) as world:
        for number in range(3):
            await world.append(f"t{number}")
            await world.feeder.round()
            assert world.cosigned == world.store.size == 2 * number + 2
        kept = await world.store.cosigned()
        assert kept.note.startswith(await world.store.checkpoint())
        result = trusted.verify(kept.note, kept.time, [VERIFIER])
        assert (result.checkpoint.size, set(result.times)) == (6, {"W0", "W1"})
        with LogReader.open(path) as log:
            assert log.resource("checkpoint") == kept.note
        told = ["log", "checkpoint", "--store", str(path), "--vkey", VERIFIER.vkey, "--cosigned"]
        assert CliRunner().invoke(app, told).stdout.encode() == kept.note
        await world.append("more")
        with LogReader.open(path) as log:
            assert log.resource("checkpoint") == (await world.store.checkpoint()) != kept.note
        assert CliRunner().invoke(app, told).stdout.encode() == kept.note
        assert [line["outcome"] for line in world.events("witness")] == ["cosigned", "cosigned"]


async def test_a_witness_is_taken_up_where_it_stands(path, tmp_path):
    async with witnesses(tmp_path) as found:
        async with feeding_of(path, policy(found)) as world:
            await world.append("a")
            await world.feeder.round()
        async with feeding_of(path, policy(found)) as world:  # remembers nothing of what witnesses hold
            await world.append("b")
            await world.feeder.round()
            assert world.cosigned == 4


async def test_a_log_that_does_not_grow_is_cosigned_again_in_time(path, tmp_path):
    async with witnesses(tmp_path) as found, feeding_of(path, policy(found)) as world:
        await world.append("a")
        await world.feeder.round()
        first = await world.store.cosigned()
        await world.feeder.round()
        assert (await world.store.cosigned()) == first
        world.clock.wait(WARN / 3)
        await world.feeder.round()
        assert (await world.store.cosigned()).time == first.time + WARN / 3


async def test_no_exchange_waits_for_a_witness(path, tmp_path):
    key = run.begin(witness_settings_of(tmp_path), ml_dsa=False).public
    async with feeding_of(path, policy([(closed_url(), key)]), stop=None) as world:
        assert all(not isinstance(one, Code) for one in await world.append("a"))
        await world.feeder.round()
        assert world.cosigned is None
        assert world.events("witness")[0]["outcome"] == "unreachable"
        world.clock.wait(10 * STOP)
        await world.feeder._watch()
        assert all(not isinstance(one, Code) for one in await world.append("b"))
        assert [line["outcome"] for line in world.events("cosignatures")] == ["late"]


def witness_settings_of(directory: Path):
    settings = witness_settings(directory / "unborn")
    settings.key.unlink()
    settings.store.unlink()
    return settings


async def test_too_few_cosignatures_are_none(path, tmp_path):
    async with witnesses(tmp_path) as found:
        dead = (closed_url(), run.begin(witness_settings_of(tmp_path), ml_dsa=True).public)
        async with feeding_of(path, policy([*found, dead])) as world:
            await world.append("a")
            await world.feeder.round()
            assert world.cosigned is None
    async with witnesses(tmp_path) as found, feeding_of(path, policy([*found, dead], "any")) as world:
        await world.feeder.round()
        assert world.cosigned == 2


async def test_exchanges_stop_when_witnesses_are_silent_for_too_long_and_go_on_when_they_are_back(
    path, tmp_path
):
    settings = witness_settings(tmp_path / "witness0")
    key = run.load_cosigner(settings, own=True).public
    trusted = policy([("http://127.0.0.1:1", key)])
    async with feeding_of(path, trusted) as world:
        world.clock.wait(WARN + 1)
        await world.feeder._watch()
        assert world.feeder.trouble is None
        assert all(not isinstance(one, Code) for one in await world.append("a"))
        world.clock.wait(STOP)
        await world.feeder._watch()
        assert world.feeder.trouble is not None
        assert world.store.held
        assert await world.append("b") == [Code.LOG_UNAVAILABLE] * 2
        async with witnesses(tmp_path) as found:
            trusted.witnesses |= policy(found).witnesses
            await world.feeder.round()
            await world.feeder._watch()
        assert (world.feeder.trouble, world.store.held) == (None, False)
        assert all(not isinstance(one, Code) for one in await world.append("c"))


# Rollback and fork.


def go_back(path: Path, backup: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(backup, path)


@pytest.fixture
async def fed(path, tmp_path):
    """A log of six entries that a witness has cosigned, and a backup of it with two."""
    async with witnesses(tmp_path) as found, feeding_of(path, policy(found)) as world:
        await world.append("a")
        backup = tmp_path / "backup.db"
        with LogReader.open(path) as log:
            log._connection.execute("VACUUM INTO ?", (str(backup),))
        await world.append("b")
        await world.append("c")
        await world.feeder.round()
        assert world.cosigned == 6
    return backup


async def flaw_at_start(world: World, *, refuse: bool = False) -> Flaw | None:
    try:
        await world.feeder.first(refuse=refuse)
    except ProofError as error:
        return error.flaw
    return None


async def test_a_log_that_is_behind_a_witness_does_not_start_and_can_be_put_right(path, tmp_path, fed):
    whole = tmp_path / "whole.db"
    shutil.copy(path, whole)
    go_back(path, fed)
    async with witnesses(tmp_path) as found:
        async with feeding_of(path, policy(found)) as world:
            assert await flaw_at_start(world) is Flaw.WITNESS_AHEAD
        go_back(path, whole)
        async with feeding_of(path, policy(found)) as world:
            assert await flaw_at_start(world) is None


@pytest.mark.parametrize("entries", [4, 10])
async def test_another_history_is_frozen_with_its_evidence(path, tmp_path, fed, entries):
    go_back(path, fed)
    await fill(path, [refusal_entry() for _ in range(entries)])
    async with witnesses(tmp_path) as found, feeding_of(path, policy(found)) as world:
        assert await flaw_at_start(world) is Flaw.FORK
        assert await world.append("d") == [Code.LOG_UNAVAILABLE] * 2
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is Flaw.FROZEN
    with LogReader.open(path) as log:
        frozen = log.frozen()
    mine, theirs = (open_checkpoint(note, [VERIFIER]) for note in (frozen.mine, frozen.theirs))
    assert (mine.size, theirs.size) == (2 + entries, 6)


@pytest.mark.parametrize(("old", "new", "outcome"), [(0, 2, "fork"), (0, 9, "fork"), (0, 1, "fork")])
async def test_a_fork_that_a_witness_shows_while_the_hub_runs_freezes_the_log(
    path, tmp_path, old, new, outcome
):
    async with witnesses(tmp_path) as found, feeding_of(path, policy(found)) as world:
        await world.append("a")
        async with aiohttp.ClientSession() as session:  # with the log's key, elsewhere
            await session.post(found[0][0] + "/add-checkpoint", data=request(old, new).serialise())
        await world.feeder.round()
        assert world.events("witness")[-1]["outcome"] == outcome
        assert len(world.events("frozen")) == 1
        assert await world.append("b") == [Code.LOG_UNAVAILABLE] * 2
        await world.feeder._watch()  # what is frozen stays so
        assert world.store.held
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is Flaw.FROZEN


async def test_what_a_witness_says_without_the_logs_signature_freezes_nothing(path, tmp_path):
    said = {"status": 409, "type": "text/x.tlog.size", "body": b"99\n", "held": b"anything"}

    async def answer(http: web.BaseRequest) -> web.Response:
        if http.method == "GET":
            return web.Response(body=said["held"], status=200 if said["held"] else 404)
        return web.Response(body=said["body"], status=said["status"], headers={"Content-Type": said["type"]})

    key = run.begin(witness_settings_of(tmp_path), ml_dsa=False).public
    async with web_server(answer) as url, feeding_of(path, policy([(url, key)])) as world:
        await world.append("a")
        forged = request(0, 9, signer=LOG).note.replace(b"\n9\n", b"\n8\n")
        for status, kind, body, held, outcome in (
            (409, "text/x.tlog.size", b"99\n", b"anything", "malformed"),
            (409, "text/x.tlog.size", b"99\n", forged, "malformed"),
            (409, "text/x.tlog.size", b"99\n", b"", "conflict"),
            (409, "text/x.tlog.size", b"1\n", b"", "conflict"),
            (409, "text/x.tlog.size", b"many\n", b"", "malformed"),
            (409, "text/plain", b"1\n", b"", "conflict"),
            (422, "text/plain", b"", (await world.store.checkpoint()), "conflict"),
            (200, "text/plain", b"", b"", "malformed"),
            (200, "text/plain", b"x" * 100_000, b"", "unreachable"),
            (403, "text/plain", b"", b"", "refused"),
            (302, "text/plain", b"", b"", "refused"),
        ):
            said |= {"status": status, "type": kind, "body": body, "held": held}
            await world.feeder.round()
            assert world.feeder._outcomes["W0"] == outcome, (status, body, held)
            assert await flaw_at_start(world) is None
        assert world.cosigned is None
        assert all(not isinstance(one, Code) for one in await world.append("b"))


async def test_a_node_that_another_one_overtakes_sees_no_conflict_and_is_not_late(path, tmp_path):
    async with witnesses(tmp_path) as found, feeding_of(path, policy(found)) as faster:
        ((url, key),) = found

        async def slowly(http: web.BaseRequest) -> web.Response:
            if http.method == "POST":
                await faster.append(f"t{faster.store.size}")
                await faster.feeder.round()
            given = {"data": await http.read()}
            async with (
                aiohttp.ClientSession() as session,
                session.request(http.method, url + http.path, **given) as answer,
            ):
                body, kind = await answer.read(), answer.content_type
                return web.Response(body=body, status=answer.status, content_type=kind)

        async with web_server(slowly) as slow, feeding_of(path, policy([(slow, key)])) as world:
            await world.append("a")
            await world.feeder.round()
            for one in (world, faster):
                one.clock.wait(WARN + 1)
            for _ in range(2):
                await world.feeder.round()
            await world.feeder._watch()
            assert {line["outcome"] for line in world.events("witness")} == {"overtaken"}
            assert world.events("cosignatures") == []
            newest = await world.store.cosigned()
            await world.store.keep_cosigned(replace(newest, size=2))
            assert await world.store.cosigned() == newest


@asynccontextmanager
async def web_server(handler):
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


async def test_whether_silent_witnesses_stop_the_start_is_a_setting(path, tmp_path):
    key = run.begin(witness_settings_of(tmp_path), ml_dsa=False).public
    async with feeding_of(path, policy([(closed_url(), key)])) as world:
        assert await flaw_at_start(world) is None
        assert await flaw_at_start(world, refuse=True) is Flaw.WITNESS_SILENT


async def test_a_log_changes_its_key_under_the_eyes_of_its_witnesses(path, tmp_path):
    new = Signer.of(LOG.name, OTHER_KEY).verifier
    async with witnesses(tmp_path) as found, feeding_of(path, policy(found)) as world:
        await world.append("a")
        await world.feeder.round()
        await world.store.sign_with([LOG.key, OTHER_KEY])
        await world.feeder.round()
        assert (await world.store.cosigned()).note.startswith(await world.store.checkpoint())
    config = tmp_path / "witness0/witness.toml"
    config.write_text(config.read_text().replace("vkeys = [", f'vkeys = ["{new.vkey}", '))
    async with witnesses(tmp_path) as found, feeding_of(path, policy(found), also=[OTHER_KEY]) as world:
        await world.store.sign_with([OTHER_KEY])
        await world.append("b")
        await world.feeder.round()
        assert world.cosigned == 4
        assert set(world.store.verifiers) == {VERIFIER, new}


# The hub.


@asynccontextmanager
async def hub(directory: Path, trusted: str | None, **changes: str):
    """A hub whose settings name a policy."""
    settings = settings_of(directory, trusted, **changes)
    lines = io.StringIO()
    async with application.hub(settings, loading.load(settings), lines) as (_, operations):
        yield settings, operations, lines


def settings_of(directory: Path, trusted: str | None, **changes: str):
    if not (directory / "pki").exists():
        memory.place_pki(directory / "pki")
        running.write_settings(directory, "https://127.0.0.1:9/soap", {})
    text = (directory / "gateway.toml").read_text()
    if trusted is not None:
        (directory / "witnesses.policy").write_text(trusted)
        text = text.replace('# policy = "witnesses', 'policy = "witnesses')
    for name, value in changes.items():
        text = "\n".join(
            f"{name} = {value}" if line.removeprefix("# ").startswith(f"{name} = ") else line
            for line in text.splitlines()
        )
    (directory / "gateway.toml").write_text(text)
    return running.config.load(directory / "gateway.toml")


def policy_text(found: list[tuple[str, CosignerKey]]) -> str:
    return (
        "".join(f"witness {key.name} {key.vkey} {url}\n" for url, key in found)
        + f"quorum {found[0][1].name}\n"
    )


async def until(condition) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


@pytest.fixture
def of_hub(tmp_path):
    """A witness of the log of the settings."""
    settings = settings_of(tmp_path / "hub", None)
    (signer,) = log_signers(settings.keys.log_key, settings.log.origin)
    place = tmp_path / "witness0"
    place.mkdir()
    (place / "witness.toml").write_text(
        'name = "witness.example/w1"\nkey = "witness.key.pem"\nstore = "witness.db"\nport = 0\n'
        f'[[logs]]\nvkeys = ["{signer.verifier.vkey}"]\n'
    )
    run.begin(loaded(place), ml_dsa=False)
    return tmp_path / "hub"


async def test_a_hub_has_its_log_cosigned_and_does_not_start_behind_its_witness(
    tmp_path, of_hub, monkeypatch
):
    monkeypatch.setattr(feeding, "_PAUSE", 0.01)
    store = settings_of(of_hub, None).log.store
    backup = store.read_bytes()
    async with witnesses(tmp_path) as found:
        async with hub(of_hub, policy_text(found)) as (settings, operations, _):
            with LogReader.open(settings.log.store) as log:
                await until(lambda: log.cosigned() is not None)
            await record(settings)
            with LogReader.open(settings.log.store) as log:
                await until(lambda: log.cosigned().size == 2)
            async with aiohttp.ClientSession() as session, session.get(operations + "/metrics") as response:
                exposed = await response.text()
            assert 'gateway_witness_answers_total{outcome="cosigned",witness="witness.example/w1"}' in exposed
            for outcome in ("fork", "conflict"):  # after a fork the log is frozen: the first is the last
                contradicts = (
                    f'gateway_witness_answers_total{{outcome="{outcome}",witness="witness.example/w1"}} 0.0'
                )
                assert contradicts in exposed
        go_back_to(store, backup)
        with pytest.raises(ProofError) as caught:
            async with hub(of_hub, policy_text(found)):
                pass
        assert caught.value.flaw is Flaw.WITNESS_AHEAD


def go_back_to(store: Path, content: bytes) -> None:
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    store.write_bytes(content)


async def record(settings) -> None:
    (signer,) = log_signers(settings.keys.log_key, settings.log.origin)
    key = loading.secret_key(settings.keys.payload_key)
    async with Store.open(
        settings.log.store,
        signer.key,
        settings.log.origin,
        payload_key=key,
        bucket_keys=BucketKeys.open(settings.log.bucket_keys),
    ) as store:
        await append_all(store, exchange_entries("a"))


async def test_witnesses_are_reached_by_the_certificates_and_lists_of_the_last_look(
    tmp_path, of_hub, monkeypatch
):
    handed = []
    monkeypatch.setattr(WitnessClient, "renew", lambda _, tls: handed.append(tls))
    async with witnesses(tmp_path) as found:
        settings, lines, told = settings_of(of_hub, policy_text(found)), io.StringIO(), asyncio.Event()
        async with application.hub(settings, loading.load(settings), lines, told):
            crl = of_hub / "pki" / "root.crl.pem"
            crl.write_text(f"{crl.read_text()}\n")
            told.set()
            await until(lambda: '"reloaded"' in lines.getvalue())
    (tls,) = handed
    assert tls.verify_flags & ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
    assert len(tls.get_ca_certs()) == 2


async def test_a_hub_without_its_witnesses_says_so_and_stops_where_it_is_told_to(
    tmp_path, of_hub, monkeypatch
):
    monkeypatch.setattr(feeding, "_PAUSE", 0.01)
    async with witnesses(tmp_path) as found:
        keys = [(closed_url(), key) for _, key in found]
    changes = {"warn_seconds": "0.2", "stop_seconds": "0.5", "answer_seconds": "1.0"}
    async with (
        hub(of_hub, policy_text(keys), **changes) as (_, operations, lines),
        aiohttp.ClientSession() as session,
    ):

        async def ready() -> tuple[int, str]:
            async with session.get(operations + "/readyz") as response:
                return response.status, await response.text()

        for _ in range(6000):
            if (await ready())[0] == 503:
                break
            await asyncio.sleep(0.01)
        assert await ready() == (503, "the witnesses have not cosigned for too long\n")
        assert '"outcome": "late"' in lines.getvalue()
    changes = {"stop_seconds": "0.1"}
    with pytest.raises(StartError, match="CFG041"):
        loading.load(settings_of(of_hub, policy_text(keys), **changes))


async def test_a_hub_that_must_ask_its_witnesses_does_not_start_without_them(tmp_path, of_hub):
    async with witnesses(tmp_path) as found:
        keys = [(closed_url(), key) for _, key in found]
    with pytest.raises(ProofError) as caught:
        async with hub(of_hub, policy_text(keys), at_start='"refuse"'):
            pass
    assert caught.value.flaw is Flaw.WITNESS_SILENT


@pytest.mark.parametrize(
    "text", ["quorum", "witness W {vkey}\nquorum W\n", "witness W {vkey} ftp://w/\nquorum W\n", "nothing\n"]
)
async def test_a_policy_by_which_nobody_can_be_asked_stops_the_start(tmp_path, of_hub, text):
    async with witnesses(tmp_path) as found:
        vkey = found[0][1].vkey
    with pytest.raises(StartError) as caught:
        loading.load(settings_of(of_hub, text.format(vkey=vkey)))
    assert [one.code for one in caught.value.errors if isinstance(one, ConfigError)] == ["CFG040"]


async def test_a_witness_outside_of_the_allowed_networks_is_a_finding(tmp_path, of_hub):
    async with witnesses(tmp_path) as found:
        key = found[0][1]
    with pytest.raises(StartError) as caught:
        loading.load(settings_of(of_hub, policy_text([("https://192.0.2.1/w", key)])))
    assert [one.code for one in caught.value.errors] == ["CFG023"]


async def test_a_held_store_takes_what_is_no_entry(path):
    async with open_store(path) as store:
        await store.hold(wanted=True)
        with pytest.raises(Refusal) as caught:
            await store.append(refusal_entry())
        assert caught.value.code is Code.LOG_UNAVAILABLE
        await store.remember("ab" * 32, {})
        await store.hold(wanted=False)
        await store.append(refusal_entry())
