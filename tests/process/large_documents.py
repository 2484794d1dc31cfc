"""A platform that streams documents of any size, and a requester that takes them as a stream."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from gateway.adapters.tls import server_context
from gateway.model import Criteria, Outcome, SoapVersion, Verified
from gateway.soap import mime
from gateway.soap.envelope import read, read_packaged
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.sign import Frame, Framing
from gateway.wss.verify import Unfinished, verify
from tests.path import hub as memory
from tests.path.hub import DOSSIER, Answered
from tests.process.running import TRUST

MIB = 2**20
INCLUDE = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:scan@platform"/>'


@dataclass
class Document:
    """A document that is never in memory as a whole; it ends as most PDF files do."""

    size: int

    def pieces(self) -> Iterator[bytes]:
        block = hashlib.shake_256(b"a page").digest(MIB)
        for at in range(0, self.size, MIB):
            turn = at // MIB % MIB
            piece = (block[turn:] + block[:turn])[: min(MIB, self.size - at)]
            yield piece if at + MIB < self.size else piece[:-1] + b"\n"

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


@dataclass
class Platform:
    """The platform's endpoint. `send`: the pieces that it sends of what it signed."""

    document: Document
    send: Callable[[Document], Iterator[bytes | None]] = Document.pieces  # None: cut the connection
    accept: str | None = None  # what the hub last said that it reads
    url: str = ""

    async def start(self, stack: AsyncExitStack, pki: Path) -> str:
        application = web.Application()
        application.router.add_post("/soap", self.serve)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        own = pki / "PLATFORM"
        tls = server_context(own / "tls.crt.pem", own / "tls.key.pem", [pki / t for t in TRUST])
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.url = f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/soap"
        return self.url

    async def serve(self, http: web.Request) -> web.StreamResponse:
        self.accept = http.headers.get("Accept")
        body = parse_verified(verify(read(await http.read(), Limits()), Window(), now()).body)[0]
        asked, around = memory.messages.read_question(body), mime.wrap(SoapVersion.V11, uuid.uuid4().hex)
        if asked.operation != "retrieveDocument":  # a stack that packs whatever it sends
            answer = memory.answer_well(Now(), memory.authority("PLATFORM"), asked)
            end = around.between.partition(b"Content-Type")[0].rstrip(b"\r\n") + b"--\r\n"
            return web.Response(body=around.before + answer + end, headers={"Content-Type": around.media})
        frame = self.sign(asked)
        response = web.StreamResponse(headers={"Content-Type": around.media})
        await response.prepare(http)
        between = around.between.replace(mime.CONTENT_ID.encode(), b"scan@platform")
        await response.write(around.before + frame.head + INCLUDE + frame.tail + between)
        for piece in self.send(self.document):
            if piece is None:
                http.transport.abort()
                return response
            await response.write(piece)
        await response.write(around.after)
        return response

    def sign(self, asked: memory.messages.Question) -> Frame:
        body = memory.reply_body(asked, Outcome.DATA_FOUND, payload(asked.criteria))
        before, after = body.split("@@")
        framing = Framing(before, after, version=SoapVersion.V11, unique=str(uuid.uuid4()))
        for piece in self.document.pieces():
            framing.update(piece)
        key = memory.signing_key("PLATFORM")
        return framing.sign(key=key, now=now(), lifetime=timedelta(minutes=5))


class Now:
    @property
    def now(self) -> datetime:
        return now()


def payload(criteria: Criteria) -> str:
    """A document element with @@ in the place of its content."""
    fields = {
        "reference": criteria.document_reference,
        "type": criteria.document_type,
        "mediaType": "application/pdf",
        "sha256": criteria.document_sha256,
        "content": "@@",
    }
    return f"<s:document>{''.join(f'<s:{name}>{value}</s:{name}>' for name, value in fields.items())}</s:document>"


def criteria(document: Document) -> Criteria:
    return Criteria(
        DOSSIER, document_reference="scan-1", document_type="CONTRACT", document_sha256=document.sha256
    )


def question(document: Document) -> bytes:
    return memory.signed_question(
        "BRUSSELS", "retrieveDocument", "WIB:WORK_DECISION", criteria(document), now()
    )


async def take(media: str, chunks: AsyncIterator[bytes]) -> tuple[Verified, int]:
    """A packaged reply, verified as it comes, and the size of its attachment."""
    parts, message, size = mime.Parts(mime.read_type(media), parts=2), bytearray(), 0
    unfinished = None
    heads = 0
    async for chunk in chunks:
        for event in parts.feed(chunk):
            if isinstance(event, mime.Head):
                heads += 1
                if heads == 2:
                    unfinished = Unfinished(
                        *read_packaged(bytes(message), Limits(), event.id), Window(), now()
                    )
            elif unfinished is None:
                message += event
            else:
                unfinished.update(event)
                size += len(event)
    parts.close()
    assert unfinished is not None
    return unfinished.finish(), size


def whole(reply: bytes) -> Answered:
    """A reply by itself, verified."""
    return Answered(None, parse_verified(verify(read(reply, Limits()), Window(), now()).body)[0])


def now() -> datetime:
    return datetime.now(UTC)
