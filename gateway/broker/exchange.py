"""Every message that arrives: received, carried by the path of its pattern, or refused.

`receive` makes a request of the bytes; then each pattern of exchange has a path of its own.
Here alone refusals and bugs are caught: each becomes a signed fault, and of an identified caller an entry.
"""

from __future__ import annotations

from gateway.broker.consult import Consultation
from gateway.broker.document import Parcel, Retrieval
from gateway.broker.event import Event
from gateway.broker.mailbox import MailboxService
from gateway.broker.notify import Intake
from gateway.broker.ports import Clock, ExchangeLog, Random
from gateway.broker.receive import receive
from gateway.broker.rules import Received, Rules
from gateway.broker.upload import Uploading
from gateway.exchangelog import entry
from gateway.model import Pattern, Refused, Request
from gateway.policy.person import person_digest
from gateway.refusal import Code, Refusal


class Broker:
    """Carries exchanges through the stages. Owns nothing but its collaborators."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        consultation: Consultation,
        retrieval: Retrieval,
        intake: Intake,
        mailbox: MailboxService,
        uploading: Uploading,
        log: ExchangeLog,
        clock: Clock,
        random: Random,
    ) -> None:
        self._consultation = consultation
        self._retrieval = retrieval
        self._intake = intake
        self._mailbox = mailbox
        self._uploading = uploading
        self._log = log
        self._clock = clock
        self._random = random

    async def exchange(self, message: Received, event: Event) -> bytes | Parcel:
        """Return the signed response. Raises Refusal; `answer` turns that into a signed fault."""
        if message.attachment is not None:  # received with it, and refused where none belongs
            return await self._uploading.upload_attached(message, message.attachment, event)
        request = receive(message, event)  # §3–§6 bytes → Request
        match message.rules.agreement.operations[request.operation].pattern:
            case Pattern.CONSULT if request.criteria.document_sha256 is not None:  # the content is streamed
                return await self._retrieval.retrieve(request, message, event)
            case Pattern.CONSULT:
                return await self._consultation.consult(request, message, event)
            case Pattern.NOTIFY:
                return await self._intake.notify(request, message, event)
            case Pattern.MAILBOX:
                return await self._mailbox.serve(request, message, event)
            case Pattern.UPLOAD:
                return await self._uploading.upload(request, message, event)

    async def answer(self, message: Received, event: Event) -> bytes | Parcel:
        """The signed response or the signed fault: the one place where refusals and bugs are caught.

        Raises Refusal for those that are bare HTTP, such as SIGNING_UNAVAILABLE.
        """
        try:
            return await self.exchange(message, event)
        except Refusal as refusal:
            event.refused(refusal)
            return await self._fault(refusal, message, event)
        except Exception as error:  # noqa: BLE001 - a bug: the peer learns an incident number, no more
            event.failed(error)
            return await self._fault(Refusal(Code.INTERNAL), message, event)

    async def _fault(self, refusal: Refusal, message: Received, event: Event) -> bytes:
        # SIGNING_UNAVAILABLE is bare, yet our own failing, and may follow commit 1. BUSY is a log that takes no more.
        if refusal.code is Code.SIGNING_UNAVAILABLE or (
            refusal.code.row.http == 500 and refusal.code is not Code.BUSY
        ):
            refusal = await self._record(refusal, message.rules, event)
        if refusal.code.row.http != 500:
            raise refusal
        try:
            return await message.rules.signer.fault(refusal, event, self._clock())
        except Refusal as unsigned:
            event.refused(unsigned)
            raise

    async def _record(self, refusal: Refusal, rules: Rules, event: Event) -> Refusal:
        """A refusal of an identified caller is an entry of the exchange log; a stranger's is not (§8.4)."""
        if event.caller is None:
            return refusal
        agreement = rules.agreement
        request = event.request
        context = request.legal_context if request else None
        refused = Refused(
            caller=event.caller.authority,
            code=refusal.code.row.code,
            signature=event.caller.verified.signature,
            message=event.caller.verified.message,
            operation=request.operation if request else None,
            legal_context=context
            if context in agreement.contexts
            else None,  # else it is the peer's own text
            dossier=request.criteria.dossier if request else None,
            revision=agreement.revision,
            person=_named(request, rules),
        )
        try:
            receipt = await self._log.append(
                entry.refused(refused, event.exchange, self._clock(), self._random)
            )
        except Refusal as unavailable:  # the fault then says so: no refusal goes unrecorded
            instead = unavailable if unavailable.code.row.http == 500 else Refusal(Code.LOG_UNAVAILABLE)
            event.refused(instead)
            return instead
        except Exception as error:  # noqa: BLE001 - a bug while recording: it is unrecorded all the same
            event.failed(error)
            return Refusal(Code.LOG_UNAVAILABLE)
        event.log_index = receipt.index
        return refusal


def _named(request: Request | None, rules: Rules) -> bytes | None:
    """Whom the INSZ among the criteria names, so that an officer finds who was asked about and refused.

    Of what is permitted it is the dossier's own person, by whom the dossier is found.
    """
    ssin = None if request is None else request.criteria.ssin
    return None if ssin is None else person_digest(rules.directory_key, ssin)
