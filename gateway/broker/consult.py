"""THE PATH of a consultation, in the order of PROTOCOL.md: one stage a line.

Each stage takes the previous stage's type and returns a richer one; none can be skipped without mypy
saying so. No record, no exchange: nothing leaves the hub before commit 1, nothing returns before commit 2.
A crash between the two leaves a request entry without an answer, which the officer sees as *outcome
unknown*.
"""

from __future__ import annotations

from gateway.agreement.admit import admit
from gateway.broker.ask import Asker
from gateway.broker.event import Event
from gateway.broker.ports import Clock, Directory, ExchangeLog, Random, Spokes
from gateway.broker.reply import Signer
from gateway.broker.rules import Received, Rules
from gateway.exchangelog import entry
from gateway.exchangelog.fields import FieldPlans
from gateway.identity.authority import identify
from gateway.model import Refused
from gateway.policy.decide import Facts, decide
from gateway.policy.view import apply_view
from gateway.refusal import Code, Refusal
from gateway.soap.envelope import read
from gateway.wss.verify import verify


class Broker:
    """Carries exchanges through the stages. Owns nothing but its collaborators."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        rules: Rules,
        log: ExchangeLog,
        directory: Directory,
        spokes: Spokes,
        signer: Signer,
        clock: Clock,
        random: Random,
    ) -> None:
        self._rules = rules
        self._log = log
        self._directory = directory
        self._asker = Asker(rules, spokes, signer, clock, random)
        self._signer = signer
        self._clock = clock
        self._random = random
        self._plans = FieldPlans()

    async def consult(self, message: Received, event: Event) -> bytes:
        """Return the signed reply. Raises Refusal; `answer` turns that into a signed fault."""
        rules, exchange = self._rules, event.exchange
        with event.stage("read"):  # §3 bytes → Envelope
            event.envelope = envelope = read(message.data, rules.limits)
            if envelope.version is not message.version:
                raise Refusal(Code.MEDIA_TYPE)
        with event.stage("verify"):  # §4 → Verified
            verified = verify(envelope, rules.terms.window, message.received)
        with event.stage("identify"):  # §5 → Caller
            event.caller = caller = identify(
                verified, event.peer, rules.certificates, rules.register, message.received
            )
        with event.stage("admit"):  # §6 → Request
            event.request = request = admit(
                caller, message.soap_action, rules.agreement, rules.terms, message.received
            )
        with event.stage("decide"):  # §7 → Permitted
            dossier = request.criteria.dossier
            scope = await self._directory.scope(dossier) if dossier is not None else None
            facts = Facts(rules.agreement, rules.register, scope, message.received, rules.directory_key)
            permitted = decide(request, facts)
        with event.stage("record"):  # §8 commit 1, with the replay claim: the question may be forwarded
            await self._log.append(entry.forwarded(permitted, exchange, self._clock(), self._random))
        with event.stage("ask"):  # §9 the same checks in the other direction
            answers, unanswered = await self._asker.ask(permitted, event, facts)
        with event.stage("release"):  # §10 → Released
            released = apply_view(permitted, answers, unanswered)
        with event.stage("record"):  # §8 commit 2: the reply may be returned (it says may, not did)
            receipt = await self._log.append(
                entry.returned(released, exchange, self._clock(), self._random, self._plans)
            )
        event.finished(released, receipt)
        with event.stage("sign"):  # §11 time has passed: a new clock
            return self._signer.reply(released, receipt, exchange, message.received, self._clock())

    async def answer(self, message: Received, event: Event) -> bytes:
        """The signed reply or the signed fault: the one place where refusals and bugs are caught.

        Raises Refusal for those that are bare HTTP, such as BUSY.
        """
        try:
            return await self.consult(message, event)
        except Refusal as refusal:
            event.refused(refusal)
            return await self._fault(refusal, event)
        except Exception as error:  # noqa: BLE001 - a bug: the peer learns an incident number, no more
            event.failed(error)
            return await self._fault(Refusal(Code.INTERNAL), event)

    async def _fault(self, refusal: Refusal, event: Event) -> bytes:
        if refusal.code.row.http != 500:
            raise refusal
        recorded = await self._record(refusal, event)
        return self._signer.fault(recorded, event, self._clock())

    async def _record(self, refusal: Refusal, event: Event) -> Refusal:
        """A refusal of an identified caller is an entry of the exchange log; a stranger's is not (§8.4)."""
        if event.caller is None:
            return refusal
        request = event.request
        refused = Refused(
            caller=event.caller.authority,
            code=refusal.code.row.code,
            signature=event.caller.verified.signature,
            operation=request.operation if request else None,
            legal_context=request.legal_context if request and self._known(request.legal_context) else None,
            dossier=request.criteria.dossier if request else None,
            revision=self._rules.agreement.revision,
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

    def _known(self, context: str) -> bool:
        """An unknown context is the peer's own text; the log keeps only the agreement's words."""
        return context in self._rules.agreement.contexts
