"""The hub as HTTP client: signed bytes to a provider's endpoint, its bytes back, bounded in every way.

The provider is half trusted. Redirects are not followed, cookies not kept, nothing is decompressed; size
and time of an answer are capped. That the peer is the authority asked is settled in the TLS handshake
(`adapters.tls`), before a byte of the request is sent (attacks R06–R12).
"""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp

from gateway.model import Authority
from gateway.refusal import Code, Refusal

_XML: Final = frozenset({"text/xml", "application/soap+xml"})
_ANSWERS: Final = frozenset({200, 500})  # a reply, or a SOAP fault (SOAP 1.1 §6.2)


class HttpSpokes:
    """Connections to all providers, kept alive. Owned by the application, which closes it."""

    def __init__(self, context: ssl.SSLContext, *, seconds: float, connections: int, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0, limit_per_host=connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=seconds),
            auto_decompress=False,
            headers={"Content-Type": "text/xml; charset=utf-8", "Accept-Encoding": "identity"},
            skip_auto_headers=("User-Agent",),
        )

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, provider: Authority, message: bytes, action: str) -> bytes:
        """POST one signed message. Raises as `broker.ports.Spokes.ask` says."""
        if provider.endpoint is None:
            raise Refusal(Code.PROVIDER_UNREACHABLE, "no endpoint")
        try:
            async with self._session.post(
                provider.endpoint,
                data=message,
                headers={"SOAPAction": f'"{action}"'},
                server_hostname=provider.tls_name,
                allow_redirects=False,
            ) as response:
                return await self._read(response)
        except TimeoutError as error:
            raise Refusal(Code.PROVIDER_TIMEOUT) from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise Refusal(Code.PROVIDER_IDENTITY, "TLS") from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise Refusal(Code.PROVIDER_UNREACHABLE) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise Refusal(Code.PROVIDER_HTTP) from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status not in _ANSWERS or response.content_type not in _XML:
            raise Refusal(Code.PROVIDER_HTTP)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Refusal(Code.PROVIDER_HTTP, "Content-Encoding")
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():  # read() has no limit of its own (attack R07)
            size += len(chunk)
            if size > self._max_bytes:
                raise Refusal(Code.PROVIDER_HTTP, "too large")
            chunks.append(chunk)
        return b"".join(chunks)
