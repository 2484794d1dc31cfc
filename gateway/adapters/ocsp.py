"""OCSP over HTTP (RFC 6960 appendix A): one POST to an address of the settings, bounded in bytes and time.

No redirect, no cookie, no proxy of the environment, no decompression: an answer comes from where it was asked
for, or not at all, and that is at an address that `outbound.allow` lists. Answers are signed, so that plain HTTP is enough. What one is worth is for `identity.ocsp`.
"""

from __future__ import annotations

from typing import Final, Self

import aiohttp

from gateway.adapters.destinations import Destinations
from gateway.identity.ocsp import OcspError

_MAX_BYTES: Final = 64 * 1024  # an answer about one certificate, with its responder's, has some 2 KB
_SECONDS: Final = 10.0  # from connecting to the last byte
_CONNECTIONS: Final = 8  # at once, to all responders
_REQUEST, _ANSWER = "application/ocsp-request", "application/ocsp-response"


class OcspClient:
    """Asks responders. Owns its connections; close it."""

    def __init__(
        self, destinations: Destinations, seconds: float = _SECONDS, max_bytes: int = _MAX_BYTES
    ) -> None:
        self._max_bytes = max_bytes
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, socket_factory=destinations.open),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=seconds),
            headers={"Content-Type": _REQUEST, "Accept-Encoding": "identity"},
            skip_auto_headers=("User-Agent",),
            auto_decompress=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, url: str, request: bytes) -> bytes:
        """The bytes of the answer. Raises OcspError: "unreachable", "http" or "size"."""
        try:
            async with self._session.post(url, data=request, allow_redirects=False) as response:
                if response.status != 200 or response.content_type != _ANSWER:
                    raise OcspError("http")
                return await self._bounded(response.content)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise OcspError("unreachable") from error

    async def _bounded(self, content: aiohttp.StreamReader) -> bytes:
        data = bytearray()
        async for part in content.iter_any():
            data += part
            if len(data) > self._max_bytes:
                raise OcspError("size")
        return bytes(data)
