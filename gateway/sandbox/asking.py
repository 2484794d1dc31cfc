"""The steps that ask: each question asked, its reply held against what the exchange log says was released."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Final

from gateway.adapters.store_reader import LogReader
from gateway.exchangelog.leaf import Kind
from gateway.model import AuthorityId
from gateway.sandbox.back_office import honest
from gateway.sandbox.client import Answered, ExchangeFault, NoReply, Requester, Unsendable, UntrustedReply
from gateway.sandbox.evidence import Evidence
from gateway.sandbox.mischief import ANSWERING
from gateway.sandbox.replies import headings
from gateway.sandbox.story.steps import INCOMPLETE, Ask, MessageOf
from gateway.sandbox.told import Told, milliseconds, trouble_of
from gateway.sandbox.tricks import GUISES
from gateway.sandbox.world import World

_INNOCENT: Final = AuthorityId("MUN_LIEGE")  # whose name and connection tricksters borrow


class Asking:
    """Asks. Remembers what each mailbox held when its owner last listed it."""

    def __init__(self, world: World, evidence: Evidence) -> None:
        self._world = world
        self._evidence = evidence
        self._waiting: dict[str, str] = {}

    def ask(self, step: Ask) -> Told:
        """The step as it went."""
        requester = self._requester(step)
        for name, mischief in step.mischief.items():
            self._world.offices[AuthorityId(name)].answering = ANSWERING[mischief]
        start = perf_counter()
        try:
            answered = requester.ask(step.operation, f"WIB:{step.context}", self._criteria(step))
            told = self._answered(step, answered)
        except ExchangeFault as fault:
            told = self._refused(step, fault)
        except (NoReply, Unsendable, UntrustedReply) as trouble:
            told = Told(step, (), "NO_REPLY", trouble=str(trouble))
        finally:
            for name in step.mischief:
                self._world.offices[AuthorityId(name)].answering = honest
        return replace(told, ms=milliseconds(start))

    def _criteria(self, step: Ask) -> dict[str, str]:
        return {
            name: self._waiting.get(value.owner, "") if isinstance(value, MessageOf) else value
            for name, value in step.criteria.items()
        }

    def _requester(self, step: Ask) -> Requester:
        usual = self._world.requester(step.who, soap12=step.soap12)
        if step.trick is None:
            return usual
        other = self._world.place.register.by_id[_INNOCENT]
        return self._world.requester(step.who, GUISES[step.trick](other, usual.transport.sent))

    def _answered(self, step: Ask, answered: Answered) -> Told:
        if step.operation == "listMessages":
            for first in headings(answered)[:1]:
                self._waiting[step.who] = first.message
        present = self._evidence.replied(step.operation, answered.message)
        with self._evidence.log() as log:
            to = self._asked(log, answered.exchange) or (str(self._world.place.register.hub.id),)
            view = self._evidence.view(log, answered.log_index, step.operation)
        outcome = INCOMPLETE if answered.missing else answered.outcome
        return Told(
            step=step,
            to=to,
            outcome=outcome,
            exchange=answered.exchange,
            released=tuple(sorted(view.released)),
            present=tuple(sorted(present)),
            withheld=tuple(sorted(view.withheld)),
            missing=answered.missing,
            log_index=answered.log_index,
            trouble=_unexpected(step, outcome) or trouble_of(step, present, set(view.released)),
        )

    def _refused(self, step: Ask, fault: ExchangeFault) -> Told:
        with self._evidence.log() as log:
            entries, to = log.exchange(fault.incident), self._asked(log, fault.incident)
        return Told(
            step=step,
            to=to,
            outcome=fault.code,
            exchange=fault.incident,
            label=fault.label,
            sentence=fault.sentence,
            log_index=entries[-1] if entries else None,
            trouble=_unexpected(step, fault.code),
        )

    def _asked(self, log: LogReader, exchange: str) -> tuple[str, ...]:
        """The providers that the request entry names; the hub when it answered by itself."""
        for index in log.exchange(exchange):
            leaf = self._evidence.entry(log, index)
            if leaf.kind is Kind.REQUEST:
                hub = str(self._world.place.register.hub.id)
                return tuple(self._evidence.names[party] for party in leaf.to) or (hub,)
        return ()


def _unexpected(step: Ask, outcome: str) -> str:
    return "" if outcome == step.expects else f"{step.expects} was expected, {outcome} came"
