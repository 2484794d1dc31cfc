"""PROTOCOL §9.2 on the wire: a provider that speaks HTTP as it should not (attacks R06–R15)."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from gateway.adapters.tls import server_context
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.path.hub import signed_question
from tests.process import running
from tests.process.running import TRUST, running_hub

LIMIT = 100_000  # bytes of one answer
Answering = Callable[["Wire", bytes], AsyncIterator[bytes]]


class Now:
    @property
    def now(self) -> datetime:
        return datetime.now(UTC)


class Wire:
    """The platform's endpoint on bare TLS: what it was sent, and how it answers each request."""

    def __init__(self, answering: Answering, identity: str = "PLATFORM"):
        self.answering, self.identity, self.requests, self.url = answering, identity, [], ""

    async def provider(self, stack, pki, _answering) -> str:
        tls = server_context(
            pki / self.identity / "tls.crt.pem", pki / self.identity / "tls.key.pem", [pki / t for t in TRUST]
        )
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        stack.callback(server.close)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/soap"
        return self.url

    async def serve(self, reader, writer) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                body = await reader.readexactly(length)
                self.requests.append((head, body))
                async for part in self.answering(self, body):
                    writer.write(part)
                    await writer.drain()


def honest(body: bytes) -> bytes:
    asked = memory.messages.read_question(
        parse_verified(verify(read(body, Limits()), Window(), Now().now).body)[0]
    )
    return memory.answer_well(Now(), memory.authority("PLATFORM"), asked)


def response(body: bytes, *headers: str, status: str = "200 OK", media: str = "text/xml") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def well(wire, body):
    yield response(honest(body))


async def fault_status(wire, body):
    yield response(honest(body), status="500 Internal Server Error")


async def early_hints(wire, body):
    yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    yield response(honest(body))


async def redirect(wire, body):
    yield response(b"", f"Location: {wire.url}/elsewhere", status="307 Temporary Redirect")


async def cookie(wire, body):
    yield response(honest(body), "Set-Cookie: session=of-another-authority")


async def compressed(wire, body):
    yield response(gzip.compress(honest(body)), "Content-Encoding: gzip")


async def html(wire, body):
    yield response(b"<html>ORA-00942 at /srv</html>", media="text/html")


async def no_content(wire, body):
    yield b"HTTP/1.1 204 No Content\r\n\r\n"


async def not_http(wire, body):
    yield b"SSH-2.0-OpenSSH_9.2\r\n\r\n"


async def too_large(wire, body):
    yield response(b" " * (LIMIT + 1))


async def endless(wire, body):
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1000\r\n" + b" " * 4096 + b"\r\n"


async def dripping(wire, body):
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 5000\r\n\r\n"
    for _ in range(200):
        yield b" "
        await asyncio.sleep(0.05)


async def silent(wire, body):
    await asyncio.sleep(5)
    yield b""


async def cut_short(wire, body):
    yield response(honest(body))[:-100]
    raise ConnectionResetError


async def two_at_once(wire, body):
    """A second answer behind the first, which waits for the next question on this connection."""
    yield response(honest(body)) + response(honest(body))


@asynccontextmanager
async def hub_before(monkeypatch, tmp_path, wire: Wire):
    monkeypatch.setattr(running, "provider", wire.provider)
    async with running_hub(tmp_path, answer_bytes=LIMIT, provider_seconds=1.5) as hub:
        yield hub


async def consult(hub):
    return await hub.soap(
        "BRUSSELS",
        signed_question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, datetime.now(UTC)),
    )


CASES = {  # None: the answer is accepted
    well: None,
    fault_status: None,
    early_hints: None,
    cookie: None,
    redirect: "WIB09003",
    compressed: "WIB09003",
    html: "WIB09003",
    no_content: "WIB09003",
    not_http: "WIB09003",
    too_large: "WIB09003",
    endless: "WIB09003",
    dripping: "WIB09002",
    silent: "WIB09002",
    cut_short: "WIB09003",
}


@pytest.mark.parametrize("answering", CASES, ids=lambda answering: answering.__name__)
async def test_a_provider_is_asked_once_and_bounded_in_every_way(monkeypatch, tmp_path, answering):
    wire = Wire(answering)
    async with hub_before(monkeypatch, tmp_path, wire) as hub:
        status, answered = await consult(hub)
    assert (status, answered.code) == ((200, None) if CASES[answering] is None else (500, CASES[answering]))
    assert len(wire.requests) == 1
    assert "ORA-00942" not in "".join(answered.body.itertext())


@pytest.mark.parametrize("answering", [cookie, two_at_once], ids=lambda answering: answering.__name__)
async def test_nothing_of_one_exchange_reaches_the_next(monkeypatch, tmp_path, answering):
    wire = Wire(answering)
    async with hub_before(monkeypatch, tmp_path, wire) as hub:
        answers = [await consult(hub) for _ in range(3)]
    assert [answered.code for _, answered in answers] == [None] * 3
    assert not [head for head, _ in wire.requests if b"cookie" in head.lower()]
    assert len({body for _, body in wire.requests}) == 3


@pytest.mark.parametrize(
    ("identity", "code"), [("PLATFORM", None), ("FLANDERS", "WIB09005"), ("HUB", "WIB09005")]
)
async def test_a_question_is_sent_to_nobody_but_the_provider_asked(monkeypatch, tmp_path, identity, code):
    wire = Wire(well, identity)
    async with hub_before(monkeypatch, tmp_path, wire) as hub:
        _, answered = await consult(hub)
    assert answered.code == code
    assert len(wire.requests) == (0 if code else 1)
