"""THE PATH of an upload (PROTOCOL §17.4): a document that the hub keeps, and hands out in its provider's name.

The content is sealed in a file while it arrives. The document exists from commit 1 on, whose transaction also
holds its row: a file without row is nobody's, as that of the same document uploaded before, and is swept away.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Final

from gateway.agreement.answer import kept
from gateway.agreement.document import require_uploaded
from gateway.broker.content import PIECE, Attachment, Shelf, Shelved, Uploaded, Uploads
from gateway.broker.event import Event
from gateway.broker.ports import Clock, Directory, ExchangeLog, Random
from gateway.broker.proof import proved
from gateway.broker.receive import receive_attached
from gateway.broker.rules import Received
from gateway.exchangelog import entry
from gateway.exchangelog.fields import FieldPlans
from gateway.model import Permitted, Request
from gateway.policy.decide import decide
from gateway.policy.view import apply_view
from gateway.refusal import Code, Refusal
from gateway.soap.xml import Element

_NOBODYS: Final = timedelta(
    hours=2
)  # a file is younger than that, or has its row: no upload may take so long


class Uploading:
    """Takes documents in. Owns nothing but its collaborators."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        log: ExchangeLog,
        directory: Directory,
        uploads: Uploads,
        shelf: Shelf,
        clock: Clock,
        random: Random,
    ) -> None:
        self._log = log
        self._directory = directory
        self._uploads = uploads
        self._shelf = shelf
        self._clock = clock
        self._random = random
        self._plans = FieldPlans()

    async def upload(self, request: Request, message: Received, event: Event) -> bytes:
        """Of a document in the message itself. Return the signed acknowledgement. Raises Refusal."""
        async with AsyncExitStack() as stack:
            file = self._new(stack, event)
            return await self._take_in(request, None, file, message, event)

    async def upload_attached(self, message: Received, attachment: Attachment, event: Event) -> bytes:
        """Of a document that comes behind the message. Return and raise as `upload`."""
        async with AsyncExitStack() as stack:
            file = self._new(stack, event)  # §3–§6 bytes → Request, with the content sealed as it comes
            request, place = await receive_attached(message, attachment, event, file.write)
            return await self._take_in(request, place, file, message, event)

    def _new(self, stack: AsyncExitStack, event: Event) -> Shelved:
        file = self._shelf.create(event.peer.id)  # nobody has signed for an attachment yet
        stack.push_async_callback(file.close)
        return file

    async def _take_in(
        self, request: Request, place: Element | None, file: Shelved, message: Received, event: Event
    ) -> bytes:
        rules, exchange = message.rules, event.exchange
        assert request.criteria.dossier is not None  # the contract
        with event.stage("decide"):  # §7 → Permitted, and the document that the criteria name
            scope = await self._directory.scope(request.criteria.dossier)
            facts = rules.facts(scope, message.received)
            permitted = decide(request, facts)
            media_type, content = require_uploaded(request, place)
        with event.stage("commit-1"):  # §17.4 the file, then with the replay claim the entry: it exists
            for at in range(0, len(content), PIECE):
                await file.write(content[at : at + PIECE])
            await self._record(permitted, media_type, file, event)
        released = apply_view(permitted, [kept(rules.register.hub)], [])
        with event.stage("commit-2"):  # §8: the acknowledgement may be returned
            receipt = await self._log.append(
                entry.returned(released, exchange, self._clock(), self._random, self._plans)
            )
        event.accepted(receipt, recipients=0)
        with event.stage("sign"):  # §11 time has passed: a new clock
            receipt = await proved(self._log, receipt, request)
            return await rules.signer.receipt(request, receipt, exchange, message.received, self._clock())

    async def _record(self, permitted: Permitted, media_type: str, file: Shelved, event: Event) -> None:
        uploaded = self._uploaded(permitted.request, media_type, file)
        await file.finish()
        made = entry.forwarded(permitted, event.exchange, self._clock(), self._random)
        try:
            await self._uploads.take_in(made, uploaded)
        except Refusal as refusal:
            if refusal.code is not Code.LOG_UNAVAILABLE:  # else its row may be there: the sweep finds out
                await file.discard()
            raise

    def _uploaded(self, request: Request, media_type: str, file: Shelved) -> Uploaded:
        criteria, caller = request.criteria, request.caller
        assert criteria.dossier is not None  # the contract, which demands all four
        assert criteria.document_reference is not None
        assert criteria.document_type is not None
        assert criteria.document_sha256 is not None
        return Uploaded(
            dossier=criteria.dossier,
            provider=caller.authority.id,
            reference=criteria.document_reference,
            type=criteria.document_type,
            media_type=media_type,
            sha256=criteria.document_sha256,
            size=file.size,
            signature=caller.verified.signature,
            stored=self._clock(),
            file=file.file,
            key=file.key,
        )


async def sweep(uploads: Uploads, shelf: Shelf, now: datetime, keep: timedelta) -> None:
    """Remove documents that were uploaded longer ago than `keep`, and files that hold none.

    A row goes before its file: whatever ends the process, no row is without file. Raises Refusal: BUSY,
    LOG_UNAVAILABLE, SPOOL_UNAVAILABLE; the next sweep does the rest.
    """
    await uploads.expire_uploads(now - keep)
    old = await shelf.files(now - _NOBODYS)  # before the rows are read: each had its row by now, or never has
    holding = await uploads.uploaded_files()
    for file in old:
        if file not in holding:
            await shelf.remove(file)
