"""The content of a document on its way: what arrives with a message, and where it is kept.

No stage of the path holds a content as a whole: it comes in pieces, and is kept sealed until it is checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from gateway.exchangelog.entry import Entry
from gateway.model import AuthorityId, DossierNumber
from gateway.refusal import Code, Refusal
from gateway.soap import mime

PIECE: Final = 3 * 256 * 1024  # bytes handled at once; of three, because base64 encodes them in threes


@dataclass(frozen=True, slots=True)
class Attachment:
    """What follows a SOAP message in its package, still to be read."""

    id: str
    content: AsyncIterator[bytes]  # raises Refusal, as whoever receives the message says


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it comes in."""

    message: bytes
    attachment: Attachment | None


async def arrived(chunks: AsyncIterator[bytes], package: mime.Package, most: int) -> Arrived:
    """The SOAP message of a package, with its attachment still to be read from `chunks`.

    `most`: bytes of the message. Raises Refusal: TOO_LARGE, MULTIPART, and what reading the chunks raises.
    """
    events = _events(chunks, package)
    message = bytearray()
    await anext(events, None)  # the head of the first part, which is that of the message
    async for event in events:
        if isinstance(event, mime.Head):
            assert event.id is not None  # `mime.Parts` wants one of it
            return Arrived(bytes(message), Attachment(event.id, _content(events)))
        message += event
        if len(message) > most:
            raise Refusal(Code.TOO_LARGE)
    return Arrived(bytes(message), None)


async def in_pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of PIECE, but for the last: each costs a change of threads."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    if held:
        yield bytes(held)


class Kept(Protocol):
    """One document, kept while it is checked and passed on: written once, read as often as needed."""

    @property
    def size(self) -> int:
        """Bytes of the document."""
        ...

    async def write(self, piece: bytes) -> None:
        """The next PIECE bytes, or the last. Raises Refusal: SPOOL_UNAVAILABLE."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """What was written, piece by piece. Raises Refusal: SPOOL_UNAVAILABLE."""
        ...

    async def close(self) -> None:
        """Of what is kept only for this exchange nothing remains."""
        ...


class Keeping(Protocol):
    """Where documents are kept that pass through."""

    def open(self, holder: AuthorityId) -> Kept:
        """An empty document, in room that counts as the holder's. Raises Refusal: SPOOL_UNAVAILABLE."""
        ...


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A document that its provider left with the hub, and the file that holds it."""

    dossier: DossierNumber
    provider: AuthorityId
    reference: str
    type: str
    media_type: str
    sha256: str  # hexadecimal
    size: int  # bytes
    signature: bytes  # SignatureValue of the upload
    stored: datetime
    file: str  # name
    key: bytes = field(repr=False)  # of the file


class Uploads(Protocol):
    """What the hub knows of documents that were uploaded."""

    async def uploaded(
        self, dossier: DossierNumber, provider: AuthorityId, reference: str
    ) -> Uploaded | None:
        """Raises Refusal: LOG_UNAVAILABLE."""
        ...

    async def take_in(self, entry: Entry, uploaded: Uploaded) -> None:
        """Make the document known, with the entry of its request, in one transaction.

        The very same that was uploaded before gives way, and its file is then nobody's; its time begins anew.
        Raises Refusal: TICKET, BUSY, and DOCUMENT_EXISTS when the reference is another document's: then nothing
        is done; LOG_UNAVAILABLE: then it may or may not be done.
        """
        ...

    async def expire_uploads(self, stored_before: datetime) -> None:
        """Forget documents. Raises Refusal: BUSY, LOG_UNAVAILABLE."""
        ...

    async def uploaded_files(self) -> frozenset[str]:
        """Every file that holds a document. Raises Refusal: LOG_UNAVAILABLE, also once the log goes on in another store."""
        ...


class Shelved(Kept, Protocol):
    """A new document on the shelf. Closed before it is finished, or discarded, it is gone."""

    @property
    def file(self) -> str:
        """Its name."""
        ...

    @property
    def key(self) -> bytes:
        """Under which it is sealed."""
        ...

    async def finish(self) -> None:
        """All is written: return when it is durable. Raises Refusal: SPOOL_UNAVAILABLE."""
        ...

    async def discard(self) -> None:
        """Nobody knows of it."""
        ...


class Shelf(Protocol):
    """Where uploaded documents stand until they expire."""

    def create(self, holder: AuthorityId) -> Shelved:
        """An empty document, in room that counts as the holder's. Raises Refusal: SPOOL_UNAVAILABLE."""
        ...

    def open(self, uploaded: Uploaded) -> Kept:
        """Raises Refusal: SPOOL_UNAVAILABLE."""
        ...

    async def remove(self, file: str) -> None:
        """It may be gone already. Raises Refusal: SPOOL_UNAVAILABLE."""
        ...

    async def files(self, written_before: datetime) -> list[str]:
        """Those that nobody writes any more. Raises Refusal: SPOOL_UNAVAILABLE."""
        ...


async def _events(chunks: AsyncIterator[bytes], package: mime.Package) -> AsyncIterator[mime.Head | bytes]:
    parts = mime.Parts(package, parts=2)
    async for chunk in chunks:
        for event in parts.feed(chunk):
            yield event
    parts.close()


async def _content(events: AsyncIterator[mime.Head | bytes]) -> AsyncIterator[bytes]:
    """The rest of a package: `mime.Parts` lets no third part begin."""
    async for event in events:
        assert isinstance(event, bytes)
        yield event
