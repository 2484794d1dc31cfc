"""THE PATH of a delivery, from the queue to the recipient's signed acknowledgement (PROTOCOL §13.5).

Everything is done in an order in which a crash at any point leaves the delivery in the queue: it may arrive
twice, it is never lost. What the recipient may receive is filtered now, by the revision of the agreement that
was in force when the notification was accepted.
"""

from __future__ import annotations

from gateway.agreement.acknowledged import acknowledged
from gateway.agreement.messages import Customer, OnBehalf, Question
from gateway.agreement.notices import write_notification
from gateway.broker.ask import untrusted
from gateway.broker.event import DeliveryEvent
from gateway.broker.ports import Clock, Directory, History, Queue, Random, Spokes
from gateway.broker.revisions import Revisions, outlived
from gateway.broker.rules import Rules
from gateway.broker.schedule import RetryPolicy
from gateway.exchangelog import entry
from gateway.exchangelog.entry import Settling
from gateway.exchangelog.fields import FieldPlans
from gateway.identity.authority import identify_provider
from gateway.model import (
    SERVICE,
    Authority,
    AuthorityId,
    Caller,
    Criteria,
    Delivery,
    Dispatch,
    Receipt,
    Settlement,
    Ticket,
)
from gateway.policy.dispatch import dispatch, follows_log
from gateway.refusal import Code, Refusal
from gateway.soap.envelope import read
from gateway.wss.verify import verify

# Nothing that the recipient could do helps: the operator's at once, and no sign of the recipient's health.
_HOPELESS = frozenset({Code.AUTHORITY_UNKNOWN})


class Deliverer:
    """Carries deliveries to endpoints. Owns nothing but its collaborators."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        revisions: Revisions,
        queue: Queue,
        directory: Directory,
        history: History,
        spokes: Spokes,
        retries: RetryPolicy,
        clock: Clock,
        random: Random,
    ) -> None:
        self._revisions = revisions
        self._queue = queue
        self._directory = directory
        self._history = history
        self._spokes = spokes
        self._retries = retries
        self._clock = clock
        self._random = random
        self._plans = FieldPlans()

    async def carry(self, delivery: Delivery, event: DeliveryEvent, rules: Rules) -> None:
        """One attempt, to its end. Raises Refusal; `attempt` decides what becomes of the delivery then."""
        notification = delivery.notification
        if outlived(notification, rules.agreement, self._clock()):
            await self.expire(delivery, rules)
            event.ended(Settlement.EXPIRED)
            return
        agreement = await self._revisions.of(notification.revision, rules.agreement)
        scope = await self._directory.scope(notification.dossier)
        follows = follows_log(delivery, agreement)
        earlier = await self._history.releases(notification.dossier) if follows else None
        sender, recipient = (_party(name, rules) for name in (notification.sender, delivery.recipient))
        if not recipient.active:  # since the delivery was leased
            raise Refusal(Code.SUSPENDED)
        with event.stage("release"):  # §13.6 what this recipient may receive → Dispatch
            dispatched = dispatch(
                delivery, sender, recipient, agreement, rules.agreement, scope, self._clock(), earlier
            )
        if dispatched is None:
            await self._settle(delivery, Settlement.LAPSED, None, rules)
            event.ended(Settlement.LAPSED)
            return
        with event.stage("commit-2"):  # §8: it may be delivered
            receipt = await self._recorded(dispatched)
        answer = await self._hand_over(dispatched, receipt, event, rules)
        signature = acknowledged(answer, Ticket(delivery.id), delivery, agreement, rules.agreement)
        message = answer.verified.message
        with event.stage("settle"):  # §13.7 acknowledged and purged in one transaction
            await self._settle(delivery, Settlement.ACKNOWLEDGED, signature, rules, message)
        event.ended(Settlement.ACKNOWLEDGED)

    async def attempt(self, delivery: Delivery, event: DeliveryEvent, rules: Rules) -> None:
        """Carry it; what fails waits for its next turn, or for the operator."""
        try:
            await self.carry(delivery, event, rules)
        except Refusal as refusal:
            event.refused(refusal)
            await self._again(delivery, refusal.code, event)
        except Exception as error:  # noqa: BLE001 - a bug must not stop the other deliveries
            event.failed(error)
            await self._again(delivery, Code.INTERNAL, event)

    async def give_up(self, delivery: Delivery, event: DeliveryEvent) -> None:
        """Nobody carries it, for its recipient is suspended: once it is too old it waits for the operator."""
        if self._retries.is_dead(delivery.notification.accepted, self._clock()):
            event.refused(Refusal(Code.SUSPENDED))
            await self._bury(delivery, Code.SUSPENDED, event)

    async def expire(self, delivery: Delivery, rules: Rules) -> None:
        """The cap on stored messages is reached: it is purged undelivered, and the log says so."""
        await self._settle(delivery, Settlement.EXPIRED, None, rules)

    async def _recorded(self, dispatched: Dispatch) -> Receipt:
        """Where the release stands: recorded before the first attempt, and not again at those that follow."""
        delivery = dispatched.delivery
        if delivery.recorded and (earlier := await self._queue.recorded(delivery)) is not None:
            return earlier
        made = entry.delivered(dispatched, delivery.id, self._clock(), self._random, self._plans)
        return await self._queue.record(delivery, made)

    async def _hand_over(
        self, dispatched: Dispatch, receipt: Receipt, event: DeliveryEvent, rules: Rules
    ) -> Caller:
        """Send it to the recipient's endpoint; the verified answer, after the same checks as a provider's."""
        delivery, recipient = dispatched.delivery, dispatched.recipient
        with event.stage("question"):
            now, operation = self._clock(), delivery.notification.operation
            customer = Customer(Ticket(delivery.id), now, rules.register.hub.enterprise)
            question = _question(dispatched, receipt, customer)
            body = write_notification(question, dispatched.view.filtered, dispatched.payload)
            message = await rules.signer.question(body, recipient, Ticket(delivery.id), now)
        with event.stage("wait"):
            raw = await self._spokes.ask(recipient, message, f"{SERVICE}/{operation}")
        with event.stage("answer"):
            now = self._clock()
            with untrusted():
                verified = verify(read(raw, rules.limits), rules.terms.window, now)
            return identify_provider(verified, recipient, rules.certificates, rules.register, now)

    async def _again(self, delivery: Delivery, code: Code, event: DeliveryEvent) -> None:
        now = self._clock()
        if code in _HOPELESS or self._retries.is_dead(delivery.notification.accepted, now):
            await self._bury(delivery, code, event)
        else:
            draw = int.from_bytes(self._random(4)) / 2**32
            due = self._retries.due(delivery.attempts + 1, now, draw)
            await self._queue.postpone(delivery, due, code.row.code)

    async def _bury(self, delivery: Delivery, code: Code, event: DeliveryEvent) -> None:
        event.dead = True
        await self._queue.bury(delivery, code.row.code)

    async def _settle(
        self,
        delivery: Delivery,
        settlement: Settlement,
        signature: bytes | None,
        rules: Rules,
        message: bytes = b"",
    ) -> None:
        sender, recipient = await self._queue.parties(delivery.id)
        told = Settling.of(
            delivery, sender, recipient, settlement, rules.agreement.revision, signature, message
        )
        made = entry.settled(told, delivery.id, self._clock(), self._random)
        await self._queue.settle(delivery, made)


def _party(name: AuthorityId, rules: Rules) -> Authority:
    """Raises Refusal: AUTHORITY_UNKNOWN for one that the register has no more."""
    found = rules.register.by_id.get(name)
    if found is None:
        raise Refusal(Code.AUTHORITY_UNKNOWN, "not in the register")
    return found


def _question(dispatched: Dispatch, receipt: Receipt, customer: Customer) -> Question:
    """The blocks of the message to a recipient: from the hub, on behalf of the sender."""
    delivery, sender = dispatched.delivery, dispatched.sender
    assert sender.role is not None  # policy.notify accepts nothing from one without
    notification = delivery.notification
    on_behalf = OnBehalf(
        notification.exchange, notification.accepted, sender.enterprise, sender.role, receipt
    )
    return Question(
        notification.operation, customer, on_behalf, delivery.legal_context, Criteria(notification.dossier)
    )
