"""Documents of any size through a hub: how fast, at which cost for each MB, and whether its memory stays flat.

A platform streams them to the hub, which keeps them sealed until they are whole, and streams them to a region; the
other way round the platform leaves them with the hub. Each goes alone: its memory is what is measured.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Final

import uvloop

from gateway.agreement import notices
from gateway.agreement.messages import (
    Customer,
    Question,
    answered,
    read_question,
    write_question,
    write_reply,
)
from gateway.bench.client import Target
from gateway.bench.load import Setting, World, world
from gateway.bench.messages import CONTEXT, LIFETIME, READER_LIMITS
from gateway.bench.place import CROWD, PROVIDER, REQUESTER, Party
from gateway.bench.process import Helper
from gateway.bench.run import Json, Tell
from gateway.bench.scan import MB, RETRIEVE, UPLOAD, Packed, Scan, element, floor_ms_per_mb, pack, size_of
from gateway.bench.trouble import BenchError
from gateway.bench.wire import HOST, Channel, Listener, connect, contexts
from gateway.model import SERVICE, Criteria, OperationName, Outcome, SoapVersion, Ticket, Verified
from gateway.refusal import Refusal
from gateway.soap import mime
from gateway.soap.envelope import read, read_packaged
from gateway.soap.xml import parse_verified
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey, sign
from gateway.wss.verify import Unfinished, verify

_CHUNK: Final = 1 << 18
_PLAIN: Final = "text/xml; charset=utf-8"
_OK: Final = "HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True, slots=True)
class Errand:
    """One document to retrieve or to upload."""

    operation: OperationName
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Done:
    """How it went. `trouble`: what went wrong; None: the reply was verified, content and all."""

    seconds: float
    trouble: str | None


@dataclass(frozen=True, slots=True)
class Passed:
    """What a document cost the hub."""

    operation: OperationName
    suite: str
    size: int  # bytes
    done: Done
    cpu_seconds: float
    floor_ms_per_mb: float
    before_mb: tuple[float, ...]  # resident memory of each worker
    peak_mb: tuple[float, ...]

    def json(self) -> Json:
        megabytes = self.size / MB
        cpu = self.cpu_seconds * 1000 / megabytes
        return {
            "profile": "documents",
            "operation": self.operation,
            "suite": self.suite,
            "size": round(self.size / 1024, 1),
            "size_mb": megabytes,
            "errors": int(self.done.trouble is not None),
            "seconds": round(self.done.seconds, 3),
            "mb_per_second": round(megabytes / self.done.seconds, 1),
            "hub_cpu_ms_per_mb": round(cpu, 2),
            "floor_cpu_ms_per_mb": round(self.floor_ms_per_mb, 2),
            "ratio": round(cpu / self.floor_ms_per_mb, 2),
            "rss_before_mb": [round(one, 1) for one in self.before_mb],
            "peak_mb": [round(one, 1) for one in self.peak_mb],
        }


def documents(
    sizes: tuple[int, ...], suite: str, directory: Path, contracts: Path, tell: Tell
) -> Iterator[Passed]:
    """Each size, retrieved and uploaded. Raises BenchError."""
    tell(f"documents, {suite}: starting")
    setting = Setting(suite, [1.0], limits=CROWD, provide=provide)
    place = directory / f"documents-{suite}"
    with world(place, setting, contracts) as here, Helper("client", request, here.target) as client:
        client.send(Errand(RETRIEVE, _CHUNK))  # whatever is loaded at the first document is loaded
        _require(client.receive())
        floor = floor_ms_per_mb(here.target.parties[PROVIDER], here.target.parties[REQUESTER])
        for size in sizes:
            for operation in (RETRIEVE, UPLOAD):
                tell(f"documents, {suite}: {operation}, {size / MB:g} MB")
                yield _passed(here, client, Errand(operation, size), suite, floor)


def _passed(here: World, client: Helper, errand: Errand, suite: str, floor: float) -> Passed:
    here.hub.forget_peak()
    before, spent = here.hub.memory_mb, here.hub.spent
    client.send(errand)
    done = _require(client.receive())
    cpu = (here.hub.spent - spent).total
    return Passed(errand.operation, suite, errand.size, done, cpu, floor, before, here.hub.peak_mb)


def _require(done: object) -> Done:
    assert isinstance(done, Done)
    if done.trouble is not None:
        raise BenchError(
            "BEN002", f"a document did not pass: {done.trouble}.", "See hub.log (--directory keeps it)."
        )
    return done


def provide(pipe: Connection, party: Party) -> None:
    """Work of the platform's process: tells its port, then answers every question for a document."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_provide(pipe, party))


async def _provide(pipe: Connection, party: Party) -> None:
    key, (_, context) = party.signing_key(), contexts(party)

    async def converse(channel: Channel) -> None:
        while True:
            _, message = await channel.receive()
            question = read_question(parse_verified(message)[1][0])
            scan = Scan(size_of(question.criteria.document_reference or ""))
            body = write_reply(question, "", answered(Outcome.DATA_FOUND, ()), (), element(question.criteria))
            await _send(channel, _OK, pack(body, scan, key), scan)

    pipe.send(await Listener(converse).open(context))
    with_pipe = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), with_pipe.set)  # nothing is sent: it closes
    await with_pipe.wait()


def request(pipe: Connection, target: Target) -> None:
    """Work of the client's process: an Errand, then how it was done; and again."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            runner.run(_do(pipe, pipe.recv(), target))


async def _do(pipe: Connection, errand: Errand, target: Target) -> None:
    scan = Scan(errand.size)
    criteria = scan.criteria(f"scan-{uuid.uuid4().hex[:8]}")
    party = target.parties[REQUESTER if errand.operation == RETRIEVE else PROVIDER]
    key = party.signing_key()
    question = _question(errand.operation, party, criteria)
    packed = None if errand.operation == RETRIEVE else _uploaded(question, scan, key)
    channel = await connect(target.port, target.name, contexts(party)[0])
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {HOST}:{target.port}\r\n"
        f'SOAPAction: "{SERVICE}/{errand.operation}"\r\nAccept: {mime.PACKAGE}, text/xml\r\n'
    )
    began = perf_counter()
    if packed is None:
        await channel.send(f"{head}Content-Type: {_PLAIN}\r\n", _signed(write_question(question), key))
    else:
        await _send(channel, head, packed, scan)
    trouble = await _trouble(channel, scan, criteria, target)
    pipe.send(Done(perf_counter() - began, trouble))
    channel.close()


def _question(operation: OperationName, party: Party, criteria: Criteria) -> Question:
    customer = Customer(Ticket(str(uuid.uuid4())), datetime.now(UTC), party.authority.enterprise)
    return Question(operation, customer, None, CONTEXT, criteria)


def _signed(body: str, key: SigningKey) -> bytes:
    now, unique = datetime.now(UTC), str(uuid.uuid4())
    return sign(body, version=SoapVersion.V11, key=key, now=now, lifetime=LIFETIME, unique=unique)


def _uploaded(question: Question, scan: Scan, key: SigningKey) -> Packed:
    return pack(notices.write_notification(question, (), element(question.criteria)), scan, key)


async def _send(channel: Channel, head: str, packed: Packed, scan: Scan) -> None:
    length = f"Content-Type: {packed.media}\r\nContent-Length: {packed.size(scan)}\r\n\r\n"
    channel.writer.write(f"{head}{length}".encode() + packed.before)
    for piece in scan.pieces():
        channel.writer.write(piece)
        await channel.writer.drain()
    channel.writer.write(packed.after)
    await channel.writer.drain()


async def _trouble(channel: Channel, scan: Scan, criteria: Criteria, target: Target) -> str | None:
    """Read the reply as it comes, and verify it: the package of a retrieval, or the message of an acknowledgement."""
    head = (await channel.reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    media = next(line[14:] for line in head.split("\r\n") if line.lower().startswith("content-type: "))
    chunks = _chunks(channel, int(fields["content-length"]))
    if not media.startswith(mime.PACKAGE):
        return _unacknowledged(b"".join([chunk async for chunk in chunks]), target)
    try:
        verified, size = await _taken(media, chunks)
    except Refusal as refusal:
        return f"the reply does not verify ({refusal.code.row.code})"
    if verified.certificate not in target.hub_certificates:
        return "somebody else signed the reply"
    digest = f"<s:content>{criteria.document_sha256}</s:content>".encode()
    return None if size == scan.size and digest in verified.body else "the reply has another content"


def _unacknowledged(reply: bytes, target: Target) -> str | None:
    """What is wrong with the message that a document was taken in."""
    try:
        found = verify(read(reply, READER_LIMITS), Window(), datetime.now(UTC))
    except Refusal as refusal:
        return f"the reply does not verify ({refusal.code.row.code})"
    if found.certificate not in target.hub_certificates:
        return "somebody else signed the reply"
    return None if b">OK</" in found.body else reply.decode(errors="replace")[-300:]


async def _taken(media: str, chunks: AsyncIterator[bytes]) -> tuple[Verified, int]:
    parts, message = mime.Parts(mime.read_type(media), parts=2), bytearray()
    unfinished, heads, size = None, 0, 0
    async for chunk in chunks:
        for part in parts.feed(chunk):
            if isinstance(part, mime.Head):
                heads += 1
                if heads > 1:
                    packaged = read_packaged(bytes(message), READER_LIMITS, part.id or "")
                    unfinished = Unfinished(*packaged, Window(), datetime.now(UTC))
            elif unfinished is None:
                message += part
            else:
                unfinished.update(part)
                size += len(part)
    parts.close()
    assert unfinished is not None  # parts.close: both are there
    return unfinished.finish(), size


async def _chunks(channel: Channel, length: int) -> AsyncIterator[bytes]:
    while length:
        chunk = await channel.reader.read(min(_CHUNK, length))
        if not chunk:
            raise ConnectionError("the reply was cut off")
        length -= len(chunk)
        yield chunk
