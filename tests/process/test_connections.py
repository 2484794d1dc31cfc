"""PROTOCOL §2.1 and §2.3: connections, and peers that take their time (attacks H16, H18–H20, H29, H30)."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.adapters.pki import write_file
from gateway.adapters.store import LogReader
from gateway.identity.certify import Issuer, Purpose, issue_leaf
from gateway.identity.issue import issue_pki, new_ec_key, pair
from gateway.model import Enterprise
from tests.path import hub as memory
from tests.process.bare_provider import Wire, consult, hub_before, response
from tests.process.bare_provider import honest as honestly
from tests.process.raw import connected, head, lines, message, metric, reply, said_to, until, whole
from tests.process.running import running_hub
from tests.process.test_prometheus import decision

SOURCES = [f"127.0.0.{number}" for number in range(1, 9)]


def cut(why: str) -> str:
    return f'gateway_connections_cut_total{{listener="soap",reason="{why}"}}'


OPEN = 'gateway_connections{listener="soap"}'


async def is_served(hub, name: str = "BRUSSELS", source: str = "127.0.0.1") -> bool:
    async with connected(hub, name, source=source) as (reader, writer):
        writer.write(whole(message(name), "Connection: close"))
        return (await reader.read()).startswith(b"HTTP/1.1 200 ")


async def is_closed(reader) -> bool:
    """Whether the hub has closed this connection without a word."""
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            return await reader.read() == b""
    return True


# Shares.


@pytest.mark.parametrize(("limit", "why"), [("connections", "all"), ("connections_per_address", "address")])
async def test_who_finds_no_place_is_closed_before_the_handshake(tmp_path, limit, why):
    async with running_hub(tmp_path, **{limit: 2}) as hub, AsyncExitStack() as kept:
        for _ in range(2):
            await kept.enter_async_context(connected(hub))
        at = urlsplit(hub.url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        assert await is_closed(reader)
        writer.close()
        assert (await metric(hub, OPEN), await metric(hub, cut(why))) == (2.0, 1.0)
        if limit == "connections_per_address":
            assert await is_served(hub, source="127.0.0.2")
        await kept.aclose()
        await until(lambda: metric(hub, OPEN), 0.0)
        assert await is_served(hub)


async def test_one_authority_cannot_take_the_connections_of_the_others(tmp_path):
    async with running_hub(tmp_path, connections_per_authority=2) as hub, AsyncExitStack() as kept:
        for source in SOURCES[:2]:
            await kept.enter_async_context(connected(hub, source=source))
        async with connected(hub, source=SOURCES[2]) as (reader, _):
            assert await is_closed(reader)
        assert await metric(hub, cut("authority")) == 1.0
        assert await is_served(hub, "IMMIGRATION_OFFICE", SOURCES[2])
        await kept.aclose()
        await until(lambda: metric(hub, OPEN), 0.0)
        assert await is_served(hub)


async def test_those_whom_nobody_knows_have_one_share_together(tmp_path):
    """Certificates of the issuer that no line of the register names."""
    async with running_hub(tmp_path, connections_per_authority=2) as hub, AsyncExitStack() as kept:
        stranger = certified(hub.directory, "stranger", cbe="0999099999")
        for _ in range(2):
            await kept.enter_async_context(connected(hub, tls=stranger))
        async with connected(hub, tls=stranger) as (reader, _):
            assert await is_closed(reader)
        assert await is_served(hub)


# The handshake.


def certified(
    directory: Path, name: str, *, cbe: str | None = None, issued: datetime | None = None
) -> ssl.SSLContext:
    """A client whose certificate the test's own issuer gives out: to another number, or at another time."""
    pki = memory.pki()
    certificate = x509.load_pem_x509_certificate(pki["issuing.crt.pem"])
    issuer = Issuer(certificate, load_pem_private_key(pki["issuing.key.pem"], None))
    holder = memory.authority("BRUSSELS")
    if cbe is not None:
        holder = memory.replace(holder, enterprise=Enterprise(cbe, holder.enterprise.unit))
    key = new_ec_key("p-256")
    leaf = issue_leaf(key.public_key(), holder, Purpose.TLS, issuer, issued or memory.NOW - timedelta(days=1))
    return showing(directory, name, pair(name, [leaf, certificate], key))


def showing(directory: Path, name: str, files: dict[str, bytes]) -> ssl.SSLContext:
    """A client that shows these two files, whatever the hub thinks of them."""
    context = trusting(directory)
    for ending in ("crt.pem", "key.pem"):
        write_file(directory / f"{name}.{ending}", files[f"{name}.{ending}"])
    context.load_cert_chain(directory / f"{name}.crt.pem", directory / f"{name}.key.pem")
    return context


def trusting(directory: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=directory / "pki/root.crt.pem")
    context.load_verify_locations(directory / "pki/issuing.crt.pem")
    return context


def unknown(directory: Path) -> ssl.SSLContext:
    """The same names, given out by somebody else."""
    hub, authorities = memory.register().hub, [memory.authority("BRUSSELS")]
    other = issue_pki(hub, authorities, memory.NOW - timedelta(days=1), key=new_ec_key)
    return showing(
        directory, "other", {f"other.{end}": other[f"BRUSSELS/tls.{end}"] for end in ("crt.pem", "key.pem")}
    )


def old(version: ssl.TLSVersion):
    def client(directory: Path) -> ssl.SSLContext:
        context = certified(directory, version.name)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
        return context

    return client


HANDSHAKES = {
    "no certificate": trusting,
    "another issuer": unknown,
    "expired": lambda directory: certified(directory, "expired", issued=datetime(2015, 1, 1, tzinfo=UTC)),
    "not valid yet": lambda directory: certified(
        directory, "early", issued=datetime.now(UTC) + timedelta(days=2)
    ),
    "TLS 1.0": old(ssl.TLSVersion.TLSv1),
    "TLS 1.1": old(ssl.TLSVersion.TLSv1_1),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_a_handshake_that_is_not_acceptable_ends_before_http(tmp_path):
    async with running_hub(tmp_path) as hub:
        for count, (flaw, client) in enumerate(HANDSHAKES.items(), 1):
            said = b""
            with suppress(OSError):  # an alert, or a reset behind it
                async with connected(hub, tls=client(tmp_path)) as (reader, writer):
                    writer.write(whole(message()))
                    said = await reader.read()
            assert said == b"", flaw
            await until(lambda: metric(hub, cut("handshake")), float(count))
        assert [line["event"] for line in lines(hub)] == ["serving"]
        assert await said_to(hub, whole(message(), "Connection: close"))


async def test_a_certificate_that_the_register_does_not_know_gets_a_bare_refusal(tmp_path):
    async with running_hub(tmp_path) as hub:
        async with connected(hub, tls=certified(tmp_path, "stranger", cbe="0999099999")) as (reader, writer):
            writer.write(whole(message(), "Connection: close"))
            said = await reader.read()
        assert said.startswith(b"HTTP/1.1 403 ")
        assert b"WIB01006" in said


def s_client(hub, *options: str, said: bytes = b"") -> str:
    """What OpenSSL's own client prints of a connection as BRUSSELS."""
    at, pki = urlsplit(hub.url), hub.directory / "pki"
    command = [
        "openssl",
        "s_client",
        "-connect",
        f"{at.hostname}:{at.port}",
        "-CAfile",
        str(pki / "root.crt.pem"),
    ]
    shown = ["-cert", str(pki / "BRUSSELS/tls.crt.pem"), "-key", str(pki / "BRUSSELS/tls.key.pem")]
    done = subprocess.run(
        [*command, *shown, *options], input=said, capture_output=True, timeout=60, check=False
    )
    return (done.stdout + done.stderr).decode(errors="replace")


async def test_nobody_renegotiates_and_nobody_sends_before_the_handshake_is_done(tmp_path):
    async with running_hub(tmp_path, header_seconds=2.0) as hub:
        told = await asyncio.to_thread(s_client, hub, "-tls1_2", said=b"R\n")
        assert "no renegotiation" in told
        told = await asyncio.to_thread(s_client, hub, "-tls1_3", "-ign_eof", said=b"no http\r\n\r\n")
        assert "Max Early Data: 0" in told
        assert "WIB01008" in told


# Replies that nobody takes.


async def test_a_reply_that_is_not_taken_is_cut_off_and_its_slot_is_free_again(tmp_path):
    limits = {"reply_seconds": 5.0, "header_seconds": 5.0, "in_flight_per_authority": 1}
    async with running_hub(tmp_path, **limits) as hub, connected(hub) as (reader, writer):
        reader._transport.pause_reading()
        writer.write(head(path="/soap/v1?singleWsdl", method="GET") * 500)
        await until(lambda: metric(hub, "gateway_in_flight"), 1.0)
        assert await is_served(hub, "IMMIGRATION_OFFICE")
        await until(lambda: metric(hub, cut("reply")), 1.0)
        await until(lambda: metric(hub, "gateway_in_flight"), 0.0)
        await until(lambda: metric(hub, OPEN), 0.0)
        assert await is_served(hub)


async def test_a_reply_that_is_taken_slowly_arrives_whole(tmp_path):
    """Twice as long as a peer has for what it does not take at all."""
    async with running_hub(tmp_path, reply_seconds=1.0) as hub, connected(hub) as (reader, writer):
        writer.write(head(path="/soap/v1?singleWsdl", method="GET") * 30)
        for _ in range(30):
            assert (await reply(reader)).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.07)
        assert await metric(hub, cut("reply")) == 0.0


async def test_a_connection_that_is_to_be_closed_does_not_wait_for_ever_for_its_peer(tmp_path):
    """What is not taken when a connection ends lies where no reply waits for it any more."""
    limits = {"reply_seconds": 1.0, "header_seconds": 1.0}
    async with running_hub(tmp_path, **limits) as hub, connected(hub) as (reader, writer):
        reader._transport.pause_reading()
        writer.write(head("Connection: close", path="/soap/v1?singleWsdl", method="GET"))
        await until(lambda: metric(hub, OPEN), 0.0)


# Pipelines.


async def test_each_request_of_a_pipeline_is_judged_by_itself(tmp_path):
    """Forty good ones, some of them bad: another signer, a body changed, the ticket of the one before."""
    async with running_hub(tmp_path) as hub:
        sent = [message() for _ in range(40)]
        sent[10] = sent[10].replace(b"WIB:WORK_DECISION", b"WIB:RESIDENCE_DECISION")
        sent[20] = message("IMMIGRATION_OFFICE")
        sent[30] = sent[29]
        wrong = {10: b"WIB04009", 20: b"WIB05003", 30: b"WIB06005"}
        async with connected(hub) as (reader, writer):
            writer.write(b"".join(whole(one) for one in sent))
            for number in range(40):
                said = await reply(reader)
                assert said.startswith(b"HTTP/1.1 500 " if number in wrong else b"HTTP/1.1 200 ")
                assert wrong.get(number, b"") in said


# Peers that leave.


class Gate:
    """A provider that answers when it is told to."""

    def __init__(self):
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    async def __call__(self, wire, body):
        self.asked.set()
        await self.open.wait()
        yield response(honestly(body))


async def still_served() -> list[str]:
    """What tasks of this process's hub still do for a connection."""
    names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    return [name for name in names if name in {"Door._serve", "RequestHandler._handle_request"}]


def kinds(hub) -> list[str]:
    with LogReader.open(hub.directory / "store.db") as log:
        return [json.loads(log.entry(index))["kind"] for index in range(log.head().size)]


@asynccontextmanager
async def aborted(hub, data: bytes):
    """A requester that sent `data` and is gone at the end, without TLS's good-bye."""
    async with connected(hub) as (_, writer):
        writer.write(data)
        await writer.drain()
        yield
        writer.transport.abort()


async def test_a_requester_that_leaves_while_the_provider_works_is_recorded_in_full(tmp_path):
    """Attacks H19, R13: both commits, once; the ticket is used; nothing of it goes on."""
    gate = Gate()
    wire = Wire(gate)
    async with hub_before(wire, tmp_path, provider_seconds=20.0) as hub:
        data = message()
        async with aborted(hub, whole(data) + whole(message())):  # and one behind it, which nobody waits for
            await asyncio.wait_for(gate.asked.wait(), 60)
        await until(lambda: metric(hub, OPEN), 0.0)
        assert kinds(hub) == ["request"]
        gate.open.set()
        await until(lambda: metric(hub, "gateway_in_flight"), 0.0)
        assert kinds(hub) == ["request", "response"]
        assert len(wire.requests) == 1
        assert (await hub.soap("BRUSSELS", data))[1].code == "WIB06005"
        assert (await consult(hub))[1].code is None
        await until(still_served, [])


async def test_a_requester_that_leaves_before_its_message_is_there_has_asked_nothing(tmp_path):
    async with running_hub(tmp_path) as hub:
        data = message()
        for part in (whole(data)[:-1], head("Content-Length: 100000"), b"POST /soap", b""):
            async with aborted(hub, part):
                pass
        await until(lambda: metric(hub, OPEN), 0.0)
        assert kinds(hub) == []
        assert (await hub.soap("BRUSSELS", data))[1].code is None


# The end.


async def test_a_hub_that_ends_takes_nothing_new_while_a_delivery_is_under_way(tmp_path):
    asked, go = asyncio.Event(), asyncio.Event()

    async def slowly(world, provider, question):
        asked.set()
        await go.wait()
        return web.Response(status=500)

    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(running_hub(tmp_path, slowly))
        assert (await hub.soap("BRUSSELS", decision()))[1].code is None
        await asyncio.wait_for(asked.wait(), 60)
        ending = asyncio.create_task(stack.pop_all().aclose())

        async def takes() -> bool:
            with suppress(ConnectionError):
                at = urlsplit(hub.url)
                _, writer = await asyncio.open_connection(at.hostname, at.port)
                writer.close()
                return True
            return False

        await until(takes, wanted=False)
        assert lines(hub)[-1]["event"] == "stopping"  # it is still under way
        go.set()
        await ending
    assert [line["event"] for line in lines(hub)][-1] == "delivery"
