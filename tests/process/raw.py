"""HTTP as bytes, over mutual TLS: what no client library would send."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp

from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path.hub import Answered, signed_question

CONTEXTS = {"BRUSSELS": "WIB:WORK_DECISION", "IMMIGRATION_OFFICE": "WIB:RESIDENCE_DECISION"}


def message(name: str = "BRUSSELS") -> bytes:
    return signed_question(name, "consultDossier", CONTEXTS[name], None, datetime.now(UTC))


def head(*fields: str, path: str = "/soap/v1", method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: text/xml", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def whole(data: bytes, *fields: str) -> bytes:
    return head(f"Content-Length: {len(data)}", *fields) + data


@asynccontextmanager
async def connected(
    hub,
    name: str | None = "BRUSSELS",
    *,
    source: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    server_name: str = "gateway.wib.example",
):
    """A bare TLS connection as this authority. `source`: the address that it comes from."""
    at = urlsplit(hub.url)
    reader, writer = await asyncio.open_connection(
        at.hostname,
        at.port,
        ssl=tls or hub.tls(name),
        server_hostname=server_name,
        local_addr=(source, 0),
    )
    with closing(writer):
        yield reader, writer


async def reply(reader) -> bytes:
    """One reply with its body."""
    async with asyncio.timeout(60):
        head_ = await reader.readuntil(b"\r\n\r\n")
        length = [
            line.split(b":")[1] for line in head_.splitlines() if line.lower().startswith(b"content-length:")
        ]
        return head_ + await reader.readexactly(int(length[0]) if length else 0)


def fault_in(said: bytes) -> Answered:
    """The fault in a reply, verified as signed by the hub."""
    verified = verify(read(said.partition(b"\r\n\r\n")[2], Limits()), Window(), datetime.now(UTC))
    return Answered(None, parse_verified(verified.body)[0])


async def said_to(hub, data: bytes, name: str = "BRUSSELS") -> bytes:
    """Everything that the hub says to these bytes, until it closes."""
    async with connected(hub, name) as (reader, writer), asyncio.timeout(60):
        writer.write(data)
        return await reader.read()


def lines(hub) -> list[dict[str, object]]:
    return [json.loads(line) for line in hub.lines.getvalue().splitlines()]


async def metric(hub, series: str) -> float:
    """The value of one series: its name, which stands for all of its labels, or with them as the hub writes them; then 0
    before anything was counted.
    """
    async with aiohttp.ClientSession() as session, session.get(hub.operations + "/metrics") as response:
        found = [
            line
            for line in (await response.text()).splitlines()
            if line.startswith((series + " ", series + "{"))
        ]
    if "{" in series and not found:
        return 0.0
    (one,) = found
    return float(one.split()[-1])


async def until(question, wanted: object) -> None:
    """Wait until a coroutine function gives what is wanted; a deadline turns a hang into a failure."""
    async with asyncio.timeout(60):
        while await question() != wanted:  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.05)
