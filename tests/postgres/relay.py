"""A wire between a node and its database that can be cut, stall, or lose what one side says."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from enum import StrEnum

_PREPARED = re.compile(rb"(\w*)\0COMMIT\0")  # a Parse message of the protocol: a name, and what it stands for


class Wire(StrEnum):
    """What becomes of what is sent."""

    WHOLE = "whole"
    STALLED = "stalled"  # nothing arrives any more, and nothing ends
    ANSWER_LOST = "the answer to a commit is lost"  # the server has done it; then the connection ends
    COMMIT_LOST = "a commit is lost"  # the server never hears of it; then the connection ends


class _Sent:
    """What a node sent on one connection, as far as commits go."""

    def __init__(self) -> None:
        self.commit = False  # its last message
        self._names: set[bytes] = set()  # under which COMMIT was prepared

    def commits(self, data: bytes) -> bool:
        self._names |= set(_PREPARED.findall(data))
        self.commit = b"COMMIT\0" in data or any(b"\0%b\0" % name in data for name in self._names if name)
        return self.commit


class Relay:
    """Listens on a port of its own. `state` may be changed at any time; it holds for all connections."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.state = Wire.WHOLE
        self.lost = 0  # commits whose answer, or who themselves, were lost
        self._changed = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()  # to both sides
        self._nodes: set[asyncio.StreamWriter] = set()  # of those, to the node

    async def become(self, state: Wire) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()

    def cut(self) -> None:
        """Every connection ends at once, in both directions."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def end(self) -> None:
        """Until no connection is left."""
        await self.become(Wire.WHOLE)
        while self._writers:
            self.cut()
            await asyncio.sleep(0)

    def half_close(self) -> None:
        """The node is told that nothing more comes; what it sends still arrives."""
        for writer in list(self._nodes):
            writer.write_eof()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        self._nodes.add(writer)
        sent = _Sent()
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._there(reader, far_writer, sent))
                ways.create_task(self._back(far_reader, writer, sent))
        except* (
            OSError,
            RuntimeError,
        ):  # RuntimeError: something came after the node was told that nothing would
            pass
        finally:
            self._writers -= pair
            self._nodes.discard(writer)
            for one in pair:
                one.transport.abort()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: _Sent) -> None:
        while data := await reader.read(65536):
            await self._moving()
            if sent.commits(data) and self.state is Wire.COMMIT_LOST:
                self.lost += 1
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: _Sent) -> None:
        while data := await reader.read(65536):
            await self._moving()
            if sent.commit and self.state is Wire.ANSWER_LOST:
                self.lost += 1
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _moving(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.state is not Wire.STALLED)


@asynccontextmanager
async def relay(target: int):
    """Before the database at this port."""
    one = Relay(target)
    listening = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = listening.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        listening.close()
        await one.end()
