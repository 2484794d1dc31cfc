"""An address on which connections are accepted, and the change of their TLS while they are.

Neither aiohttp's sites nor asyncio's servers: those give a handshake a minute, and both keep one TLS context for
ever. A server that is closed in favour of another loses what it has just accepted; here nothing is closed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from gateway.edge.listener import Listener

_PAUSE: Final = 1.0  # seconds, when no more files may be open


class Door:
    """Accepts connections for one listener. Owns the socket, and connections up to the end of their handshake."""

    def __init__(self, bound: socket.socket, listener: Listener, tls: ssl.SSLContext | None) -> None:
        """`tls`: of connections that begin from now on; those that are there keep theirs. It may be replaced:
        a session of another context cannot be resumed (attack I06).
        """
        self.tls = tls
        self._bound = bound
        self._listener = listener
        self._beginning: set[asyncio.Task[None]] = set()
        bound.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._accepting = asyncio.create_task(self._accept(), name="accept")

    @property
    def port(self) -> int:
        return int(self._bound.getsockname()[1])

    async def finish(self, seconds: float) -> None:
        """Take no new connection, close the idle ones, let what is under way end."""
        for task in (self._accepting, *self._beginning):
            task.cancel()
        await asyncio.wait((self._accepting, *self._beginning))
        self._bound.close()
        self._listener.pre_shutdown()
        await self._listener.shutdown(seconds)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._bound)
            except ConnectionAbortedError:  # who came has left
                continue
            except OSError:
                await asyncio.sleep(_PAUSE)
                continue
            task = asyncio.create_task(self._begin(connection))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
            await asyncio.sleep(0)  # a crowd at the door keeps nobody inside waiting

    async def _begin(self, connection: socket.socket) -> None:
        """Hand the connection over when its handshake is done. One that fails is closed, and that is all."""
        loop, seconds = asyncio.get_running_loop(), self._listener.header_seconds
        try:
            if self.tls is None:
                await loop.connect_accepted_socket(self._listener, connection)
            else:
                await loop.connect_accepted_socket(
                    self._listener,
                    connection,
                    ssl=self.tls,
                    ssl_handshake_timeout=seconds,
                    ssl_shutdown_timeout=seconds,
                )
        except OSError:  # ssl.SSLError and TimeoutError are some
            connection.close()
