"""THE PATH of a notification, from its request to the signed receipt (PROTOCOL §13): one stage a line.

The sender gets a receipt only when everything is durable in one transaction: the entry of the log with the
claim of the ticket, the dossier's new scope, the sealed payload, and a delivery for each recipient. From then
on it cannot be lost; carrying it to the recipients is `deliver` and `mailbox`.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.agreement.admit import content
from gateway.broker.event import Event, Left
from gateway.broker.ports import Clock, Directory, History, Notifications, Random, Told
from gateway.broker.proof import proved
from gateway.broker.rules import Received, Rules
from gateway.exchangelog import entry
from gateway.exchangelog.exchange_id import new_exchange_id
from gateway.model import Accepted, DossierScope, ExchangeId, Request
from gateway.policy.notify import accept
from gateway.policy.rectify import EarlierRelease, Outstanding
from gateway.refusal import Code, Refusal
from gateway.soap.xml import canonical


class Intake:
    """Takes notifications in. Owns nothing but its collaborators."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        *,
        notifications: Notifications,
        directory: Directory,
        history: History,
        clock: Clock,
        random: Random,
        wake: Callable[..., None],
    ) -> None:
        """`wake`: tells whoever waits for what these recipients get, the courier too."""
        self._notifications = notifications
        self._directory = directory
        self._history = history
        self._clock = clock
        self._random = random
        self._wake = wake

    async def notify(self, request: Request, message: Received, event: Event) -> bytes:
        """Return the signed receipt. Raises Refusal."""
        rules, exchange = message.rules, event.exchange
        assert request.payload is not None  # agreement.admit refuses a notification that tells nothing
        assert request.criteria.dossier is not None  # the contract: every notification is about a dossier
        said = content(request)
        told = await self._recall(request, said, event)
        if told is not None:  # §13.2 the same ticket with the same content: the first receipt again
            return await self._repeat(request, told, event, rules)
        try:
            with event.stage("decide"):  # §13.3 → Accepted
                scope = await self._directory.scope(request.criteria.dossier)
                facts = rules.facts(scope, message.received, rules.terms.window.future)
                accepted = accept(request, facts, *await self._earlier(request, rules))
            with event.stage("commit-1"):  # §13.4 one transaction: it may be delivered, and cannot be lost
                receipt = await self._notifications.accept(
                    entry.accepted(accepted, exchange, self._clock(), self._random),
                    accepted,
                    canonical(request.payload),
                    said,
                    message.received,
                    [self._new_id() for _ in accepted.recipients],
                )
        except Refusal as refusal:
            if refusal.code is Code.LOG_UNAVAILABLE:  # nor could the store tell what came before
                raise
            told = await self._recall(request, said, event)
            if told is None:
                raise
            # The same was on its way already and was faster: what refuses this copy may be its own step.
            return await self._repeat(request, told, event, rules)
        event.accepted(receipt, len(accepted.recipients))
        event.left = self._left(scope, accepted, rules)
        if accepted.recipients:
            self._wake(*(one.authority.id for one in accepted.recipients))
        with event.stage("sign"):  # §11 time has passed: a new clock
            receipt = await proved(self._notifications, receipt, request)
            return await rules.signer.receipt(request, receipt, exchange, message.received, self._clock())

    async def _recall(self, request: Request, said: bytes, event: Event) -> Told | None:
        with event.stage("recall"):
            return await self._notifications.told(request.caller.authority.id, request.ticket, said)

    async def _earlier(
        self, request: Request, rules: Rules
    ) -> tuple[list[EarlierRelease], list[Outstanding]]:
        """Whom the dossier's data reached, and will reach: only what follows the log asks. What is delivered
        between the two look-ups is found by both.
        """
        dossier = request.criteria.dossier
        if dossier is None or not rules.agreement.operations[request.operation].follows_log:
            return [], []
        waiting = await self._history.outstanding(dossier)
        return await self._history.releases(dossier), waiting

    async def _repeat(self, request: Request, told: Told, event: Event, rules: Rules) -> bytes:
        """The receipt that the sender got, or would have got."""
        event.repeated(told.receipt)
        receipt = await proved(self._notifications, told.receipt, request)
        return await rules.signer.receipt(request, receipt, told.exchange, told.received, self._clock())

    @staticmethod
    def _left(before: DossierScope | None, accepted: Accepted, rules: Rules) -> Left | None:
        after = accepted.scope
        if before is None or before.status == after.status:
            return None
        course = rules.agreement.course(before.permit_type, before.procedure)
        seconds = (after.status_since - before.status_since).total_seconds()
        return None if course is None else Left(course.name, before.status, seconds)

    def _new_id(self) -> ExchangeId:
        return new_exchange_id(self._clock(), self._random)
