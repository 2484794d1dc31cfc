"""Attacks L01–L06, L10: what a peer sends makes no line, no second line, no id; and a log that cannot be written.

A hub process of its own for each test, because limits and broken pipes are a process's.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import uuid
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.adapters.pki import write_file
from gateway.adapters.store import LogReader
from gateway.edge.repeats import TOLD
from gateway.identity.certify import Issuer, issue_leaf
from gateway.identity.issue import KeyKind, new_key, pair
from gateway.identity.leaf import Purpose
from gateway.model import Criteria, Enterprise, SoapVersion
from gateway.wss.sign import Header, sign
from tests.path import hub as memory
from tests.process.raw import until
from tests.process.running import ROOT, Running, inscribe, provider, write_settings

XML = {"Content-Type": "text/xml; charset=utf-8"}
# Line ends, terminal control, direction, zero width; what a logger or a template might act on.
NASTY = ("a\nb", "a\r\nb", "a\u2028b", "a\u0085b", "a\x0bb", "\x1b[2J\x1b[31m", "\u202egnp.exe", "\u200b\ufeff",
         "${jndi:ldap://127.0.0.1:1/x}", "%s%n%n%d", "{0.__class__}", '","peer":"HUB')  # fmt: skip
LINE = 1024  # bytes: no line is longer, whatever was sent


@dataclass
class Served(Running):
    """A hub process, and what its provider was asked."""

    process: subprocess.Popen[bytes] | None = None
    asked: list[object] = field(default_factory=list)
    log: Path | None = None

    def said(self) -> list[dict[str, object]]:
        """The lines so far; each is JSON, printable and short."""
        lines = self.log.read_bytes().splitlines(keepends=True)
        assert all(line.endswith(b"}\n") and len(line) <= LINE for line in lines)
        assert all(0x20 <= byte < 0x7F for line in lines for byte in line[:-1])
        return [json.loads(line) for line in lines]

    async def ready(self) -> int:
        async with aiohttp.ClientSession() as session, session.get(f"{self.operations}/readyz") as reply:
            return reply.status


@asynccontextmanager
async def served(directory: Path, *, stderr: int | None = None, **options: object):
    """`stderr`: a descriptor that the hub writes its log to, in place of a file."""
    asked: list[object] = []

    def answer(hub, authority, question):
        asked.append(question)
        return memory.answer_well(hub, authority, question)

    async with AsyncExitStack() as stack:
        pki = directory / "pki"
        memory.place_pki(pki)
        settings = write_settings(directory, await provider(stack, pki, answer), {})
        inscribe(settings.log.store, settings.keys.directory_key)
        log = directory / "hub.log"
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(directory / "gateway.toml")]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with log.open("wb") as file:
            process = subprocess.Popen(command, env=env, cwd=directory, stderr=stderr or file, **options)  # noqa: ASYNC220 - limited
        stack.push_async_callback(asyncio.to_thread, process.wait, 60)
        stack.callback(process.terminate)
        yield Served("", "", directory, None, process=process, asked=asked, log=log)


async def serving(hub: Served, line: bytes | None = None) -> Served:
    """When it serves, with its addresses. `line`: the first that it wrote, where its log is no file."""
    async with asyncio.timeout(60):
        while line is None:
            assert hub.process.poll() is None, hub.log.read_text()
            found = hub.log.read_bytes().splitlines(keepends=True)
            line = found[0] if found and found[0].endswith(b"\n") else None
            await asyncio.sleep(0.05)
    facts = json.loads(line)
    hub.url, hub.operations = facts["url"], facts["operations"]
    return hub


def question(dossier: str = memory.DOSSIER) -> bytes:
    now = datetime.now(UTC)
    return memory.signed_question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", Criteria(dossier), now)


def addressed(name: str, value: str) -> bytes:
    """A question with one WS-Addressing header that says so."""
    asked = memory.question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, datetime.now(UTC))
    body = memory.messages.write_question(asked)
    return sign(
        body,
        version=SoapVersion.V11,
        key=memory.signing_key("BRUSSELS"),
        now=datetime.now(UTC),
        lifetime=timedelta(minutes=5),
        unique=str(uuid.uuid4()),
        addressing=[Header(name, value)],
    )


async def post(hub: Served, name: str, data: bytes, head: bytes = b"") -> bytes:
    """POST over TLS with raw header lines; the reply, or b"" when the hub closed."""
    url = urlsplit(hub.url)
    reader, writer = await asyncio.open_connection(
        url.hostname, url.port, ssl=hub.tls(name), server_hostname="gateway.wib.example"
    )
    start = (
        b"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/xml; charset=utf-8\r\n"
    )
    try:
        writer.write(start + head + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_what_a_peer_sends_makes_one_line_and_stands_in_none(tmp_path):
    """L01, L02, L06: in MessageID, Action, dossier number, User-Agent, SOAPAction, and the names of a certificate."""
    async with served(tmp_path) as hub:
        strange_names(tmp_path / "pki")
        await serving(hub)
        for text in NASTY:
            spelt = "".join(one for one in text if one in "\t\n\r" or ord(one) >= 0x20)  # what XML can hold
            await told_once(hub, "BRUSSELS", addressed("MessageID", f"urn:x:{spelt}"))
            await told_once(hub, "BRUSSELS", addressed("Action", spelt))
            await told_once(hub, "BRUSSELS", question(spelt))
            await told_once(hub, "STRANGER", question())
            raw = text.encode().replace(b"\n", b"").replace(b"\r", b"")
            for field_ in (b"User-Agent", b"SOAPAction", b"X-Request-ID"):
                await told_once(hub, "BRUSSELS", question(), field_ + b": " + raw + b"\r\n")
        text = hub.log.read_text()
        assert not [
            one for one in ("jndi", "gnp.exe", "%s", "__class__", "[2J", "\\u202e", "\\u2028") if one in text
        ]


def strange_names(pki: Path) -> None:
    """A certificate of a trusted issuer, of nobody in the register, whose names are meant for whoever prints them."""
    issuer = Issuer(
        x509.load_pem_x509_certificate((pki / "issuing.crt.pem").read_bytes()),
        load_pem_private_key((pki / "issuing.key.pem").read_bytes(), None),
    )
    name = "\x1b[2J\r\n\u202e${jndi:x}" + "n" * 50
    holder = replace(memory.authority("BRUSSELS"), name=name, enterprise=Enterprise("0200000042", None))
    key = new_key(KeyKind.P256)
    leaf = issue_leaf(key.public_key(), holder, Purpose.TLS, issuer, datetime.now(UTC))
    (pki / "STRANGER").mkdir()
    for file, content in pair("tls", [leaf, issuer.certificate], key).items():
        write_file(pki / "STRANGER" / file, content)


async def told_once(hub: Served, name: str, data: bytes, head: bytes = b"") -> None:
    before = len(hub.said())
    await post(hub, name, data, head)
    (line,) = hub.said()[before:]
    assert line["event"] in {"exchange", "refused"}


async def test_ids_of_a_peers_tracing_are_not_taken_over(tmp_path):
    """L10: neither as the exchange's own, nor on the way to the provider."""
    async with served(tmp_path) as hub:
        await serving(hub)
        given = str(uuid.uuid4())
        names = (
            b"X-Request-ID",
            b"X-Correlation-ID",
            b"traceparent",
            b"tracestate",
            b"baggage",
            b"X-B3-TraceId",
        )
        head = b"".join(name + b": " + given.encode() + b"\r\n" for name in names)
        reply = await post(hub, "BRUSSELS", question(), head)
        assert b"DATA_FOUND" in reply
        assert given.encode() not in reply
        (asked,) = hub.asked
        line = hub.said()[-1]
        assert line["exchange"] == asked.on_behalf.exchange != given
        assert given not in hub.log.read_text()


async def test_what_is_refused_again_and_again_is_counted_and_the_log_stays_small(tmp_path):
    """L04: a header value of a megabyte, more often than is told of in a minute."""
    async with served(tmp_path) as hub:
        await serving(hub)
        head, times, at_once = b"X-Long: " + b"v" * 2**20 + b"\r\n", TOLD + 40, asyncio.Semaphore(8)

        async def flood() -> None:
            async with at_once:
                await post(hub, "BRUSSELS", b"", head)

        await asyncio.gather(*(flood() for _ in range(times)))
        assert len([line for line in hub.said() if line["event"] == "refused"]) == TOLD
        async with aiohttp.ClientSession() as session, session.get(f"{hub.operations}/metrics") as reply:
            assert f'gateway_refusals_total{{code="http"}} {times}.0' in await reply.text()
        hub.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(hub.process.wait, 60)
        counted = [line["repeated"] for line in hub.said() if "repeated" in line]
        assert counted == [times - TOLD]


async def test_without_room_for_the_exchange_log_nothing_is_forwarded(tmp_path):
    """L05, PROTOCOL §1.3: no record, no exchange."""
    async with served(tmp_path, preexec_fn=little_room) as hub:
        await serving(hub)
        assert await hub.ready() == 200
        async with asyncio.timeout(120):
            while b"WIB10001" not in await post(hub, "BRUSSELS", question()):
                pass
        asked = len(hub.asked)
        for _ in range(3):
            assert b"WIB10001" in await post(hub, "BRUSSELS", question())
        assert len(hub.asked) == asked
        assert await hub.ready() == 503


def little_room() -> None:
    """No file of the hub grows beyond this: the kernel refuses, as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, 2**19))


async def test_an_operational_log_that_nobody_reads_ends_no_exchange_and_shows(tmp_path):
    """L05: the record is the exchange log's. That no line can be written is told to whoever watches."""
    reading, writing = os.pipe()
    async with served(tmp_path, stderr=writing) as hub:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            await serving(hub, await asyncio.to_thread(pipe.readline))
        assert b"DATA_FOUND" in await post(hub, "BRUSSELS", question())
        assert await hub.ready() == 503
        with LogReader.open(tmp_path / "store.db") as log:
            assert log.head().size == 2


async def test_an_operational_log_whose_reader_stops_reading_holds_up_no_exchange(tmp_path):
    reading, writing = os.pipe()
    async with served(tmp_path, stderr=writing) as hub:
        with os.fdopen(reading, "rb") as pipe:
            await serving(hub, await asyncio.to_thread(pipe.readline))
            apart = os.open(f"/proc/self/fd/{writing}", os.O_WRONLY | os.O_NONBLOCK)
            os.close(writing)
            with suppress(BlockingIOError):
                while True:
                    os.write(apart, b"x" * 4096)
            os.close(apart)
            assert b"DATA_FOUND" in await post(hub, "BRUSSELS", question())
            assert await hub.ready() == 503
            pipe.read1(1_000_000)
            await until(hub.ready, 200)  # though nobody comes meanwhile
            assert json.loads(await asyncio.to_thread(pipe.readline))["lines"] == 1


async def test_the_hub_leaves_no_image_of_its_memory(tmp_path):
    """G08: whatever limit it is started with."""
    async with served(tmp_path) as hub:
        await serving(hub)
        limits = Path(f"/proc/{hub.process.pid}/limits").read_text().splitlines()  # noqa: ASYNC240 - of the kernel
        (core,) = [line.split()[4:6] for line in limits if line.startswith("Max core file size")]
        assert core == ["0", "0"]


UNCAUGHT = """
import sys, threading, warnings
from gateway.edge.operational_log import OperationalLog, tell_uncaught
tell_uncaught(OperationalLog(sys.stderr))
import logging
from gateway.edge.operational_log import LibraryLines
logging.basicConfig(handlers=[LibraryLines(OperationalLog(sys.stderr))], level=logging.WARNING, force=True)
def fail():
    raise RuntimeError("a secret\\nof two lines")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
type("Dying", (), {"__del__": lambda self: fail()})()
warnings.warn("a secret", stacklevel=1)
fail()
"""


def test_what_nobody_catches_is_told_without_its_words():
    """L03: of threads, destructors, warnings, and the main thread."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", UNCAUGHT], env=env, capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [line["event"] for line in lines] == ["failed", "failed", "library", "failed"]
    assert "secret" not in done.stderr
    assert done.stdout == ""
