"""A log's side of C2SP tlog-witness over HTTP: bounded in bytes and time, no redirect, no cookie, no proxy.

What comes back is not believed here: a cosignature has its signature, a size says only where to go on.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final, Self

import aiohttp

from gateway.adapters.destinations import Destinations
from gateway.exchangelog.witness import MAX_ANSWER, MAX_REQUEST, monitored

_CONNECTIONS: Final = 8  # at once, to all witnesses


class UnreachableError(Exception):
    """No answer within time and bounds."""


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    """What a witness said."""

    status: int
    kind: str  # media type
    body: bytes


class WitnessClient:
    """Asks witnesses. Owns its connections; close it."""

    def __init__(self, destinations: Destinations, tls: ssl.SSLContext, seconds: float) -> None:
        """`seconds`: from connecting to the last byte of an answer."""
        self._tls = tls
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, socket_factory=destinations.open),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=seconds),
            headers={"Accept-Encoding": "identity"},
            skip_auto_headers=("User-Agent",),
            auto_decompress=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def renew(self, tls: ssl.SSLContext) -> None:
        """By these certificates and lists from now on: a connection that was made by others is not used again."""
        self._tls = tls

    async def add(self, prefix: str, request: bytes) -> WitnessAnswer:
        """The answer to add-checkpoint. Raises UnreachableError."""
        return await self._ask("POST", f"{prefix.rstrip('/')}/add-checkpoint", MAX_ANSWER, request)

    async def latest(self, prefix: str, origin: str) -> bytes | None:
        """What it last cosigned of a log; None when it says nothing of it. Raises UnreachableError."""
        answer = await self._ask("GET", f"{prefix.rstrip('/')}/{monitored(origin)}", MAX_REQUEST)
        return answer.body if answer.status == 200 else None

    async def _ask(self, method: str, url: str, most: int, data: bytes | None = None) -> WitnessAnswer:
        try:
            asked = self._session.request(method, url, data=data, allow_redirects=False, ssl=self._tls)
            async with asked as response:
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > most:
                        raise UnreachableError
                return WitnessAnswer(response.status, response.content_type, bytes(body))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise UnreachableError from error
