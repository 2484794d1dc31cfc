"""PROTOCOL §2 and §8.4 under attack: peers that leave, bugs beside the path, and what is counted of them."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.adapters.store import LogReader
from gateway.model import SoapVersion
from tests.path.hub import signed_question
from tests.process.running import running_hub

XML = {"Content-Type": "text/xml; charset=utf-8"}
HEAD = b"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n"
CANARY = "Zyxwvutsrq"


@pytest.fixture
async def hub(tmp_path):
    async with running_hub(tmp_path, request_bytes=100_000, body_seconds=2.0) as running:
        yield running


def message(version: SoapVersion = SoapVersion.V11) -> bytes:
    return signed_question(
        "BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, datetime.now(UTC), version=version
    )


async def send_and_leave(hub, data: bytes) -> None:
    """Write to the hub over TLS, then close without reading."""
    url = urlsplit(hub.url)
    _, writer = await asyncio.open_connection(
        url.hostname, url.port, ssl=hub.tls("BRUSSELS"), server_hostname="gateway.wib.example"
    )
    writer.write(data)
    await writer.drain()
    writer.close()


def lines(hub) -> list[dict[str, object]]:
    return [json.loads(line) for line in hub.lines.getvalue().splitlines()]


async def until(hub, event: str) -> dict[str, object]:
    """The first line of this event."""
    async with asyncio.timeout(60):
        while not (found := [line for line in lines(hub) if line["event"] == event]):  # noqa: ASYNC110 - a text buffer tells nobody
            await asyncio.sleep(0.02)
    return found[0]


async def metrics(hub) -> str:
    async with aiohttp.ClientSession() as session, session.get(hub.operations + "/metrics") as response:
        return await response.text()


async def test_an_exchange_whose_requester_left_is_carried_through_and_recorded(hub):
    data = message()
    await send_and_leave(hub, HEAD % len(data) + data)
    assert (await until(hub, "exchange"))["outcome"] == "released"
    with LogReader.open(hub.directory / "store.db") as log:
        assert [json.loads(log.entry(index))["kind"] for index in range(log.head().size)] == [
            "request",
            "response",
        ]


async def test_a_peer_that_leaves_in_the_middle_of_a_message_is_a_line_and_no_incident(hub, caplog):
    with caplog.at_level(logging.DEBUG):
        await send_and_leave(hub, HEAD % 500 + b"<x>" + CANARY.encode())
        assert (await until(hub, "refused"))["code"] == "WIB01005"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_refusal_that_is_bare_is_counted_once(hub):
    async with hub.request("BRUSSELS", data=message(SoapVersion.V12), headers=XML) as response:
        assert (response.status, (await response.text())[:8]) == (415, "WIB01002")
    assert 'gateway_refusals_total{code="media-type"} 1.0' in await metrics(hub)
    assert [line["event"] for line in lines(hub)] == ["serving", "exchange"]


async def test_when_all_is_done_nothing_is_under_way(hub):
    await hub.soap("BRUSSELS", message())
    await hub.soap("BRUSSELS", b"<not-xml")
    assert "gateway_in_flight 0.0" in await metrics(hub)


async def test_a_bug_beside_the_path_shows_neither_itself_nor_the_peers_text(hub, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError(f"while reading {CANARY}")

    monkeypatch.setattr("gateway.edge.soap.soap_action", broken)
    async with hub.request("BRUSSELS", data=message(), headers=XML) as response:
        assert (response.status, (await response.text())[:8]) == (500, "WIB10002")
        assert CANARY not in await response.text()
    line = await until(hub, "failed")
    assert str(line["trace"]).startswith("RuntimeError at ")
    assert CANARY not in hub.lines.getvalue() + caplog.text


async def test_what_a_message_says_is_in_no_operational_line(hub):
    ticket = f"{CANARY}-1"
    data = signed_question(
        "BRUSSELS", "consultDossier", "SECRET:WORDS", None, datetime.now(UTC), ticket=ticket
    )
    status, answered = await hub.soap(
        "BRUSSELS", data, SOAPAction='""', **{"X-Request-ID": CANARY, "User-Agent": CANARY}
    )
    assert (status, answered.code) == (500, "WIB07001")
    watched = hub.lines.getvalue() + await metrics(hub)
    assert CANARY not in watched
    assert "SECRET" not in watched
