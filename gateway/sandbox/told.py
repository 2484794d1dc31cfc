"""How each step of the story went, and in what it was not as expected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter

from gateway.sandbox.story.steps import Ask, Tell, To


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one recipient received of a notification."""

    name: str
    context: str  # under which it was released; "" while it waits in a mailbox
    released: tuple[str, ...] = ()  # fields that the view releases
    present: tuple[str, ...] = ()  # of these, the ones that were told
    withheld: tuple[str, ...] = ()  # fields that the sender may write and this recipient may not see now
    log_index: int | None = None  # of the entry by which it was released
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One step as it went. `to` is empty when nobody was asked or told."""

    step: Ask | Tell
    to: tuple[str, ...]
    outcome: str  # an outcome, or the code of a refusal
    exchange: str = ""  # the hub's ticket; "" when there is none
    released: tuple[str, ...] = ()  # fields that the view releases
    present: tuple[str, ...] = ()  # of these, the ones that the reply holds; or the fields that were told
    withheld: tuple[str, ...] = ()  # fields that the provider may provide and this requester may not see now
    missing: tuple[str, ...] = ()  # sources that did not answer
    deliveries: tuple[Delivered, ...] = ()
    label: str = ""
    sentence: str = ""
    log_index: int | None = None  # of the last entry that the exchange left by itself; None: it left none
    ms: float = 0.0
    trouble: str = ""  # in what the expectation did not hold

    @property
    def refused(self) -> bool:
        return self.outcome.startswith("WIB")

    @property
    def troubles(self) -> list[str]:
        """Its own, and those of its deliveries."""
        own = [self.trouble] if self.trouble else []
        return own + [f"{one.name}: {one.trouble}" for one in self.deliveries if one.trouble]


def trouble_of(expected: Ask | To, present: set[str], released: set[str]) -> str:
    """What fields are not as expected, "" when all are."""
    for sentence, found in (
        ("missing", set(expected.shows) - present),
        ("received against the agreement", set(expected.hides) & present),
        ("received but not released in the log", present - released),
    ):
        if found:
            return f"{listed(found)} {sentence}"
    return ""


def listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


def milliseconds(start: float) -> float:
    """Since `perf_counter` said `start`."""
    return round((perf_counter() - start) * 1000, 1)
