"""The hub as HTTP client: signed bytes to a provider's endpoint, its bytes back, bounded in every way.

The provider is half trusted. It is looked for at no address but those that settings list, and through no proxy.
Redirects are not followed, cookies not kept, nothing is decompressed; size and time of an answer are capped. That the peer is the authority asked is settled in the TLS handshake
(`adapters.tls`), before a byte of the request is sent (attacks R06–R12).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from gateway.adapters.destinations import AddressRefused, Destinations
from gateway.adapters.tls import PeerCheck
from gateway.broker.content import Arrived, Attachment, arrived
from gateway.model import Authority
from gateway.refusal import Code, Refusal
from gateway.soap import mime

_ANSWERS: Final = frozenset({200, 500})  # a reply, or a SOAP fault (SOAP 1.1 §6.2)
_MAX_MESSAGE: Final = 256 * 1024  # bytes of the SOAP message beside an attachment
_MAX_FIELD: Final = 4096  # bytes of one header field of an answer, as of a request's
_MAX_FIELDS: Final = 64
_ACCEPT: Final = f"{mime.PACKAGE}, text/xml"  # where a document is asked for


class HttpSpokes:
    """Connections to all providers, kept alive. Owned by the application, which renews and closes it."""

    def __init__(  # noqa: PLR0913 - each bound by name
        self,
        context: ssl.SSLContext,
        *,
        seconds: float,
        connections: int,
        max_bytes: int,
        document_seconds: float = 300.0,
        destinations: Destinations,
        check: PeerCheck,
        document_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        """`seconds`, `max_bytes`: of one answer. With a document: `document_seconds`, and none of silence longer
        than `seconds`; `document_bytes`. `check`: whether a peer is believed now, as `context` asks it.
        """
        self._max_bytes = max_bytes
        self._document_bytes = document_bytes
        self._usual = aiohttp.ClientTimeout(total=seconds)
        self._document = aiohttp.ClientTimeout(
            total=document_seconds, sock_connect=seconds, sock_read=seconds
        )
        self._connections = connections
        self._destinations = destinations
        self._check = check
        self._pool = _Pool(context, connections, destinations, check)

    async def renew(self, context: ssl.SSLContext) -> None:
        """Messages from now on go over new connections with this TLS; those under way end on theirs."""
        before, self._pool = self._pool, _Pool(context, self._connections, self._destinations, self._check)
        await before.retire()

    async def close(self) -> None:
        await self._pool.close()

    async def ask(self, provider: Authority, message: bytes, action: str) -> bytes:
        """POST one signed message. Raises as `broker.ports.Spokes.ask` says."""
        headers = {"SOAPAction": f'"{action}"'}
        async with self._post(provider, message, headers, self._usual) as response:
            return await self._read(response)

    @asynccontextmanager
    async def fetch(self, provider: Authority, message: bytes, action: str) -> AsyncGenerator[Arrived]:
        """The same for a document. Raises as `broker.document.DocumentSource.fetch` says."""
        headers = {"SOAPAction": f'"{action}"', "Accept": _ACCEPT}
        async with self._post(provider, message, headers, self._document) as response:
            package = _package(response)
            if package is None:
                yield Arrived(await self._read(response), None)
            else:
                chunks = _chunks(response, _MAX_MESSAGE + self._document_bytes)
                with _translated():
                    found = await arrived(chunks, package, _MAX_MESSAGE)
                yield _half_trusted(found)

    @asynccontextmanager
    async def _post(
        self, provider: Authority, message: bytes, headers: dict[str, str], bounds: aiohttp.ClientTimeout
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        if provider.endpoint is None:
            raise Refusal(Code.PROVIDER_UNREACHABLE, "no endpoint")
        async with self._pool.session() as session:
            with _translated():
                response = await session.post(
                    provider.endpoint,
                    data=message,
                    headers=headers,
                    server_hostname=provider.tls_name,
                    allow_redirects=False,
                    timeout=bounds,
                )
            async with response:
                _require_answer(response)
                yield response

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """A whole answer, at once."""
        package = _package(response)
        if response.content.is_eof():  # it came together with its header
            data = _whole(response, self._max_bytes)
        else:
            data = b"".join([chunk async for chunk in _chunks(response, self._max_bytes)])
        with _translated():
            return data if package is None else mime.unpack(data, package)


class _Pool:
    """The connections of one TLS context. Closed by whoever leaves it last after it was retired."""

    def __init__(
        self, context: ssl.SSLContext, connections: int, destinations: Destinations, check: PeerCheck
    ) -> None:
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                check, ssl=context, limit=0, limit_per_host=connections, socket_factory=destinations.open
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # no proxy, no .netrc
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            max_headers=_MAX_FIELDS,
            headers={"Content-Type": "text/xml; charset=utf-8", "Accept-Encoding": "identity"},
            skip_auto_headers=("User-Agent",),
        )
        self._under_way = 0
        self._retired = False

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[aiohttp.ClientSession]:
        """For one message."""
        self._under_way += 1
        try:
            yield self._session
        finally:
            self._under_way -= 1
            await self._close_if_unused()

    async def retire(self) -> None:
        """Nobody new will come."""
        self._retired = True
        await self._close_if_unused()

    async def _close_if_unused(self) -> None:
        if self._retired and not self._under_way:  # aiohttp cuts off what is under way when it closes
            await self.close()

    async def close(self) -> None:
        await self._session.close()


class _Connector(aiohttp.TCPConnector):
    """Keeps connections alive, but for one that said anything after its answer (attack R14), and one whose peer would
    not be believed any more (attack I06).

    aiohttp closes the former when that comes with the answer, not when it comes later: it would then be read as the
    answer to the next question. The latter is judged for every question, as in its handshake.
    """

    def __init__(self, check: PeerCheck, **options: Any) -> None:
        super().__init__(**options)
        self._check = check

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (kept := await super()._get(key, traces)) is not None:
            if kept.protocol is not None and not kept.protocol.should_close and self._is_believed(kept):
                return kept
            kept.close()
        return None

    def _is_believed(self, kept: Connection) -> bool:
        transport = kept.transport
        peer = transport.get_extra_info("ssl_object") if transport is not None else None
        if peer is None:
            return False
        try:
            self._check(peer.getpeercert(binary_form=True) or b"", peer.server_hostname or "")
        except Refusal:
            return False
        return True


def _require_answer(response: aiohttp.ClientResponse) -> None:
    """By its head. Raises Refusal: PROVIDER_HTTP."""
    if response.status not in _ANSWERS:
        raise Refusal(Code.PROVIDER_HTTP)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Refusal(Code.PROVIDER_HTTP, "Content-Encoding")
    codings = response.headers.getall("Transfer-Encoding", ())
    if any(one.lower() != "chunked" for one in codings):  # attack R14: one that nobody here takes off
        raise Refusal(Code.PROVIDER_HTTP, "Transfer-Encoding")


def _package(response: aiohttp.ClientResponse) -> mime.Package | None:
    """What an answer is packed in; None for a SOAP message by itself. Raises Refusal: PROVIDER_HTTP."""
    if response.content_type in mime.MEDIA:
        return None
    with _translated():
        return mime.read_type(response.headers.get("Content-Type", ""))


def _whole(response: aiohttp.ClientResponse, most: int) -> bytes:
    """An answer that is here. Raises Refusal: PROVIDER_HTTP."""
    with _translated():
        data = response.content.read_nowait()
    if len(data) > most:
        raise Refusal(Code.PROVIDER_HTTP, "too large")
    return data


async def _chunks(response: aiohttp.ClientResponse, most: int) -> AsyncIterator[bytes]:
    size = 0
    while True:
        with _translated():
            chunk = await response.content.readany()  # read() has no limit of its own (attack R07)
        if not chunk:
            return
        size += len(chunk)
        if size > most:
            raise Refusal(Code.PROVIDER_HTTP, "too large")
        yield chunk


def _half_trusted(answer: Arrived) -> Arrived:
    """The same, with what goes wrong in its attachment translated, too."""
    if answer.attachment is None:
        return answer
    return Arrived(answer.message, Attachment(answer.attachment.id, _content(answer.attachment)))


async def _content(attachment: Attachment) -> AsyncIterator[bytes]:
    with _translated():
        async for chunk in attachment.content:
            yield chunk


@contextmanager
def _translated() -> Iterator[None]:
    """Trouble on the wire in the gateway's own words."""
    try:
        yield
    except TimeoutError as error:
        raise Refusal(Code.PROVIDER_TIMEOUT) from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise Refusal(Code.PROVIDER_IDENTITY, "TLS") from error
    except aiohttp.ClientConnectorError as error:
        refused = isinstance(error.os_error, AddressRefused)
        raise Refusal(Code.PROVIDER_ADDRESS if refused else Code.PROVIDER_UNREACHABLE) from error
    except (aiohttp.ClientConnectionError, OSError) as error:
        raise Refusal(Code.PROVIDER_UNREACHABLE) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise Refusal(Code.PROVIDER_HTTP) from error
    except Refusal as refusal:
        if refusal.code not in {Code.MULTIPART, Code.MEDIA_TYPE, Code.TOO_LARGE}:
            raise
        raise Refusal(Code.PROVIDER_HTTP, "multipart") from refusal
