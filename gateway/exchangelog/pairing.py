"""Which entries belong together: an outcome with its request, deliveries with their notification.

Entries are given in the order of the log. What is remembered is what may still come: requests without an
outcome, and notifications that are not settled for every recipient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.exchangelog.flaw import Finding, Flaw
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.model import Settlement


@dataclass(slots=True)
class _Told:
    """A notification and how far its deliveries have come."""

    index: int
    leaf: Leaf
    waiting: set[str]  # recipients for which it is not settled
    released: dict[str, str | None] = field(default_factory=dict)  # recipient → its legal context

    def concerns(self, leaf: Leaf) -> bool:
        """Whether a delivery or settlement says the same of this notification, to one who waits."""
        mine = (self.leaf.caller, self.leaf.operation, self.leaf.revision)
        return (leaf.caller, leaf.operation, leaf.revision) == mine and leaf.to[0] in self.waiting


class Pairing:
    """One pass over a log. `pruned`: what an entry belongs to may be among those that are no longer kept."""

    def __init__(self, *, pruned: bool = False) -> None:
        self._pruned = pruned
        self._open: dict[str, tuple[int, Leaf]] = {}  # requests without an outcome so far
        self._told: dict[str, _Told] = {}  # notifications that wait for somebody

    def check(self, index: int, leaf: Leaf) -> Iterator[Finding]:
        """What is wrong with this entry, given those before it."""
        match leaf.kind:
            case Kind.ERASURE:
                return  # by itself
            case Kind.PRUNING:
                yield from _pruning(index, leaf)
                return
            case Kind.REQUEST:
                if leaf.id in self._open:
                    yield Finding(Flaw.PAIRING, index, "second request of one exchange")
                self._open[leaf.id] = (index, leaf)
                return
            case Kind.NOTIFICATION if leaf.to:
                self._told[leaf.id] = _Told(index, leaf, set(leaf.to))
            case Kind.DELIVERY:
                yield from self._delivery(index, leaf)
            case Kind.SETTLEMENT:
                yield from self._settlement(index, leaf)
            case Kind.SUCCESSOR if index:
                yield Finding(Flaw.SUCCESSION, index)
            case Kind.ACCESS:
                yield from _access(index, leaf)
                return
        yield from self._outcome(index, leaf)

    def left(self) -> Iterator[Finding]:
        """At the end of the log: what has no outcome."""
        for index, leaf in self._open.values():
            yield Finding(Flaw.OUTCOME_UNKNOWN, index, leaf.id)
        for told in self._told.values():
            yield Finding(Flaw.UNSETTLED, told.index, f"for {', '.join(sorted(told.waiting))}")

    def _outcome(self, index: int, leaf: Leaf) -> Iterator[Finding]:
        """An outcome follows its request and agrees with it; only a response cannot stand alone."""
        _, request = self._open.pop(leaf.id, (0, None))
        if leaf.kind is Kind.RESPONSE and request is None and not self._pruned:
            yield Finding(Flaw.PAIRING, index, "response without a request")
        if request is not None and not _agree(request, leaf):
            yield Finding(Flaw.PAIRING, index, "outcome of another question")

    def _delivery(self, index: int, leaf: Leaf) -> Iterator[Finding]:
        told = self._told.get(leaf.notification or "")
        if told is None and self._pruned:
            return
        if told is None or not told.concerns(leaf):
            yield Finding(Flaw.DELIVERY, index, leaf.notification or "")
            return
        told.released[leaf.to[0]] = leaf.legal_context

    def _settlement(self, index: int, leaf: Leaf) -> Iterator[Finding]:
        told, recipient = self._told.get(leaf.notification or ""), leaf.to[0]
        if told is None and self._pruned:
            return
        if told is None or not told.concerns(leaf):
            yield Finding(Flaw.SETTLEMENT, index, leaf.notification or "")
            return
        acknowledged = leaf.decision == Settlement.ACKNOWLEDGED
        if told.released.get(recipient, None if acknowledged else leaf.legal_context) != leaf.legal_context:
            yield Finding(Flaw.SETTLEMENT, index, leaf.notification or "")
        told.waiting.remove(recipient)
        if not told.waiting:
            del self._told[told.leaf.id]


def _pruning(index: int, leaf: Leaf) -> Iterator[Finding]:
    """What it removes was there: nothing that came after it may be missing on its word."""
    minimum = leaf.more["minimum"]
    if isinstance(minimum, int) and minimum > index:
        yield Finding(Flaw.PRUNING, index, f"minimum index {minimum}")


def _access(index: int, leaf: Leaf) -> Iterator[Finding]:
    """It is recorded before it is answered, so nothing that came after it can have been in the answer.

    Of a former log that is so in any case: nothing came after it.
    """
    end = leaf.more["end"] if leaf.of_log is None else 0
    if isinstance(end, int) and end > index:
        yield Finding(Flaw.ACCESS, index, f"up to {end}")


def _agree(request: Leaf, outcome: Leaf) -> bool:
    match outcome.kind:
        case Kind.REFUSAL:  # may know less of the question
            return outcome.caller == request.caller
        case (
            Kind.DELIVERY | Kind.SETTLEMENT
        ):  # fetched or acknowledged: by the recipient, of what somebody told
            return outcome.to == (request.caller,)
        case Kind.RESPONSE:
            question = (request.caller, request.operation, request.legal_context, request.revision)
            return (outcome.caller, outcome.operation, outcome.legal_context, outcome.revision) == question
        case _:  # a notification is no answer
            return False
