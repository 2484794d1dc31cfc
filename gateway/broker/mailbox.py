"""THE PATHS of a mailbox: list, fetch, acknowledge (PROTOCOL §14), for authorities without an endpoint.

What a fetch releases is what the view permits at that moment of the dossier. A message stays until its
recipient acknowledges it: what is fetched and lost on the way is listed again when its lease has ended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from gateway.agreement import messages, notices
from gateway.broker.bell import Bell
from gateway.broker.event import Event
from gateway.broker.ports import Clock, Directory, ExchangeLog, Mailbox, Random, Waiting
from gateway.broker.reply import Signer, echo
from gateway.broker.revisions import Revisions
from gateway.broker.rules import Received, Rules
from gateway.exchangelog import entry
from gateway.exchangelog.entry import Settling
from gateway.exchangelog.fields import FieldPlans
from gateway.model import (
    Authority,
    AuthorityId,
    Delivery,
    Enterprise,
    ExchangeId,
    Permitted,
    Receipt,
    Request,
    Settlement,
)
from gateway.policy.decide import Facts, decide
from gateway.policy.dispatch import dispatch, may_fetch
from gateway.refusal import Code, Refusal

PAGE: Final = 50  # messages of one list
_LOOK_AGAIN: Final = 1.0  # seconds: what another process of the hub took in rings no bell here


class MailboxService:
    """Serves mailboxes. Owns nothing but its collaborators."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        rules: Rules,
        revisions: Revisions,
        mailbox: Mailbox,
        directory: Directory,
        log: ExchangeLog,
        signer: Signer,
        lease: timedelta,
        bell: Bell,
        clock: Clock,
        random: Random,
    ) -> None:
        self._rules = rules
        self._revisions = revisions
        self._mailbox = mailbox
        self._directory = directory
        self._log = log
        self._signer = signer
        self._lease = lease
        self._bell = bell
        self._clock = clock
        self._random = random
        self._plans = FieldPlans()

    async def serve(self, request: Request, message: Received, event: Event) -> bytes:
        """Return the signed reply. Raises Refusal."""
        rules, owner = self._rules, request.caller.authority
        with event.stage("decide"):  # §7 → Permitted
            facts = Facts(rules.agreement, rules.register, None, message.received, rules.directory_key)
            permitted = decide(request, facts)
            if owner.endpoint is not None:
                raise Refusal(Code.MAILBOX_NONE)
        match request.operation:
            case "listMessages":
                return await self._list(permitted, message, event)
            case "fetchMessage":
                return await self._fetch(permitted, message, event)
            case _:
                return await self._acknowledge(permitted, message, event)

    async def _list(self, permitted: Permitted, message: Received, event: Event) -> bytes:
        """Identifiers of the owner's own messages: nothing of a dossier, hence no entry of the log (§14.1)."""
        request = permitted.request
        with event.stage("ask"):
            found = await self._wait(
                request, self._clock() + timedelta(seconds=request.criteria.wait_seconds)
            )
        event.outcome = "released"
        now = self._clock()
        gateway = messages.information_gateway(event.exchange, message.received, now, None)
        page = [(one.message, await self._heading(one)) for one in found[:PAGE]]
        listed = notices.write_messages(page, more=len(found) > PAGE)
        body = messages.write_reply(echo(request), gateway, notices.listed(page), (), listed)
        with event.stage("sign"):
            return self._signer.response(request, body, event.exchange, now)

    async def _wait(self, request: Request, until: datetime) -> list[Waiting]:
        owner, after = request.caller.authority.id, request.criteria.after
        while True:
            now = self._clock()
            found = await self._mailbox.waiting(owner, after, PAGE + 1, now)
            if found or now >= until:
                return found
            await self._bell.wait(min(_LOOK_AGAIN, (until - now).total_seconds()))

    async def _fetch(self, permitted: Permitted, message: Received, event: Event) -> bytes:
        request, exchange = permitted.request, event.exchange
        owner, wanted = request.caller.authority, request.criteria.message
        assert wanted is not None  # the contract
        with event.stage("decide"):
            delivery = await self._mailbox.find(owner.id, wanted)
            if delivery is None:
                raise Refusal(Code.MESSAGE_UNKNOWN)
            if delivery.legal_context != request.legal_context:
                raise Refusal(Code.CONTEXT_DENIED)
            agreement = await self._revisions.of(delivery.notification.revision)
            scope = await self._directory.scope(delivery.notification.dossier)
            may_fetch(delivery, owner, scope, self._rules.agreement)
            sender = self._party(delivery.notification.sender)
            released = dispatch(
                delivery, sender, owner, agreement, self._rules.agreement, scope, message.received
            )
        if released is None:  # the owner's part in the dossier has ended
            await self._settle(delivery, Settlement.LAPSED, delivery.id)
            raise Refusal(Code.MESSAGE_UNKNOWN)
        with event.stage("record"):  # §8 commit 1, with the replay claim
            await self._log.append(entry.forwarded(permitted, exchange, self._clock(), self._random))
        now = self._clock()
        await self._mailbox.take(owner.id, wanted, now, now + self._lease)
        with event.stage("record"):  # §8 commit 2: it may be returned
            made = entry.delivered(released, exchange, self._clock(), self._random, self._plans)
            receipt = await self._mailbox.record(delivery, made)
        event.dispatched(released, receipt)
        now = self._clock()
        gateway = messages.information_gateway(exchange, message.received, now, receipt)
        body = notices.write_message(
            echo(request),
            gateway,
            await self._heading(_waiting(delivery)),
            released.view.filtered,
            released.payload,
        )
        with event.stage("sign"):
            return self._signer.response(request, body, exchange, now)

    async def _acknowledge(self, permitted: Permitted, message: Received, event: Event) -> bytes:
        """The second time there is nothing left to do, and nothing to record: it is no error."""
        request, exchange = permitted.request, event.exchange
        owner, wanted = request.caller.authority, request.criteria.message
        assert wanted is not None  # the contract
        delivery, receipt = await self._mailbox.find(owner.id, wanted), None
        if delivery is not None:
            if not delivery.recorded:  # nobody fetched it: it would be purged unread
                raise Refusal(Code.MESSAGE_UNKNOWN, "not fetched")
            with event.stage("record"):  # §8 commit 1, with the replay claim
                await self._log.append(entry.forwarded(permitted, exchange, self._clock(), self._random))
            signature = request.caller.verified.signature
            with event.stage("record"):  # §14.3 acknowledged and purged in one transaction
                receipt = await self._settle(delivery, Settlement.ACKNOWLEDGED, exchange, signature)
            self._bell.ring()  # the next message about the dossier may be listed
        event.acknowledged(receipt)
        with event.stage("sign"):
            return self._signer.receipt(request, receipt, exchange, message.received, self._clock())

    async def _settle(
        self, delivery: Delivery, settlement: Settlement, exchange: ExchangeId, signature: bytes | None = None
    ) -> Receipt:
        sender, owner = await self._mailbox.parties(delivery.id)
        in_force = self._rules.agreement.revision
        told = Settling.of(delivery, sender, owner, settlement, in_force, signature)
        made = entry.settled(told, exchange, self._clock(), self._random)
        return await self._mailbox.settle(delivery, made)

    async def _heading(self, one: Waiting) -> notices.Heading:
        sender, _ = await self._mailbox.parties(one.message)
        return notices.Heading(one.operation, one.legal_context, one.accepted, Enterprise.parse(sender))

    def _party(self, name: AuthorityId) -> Authority:
        """Raises Refusal: MESSAGE_UNKNOWN for one that the register has no more."""
        found = self._rules.register.by_id.get(name)
        if found is None:
            raise Refusal(Code.MESSAGE_UNKNOWN)
        return found


def _waiting(delivery: Delivery) -> Waiting:
    notification = delivery.notification
    return Waiting(
        delivery.id,
        notification.operation,
        delivery.legal_context,
        notification.accepted,
        notification.sender,
    )
