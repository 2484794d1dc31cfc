"""The story, run: every step done, every outcome compared with what was expected, the log checked at the end.

What was released and withheld is read from the exchange log, as an officer would, and held against what came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.model import DossierNumber
from gateway.sandbox.asking import Asking
from gateway.sandbox.ending import Ending, endings, unsettled
from gateway.sandbox.evidence import Evidence, LogCheck
from gateway.sandbox.notifying import Notifying
from gateway.sandbox.story import STORY
from gateway.sandbox.story.steps import Ask, Chapter, Outage, Tell
from gateway.sandbox.told import Told
from gateway.sandbox.world import World

Listener = Callable[[Chapter | Told], None]


@dataclass(slots=True)
class Account:
    """All of it. Grows while the story is told."""

    told: list[Told] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)  # what nobody took over
    log: LogCheck | None = None

    @property
    def troubles(self) -> list[str]:
        """Every expectation that did not hold."""
        found = [
            f"{one.step.who} {one.step.operation}: {words}" for one in self.told for words in one.troubles
        ]
        return [*found, *self.waiting, *(() if self.log is None else self.log.findings)]


def tell(world: World, listener: Listener, story: Sequence[Chapter] = STORY) -> Account:
    """Run the story in a fresh world; `listener` hears of each chapter and step as it is done."""
    account, evidence = Account(), Evidence(world)
    asking, notifying = Asking(world, evidence), Notifying(world, evidence)
    for chapter in story:
        listener(chapter)
        for step in chapter.steps:
            for told in _done(step, asking, notifying):
                account.told.append(told)
                listener(told)
    numbers = _opened(account)
    account.endings = list(endings(world, evidence, numbers, datetime.now(UTC)))
    account.waiting = unsettled(evidence)
    account.log = evidence.check()
    return account


def _done(step: Ask | Tell | Outage, asking: Asking, notifying: Notifying) -> Iterator[Told]:
    match step:
        case Ask():
            yield asking.ask(step)
        case Tell():
            yield notifying.tell(step)
        case Outage():
            yield from notifying.outage(step)


def _opened(account: Account) -> list[DossierNumber]:
    """The dossiers of which something was taken in, in their order."""
    told = [one.step.dossier for one in account.told if isinstance(one.step, Tell) and one.to]
    return list(dict.fromkeys(told))
