"""PROTOCOL §2 byte by byte: what is no HTTP, what never ends, what asks for more than its share (attacks H01–H30)."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.edge.operational_log import LibraryLines, OperationalLog
from tests.path import hub as memory
from tests.process.raw import CONTEXTS, connected, fault_in, head, lines, message, reply, said_to, whole
from tests.process.running import Running, running_hub, write_settings

SECRET = "Zyxwvutsrq"


@pytest.fixture
async def hub(tmp_path):
    async with running_hub(tmp_path, body_seconds=5.0) as running:
        yield running


# What is no HTTP.

NO_HTTP = {
    "field name": f"POST /soap/v1 HTTP/1.1\r\nHo st {SECRET}: x\r\n\r\n",
    "length": f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: {SECRET}\r\n\r\n",
    "two lengths": f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{SECRET}",
    "length and chunks": f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}",
    "coding": f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x{SECRET}\r\n\r\n",
    "address": f"POST http://[{SECRET}/soap/v1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "method": f"{SECRET}\x01 /soap/v1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "version": f"POST /soap/v1 HTTP/9.{SECRET}\r\nHost: x\r\n\r\n",
    "no request": f"SSH-2.0-{SECRET}\r\n\r\n",
    "NUL": f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nX: \0{SECRET}\r\n\r\n",
    "folded": f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nX: y\r\n {SECRET}\r\n\r\n",
    "a long field": f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nX: {SECRET * 500}\r\n\r\n",
    "a long line": f"POST /soap/v1?{SECRET * 1000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "many fields": "POST /soap/v1 HTTP/1.1\r\nHost: x\r\n" + f"X: {SECRET}\r\n" * 1000 + "\r\n",
    "expectation": head(f"Expect: {SECRET}", "Content-Length: 1", "Connection: close").decode() + "x",
    "chunks": head("Transfer-Encoding: chunked").decode() + f"{SECRET}\r\n\r\n",
}


@pytest.mark.parametrize("flaw", NO_HTTP)
async def test_bytes_that_are_no_http_are_refused_and_quoted_nowhere(hub, flaw, caplog):
    with caplog.at_level(logging.DEBUG):
        said = await said_to(hub, NO_HTTP[flaw].encode())
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close\r\n" in said
    assert said.partition(b"\r\n\r\n")[2].startswith(b"WIB01008 http: ")
    assert SECRET not in said.decode() + hub.lines.getvalue() + caplog.text
    assert not [
        record
        for record in caplog.records
        if record.name.startswith("aiohttp") and record.levelno > logging.DEBUG
    ]
    assert [(line["event"], line.get("code")) for line in lines(hub)] == [
        ("serving", None),
        ("refused", "WIB01008"),
    ]


async def test_what_http_refuses_is_counted_and_its_kind_told(hub):
    await said_to(hub, NO_HTTP["length"].encode())
    async with aiohttp.ClientSession() as session, session.get(hub.operations + "/metrics") as response:
        assert 'gateway_refusals_total{code="http"} 1.0' in await response.text()
    assert lines(hub)[-1]["error"] == "BadHttpMessage"


async def test_a_refusal_tells_the_operator_which_authority_it_met(hub):
    await said_to(hub, head("Content-Length: 1", "Content-Encoding: gzip", "Connection: close") + b"x")
    assert (lines(hub)[-1]["peer"], lines(hub)[-1]["code"]) == ("BRUSSELS", "WIB01003")


async def test_the_hub_goes_on_after_bytes_that_are_no_http(hub):
    for flaw in NO_HTTP.values():
        await said_to(hub, flaw.encode())
    status, answered = await hub.soap("BRUSSELS", message())
    assert (status, answered.code) == (200, None)


async def test_the_path_is_compared_as_it_was_sent(hub):
    for path in (
        "/",
        "/soap/v1/",
        "//soap/v1",
        "/soap/%76%31",
        "/soap/../soap/v1",
        "/x/%2e%2e/soap/v1",
        "/soap/v1;x",
        "/metrics",
    ):
        said = await said_to(hub, head("Content-Length: 0", "Connection: close", path=path))
        assert said.startswith(b"HTTP/1.1 404 "), path


async def test_no_reply_names_software_or_version(hub):
    async with connected(hub) as (reader, writer):
        said = b""
        for data in (
            whole(message()),
            whole(b"<not-xml"),
            head(method="GET", path="/soap/v1?wsdl"),
            head(method="GET", path="/elsewhere"),
            head(method="PUT"),
        ):
            writer.write(data)
            head_, _, _ = (await reply(reader)).partition(b"\r\n\r\n")
            assert b"\r\nServer: gateway" in head_
            said += head_
    said += (await said_to(hub, b"no http\r\n\r\n")).partition(b"\r\n\r\n")[0]
    for page in ("/metrics", "/healthz", "/readyz", "/x"):
        async with aiohttp.ClientSession() as session, session.get(hub.operations + page) as response:
            said += str(response.headers).encode()
    assert b"aiohttp" not in said.lower()
    assert b"python" not in said.lower()


# Expect: 100-continue.


async def test_a_requester_that_waits_is_told_to_continue(hub):
    data = message()
    async with connected(hub) as (reader, writer):
        writer.write(head(f"Content-Length: {len(data)}", "Expect: 100-continue"))
        assert await reply(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(data)
        assert (await reply(reader)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("field", "status"), [("Content-Length: 999999999", 413), ("Content-Encoding: gzip", 415)]
)
async def test_a_requester_that_waits_is_refused_before_it_sends_its_body(hub, field, status):
    async with connected(hub) as (reader, writer):
        writer.write(head(field, "Expect: 100-continue"))
        assert (await reply(reader)).startswith(b"HTTP/1.1 %d " % status)


# One connection, many requests.


async def test_requests_in_one_write_are_answered_one_by_one(hub):
    async with connected(hub) as (reader, writer):
        writer.write(whole(message()) + whole(b"<not-xml") + whole(message()))
        statuses = [(await reply(reader)).split()[1] for _ in range(3)]
    assert statuses == [b"200", b"500", b"200"]
    assert [line["outcome"] for line in lines(hub) if line["event"] == "exchange"] == [
        "released",
        "refused",
        "released",
    ]


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_an_upgrade_is_not_taken_up(hub, protocol):
    said = await said_to(hub, whole(message(), "Connection: Upgrade, close", f"Upgrade: {protocol}"))
    assert not said.startswith(b"HTTP/1.1 101 ")
    assert b"PRI * HTTP/2.0" not in said


# Sizes.


async def test_a_request_carries_no_documents_but_an_answer_may(tmp_path):
    def large(hub, provider, asked):
        return memory.answer_well(hub, provider, asked) + b" " * 300_000

    async with running_hub(tmp_path, large, header_seconds=2.0) as hub:  # for the rest of a refused body
        assert (await said_to(hub, head("Content-Length: 262145", "Connection: close"))).startswith(
            b"HTTP/1.1 413 "
        )
        status, answered = await hub.soap("BRUSSELS", message() + b" " * 200_000)
        assert (status, answered.code) == (200, None)


# Shares.


@asynccontextmanager
async def under_way(hub, name: str = "BRUSSELS"):
    """An exchange of which a byte is missing; yields how to send it."""
    data = message(name)
    async with connected(hub, name) as (reader, writer):
        writer.write(head(f"Content-Length: {len(data)}", "Expect: 100-continue"))
        await reply(reader)  # it has its slot
        writer.write(data[:-1])

        async def finish() -> bytes:
            writer.write(data[-1:])
            return await reply(reader)

        yield finish


async def test_one_authority_cannot_take_the_slots_of_the_others(tmp_path):
    async with running_hub(tmp_path, in_flight_per_authority=2) as hub:
        async with under_way(hub) as first, under_way(hub) as second:
            said = await said_to(hub, whole(message(), "Connection: close"))
            assert said.startswith(b"HTTP/1.1 500 ")
            assert b"\r\nRetry-After: 2\r\n" in said
            assert fault_in(said).code == "WIB01007"
            status, answered = await hub.soap("IMMIGRATION_OFFICE", message("IMMIGRATION_OFFICE"))
            assert (status, answered.code) == (200, None)
            for finish in (first, second):
                assert (await finish()).startswith(b"HTTP/1.1 200 ")
        status, answered = await hub.soap("BRUSSELS", message())
        assert (status, answered.code) == (200, None)
    assert [line["peer"] for line in lines(hub) if line["event"] == "refused"] == ["BRUSSELS"]


async def test_all_together_cannot_take_more_than_there_is(tmp_path):
    async with (
        running_hub(tmp_path, in_flight=2) as hub,
        under_way(hub),
        under_way(hub, "IMMIGRATION_OFFICE"),
    ):
        for name in CONTEXTS:
            async with hub.request(
                name, data=message(name), headers={"Content-Type": "text/xml"}
            ) as response:
                assert (response.status, response.headers["Retry-After"]) == (500, "2")


async def test_a_slot_of_a_requester_that_left_is_free_again(tmp_path):
    async with running_hub(tmp_path, in_flight_per_authority=1) as hub:
        async with under_way(hub):
            pass
        async with asyncio.timeout(60):
            while (await said_to(hub, whole(message(), "Connection: close"))).startswith(b"HTTP/1.1 500 "):
                pass


# What never ends. A default of aiohttp or asyncio would let each of these wait for a minute or an hour.

SLOW = {
    "nothing": b"",
    "half a line": b"POST /soap",
    "half a header": b"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nX-",
    "half of the second header": None,
}


@pytest.mark.parametrize("slow", SLOW)
async def test_a_connection_that_brings_no_request_is_closed_and_others_are_served(tmp_path, slow):
    async with running_hub(tmp_path, header_seconds=1.0) as hub, connected(hub) as (reader, writer):
        start = SLOW[slow]
        if start is None:
            writer.write(whole(message()))
            assert (await reply(reader)).startswith(b"HTTP/1.1 200 ")
            start = b"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nX-"
        writer.write(start)
        assert (await hub.soap("BRUSSELS", message()))[0] == 200
        async with asyncio.timeout(60):
            assert await reader.read() == b""
    assert [line["event"] for line in lines(hub) if line["event"] not in {"exchange", "serving"}] == [
        "stopping"
    ]


async def test_bytes_that_drip_do_not_prolong_the_time_for_a_header(tmp_path):
    async with running_hub(tmp_path, header_seconds=1.0) as hub, connected(hub) as (reader, writer):
        writer.write(b"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nX: ")

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        dripping.cancel()


async def test_a_connection_without_a_tls_handshake_is_closed(tmp_path):
    async with running_hub(tmp_path, header_seconds=1.0) as hub:
        at = urlsplit(hub.url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        with closing(writer):
            async with asyncio.timeout(60):
                assert await reader.read() == b""


async def test_an_exchange_may_take_longer_than_a_header(tmp_path):
    async with running_hub(tmp_path, header_seconds=1.0) as hub, under_way(hub) as finish:
        await asyncio.sleep(2)
        assert (await finish()).startswith(b"HTTP/1.1 200 ")


async def test_a_hub_that_stops_lets_the_exchange_under_way_end(tmp_path):
    async with AsyncExitStack() as client:
        async with running_hub(tmp_path) as hub:
            finish = await client.enter_async_context(under_way(hub))
            await client.enter_async_context(connected(hub))  # one idle connection besides
            answer = asyncio.create_task(finish())
            await asyncio.sleep(0)
        assert (await answer).startswith(b"HTTP/1.1 200 ")


# The words of libraries.


def test_what_a_library_would_print_is_one_line_without_its_text():
    stream = io.StringIO()
    logger = logging.Logger("aiohttp.internal")  # noqa: LOG001 - of no hierarchy
    logger.addHandler(LibraryLines(OperationalLog(stream)))
    try:
        int(f"{SECRET}\n\x1b[2J")
    except ValueError:
        logger.exception("while reading %s", SECRET)
    logger.warning(SECRET)
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["event"], first["logger"], first["level"], first["error"]) == (
        "library",
        "aiohttp.internal",
        "ERROR",
        "ValueError",
    )
    assert first["place"].startswith("test_listener:")
    assert (second["level"], "error" in second) == ("WARNING", False)
    assert SECRET not in stream.getvalue()


def test_the_process_itself_prints_nothing_but_its_lines(tmp_path):
    """`gateway serve`, with the event loop that it uses."""
    memory.place_pki(tmp_path / "pki")
    write_settings(tmp_path, "https://127.0.0.1:9/soap", {"header_seconds": 0.5})
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(tmp_path / "gateway.toml")]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(memory.ROOT)}
    ) as process:
        try:
            first = process.stderr.readline()
            asyncio.run(trouble(Running(json.loads(first)["url"], "", tmp_path, io.StringIO())))
        finally:
            process.terminate()
        printed = first + process.stderr.read()
    events = [json.loads(line)["event"] for line in printed.splitlines()]
    assert events.count("refused") == len(NO_HTTP)
    assert set(events) == {"serving", "refused", "exchange", "stopping"}
    assert SECRET not in printed.decode()


async def trouble(hub: Running) -> None:
    """Bytes that are no HTTP, no TLS, or never come; a provider that cannot be reached."""
    for flaw in NO_HTTP.values():
        assert b" 400 " in (await said_to(hub, flaw.encode()))[:16]
    assert await said_to(hub, b"POST /soap/v1") == b""
    await said_to(hub, whole(message(), "Connection: close"))
    at = urlsplit(hub.url)
    for start in (b"", SECRET.encode() * 100):
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        with closing(writer):
            writer.write(start)
            async with asyncio.timeout(60):
                with suppress(ConnectionError):
                    await reader.read()
    with suppress(OSError):  # the refusal may come as an alert or as a reset
        async with connected(hub, None) as (reader, writer):
            writer.write(whole(b"x"))
            assert await reader.read() == b""
