"""Asking the providers: the checks of the path in the other direction (PROTOCOL §9).

One question and one answer for each provider, all at once; what came back is verified, identified and held
against the question by the very functions that judge requests. Recording is for `broker.consult`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from gateway.agreement.answer import accept, own
from gateway.agreement.messages import Customer, OnBehalf, Question, write_question
from gateway.broker.event import Event
from gateway.broker.ports import Clock, Random, Spokes
from gateway.broker.rules import Rules
from gateway.identity.authority import identify_provider
from gateway.model import (
    SERVICE,
    Answer,
    Authority,
    AuthorityId,
    ExchangeId,
    Outcome,
    Permitted,
    Ticket,
)
from gateway.policy.access import own_payload
from gateway.policy.decide import Facts
from gateway.refusal import Category, Code, Refusal
from gateway.soap.envelope import read
from gateway.wss.verify import verify

_UNTRUSTED_ANSWER: Final = frozenset({Category.TRANSPORT, Category.XML, Category.SOAP, Category.SECURITY})


class Asker:
    """Asks on behalf of requesters. Owns nothing but its collaborators."""

    def __init__(self, spokes: Spokes, clock: Clock, random: Random) -> None:
        self._spokes = spokes
        self._clock = clock
        self._random = random

    async def ask(
        self, permitted: Permitted, event: Event, facts: Facts, rules: Rules
    ) -> tuple[Sequence[Answer], Sequence[AuthorityId]]:
        """All providers at once. One provider's trouble refuses; of several, it makes the reply incomplete.

        What is the hub's own failing, a bug or a question that it could not sign, refuses in any case.
        """
        if not permitted.providers:
            return [own(rules.register.hub, own_payload(permitted, facts))], []
        asked = [
            self._ask_one(provider, permitted, event, facts.now, rules) for provider in permitted.providers
        ]
        results = await _results(asked)
        given = [result for result in results if isinstance(result, Answer)]
        # NO_RESULT says that a provider could not look: beside others that could, it is a source that is missing.
        answers = [answer for answer in given if answer.outcome is not Outcome.NO_RESULT]
        troubles = [result for result in results if isinstance(result, BaseException)]
        for trouble in troubles:
            if isinstance(trouble, asyncio.CancelledError):  # ours would have ended gather: a bug below
                raise RuntimeError("a question was cut off") from trouble  # noqa: TRY004 - a wrong event, no wrong type
            if not isinstance(trouble, Refusal) or trouble.code is Code.SIGNING_UNAVAILABLE:
                raise trouble
        if troubles and not answers:
            raise troubles[0]
        answers = answers or given  # nobody could look, and the reply says so (§10.2)
        found = {answer.provider.id for answer in answers}
        return answers, [provider.id for provider in permitted.providers if provider.id not in found]

    async def question(
        self,
        provider: Authority,
        permitted: Permitted,
        exchange: ExchangeId,
        received: datetime,
        rules: Rules,
    ) -> tuple[Ticket, bytes]:
        """The signed question to one provider, and the ticket that its answer must repeat."""
        request = permitted.request
        ticket = Ticket(str(uuid.UUID(bytes=self._random(16), version=4)))  # a new one for each question
        question = Question(
            operation=request.operation,
            customer=Customer(ticket, self._clock(), rules.register.hub.enterprise),
            on_behalf=_on_behalf(permitted, exchange, received),
            legal_context=request.legal_context,
            criteria=request.criteria,
        )
        body = write_question(question)
        return ticket, await rules.signer.question(body, provider, ticket, self._clock())

    async def _ask_one(
        self, provider: Authority, permitted: Permitted, event: Event, received: datetime, rules: Rules
    ) -> Answer:
        with event.stage("question"):
            ticket, message = await self.question(provider, permitted, event.exchange, received, rules)
        with event.waiting():
            raw = await self._spokes.ask(provider, message, f"{SERVICE}/{permitted.request.operation}")
        with event.stage("answer"):
            now = self._clock()
            with untrusted():
                verified = verify(read(raw, rules.limits), rules.terms.window, now)
            answered = identify_provider(verified, provider, rules.certificates, rules.register, now)
            return accept(answered, ticket, permitted, rules.agreement)


async def _results(asked: Sequence[Coroutine[None, None, Answer]]) -> Sequence[Answer | BaseException]:
    """What each question came to. Most often it is one alone, which needs no task of its own."""
    if len(asked) > 1:
        return await asyncio.gather(*asked, return_exceptions=True)
    try:
        return [await asked[0]]
    except Exception as trouble:  # noqa: BLE001 - as `gather` returns it
        return [trouble]
    except asyncio.CancelledError as trouble:
        task = asyncio.current_task()
        if task is None or task.cancelling():  # we ourselves are cut off
            raise
        return [trouble]


@contextmanager
def untrusted() -> Iterator[None]:
    """What is wrong with an answer as a message is told in one word, whatever it is."""
    try:
        yield
    except Refusal as refusal:
        if refusal.code.row.category not in _UNTRUSTED_ANSWER:
            raise
        raise Refusal(Code.PROVIDER_SECURITY) from refusal


def _on_behalf(permitted: Permitted, exchange: ExchangeId, received: datetime) -> OnBehalf:
    requester = permitted.request.caller.authority
    assert requester.role is not None  # policy.decide refuses a caller without role
    return OnBehalf(exchange, received, requester.enterprise, requester.role)
