"""A hub in a process of its own under floods: what it holds does not grow with what is thrown at it.

Each flood brings tens of megabytes, or thousands of things; the bound is a small part of that. Peaks of one process
are compared, so one hub serves all floods.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import pytest_asyncio

from tests.process.bare_provider import Wire, consult, response
from tests.process.bare_provider import honest as honestly
from tests.process.large_documents import MIB, Document, Platform, question
from tests.process.raw import connected, head, message, metric, reply, until, whole
from tests.process.test_large_documents import hub_process, peak

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLOOD = 50_000_000  # bytes
GROWTH = 20_000_000  # bytes that a hub may have more afterwards than it ever had before
BLOCK = b"y" * 65536
BOMB = gzip.compress(b" " * FLOOD)


async def well(wire, body):
    yield response(honestly(body))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory):
    """A hub that has served a while: what it keeps for good, it has."""
    wire = Wire(well)
    limits = {"answer_bytes": MIB, "header_seconds": 5.0, "body_seconds": 5.0, "reply_seconds": 2.0}
    async with hub_process(tmp_path_factory.mktemp("flooded"), wire, **limits) as (hub, process):
        for _ in range(20):
            assert (await consult(hub))[1].code is None
        yield hub, process, wire


@asynccontextmanager
async def bounded(process, growth: int = GROWTH):
    before = peak(process)
    yield
    assert peak(process) - before < growth


def blocks(start: bytes, block: bytes = BLOCK) -> Iterator[bytes]:
    yield start
    for _ in range(FLOOD // len(block)):
        yield block


CHUNKED = head("Transfer-Encoding: chunked")
FLOODS = {
    "H06 a length": (lambda: blocks(head(f"Content-Length: {FLOOD}")), b"413"),
    "H07 chunks": (lambda: blocks(CHUNKED, b"10000\r\n" + BLOCK + b"\r\n"), b"413"),
    "H07 chunks of one byte": (lambda: blocks(CHUNKED, b"1\r\ny\r\n" * 10_000), b"413"),
    "H08 a bomb": (
        lambda: iter([head("Content-Encoding: gzip", f"Content-Length: {len(BOMB)}"), BOMB]),
        b"415",
    ),
    "H14 a chunk extension": (lambda: blocks(CHUNKED + b"1;"), b"408"),
    "H14 a trailer": (lambda: blocks(CHUNKED + b"0\r\nX: "), b"400"),
    "H15 a field": (lambda: blocks(b"POST /soap/v1 HTTP/1.1\r\nX: "), b"400"),
    "H15 a request line": (lambda: blocks(b"POST /"), b"400"),
    "H15 empty lines": (lambda: blocks(b"", b"\r\n" * 32768), b""),
    "H21 a body for nobody": (lambda: blocks(head(f"Content-Length: {FLOOD}", path="/x")), b"404"),
    "H23 behind an upgrade": (
        lambda: blocks(head("Content-Length: 0", "Connection: Upgrade", "Upgrade: h2c")),
        b"500",
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_what_is_uploaded_without_end_is_not_kept(started, flood):
    hub, process, _ = started
    sent, status = FLOODS[flood]
    async with bounded(process), connected(hub) as (reader, writer):
        with suppress(ConnectionError):
            for block in sent():
                writer.write(block)
                await asyncio.wait_for(writer.drain(), 60)
        said = b""
        with suppress(ConnectionError):
            said = await asyncio.wait_for(reader.read(), 60)
        writer.transport.abort()
        assert said[9:12] in {status, b""}  # a reset may overtake the answer
    assert (await consult(hub))[1].code is None


async def test_ten_thousand_requests_in_a_pipeline_are_not_kept_while_nobody_takes_their_replies(started):
    """Attacks H18, H20."""
    hub, process, _ = started
    data = head("X: " + "y" * 4000, path="/soap/v1?singleWsdl", method="GET")
    cut = await metric(hub, CUT)
    async with bounded(process), connected(hub) as (reader, writer):
        reader._transport.pause_reading()
        with suppress(ConnectionError, TimeoutError):
            for _ in range(10_000):
                writer.write(data)
                await asyncio.wait_for(writer.drain(), 20)
        await until(lambda: metric(hub, CUT), cut + 1)
        writer.transport.abort()
    assert (await consult(hub))[1].code is None


CUT = 'gateway_connections_cut_total{listener="soap",reason="reply"}'
REFUSED = 'gateway_connections_cut_total{listener="soap",reason="address"}'


async def test_ten_thousand_requests_in_a_pipeline_are_each_answered(started):
    hub, process, _ = started
    bad = head("Content-Length: 0", path="/elsewhere")
    async with bounded(process), connected(hub) as (reader, writer):

        async def send() -> None:
            for number in range(10_000):
                writer.write(whole(message()) if number == 5_000 else bad)
                await writer.drain()

        sending = asyncio.create_task(send())
        statuses = [(await reply(reader))[9:12] for _ in range(10_000)]
        await sending
    assert statuses == [b"404"] * 5_000 + [b"200"] + [b"404"] * 4_999


async def knock(hub, kept: AsyncExitStack, tls: ssl.SSLContext, source: str) -> bool:
    """Whether a connection from there finds a place, which it keeps."""
    try:
        await kept.enter_async_context(connected(hub, tls=tls, source=source))
    except OSError:
        return False
    return True


async def test_two_thousand_idle_connections_from_one_address_leave_room_for_the_others(tmp_path):
    """Attack H30: 256 of them find a place, which costs the hub some tens of kilobytes each."""
    async with (
        hub_process(tmp_path, Wire(well), header_seconds=60.0) as (hub, process),
        AsyncExitStack() as kept,
    ):
        for _ in range(20):
            assert (await consult(hub))[1].code is None
        tls = hub.tls("BRUSSELS")
        async with bounded(process):
            found = 0
            for _ in range(20):
                found += sum(await asyncio.gather(*(knock(hub, kept, tls, "127.0.0.3") for _ in range(100))))
                other = await hub.soap("IMMIGRATION_OFFICE", message("IMMIGRATION_OFFICE"))  # from elsewhere
                assert other[1].code is None
        assert found == 256
        assert await metric(hub, REFUSED) == 2_000 - 256


async def gzip_bomb(wire, body):
    yield response(gzip.compress(b" " * 200_000_000), "Content-Encoding: gzip")


async def huge(wire, body):
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100000000\r\n\r\n"
    for _ in range(100_000_000 // len(BLOCK)):
        yield BLOCK


async def endless_field(wire, body):
    yield b"HTTP/1.1 200 OK\r\nX: "
    for _ in range(FLOOD // len(BLOCK)):
        yield BLOCK


@pytest.mark.parametrize("answering", [gzip_bomb, huge, endless_field], ids=lambda one: one.__name__)
async def test_a_provider_cannot_fill_the_hub(started, answering):
    """Attack R07."""
    hub, process, wire = started
    wire.answering = answering
    async with bounded(process):
        assert (await consult(hub))[1].code == "WIB09003"
    wire.answering = well
    assert (await consult(hub))[1].code is None


async def test_replies_that_nobody_takes_are_kept_for_no_more_than_an_authoritys_share(tmp_path):
    """Attack H18: a document of 5 MiB in base64, asked twenty times, taken never."""
    document = Document(5 * MIB)
    limits = {"in_flight_per_authority": 2, "reply_seconds": 3.0}
    async with (
        hub_process(tmp_path, Platform(document), **limits) as (hub, process),
        AsyncExitStack() as kept,
    ):
        for _ in range(2):
            async with connected(hub) as (reader, writer):  # what one costs that is taken
                writer.write(whole(question(document), "Connection: close"))
                assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        async with bounded(process, 60_000_000):
            for _ in range(20):
                reader, writer = await kept.enter_async_context(connected(hub))
                reader._transport.pause_reading()
                writer.write(whole(question(document)))
            async with asyncio.timeout(60):
                while await metric(hub, CUT) < 1.0:  # noqa: ASYNC110 - another process tells nobody
                    await asyncio.sleep(0.05)
            await until(lambda: metric(hub, "gateway_in_flight"), 0.0)
