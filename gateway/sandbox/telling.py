"""The story, run: every step done, every outcome compared with what was expected, the log checked at the end.

What was released and withheld is read from the exchange log, as an officer would, and held against the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from gateway.adapters.store_reader import LogReader
from gateway.agreement.answer import leaves
from gateway.agreement.schema import leaves as nodes
from gateway.agreement.terms import Agreement
from gateway.agreement.views import PROVIDER
from gateway.exchangelog.audit import audit
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.exchangelog.note import Verifier
from gateway.model import AuthorityId, OperationName
from gateway.sandbox.back_office import honest
from gateway.sandbox.client import Answered, ExchangeFault, NoReply, Requester, UntrustedReply
from gateway.sandbox.mischief import ANSWERING
from gateway.sandbox.story import INCOMPLETE, STORY, Ask, Chapter, Move
from gateway.sandbox.tricks import GUISES
from gateway.sandbox.world import World
from gateway.soap.xml import Limits, parse

_INNOCENT: Final = AuthorityId("MUN_LIEGE")  # whose name and connection tricksters borrow


@dataclass(frozen=True, slots=True)
class Told:
    """One question as it went. `to` is empty when nobody was asked."""

    step: Ask
    to: tuple[str, ...]
    outcome: str  # an outcome, or the code of a refusal
    released: tuple[str, ...] = ()  # fields that the view releases
    present: tuple[str, ...] = ()  # of these, the ones that the reply holds
    withheld: tuple[str, ...] = ()  # fields that the provider may provide and this requester may not see now
    missing: tuple[str, ...] = ()  # sources that did not answer
    label: str = ""
    sentence: str = ""
    log_index: int | None = None  # of the last entry that the exchange left; None for what is not logged
    ms: float = 0.0
    trouble: str = ""  # in what the expectation did not hold

    @property
    def refused(self) -> bool:
        return self.outcome.startswith("WIB")


@dataclass(frozen=True, slots=True)
class LogCheck:
    """What the check of the whole exchange log found."""

    size: int
    root: str
    findings: tuple[str, ...]  # failures; empty: verified
    notices: tuple[str, ...]


@dataclass(slots=True)
class Account:
    """All of it. Grows while the story is told."""

    told: list[Told] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)  # dossier → where it ended
    log: LogCheck | None = None

    @property
    def troubles(self) -> list[str]:
        """Every expectation that did not hold."""
        found = [f"{one.step.who} {one.step.operation}: {one.trouble}" for one in self.told if one.trouble]
        return found if self.log is None else [*found, *self.log.findings]


Listener = Callable[[Chapter | Move | Told], None]


def tell(world: World, listener: Listener, story: Sequence[Chapter] = STORY) -> Account:
    """Run the story in a fresh world; `listener` hears of each chapter and step as it is done."""
    account, teller = Account(), _Teller(world)
    for chapter in story:
        listener(chapter)
        for step in chapter.steps:
            if isinstance(step, Move):
                teller.move(step)
                account.statuses[step.dossier] = step.status
                listener(step)
            else:
                account.told.append(teller.ask(step))
                listener(account.told[-1])
    account.log = check_log(world)
    return account


def check_log(world: World) -> LogCheck:
    """Verify the whole exchange log against the key that belongs to it."""
    verifier = Verifier.parse(world.place.log_vkey.read_text("utf-8").strip())
    with LogReader.open(world.place.settings.log.store) as log:
        head = log.head()
        found = list(audit(log, head, verifier))
    words = {
        fails: tuple(
            _finding(one.flaw.row.code, one.index, one.flaw.row.sentence)
            for one in found
            if one.fails is fails
        )
        for fails in (True, False)
    }
    return LogCheck(head.size, head.root.hex(), words[True], words[False])


def _finding(code: str, index: int | None, sentence: str) -> str:
    return f"{code} entry {index}: {sentence}" if index is not None else f"{code}: {sentence}"


class _Teller:
    """Does the steps."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._names = {str(one.enterprise): str(one.id) for one in world.place.register.authorities}

    def move(self, step: Move) -> None:
        if step.procedure is not None:
            self._world.open_dossier(step.dossier, step.procedure, step.worker, list(step.inscribe))
            self._world.move(step.dossier, step.status, [])
        else:
            self._world.move(step.dossier, step.status, list(step.inscribe))

    def ask(self, step: Ask) -> Told:
        requester = self._requester(step)
        for name, mischief in step.mischief.items():
            self._world.offices[AuthorityId(name)].answering = ANSWERING[mischief]
        start = perf_counter()
        try:
            answered = requester.ask(step.operation, f"WIB:{step.context}", step.criteria)
            told = self._answered(step, answered, _ms(start))
        except ExchangeFault as fault:
            told = self._refused(step, fault, _ms(start))
        except (NoReply, UntrustedReply) as trouble:
            told = Told(step, (), "NO_REPLY", ms=_ms(start), trouble=str(trouble))
        finally:
            for name in step.mischief:
                self._world.offices[AuthorityId(name)].answering = honest
        return told

    def _requester(self, step: Ask) -> Requester:
        usual = self._world.requester(step.who, soap12=step.soap12)
        if step.trick is None:
            return usual
        other = self._world.place.register.by_id[_INNOCENT]
        return self._world.requester(step.who, GUISES[step.trick](other, usual.transport.sent))

    def _answered(self, step: Ask, answered: Answered, ms: float) -> Told:
        fields = _fields(self._world.agreement, step.operation)
        with LogReader.open(self._world.place.settings.log.store) as log:
            records = log.records(answered.log_index)
            to = self._asked(log, answered.exchange)
        released = {fields[one.path] for one in records if one.reason is None}
        withheld = {fields[one.path] for one in records if one.reason not in (None, PROVIDER)}
        present = _present(self._world.agreement, step.operation, answered.message)
        outcome = INCOMPLETE if answered.missing else answered.outcome
        return Told(
            step=step,
            to=to,
            outcome=outcome,
            released=tuple(sorted(released)),
            present=tuple(sorted(present)),
            withheld=tuple(sorted(withheld - released)),
            missing=answered.missing,
            log_index=answered.log_index,
            ms=ms,
            trouble=_trouble(step, outcome, present, released),
        )

    def _refused(self, step: Ask, fault: ExchangeFault, ms: float) -> Told:
        with LogReader.open(self._world.place.settings.log.store) as log:
            entries, to = log.exchange(fault.incident), self._asked(log, fault.incident)
        return Told(
            step=step,
            to=to,
            outcome=fault.code,
            label=fault.label,
            sentence=fault.sentence,
            log_index=entries[-1] if entries else None,
            ms=ms,
            trouble=_trouble(step, fault.code, set(), set()),
        )

    def _asked(self, log: LogReader, exchange: str) -> tuple[str, ...]:
        """The providers that the request entry names; the hub when it answered by itself."""
        for index in log.exchange(exchange):
            leaf = Leaf.parse(log.entry(index))
            if leaf.kind is Kind.REQUEST:
                return tuple(self._names[party] for party in leaf.to) or (
                    str(self._world.place.register.hub.id),
                )
        return ()


def _fields(agreement: Agreement, operation: str) -> Mapping[str, str]:
    """Leaf path of the payload → its field."""
    payload = agreement.operations[OperationName(operation)].messages.payload
    return {leaf.path: leaf.field for leaf in nodes(payload) if leaf.field is not None}


def _present(agreement: Agreement, operation: str, message: bytes) -> set[str]:
    """The fields of which the reply holds a value."""
    payload = agreement.operations[OperationName(operation)].messages.payload
    body = parse(message, Limits())[-1]
    last = body[0][-1]
    if last.tag != f"{{{payload.namespace}}}{payload.name}":
        return set()
    return {leaf.field for leaf, _ in leaves(payload, last) if leaf.field is not None}


def _trouble(step: Ask, outcome: str, present: set[str], released: set[str]) -> str:
    """What is not as expected, "" when all is."""
    if outcome != step.expects:
        return f"{step.expects} was expected, {outcome} came"
    for sentence, found in (
        ("missing in the reply", set(step.shows) - present),
        ("in the reply against the agreement", set(step.hides) & present),
        ("in the reply but not released in the log", present - released),
    ):
        if found:
            return f"{_listed(found)} {sentence}"
    return ""


def _listed(fields: Iterable[str]) -> str:
    return ", ".join(sorted(fields))


def _ms(start: float) -> float:
    return round((perf_counter() - start) * 1000, 1)
