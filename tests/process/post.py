"""A message posted as bytes, over mutual TLS: what the header says and how the body travels is the test's choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

from tests.process.running import Running
from tests.world import V11, V12

_CONTINUE = b"HTTP/1.1 100 "
MEDIA = {V11.value: "text/xml", V12.value: "application/soap+xml"}


@dataclass(frozen=True, kw_only=True)
class Form:
    """How one message travels. `fields`: whole lines of the header, Content-Type apart."""

    media: str | None = None  # by default that of the SOAP version
    parameters: str = "; charset=utf-8"
    fields: tuple[str, ...] = ()
    chunks: int = 0  # bytes in each chunk; 0: one body with its length
    waits: bool = False  # sends its body when it is told to continue
    http: str = "HTTP/1.1"
    encoding: str = "utf-8"
    package: bool = False  # as MTOM without an attachment, in the way of npm's soap


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    head: str
    body: bytes


class Connection:
    """One TLS connection to the hub."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self._reader, self._writer, self._path = reader, writer, path

    async def post(self, text: str, envelope: str, form: Form) -> Reply:
        data = text.encode(form.encoding)
        media = f"{form.media or MEDIA[envelope]}{form.parameters}"
        if form.package:
            data, media = packaged(data, MEDIA[envelope])
        length = "Transfer-Encoding: chunked" if form.chunks else f"Content-Length: {len(data)}"
        lines = (
            f"POST {self._path} {form.http}",
            "Host: gateway.wib.example",
            f"Content-Type: {media}",
            length,
            *form.fields,
        )
        self._writer.write("\r\n".join((*lines, "", "")).encode())
        async with asyncio.timeout(60):
            head = await self._head() if form.waits else _CONTINUE
            if head.startswith(_CONTINUE):
                self._writer.write(chunked(data, form.chunks) if form.chunks else data)
            while head.startswith(_CONTINUE):
                head = await self._head()
            return await self._rest(head)

    async def _head(self) -> bytes:
        return await self._reader.readuntil(b"\r\n\r\n")

    async def _rest(self, head: bytes) -> Reply:
        text = head.decode()
        fields = dict(line.lower().split(": ", 1) for line in text.split("\r\n")[1:] if line)
        body = await self._reader.readexactly(int(fields["content-length"]))
        return Reply(int(text.split()[1]), text, body)


def chunked(data: bytes, size: int) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def packaged(data: bytes, media: str) -> tuple[bytes, str]:
    """A package of one part, and its media type."""
    boundary, start = str(uuid4()), str(uuid4())
    head = (
        f'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\nContent-ID: <{start}>\r\n\r\n'
    )
    parameters = f'type="application/xop+xml"; start="<{start}>"; start-info="{media}"; boundary={boundary}'
    whole = f"--{boundary}\r\n{head}".encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return whole, f"multipart/related; {parameters}"


@asynccontextmanager
async def connected(hub: Running, name: str) -> AsyncIterator[Connection]:
    """As this authority."""
    at = urlsplit(hub.url)
    reader, writer = await asyncio.open_connection(
        at.hostname, at.port, ssl=hub.tls(name), server_hostname="gateway.wib.example"
    )
    try:
        yield Connection(reader, writer, at.path)
    finally:
        writer.close()
