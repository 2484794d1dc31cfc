"""THE PATH of a consultation, in the order of PROTOCOL.md: one stage a line.

`receive` has brought the message to a Request (§3–§6). Each stage takes the previous stage's type and returns
a richer one; none can be skipped without mypy saying so. No record, no exchange: nothing leaves the hub before
commit 1, nothing returns before commit 2. A crash between the two leaves a request entry without an answer,
which the officer sees as *outcome unknown*.
"""

from __future__ import annotations

from gateway.broker.ask import Asker
from gateway.broker.event import Event
from gateway.broker.ports import Clock, Directory, ExchangeLog, Random
from gateway.broker.proof import proved
from gateway.broker.rules import Received
from gateway.exchangelog import entry
from gateway.exchangelog.fields import FieldPlans
from gateway.model import Request
from gateway.policy.decide import decide
from gateway.policy.view import apply_view


class Consultation:
    """Carries questions to their answers. Owns nothing but its collaborators."""

    def __init__(
        self,
        *,
        log: ExchangeLog,
        directory: Directory,
        asker: Asker,
        clock: Clock,
        random: Random,
    ) -> None:
        self._log = log
        self._directory = directory
        self._asker = asker
        self._clock = clock
        self._random = random
        self._plans = FieldPlans()

    async def consult(self, request: Request, message: Received, event: Event) -> bytes:
        """Return the signed reply. Raises Refusal."""
        rules, exchange = message.rules, event.exchange
        with event.stage("decide"):  # §7 → Permitted
            dossier = request.criteria.dossier
            scope = await self._directory.scope(dossier) if dossier is not None else None
            facts = rules.facts(scope, message.received)
            permitted = decide(request, facts)
        with event.stage("commit-1"):  # §8, with the replay claim: the question may be forwarded
            await self._log.append(entry.forwarded(permitted, exchange, self._clock(), self._random))
        # §9 the same checks in the other direction, in stages of their own
        answers, unanswered = await self._asker.ask(permitted, event, facts, rules)
        with event.stage("release"):  # §10 → Released
            released = apply_view(permitted, answers, unanswered)
        with event.stage("commit-2"):  # §8 the reply may be returned (it says may, not did)
            receipt = await self._log.append(
                entry.returned(released, exchange, self._clock(), self._random, self._plans)
            )
        event.finished(released, receipt)
        with event.stage("sign"):  # §11 time has passed: a new clock
            receipt = await proved(self._log, receipt, request)
            return await rules.signer.reply(released, receipt, exchange, message.received, self._clock())
