"""A provider on bare TLS, which can speak HTTP as it should not, and a hub before it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from gateway.adapters.tls import server_context
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.path.hub import signed_question
from tests.process.running import TRUST, running_hub

LIMIT = 100_000  # bytes of one answer
Answering = Callable[["Wire", bytes], AsyncIterator[bytes]]


class Now:
    @property
    def now(self) -> datetime:
        return datetime.now(UTC)


class Wire:
    """The platform's endpoint on bare TLS: what it was sent, and how it answers each request. The way may change."""

    def __init__(self, answering: Answering, identity: str = "PLATFORM"):
        self.answering, self.identity, self.requests, self.url = answering, identity, [], ""
        self.connections = 0

    async def provider(self, stack, pki, _answering) -> str:
        tls = server_context(
            pki / self.identity / "tls.crt.pem", pki / self.identity / "tls.key.pem", [pki / t for t in TRUST]
        )
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        stack.callback(server.close)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/soap"
        return self.url

    async def start(self, stack, pki) -> str:
        """The same for a hub in a process of its own."""
        return await self.provider(stack, pki, None)

    async def serve(self, reader, writer) -> None:
        self.connections += 1
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


@asynccontextmanager
async def hub_before(wire: Wire, directory: Path, **limits: object):
    bounds = {"answer_bytes": LIMIT, "provider_seconds": 4.0, **limits}
    async with running_hub(directory, start=wire.provider, **bounds) as hub:
        yield hub


async def consult(hub):
    return await hub.soap(
        "BRUSSELS",
        signed_question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, datetime.now(UTC)),
    )
