"""The steps that tell: each notification sent, followed to every recipient, and held against its view.

A step is over when everybody has it: those with a service by themselves, those with a mailbox by fetching and
acknowledging it as their own software would.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Final, TypeVar

from gateway.exchangelog.leaf import Leaf
from gateway.model import AuthorityId
from gateway.sandbox.back_office import acknowledging
from gateway.sandbox.client import ExchangeFault, Heading, NoReply, Receipted, Unsendable, UntrustedReply
from gateway.sandbox.evidence import Evidence
from gateway.sandbox.files import read_files, told
from gateway.sandbox.mischief import NEGLECTING, Neglect, once
from gateway.sandbox.story.steps import Outage, Tell, To
from gateway.sandbox.told import Delivered, Told, listed, milliseconds, trouble_of
from gateway.sandbox.world import World
from gateway.soap.xml import Element

T = TypeVar("T")
_LOOK_AGAIN: Final = 0.02  # seconds
_PATIENCE: Final = 20.0  # seconds in which a recipient must have what it was told
_SETTLED: Final = 2  # entries of a delivery: what was released, and that it ended


@dataclass(frozen=True, slots=True)
class _Came:
    """What reached a recipient."""

    index: int  # of the entry by which it was released
    present: set[str]  # fields that hold a value
    filtered: tuple[str, ...]  # declared as withheld


class Notifying:
    """Tells. Remembers the tickets to which the story gives names, and the receipts they got."""

    def __init__(self, world: World, evidence: Evidence) -> None:
        self._world = world
        self._evidence = evidence
        self._tickets: defaultdict[str, str] = defaultdict(lambda: str(uuid.uuid4()))
        self._receipts: dict[str, Receipted] = {}

    def tell(self, step: Tell) -> Told:
        """The step as it went, with every delivery."""
        for name, neglect in step.neglect.items():
            self._world.offices[AuthorityId(name)].receiving = once(neglect)
        return self._followed(self._sent(step))

    def outage(self, step: Outage) -> list[Told]:
        """What is told while somebody is down, and how they get it afterwards."""
        office = self._world.offices[AuthorityId(step.who)]
        office.receiving, before = NEGLECTING[Neglect.DOWN], office.inbox.attempts
        sent = []
        for one in step.tells:
            sent.append(self._sent(one))
            self._followed(sent[-1], without=step.who)  # the others have it meanwhile
            _awaited(lambda: office.inbox.attempts > before or None)
        office.receiving = acknowledging
        followed = [self._followed(one) for one in sent]
        wanted = [one.exchange for one in followed]
        if [one.exchange for one in office.inbox.messages if one.exchange in wanted] != wanted:
            followed[-1] = replace(
                followed[-1], trouble=f"{step.who} did not receive it after what came before"
            )
        return followed

    def _sent(self, step: Tell) -> Told:
        """As far as the receipt."""
        payload = told(read_files(AuthorityId(step.who))[step.dossier], step.notification)
        ticket = self._tickets[step.ticket] if step.ticket else ""
        requester, start = self._world.requester(step.who), perf_counter()
        try:
            receipt = requester.tell(step.operation, f"WIB:{step.context}", step.dossier, payload, ticket)
        except ExchangeFault as fault:
            return self._refused(step, fault, milliseconds(start))
        except (NoReply, Unsendable, UntrustedReply) as trouble:
            return Told(step, (), "NO_REPLY", ms=milliseconds(start), trouble=str(trouble))
        self._world.records.has_told(AuthorityId(step.who), step.dossier, step.notification)
        return self._receipted(step, receipt, payload, milliseconds(start))

    def _receipted(self, step: Tell, receipt: Receipted, payload: Element, ms: float) -> Told:
        first = self._receipts.setdefault(step.ticket or receipt.exchange, receipt)
        told = Told(
            step, (), receipt.outcome, receipt.exchange, ms=ms, trouble=_unexpected(step, receipt.outcome)
        )
        if first is not receipt:  # the same once more: it is the first receipt that comes again
            same = (first.exchange, first.log_index) == (receipt.exchange, receipt.log_index)
            return told if same else replace(told, trouble="another receipt than the first time")
        present = tuple(sorted(self._evidence.held(step.operation, payload)))
        return replace(told, present=present, to=self._recipients(receipt), log_index=receipt.log_index)

    def _recipients(self, receipt: Receipted) -> tuple[str, ...]:
        """Whom the notification's entry names."""
        assert receipt.log_index is not None  # no receipt without an entry
        with self._evidence.log() as log:
            to = Leaf.parse(log.entry(receipt.log_index)).to
        return tuple(self._evidence.names[party] for party in to)

    def _refused(self, step: Tell, fault: ExchangeFault, ms: float) -> Told:
        with self._evidence.log() as log:
            entries = log.exchange(fault.incident)
        return Told(
            step=step,
            to=(),
            outcome=fault.code,
            exchange=fault.incident,
            label=fault.label,
            sentence=fault.sentence,
            log_index=entries[-1] if entries else None,
            ms=ms,
            trouble=_unexpected(step, fault.code),
        )

    def _followed(self, told: Told, without: str = "") -> Told:
        """The same, once everybody has it; `without`: but for this one."""
        assert isinstance(told.step, Tell)
        expected = {one.name: one for one in told.step.to}
        surplus = listed(set(expected) ^ set(told.to))
        if told.log_index is not None and not told.refused and surplus and not told.trouble:
            told = replace(told, trouble=f"{surplus} expected and not told, or told and not expected")
        deliveries = (
            self._delivered(told, expected.get(name, To(name, ""))) for name in told.to if name != without
        )
        return replace(told, deliveries=tuple(deliveries))

    def _delivered(self, told: Told, to: To) -> Delivered:
        if to.left:
            return Delivered(to.name, "")
        follow = self._pushed if AuthorityId(to.name) in self._world.offices else self._collected
        found = follow(told, to)
        if found is None:
            return Delivered(to.name, "", trouble=f"nothing came within {_PATIENCE:.0f} s")
        return self._judged(told, to, found)

    def _pushed(self, told: Told, to: To) -> _Came | None:
        """What came to an endpoint, once the delivery has ended; None when nothing did."""
        inbox = self._world.offices[AuthorityId(to.name)].inbox
        received = _awaited(lambda: inbox.of(told.exchange))
        if received is None:
            return None
        with self._evidence.log() as log:
            entries = _awaited(lambda: _whole(log.exchange(received.ticket)))
        present = self._evidence.held(told.step.operation, received.payload)
        return None if entries is None else _Came(entries[0], present, received.filtered)

    def _collected(self, told: Told, to: To) -> _Came | None:
        """As `_pushed`, from a mailbox."""
        requester, context = self._world.requester(to.name), f"WIB:{to.context}"

        def look() -> Heading | None:
            found = requester.listed(context)
            return next((one for one in found if one.operation == told.step.operation), None)

        heading = _awaited(look)
        if heading is None:
            return None
        fetched = requester.fetch(heading.message, heading.legal_context)
        requester.acknowledge(heading.message, heading.legal_context)
        assert fetched.log_index is not None  # nothing is released without an entry
        present = self._evidence.replied("fetchMessage", fetched.message)
        return _Came(fetched.log_index, present, fetched.filtered)

    def _judged(self, told: Told, to: To, came: _Came) -> Delivered:
        """What came is exactly the view: of what was told, whatever the agreement releases and nothing else."""
        assert isinstance(told.step, Tell)
        with self._evidence.log() as log:
            context = (Leaf.parse(log.entry(came.index)).legal_context or "").removeprefix("WIB:")
            view = self._evidence.view(log, came.index, told.step.operation)
        due = view.released & set(told.present)
        trouble = trouble_of(to, came.present, set(view.released))
        if not trouble and context != to.context:
            trouble = f"received under WIB:{context} instead of WIB:{to.context}"
        if not trouble and came.present != due:
            trouble = f"{listed(due - came.present)} released and not received"
        if not trouble and came.filtered != self._evidence.declared(told.step, to.name):
            trouble = "another declaration of what is withheld than the agreement's"
        return Delivered(
            to.name,
            context,
            released=tuple(sorted(view.released)),
            present=tuple(sorted(came.present)),
            withheld=tuple(sorted(view.withheld)),
            log_index=came.index,
            trouble=trouble,
        )


def _unexpected(step: Tell, outcome: str) -> str:
    return "" if outcome == step.expects else f"{step.expects} was expected, {outcome} came"


def _whole(entries: list[int]) -> list[int] | None:
    return entries if len(entries) >= _SETTLED else None


def _awaited(look: Callable[[], T | None]) -> T | None:
    """What a look finds, as soon as it finds it; None when it finds nothing in time."""
    end = time.monotonic() + _PATIENCE
    while (found := look()) is None and time.monotonic() < end:
        time.sleep(_LOOK_AGAIN)
    return found
