"""THE PATHS of a mailbox: list, fetch, acknowledge (PROTOCOL §14), for authorities without an endpoint.

A fetch releases what an endpoint would be told at that moment. A message stays until its recipient
acknowledges it: what is fetched and lost on the way is listed again when its lease has ended.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from gateway.agreement import messages, notices
from gateway.agreement.load import Agreement
from gateway.broker.bell import Bell, aside
from gateway.broker.event import Event
from gateway.broker.ports import Clock, Directory, ExchangeLog, History, Mailbox, Queue, Random, Waiting
from gateway.broker.proof import proved
from gateway.broker.reply import echo
from gateway.broker.revisions import Revisions, outlived
from gateway.broker.rules import Received, Rules
from gateway.exchangelog import entry
from gateway.exchangelog.entry import Settling
from gateway.exchangelog.fields import FieldPlans
from gateway.model import (
    AuthorityId,
    Delivery,
    Enterprise,
    ExchangeId,
    Permitted,
    Receipt,
    Request,
    Settlement,
)
from gateway.policy.decide import decide, require_mailbox
from gateway.policy.dispatch import dispatch, follows_log
from gateway.refusal import Code, Refusal

PAGE: Final = 50  # messages of one list
_LOOK_AGAIN: Final = 1.0  # seconds: a bell that another process of the hub rings may be lost
_NO_CONTEXT: Final = frozenset({Code.CONTEXT_UNKNOWN, Code.CONTEXT_DENIED})


class MailboxService:
    """Serves mailboxes. Owns the count of lists that wait."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        revisions: Revisions,
        mailbox: Mailbox,
        queue: Queue,
        directory: Directory,
        history: History,
        log: ExchangeLog,
        lease: timedelta,
        waits: int,
        bell: Bell,
        clock: Clock,
        random: Random,
    ) -> None:
        """`waits`: lists of one mailbox that may wait at once."""
        self._revisions = revisions
        self._mailbox = mailbox
        self._queue = queue
        self._directory = directory
        self._history = history
        self._log = log
        self._lease = lease
        self._waits = waits
        self._waiting: defaultdict[AuthorityId, int] = defaultdict(int)
        self._bell = bell
        self._clock = clock
        self._random = random
        self._plans = FieldPlans()

    async def serve(self, request: Request, message: Received, event: Event) -> bytes:
        """Return the signed reply. Raises Refusal."""
        with event.stage("decide"):  # §7 → Permitted
            permitted = await self._decide(request, message)
            require_mailbox(request.caller.authority)
        match request.operation:
            case "listMessages":
                return await self._list(permitted, message, event)
            case "fetchMessage":
                return await self._fetch(permitted, message, event)
            case _:
                return await self._acknowledge(permitted, message, event)

    async def _decide(self, request: Request, message: Received) -> Permitted:
        """By the agreement in force; where that has the context no more, by the message's own (§14.2)."""
        facts = message.rules.facts(None, message.received)
        try:
            return decide(request, facts)
        except Refusal as refusal:
            earlier = await self._earlier(request, message.rules) if refusal.code in _NO_CONTEXT else None
            if earlier is None:
                raise
        return decide(request, replace(facts, agreement=earlier))

    async def _earlier(self, request: Request, rules: Rules) -> Agreement | None:
        """The agreement under which a message with this context was accepted; None where there is no such."""
        wanted, owner = request.criteria.message, request.caller.authority
        if wanted is None:
            return None
        try:
            delivery = await self._mailbox.find(owner.id, wanted)
        except Refusal as refusal:
            if refusal.code is Code.MESSAGE_UNKNOWN:
                return None
            raise
        if delivery is None or delivery.legal_context != request.legal_context:
            return None
        return await self._revisions.of(delivery.notification.revision, rules.agreement)

    async def _list(self, permitted: Permitted, message: Received, event: Event) -> bytes:
        """Identifiers of the owner's own messages: nothing of a dossier, hence no entry of the log (§14.1)."""
        request = permitted.request
        with event.waiting():  # a long poll is the owner's wish
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
            return await message.rules.signer.response(request, body, event.exchange, now)

    async def _wait(self, request: Request, until: datetime) -> list[Waiting]:
        """What may be fetched, as soon as there is something. A list that waits holds no place (§14.1)."""
        owner, now = request.caller.authority.id, self._clock()
        found = await self._look(request, now)
        if found or now >= until or self._waiting[owner] >= self._waits:
            return found
        self._waiting[owner] += 1
        try:
            with aside.get()():
                while not found and now < until:
                    await self._bell.wait(min(_LOOK_AGAIN, (until - now).total_seconds()), owner)
                    now = self._clock()
                    found = await self._look(request, now)
        finally:
            self._waiting[owner] -= 1
        return found

    async def _look(self, request: Request, now: datetime) -> list[Waiting]:
        owner, after = request.caller.authority.id, request.criteria.after
        return await self._mailbox.waiting(owner, after, PAGE + 1, now)

    async def _fetch(self, permitted: Permitted, message: Received, event: Event) -> bytes:
        rules, request, exchange = message.rules, permitted.request, event.exchange
        owner, wanted = request.caller.authority, request.criteria.message
        assert wanted is not None  # the contract
        with event.stage("decide"):
            delivery = await self._mailbox.find(owner.id, wanted)
            if delivery is None:
                raise Refusal(Code.MESSAGE_UNKNOWN)
            if delivery.legal_context != request.legal_context:
                raise Refusal(Code.CONTEXT_DENIED)
            await self._require_deliverable(delivery, message.received, rules)
            agreement = await self._revisions.of(delivery.notification.revision, rules.agreement)
            scope = await self._directory.scope(delivery.notification.dossier)
            follows = follows_log(delivery, agreement)
            earlier = await self._history.releases(delivery.notification.dossier) if follows else None
            sender = rules.register.by_id[delivery.notification.sender]
            released = dispatch(
                delivery, sender, owner, agreement, rules.agreement, scope, message.received, earlier
            )
        if (
            released is None
        ):  # the owner's part in the dossier has ended, or it rectifies what never reached it
            now = self._clock()  # in its turn, for what it rectifies may wait before it; no lease is left
            await self._mailbox.take(owner.id, wanted, now, now)
            await self._settle(delivery, Settlement.LAPSED, delivery.id, rules)
            raise Refusal(Code.MESSAGE_UNKNOWN)
        with event.stage("commit-1"):  # §8, with the replay claim
            await self._log.append(entry.forwarded(permitted, exchange, self._clock(), self._random))
        now = self._clock()
        await self._mailbox.take(owner.id, wanted, now, now + self._lease)
        with event.stage("commit-2"):  # §8: it may be returned
            made = entry.delivered(released, exchange, self._clock(), self._random, self._plans)
            receipt = await self._mailbox.record(delivery, made)
        event.dispatched(released, receipt)
        receipt, now = await proved(self._log, receipt, request), self._clock()
        gateway = messages.information_gateway(exchange, message.received, now, receipt)
        body = notices.write_message(
            echo(request),
            gateway,
            await self._heading(_waiting(delivery)),
            delivery.notification.dossier,
            released.view.filtered,
            released.payload,
        )
        with event.stage("sign"):
            return await message.rules.signer.response(request, body, exchange, now)

    async def _acknowledge(self, permitted: Permitted, message: Received, event: Event) -> bytes:
        """The second time there is nothing left to do, and nothing to record: it is no error."""
        request, exchange = permitted.request, event.exchange
        owner, wanted = request.caller.authority, request.criteria.message
        assert wanted is not None  # the contract
        delivery, receipt = await self._mailbox.find(owner.id, wanted), None
        if delivery is not None:
            if not delivery.fetched:  # it would be purged unread
                raise Refusal(Code.MESSAGE_UNKNOWN, "not fetched")
            with event.stage("commit-1"):  # §8, with the replay claim
                await self._log.append(entry.forwarded(permitted, exchange, self._clock(), self._random))
            with event.stage("settle"):  # §14.3 acknowledged and purged in one transaction
                receipt = await self._taken_over(delivery, request, exchange, message.rules)
            self._bell.ring(owner.id)  # the next message about the dossier may be listed
        event.acknowledged(receipt)
        with event.stage("sign"):
            receipt = receipt and await proved(self._log, receipt, request)
            return await message.rules.signer.receipt(
                request, receipt, exchange, message.received, self._clock()
            )

    async def _taken_over(
        self, delivery: Delivery, request: Request, exchange: ExchangeId, rules: Rules
    ) -> Receipt | None:
        """None when another acknowledgement was there first. Raises Refusal: MESSAGE_UNKNOWN when it ended otherwise."""
        signature = request.caller.verified.signature
        try:
            return await self._settle(delivery, Settlement.ACKNOWLEDGED, exchange, rules, signature)
        except Refusal as refusal:
            if refusal.code is not Code.MESSAGE_UNKNOWN:
                raise
        await self._mailbox.find(request.caller.authority.id, delivery.id)
        return None

    async def _settle(
        self,
        delivery: Delivery,
        settlement: Settlement,
        exchange: ExchangeId,
        rules: Rules,
        signature: bytes | None = None,
    ) -> Receipt:
        sender, owner = await self._mailbox.parties(delivery.id)
        told = Settling.of(delivery, sender, owner, settlement, rules.agreement.revision, signature)
        made = entry.settled(told, exchange, self._clock(), self._random)
        return await self._mailbox.settle(delivery, made)

    async def _heading(self, one: Waiting) -> notices.Heading:
        sender, _ = await self._mailbox.parties(one.message)
        return notices.Heading(one.operation, one.legal_context, one.accepted, Enterprise.parse(sender))

    async def _require_deliverable(self, delivery: Delivery, now: datetime, rules: Rules) -> None:
        """As `Deliverer.carry`: what is too old ends, and what its sender left behind is the operator's.

        Raises Refusal: MESSAGE_UNKNOWN.
        """
        if outlived(delivery.notification, rules.agreement, now):
            await self._settle(delivery, Settlement.EXPIRED, delivery.id, rules)
            raise Refusal(Code.MESSAGE_UNKNOWN)
        if delivery.notification.sender not in rules.register.by_id:
            await self._queue.bury(delivery, Code.AUTHORITY_UNKNOWN.row.code)
            raise Refusal(Code.MESSAGE_UNKNOWN)


def _waiting(delivery: Delivery) -> Waiting:
    notification = delivery.notification
    return Waiting(
        delivery.id,
        notification.operation,
        delivery.legal_context,
        notification.accepted,
        notification.sender,
    )
