"""`gateway pki rotate` under load: a hub as it is run, two authorities that never stop, and not one failed exchange."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from typer.testing import CliRunner

from gateway import config
from gateway.adapters.pki import write_file
from gateway.adapters.store import LogReader
from gateway.adapters.tls import server_context
from gateway.cli.commands import app
from gateway.exchangelog.note import parse_note
from gateway.loading import load
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.path.hub import Answered, signed_question
from tests.process.running import ROOT, TRUST, Running, inscribe, write_settings
from tests.process.test_listener import connected, head, reply, whole

CONTEXTS = {"BRUSSELS": "WIB:WORK_DECISION", "IMMIGRATION_OFFICE": "WIB:RESIDENCE_DECISION"}


class Platform:
    """The provider: answers well, and remembers with which certificates the hub came and signed."""

    def __init__(self) -> None:
        self.tls: set[bytes] = set()
        self.signed_by: set[bytes] = set()

    async def start(self, stack: AsyncExitStack, pki: Path) -> str:
        application = web.Application()
        application.router.add_post("/soap", self._serve)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        own = pki / "PLATFORM/tls.crt.pem", pki / "PLATFORM/tls.key.pem", [pki / name for name in TRUST]
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(*own))
        await site.start()
        return f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/soap"

    async def _serve(self, http: web.Request) -> web.Response:
        self.tls.add(http.transport.get_extra_info("ssl_object").getpeercert(binary_form=True))
        verified = verify(read(await http.read(), Limits()), Window(), datetime.now(UTC))
        self.signed_by.add(verified.certificate)

        class Now:
            now = datetime.now(UTC)

        asked = memory.messages.read_question(parse_verified(verified.body)[0])
        answer = memory.answer_well(Now, memory.authority("PLATFORM"), asked)
        return web.Response(body=answer, content_type="text/xml")


class Served:
    """A running hub, its process, and its words."""

    def __init__(self, hub: Running, process: asyncio.subprocess.Process) -> None:
        self.hub, self._process = hub, process
        self._words: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for line in self._process.stderr:
            told = json.loads(line)
            if told["event"] in {"reloaded", "not reloaded"}:
                self._words.put_nowait(told)

    async def look(self) -> dict[str, object]:
        """SIGHUP, and what the hub says then."""
        self._process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            return await self._words.get()


@asynccontextmanager
async def served(directory: Path, platform: Platform):
    async with AsyncExitStack() as stack:
        pki = directory / "pki"
        memory.place_pki(pki)
        settings = write_settings(directory, await platform.start(stack, pki), {})
        inscribe(settings.log.store, settings.keys.directory_key)
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(directory / "gateway.toml")]
        process = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        try:
            facts = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
            hub = Running(facts["url"], facts["operations"], directory, None)
            yield Served(hub, process)
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()


class Authority:
    """Asks without end, on connections of some requests each; pins what the hub announces."""

    def __init__(self, hub: Running, name: str) -> None:
        self._hub, self._name = hub, name
        self.count = 0
        self.tls: set[bytes] = set()
        self.signed_by: set[bytes] = set()

    async def ask_for_ever(self) -> None:
        while True:
            async with connected(self._hub, self._name) as (reader, writer):
                self.tls.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
                writer.write(head(method="GET", path="/soap/v1?certificates"))
                pinned = certificates(await reply(reader))
                for _ in range(5):
                    now, context = datetime.now(UTC), CONTEXTS[self._name]
                    writer.write(whole(signed_question(self._name, "consultDossier", context, None, now)))
                    raw = await reply(reader)
                    assert raw.startswith(b"HTTP/1.1 200 "), raw
                    verified = verify(
                        read(raw.partition(b"\r\n\r\n")[2], Limits()), Window(), datetime.now(UTC)
                    )
                    assert Answered(None, parse_verified(verified.body)[0]).code is None
                    assert verified.certificate in pinned
                    self.signed_by.add(verified.certificate)
                    self.count += 1


def certificates(response: bytes) -> set[bytes]:
    chain = x509.load_pem_x509_certificates(response.partition(b"\r\n\r\n")[2])
    return {one.public_bytes(Encoding.DER) for one in chain}


async def some_more(
    authorities: list[Authority], asking: list[asyncio.Task[None]], exchanges: int = 15
) -> None:
    """Wait until each has had so many exchanges more, none of which failed."""
    wanted = [one.count + exchanges for one in authorities]
    for _ in range(12000):
        for task in asking:
            if task.done():
                await task
        if all(one.count >= count for one, count in zip(authorities, wanted, strict=True)):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("they stand still")


def rotate(directory: Path, step: str, *options: str):
    arguments = ["pki", "rotate", step, "--config", str(directory / "gateway.toml"), *options]
    return CliRunner().invoke(app, arguments)


def run(directory: Path, step: str, *options: str) -> None:
    result = rotate(directory, step, *options)
    assert result.exit_code == 0, result.stderr


def own(directory: Path) -> dict[str, bytes]:
    """The hub's certificates that are in use, DER."""
    names = ("tls", "sign-rsa", "sign-ec")
    files = {name: (directory / f"pki/HUB/{name}.crt.pem").read_bytes() for name in names}
    return {
        name: x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) for name, pem in files.items()
    }


def log_keys(directory: Path) -> set[bytes]:
    """Ids of the keys that the checkpoint is signed by."""
    with LogReader.open(directory / "store.db") as log:
        return {one.key_id for one in parse_note(log.checkpoint).signatures}


def verified(directory: Path, *options: str) -> bool:
    arguments = ["log", "verify", "--store", str(directory / "store.db"), *options]
    return CliRunner().invoke(app, arguments).exit_code == 0


async def test_every_key_of_the_hub_changes_under_load_without_one_failed_exchange(tmp_path):
    platform = Platform()
    async with served(tmp_path, platform) as running:
        pki, before, first = tmp_path / "pki", own(tmp_path), log_keys(tmp_path)
        (tmp_path / "pin").write_bytes(checkpoint(tmp_path))
        vkey = CliRunner().invoke(app, ["log", "vkey", "--config", str(tmp_path / "gateway.toml")]).stdout
        (pki / "HUB/log.vkey").write_text(f"{vkey.split()[-1]}\n")
        authorities = [Authority(running.hub, name) for name in CONTEXTS]
        asking = [asyncio.create_task(one.ask_for_ever()) for one in authorities]
        await some_more(authorities, asking)

        await asyncio.to_thread(run, tmp_path, "prepare", "--pki", str(pki))
        assert own(tmp_path) == before
        assert (await running.look())["event"] == "reloaded"
        await some_more(authorities, asking)
        both = log_keys(tmp_path)
        assert len(both) == 2
        assert first < both

        await asyncio.to_thread(run, tmp_path, "switch")
        assert (await running.look())["event"] == "reloaded"
        after = own(tmp_path)
        await some_more(authorities, asking)

        await asyncio.to_thread(run, tmp_path, "finish")
        assert (await running.look())["event"] == "reloaded"
        await some_more(authorities, asking)
        for task in asking:
            task.cancel()
    for seen in (*(one.tls for one in authorities), platform.tls):
        assert seen == {before["tls"], after["tls"]}
    signers = {before["sign-rsa"], before["sign-ec"], after["sign-rsa"], after["sign-ec"]}
    for seen in (*(one.signed_by for one in authorities), platform.signed_by):
        assert seen <= signers
        assert len(seen) == 2
    assert not set(before.values()) & set(after.values())
    assert log_keys(tmp_path) == both - first
    assert not [*pki.rglob("next-*"), *pki.rglob("last-*")]
    vkeys = str(pki / "HUB/log.vkey")  # the old key and the new
    assert verified(tmp_path, "--vkey-file", vkeys, "--pin", str(tmp_path / "pin"))
    assert verified(tmp_path, "--config", str(tmp_path / "gateway.toml"))
    load(config.load(tmp_path / "gateway.toml"))  # and it starts again with what is left


def checkpoint(directory: Path) -> bytes:
    with LogReader.open(directory / "store.db") as log:
        return log.checkpoint


# Step by step, without a hub.


@pytest.fixture
def place(tmp_path: Path) -> Path:
    memory.place_pki(tmp_path / "pki")
    write_settings(tmp_path, "https://127.0.0.1:1/soap", {})
    return tmp_path


def refused(directory: Path, code: str, step: str, *options: str) -> None:
    result = rotate(directory, step, *options)
    assert (result.exit_code, result.stderr[:6]) == (1, code)


def test_steps_are_taken_in_their_order_and_once(place):
    pki = str(place / "pki")
    refused(place, "PKI015", "switch")
    assert rotate(place, "finish").stdout.strip()  # in words, that there is nothing
    run(place, "prepare", "--pki", pki)
    refused(place, "PKI014", "prepare", "--pki", pki)
    refused(place, "PKI016", "finish")
    run(place, "switch")
    refused(place, "PKI015", "switch")
    refused(place, "PKI014", "prepare", "--pki", pki)
    load(config.load(place / "gateway.toml"))


@pytest.mark.parametrize("name", ["tls", "sign-rsa", "sign-ec"])
def test_a_successor_whose_key_is_missing_replaces_nothing(place, name):
    hub = place / "pki/HUB"
    run(place, "prepare", "--pki", str(place / "pki"))
    (hub / f"next-{name}.key.pem").unlink()
    before = {path.name: path.read_bytes() for path in hub.iterdir()}
    refused(place, "PKI015", "switch")
    refused(place, "PKI001", "prepare", "--pki", str(place / "pki"))
    assert {path.name: path.read_bytes() for path in hub.iterdir()} == before
    (hub / f"next-{name}.crt.pem").unlink()  # as it is told
    run(place, "prepare", "--pki", str(place / "pki"))
    run(place, "switch")
    load(config.load(place / "gateway.toml"))


# What `prepare` had written last when it was interrupted, and what it would have written after that.
ORDER = [f"{name}.{kind}.pem" for name in ("tls", "sign-rsa", "sign-ec") for kind in ("key", "crt")]


@pytest.mark.parametrize("count", range(1, len(ORDER) + 1))
def test_a_preparation_that_was_interrupted_is_completed_with_the_keys_that_are_there(place, count):
    hub, log_key = place / "pki/HUB", place / "pki/HUB/log.key.pem"
    first = log_key.read_bytes()
    run(place, "prepare", "--pki", str(place / "pki"))
    log_key.write_bytes(first)
    for name in ORDER[count:]:
        (hub / f"next-{name}").unlink()
    kept = {name: (hub / f"next-{name}").read_bytes() for name in ORDER[:count]}
    run(place, "prepare", "--pki", str(place / "pki"))
    assert {name: (hub / f"next-{name}").read_bytes() for name in kept} == kept
    assert log_key.read_bytes().count(b"BEGIN") == 2
    refused(place, "PKI014", "prepare", "--pki", str(place / "pki"))
    run(place, "switch")
    load(config.load(place / "gateway.toml"))


def test_no_certificate_is_written_before_its_key(place, monkeypatch):
    written = []

    def noted(path: Path, content: bytes, **options: bool) -> None:
        written.append(path.name)
        write_file(path, content, **options)

    monkeypatch.setattr("gateway.cli.pki_rotate.write_file", noted)
    run(place, "prepare", "--pki", str(place / "pki"))
    assert [name for name in written if name.startswith("next-")] == [f"next-{name}" for name in ORDER]


def test_nothing_is_finished_while_requests_wait(place):
    run(place, "prepare")
    keys = (place / "pki/HUB/log.key.pem").read_bytes()
    refused(place, "PKI016", "finish")
    assert (place / "pki/HUB/log.key.pem").read_bytes() == keys


def test_requests_are_written_again_for_the_same_keys(place):
    run(place, "prepare")
    before = (place / "pki/HUB/next-tls.key.pem").read_bytes()
    (place / "pki/HUB/next-tls.csr.pem").unlink()
    run(place, "prepare")
    asked = x509.load_pem_x509_csr((place / "pki/HUB/next-tls.csr.pem").read_bytes())
    assert (place / "pki/HUB/next-tls.key.pem").read_bytes() == before
    assert asked.public_key() == load_pem_private_key(before, None).public_key()


@pytest.mark.parametrize(("name", "way"), [("sign_ec_key", "restart"), ("log_key", "new origin")])
def test_of_a_key_in_a_token_the_way_to_another_is_told(place, name, way):
    path, uri = place / "gateway.toml", "pkcs11:token=t;object=o?module-path=/lib/m.so&pin-source=/etc/pin"
    text = re.sub(rf'(?m)^{name} = ".*"', f'{name} = "{uri}"', path.read_text())
    assert uri in text
    path.write_text(text)
    result = rotate(place, "prepare", "--pki", str(place / "pki"), "--json")
    (told,) = [one for one in json.loads(result.stdout)["did"] if one.startswith(f"keys.{name}: ")]
    assert way in told
    assert ("restart" in told) == (name != "log_key")  # with another key the log would not open


def test_the_old_key_of_the_log_stays_until_the_new_one_has_signed(place):
    run(place, "prepare", "--pki", str(place / "pki"))
    run(place, "switch")
    keys = (place / "pki/HUB/log.key.pem").read_bytes()
    refused(place, "PKI017", "finish")
    assert (place / "pki/HUB/log.key.pem").read_bytes() == keys
    assert (place / "pki/HUB/last-tls.key.pem").exists()


def test_an_end_that_cannot_be_written_is_told_and_keeps_the_old_pair(place):
    log_key = place / "pki/HUB/log.key.pem"
    before = log_key.read_bytes()
    run(place, "prepare", "--pki", str(place / "pki"))
    run(place, "switch")
    log_key.write_bytes(before)  # this is not about the log
    path = place / "pki/enrolled.toml"
    path.write_text(path.read_text().replace("sha256 =", '"sha256" ='))
    refused(place, "PKI018", "finish")
    assert (place / "pki/HUB/last-tls.key.pem").exists()


def test_private_keys_are_their_owners_alone_at_every_step(place):
    run(place, "prepare", "--pki", str(place / "pki"))
    run(place, "switch")
    keys = list((place / "pki/HUB").glob("*key.pem"))
    assert len(keys) == 7
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


@pytest.mark.parametrize("name", ["tls", "sign-rsa", "sign-ec"])
def test_a_switch_that_was_interrupted_is_completed(place, name):
    run(place, "prepare", "--pki", str(place / "pki"))
    hub = place / "pki/HUB"
    for kind in ("crt", "key"):
        shutil.copy(hub / f"{name}.{kind}.pem", hub / f"last-{name}.{kind}.pem")
    (hub / f"next-{name}.key.pem").replace(hub / f"{name}.key.pem")  # and then the power failed
    run(place, "switch")
    load(config.load(place / "gateway.toml"))
    assert not list(hub.glob("next-*"))


def test_with_another_authority_the_requests_are_certified_elsewhere(place):
    run(place, "prepare")
    hub, settings = place / "pki/HUB", str(place / "gateway.toml")
    refused(place, "PKI015", "switch")
    for name, purpose in (("tls", "tls"), ("sign-rsa", "sign"), ("sign-ec", "sign")):
        request, certificate = hub / f"next-{name}.csr.pem", hub / f"next-{name}.crt.pem"
        issue = ["pki", "issue", str(place / "pki"), str(request), "--authority", "HUB", "--for", purpose]
        issued = CliRunner().invoke(
            app, [*issue, "--out", str(certificate), "--register", str(place / "register.toml")]
        )
        assert issued.exit_code == 0, issued.stderr
    refused(place, "PKI015", "switch")  # nobody has enrolled them
    for name in ("tls", "sign-rsa", "sign-ec"):
        certificate = str(hub / f"next-{name}.crt.pem")
        enrolled = CliRunner().invoke(
            app, ["pki", "enrol", certificate, "--authority", "HUB", "--config", settings]
        )
        assert enrolled.exit_code == 0, enrolled.stderr
    run(place, "switch")
    load(config.load(place / "gateway.toml"))


def test_what_is_not_sound_yet_is_not_announced_and_holds_up_nothing(place):
    run(place, "prepare", "--pki", str(place / "pki"))
    announced = load(config.load(place / "gateway.toml")).rules.announced
    assert len(x509.load_pem_x509_certificates(announced)) == 4
    (place / "pki/HUB/next-sign-ec.key.pem").write_bytes(b"half a k")
    announced = load(config.load(place / "gateway.toml")).rules.announced
    assert len(x509.load_pem_x509_certificates(announced)) == 3
    refused(place, "PKI015", "switch")
