"""THE PATH of a document, in the order of PROTOCOL.md: that of a consultation, with the content streamed.

Up to commit 2 the content is kept, sealed, and nothing of it leaves: its digest is verified end to end before
the first byte is passed on. Filtered, merged and recorded is a payload in which its SHA-256 stands for it, so
that no stage grows with the size of a document. What its provider uploaded is taken from the shelf instead.
"""

from __future__ import annotations

import asyncio
import hashlib
from binascii import b2a_base64
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.agreement.answer import accept_document, deposited, not_found
from gateway.agreement.document import Document
from gateway.broker.ask import Asker, untrusted
from gateway.broker.content import PIECE, Arrived, Keeping, Kept, Shelf, Uploads, in_pieces
from gateway.broker.event import Event
from gateway.broker.ports import Clock, Directory, ExchangeLog, Random
from gateway.broker.proof import proved
from gateway.broker.rules import Received, Rules
from gateway.exchangelog import entry
from gateway.exchangelog.fields import FieldPlans
from gateway.identity.authority import identify_provider
from gateway.model import (
    SERVICE,
    Answer,
    Authority,
    Permitted,
    Receipt,
    Released,
    Request,
    SoapVersion,
    Verified,
)
from gateway.policy.decide import decide
from gateway.policy.view import apply_view
from gateway.refusal import Code, Refusal
from gateway.soap import mime, names
from gateway.soap.envelope import read, read_packaged
from gateway.soap.xml import Element
from gateway.wss.sign import Frame
from gateway.wss.verify import Unfinished, verify

INLINE: Final = 7 * 1024 * 1024  # bytes of content that one text of a message holds as base64 (§3.1)
_INCLUDE: Final = f'<xop:Include xmlns:xop="{names.XOP}" href="cid:{mime.CONTENT_ID}"/>'.encode()


class DocumentSource(Protocol):
    """The providers' endpoints, asked for a document."""

    def fetch(self, provider: Authority, message: bytes, action: str) -> AbstractAsyncContextManager[Arrived]:
        """Ask, as `ports.Spokes.ask`; the content is read while the context is open.

        Raises Refusal: PROVIDER_UNREACHABLE, PROVIDER_TIMEOUT, PROVIDER_HTTP, PROVIDER_IDENTITY.
        """
        ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """A signed reply with its content, to be streamed: in a package, or as base64 where the content belongs.

    Both forms have the same signature. Whoever streams it closes it.
    """

    version: SoapVersion
    frame: Frame
    content: Kept
    package: mime.Wrapping | None

    @property
    def media(self) -> str:
        """Its Content-Type."""
        return mime.media_type(self.version) if self.package is None else self.package.media

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        before, after = self._around
        content = self.content.size if self.package else (self.content.size + 2) // 3 * 4
        return len(before) + content + len(after)

    async def stream(self) -> AsyncIterator[bytes]:
        """The bytes of the whole. Raises Refusal: SPOOL_UNAVAILABLE."""
        before, after = self._around
        yield before
        async for piece in self.content.pieces():
            yield piece if self.package else b2a_base64(piece, newline=False)
        yield after

    async def close(self) -> None:
        await self.content.close()

    @property
    def _around(self) -> tuple[bytes, bytes]:
        head, tail, package = self.frame.head, self.frame.tail, self.package
        if package is None:
            return head, tail
        return package.before + head + _INCLUDE + tail + package.between, package.after


class Retrieval:
    """Carries questions for documents to their answers. Owns nothing but its collaborators."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        log: ExchangeLog,
        directory: Directory,
        asker: Asker,
        source: DocumentSource,
        keeping: Keeping,
        uploads: Uploads,
        shelf: Shelf,
        clock: Clock,
        random: Random,
    ) -> None:
        self._log = log
        self._directory = directory
        self._asker = asker
        self._source = source
        self._keeping = keeping
        self._uploads = uploads
        self._shelf = shelf
        self._clock = clock
        self._random = random
        self._plans = FieldPlans()

    async def retrieve(self, request: Request, message: Received, event: Event) -> bytes | Parcel:
        """Return the signed reply; without document it is all there. Raises Refusal."""
        rules, exchange = message.rules, event.exchange
        with event.stage("decide"):  # §7 → Permitted
            dossier = request.criteria.dossier
            scope = await self._directory.scope(dossier) if dossier is not None else None
            facts = rules.facts(scope, message.received)
            permitted = decide(request, facts)
        async with AsyncExitStack() as stack:
            with event.stage("commit-1"):  # §8, with the replay claim: the question may be forwarded
                await self._log.append(entry.forwarded(permitted, exchange, self._clock(), self._random))
            # §9 the same checks in the other direction, and the digest asked for, in stages of their own
            answer, kept = await self._obtain(permitted, event, message, stack)
            with event.stage("release"):  # §10 → Released
                released = apply_view(permitted, [answer], [])
            with event.stage("commit-2"):  # §8: the reply may be returned (it says may, not did)
                receipt = await self._log.append(
                    entry.returned(released, exchange, self._clock(), self._random, self._plans)
                )
            event.finished(released, receipt)
            with event.stage("sign"):  # §11 time has passed: a new clock
                receipt = await proved(self._log, receipt, request)
                reply = await self._reply(released, receipt, event, message, kept)
            if isinstance(reply, Parcel):
                stack.pop_all()  # whoever streams it closes it
            return reply

    async def _obtain(
        self, permitted: Permitted, event: Event, message: Received, stack: AsyncExitStack
    ) -> tuple[Answer, Kept | None]:
        """The answer, and the content that was asked for: of the hub, where the one provider left it there."""
        asked, (provider,) = permitted.request.criteria, permitted.providers
        assert asked.dossier is not None  # the contract
        assert asked.document_reference is not None
        uploaded = await self._uploads.uploaded(asked.dossier, provider.id, asked.document_reference)
        if uploaded is None and provider.endpoint is None:
            return not_found(provider), None
        asking = permitted.request.caller.authority.id
        kept = self._keeping.open(asking) if uploaded is None else self._shelf.open(uploaded)
        stack.push_async_callback(kept.close)
        if uploaded is None:
            return await self._fetch(permitted, event, message, kept), kept
        with event.stage("answer"):
            digest = uploaded.sha256
            document = Document(uploaded.reference, uploaded.type, uploaded.media_type, digest, digest)
            answer = deposited(provider, document, uploaded.signature, permitted)
            if kept.size > INLINE and not message.mtom:
                raise Refusal(Code.DOCUMENT_TOO_LARGE)
            await _require_whole(kept, digest)
            return answer, kept

    async def _fetch(self, permitted: Permitted, event: Event, message: Received, kept: Kept) -> Answer:
        """Ask the provider; what it delivers is kept, and is what was asked for, when this returns."""
        rules, (provider,) = message.rules, permitted.providers
        with event.stage("question"):
            ticket, question = await self._asker.question(
                provider, permitted, event.exchange, message.received, rules
            )
        most = None if message.mtom else INLINE  # bytes that the requester can be given
        action = f"{SERVICE}/{permitted.request.operation}"
        with event.waiting():  # it is verified and kept while it comes
            async with self._source.fetch(provider, question, action) as arrived:
                verified, place = await self._receive(arrived, kept, most, rules)
        with event.stage("answer"):
            now = self._clock()
            answered = identify_provider(verified, provider, rules.certificates, rules.register, now)
            answer, content = accept_document(answered, ticket, permitted, rules.agreement, place)
            for at in range(0, len(content), PIECE):
                await _keep(kept, content[at : at + PIECE], most)
            return answer

    async def _receive(
        self, arrived: Arrived, kept: Kept, most: int | None, rules: Rules
    ) -> tuple[Verified, Element | None]:
        """The verified answer, and where in it the content belongs that is kept; None when it came inside."""
        now = self._clock()
        if arrived.attachment is None:
            with untrusted():
                return verify(read(arrived.message, rules.limits), rules.terms.window, now), None
        with untrusted():
            envelope, place = read_packaged(arrived.message, rules.limits, arrived.attachment.id)
            unfinished = Unfinished(envelope, place, rules.terms.window, now)
        async for piece in in_pieces(arrived.attachment.content):
            await _keep(kept, piece, most)
            await asyncio.to_thread(unfinished.update, piece)
        with untrusted():
            return unfinished.finish(), place

    async def _reply(
        self, released: Released, receipt: Receipt, event: Event, message: Received, kept: Kept | None
    ) -> bytes | Parcel:
        request, exchange, signer = released.permitted.request, event.exchange, message.rules.signer
        if kept is None or not released.payload:
            return await signer.reply(released, receipt, exchange, message.received, self._clock())
        framing = signer.framing(released, receipt, exchange, message.received, self._clock())
        async for piece in kept.pieces():
            await asyncio.to_thread(framing.update, piece)
        frame = await signer.frame(framing, request, exchange, self._clock())
        version = request.caller.verified.version
        package = mime.wrap(version, self._random(16).hex()) if message.mtom else None
        return Parcel(version, frame, kept, package)


async def _keep(kept: Kept, piece: bytes, most: int | None) -> None:
    if most is not None and kept.size + len(piece) > most:  # the rest is not waited for
        raise Refusal(Code.DOCUMENT_TOO_LARGE)
    await kept.write(piece)


async def _require_whole(kept: Kept, sha256: str) -> None:
    """What was whole when it was uploaded is so still. Raises Refusal: SPOOL_UNAVAILABLE."""
    digest = hashlib.sha256()
    async for piece in kept.pieces():
        await asyncio.to_thread(digest.update, piece)
    if digest.hexdigest() != sha256:
        raise Refusal(Code.SPOOL_UNAVAILABLE, "damaged")
