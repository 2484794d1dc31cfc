"""HTTP/1.1 as far as a benchmark needs it: POST and its answer over a connection that is kept.

Small on purpose: what the load generator and the provider spend, the hub cannot have on a small machine.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.adapters.tls import client_context, server_context
from gateway.bench.place import Party

HOST: Final = "127.0.0.1"
_END: Final = b"\r\n\r\n"
_BUFFER: Final = 1 << 20  # bytes that a stream holds before it stops reading


@dataclass(frozen=True, slots=True)
class Channel:
    """One connection, either end of it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, head: str, body: bytes) -> None:
        """`head`: the lines before Content-Length, each with its line end."""
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self.writer.drain()

    async def receive(self) -> tuple[bytes, bytes]:
        """First line and body. Raises IncompleteReadError when the peer closed, ValueError without a length."""
        head = (await self.reader.readuntil(_END)).lower()
        _, found, after = head.partition(b"\r\ncontent-length:")
        if not found:
            raise ValueError("no Content-Length")
        length = int(after.partition(b"\r\n")[0])
        return head.partition(b"\r\n")[0], await self.reader.readexactly(length)

    def close(self) -> None:
        self.writer.close()


def contexts(party: Party) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The party's TLS as client and as server; the very settings that the hub uses."""
    certificate, key = party.tls
    return client_context(certificate, key, party.trust), server_context(certificate, key, party.trust)


async def connect(port: int, name: str, context: ssl.SSLContext) -> Channel:
    """A connection to a server on loopback whose certificate carries `name`."""
    return Channel(
        *await asyncio.open_connection(HOST, port, ssl=context, server_hostname=name, limit=_BUFFER)
    )


class Listener:
    """A server on a free port of loopback; `converse` has each connection until its peer closes it."""

    def __init__(self, converse: Callable[[Channel], Awaitable[None]]) -> None:
        self._converse = converse
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self, context: ssl.SSLContext | None) -> int:
        """Listen; returns the port. None: without TLS."""
        self._server = await asyncio.start_server(
            self._accepted, HOST, 0, ssl=context, backlog=512, limit=_BUFFER
        )
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Take no more connections; those that are open end when their peers close them."""
        if self._server is not None:
            self._server.close()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Not a coroutine: asyncio would report each conversation that the end of the process cuts short."""
        task = asyncio.get_running_loop().create_task(self._until_closed(Channel(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_closed(self, channel: Channel) -> None:
        try:
            await self._converse(channel)
        except (asyncio.IncompleteReadError, ConnectionError):
            channel.close()
