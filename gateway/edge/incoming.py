"""What an HTTP request says of its message, and the message itself, read within bounds (PROTOCOL §2.2, §2.3).

Only what HTTP alone can tell: whether the message is what was promised is found out when it is parsed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion11, StreamReader, web
from multidict import CIMultiDictProxy

from gateway.broker.content import Arrived, Attachment, arrived
from gateway.model import SoapVersion
from gateway.refusal import Code, Refusal
from gateway.soap import mime

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

Promised = tuple[SoapVersion, str | None, mime.Package | None]


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one request may use."""

    body_bytes: int
    body_seconds: float
    document_bytes: int  # of one document that is attached
    document_seconds: float  # to receive a document; again to send a reply that holds one


def tls_certificate(transport: asyncio.BaseTransport | None) -> bytes:
    """DER of the certificate that the peer has shown. Raises Refusal: STRANGER without one."""
    ssl_object = transport.get_extra_info("ssl_object") if transport else None
    der = ssl_object.getpeercert(binary_form=True) if ssl_object else None
    if not isinstance(der, bytes):
        raise Refusal(Code.STRANGER)
    return der


def require_framing(http: web.BaseRequest) -> None:
    """HTTP/1.1, and no other transfer coding than chunked: aiohttp would pass on what is inside (attack H12).

    Raises Refusal: HTTP.
    """
    codings = http.headers.getall("Transfer-Encoding", ())
    if http.version != HttpVersion11 or (codings and [one.lower() for one in codings] != ["chunked"]):
        raise Refusal(Code.HTTP)


def promised_version(http: web.BaseRequest) -> SoapVersion:
    """The SOAP version of a message that is not read; 1.1 where the headers do not say."""
    try:
        return promised(http)[0]
    except Refusal:
        return SoapVersion.V11


def promised(http: web.BaseRequest) -> Promised:
    """What method and headers promise: the SOAP version, the action that the media type names, and the MTOM
    package around the message if there is one. Raises Refusal.
    """
    if http.method != "POST":
        raise Refusal(Code.METHOD)
    if "Content-Encoding" in http.headers:  # an unknown one would arrive undecoded (attack H09)
        raise Refusal(Code.CONTENT_ENCODING)
    types = http.headers.getall("Content-Type", ())
    if len(types) != 1:
        raise Refusal(Code.MEDIA_TYPE)
    if types[0].lower().startswith(mime.PACKAGE):
        package = mime.read_type(types[0])
        return package.version, package.action, package
    return *mime.read_message_type(types[0]), None


def reads_packages(headers: CIMultiDictProxy[str]) -> bool:
    """Whether Accept names what MTOM travels in; `*/*` does not, for most who send it cannot read it."""
    ranges = (one for value in headers.getall("Accept", []) for one in value.split(","))
    return any(one.partition(";")[0].strip().lower() == mime.PACKAGE for one in ranges)


def soap_action(headers: CIMultiDictProxy[str], named: str | None) -> str | None:
    """The unsigned hint: of SOAP 1.1 §6.1.1, or `named` by the media type; None if absent or empty.

    Raises Refusal: ACTION when there are two headers, or header and media type differ.
    """
    values = headers.getall("SOAPAction", [])
    stated = values[0].strip('" ') if values else ""
    if len(values) > 1 or (stated and named and stated != named):
        raise Refusal(Code.ACTION)
    return stated or named


async def receive(http: web.BaseRequest, package: mime.Package | None, limits: HttpLimits) -> Arrived:
    """The message; its attachment, if it has one, is read by whoever takes one. Raises Refusal: TOO_LARGE, TOO_SLOW,
    HTTP.
    """
    most = limits.body_bytes if package is None else limits.body_bytes + limits.document_bytes
    if (http.content_length or 0) > most:
        raise Refusal(Code.TOO_LARGE)
    expected = _expects_continue(http)
    with _reading():
        if package is None and http.content.is_eof():  # it came together with its header
            return Arrived(_whole(http.content, most), None)
        async with asyncio.timeout(limits.body_seconds):  # attack H17
            if expected:
                await http.writer.write(_CONTINUE)
            if package is None:
                return Arrived(b"".join([chunk async for chunk in _chunks(http.content, most)]), None)
            came = await arrived(_chunks(http.content, most), package, limits.body_bytes)
    if came.attachment is None:
        return came
    content = _bounded(came.attachment.content, limits)
    return Arrived(came.message, Attachment(came.attachment.id, content))


def _whole(content: StreamReader, most: int) -> bytes:
    """A body that is here. Raises Refusal, and what the parser found wrong with it."""
    data = content.read_nowait()
    if len(data) > most:
        raise Refusal(Code.TOO_LARGE)
    return data


async def _chunks(content: StreamReader, most: int) -> AsyncIterator[bytes]:
    size = 0
    while chunk := await content.readany():  # a chunked body has no length to check before (attack H07)
        size += len(chunk)
        if size > most:
            raise Refusal(Code.TOO_LARGE)
        yield chunk


async def _bounded(chunks: AsyncIterator[bytes], limits: HttpLimits) -> AsyncIterator[bytes]:
    """The chunks of an attachment, so many bytes in so many seconds."""
    end, size = asyncio.get_running_loop().time() + limits.document_seconds, 0
    while True:
        with _reading():
            async with asyncio.timeout_at(end):
                chunk = await anext(chunks, None)
        if chunk is None:
            return
        size += len(chunk)
        if size > limits.document_bytes:
            raise Refusal(Code.TOO_LARGE)
        yield chunk


@contextmanager
def _reading() -> Iterator[None]:
    """What can go wrong while a request is read."""
    try:
        yield
    except (TimeoutError, ConnectionError) as error:  # it took too long, or the peer went away
        raise Refusal(Code.TOO_SLOW) from error
    except web.RequestPayloadError as error:  # chunks that are none (attack H14)
        raise Refusal(Code.HTTP) from error


def _expects_continue(http: web.BaseRequest) -> bool:
    """RFC 9110 §10.1.1: 100-continue is the only expectation there is."""
    expectations = http.headers.getall("Expect", ())
    if expectations and [one.lower() for one in expectations] != ["100-continue"]:
        raise Refusal(Code.HTTP)
    return bool(expectations)
