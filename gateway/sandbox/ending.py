"""Where each dossier of the story ended: who received which field groups, when, for what, and every clock of its course.

All of it is read from the exchange log and the dossier directory, as an officer would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.adapters.store_filter import About, Filter
from gateway.adapters.store_reader import LogReader
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.model import DossierNumber, DossierScope, Role
from gateway.policy.deadlines import Running, clocks
from gateway.sandbox.evidence import Evidence
from gateway.sandbox.world import World

_RELEASED: Final = (Kind.RESPONSE, Kind.DELIVERY)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One release of a dossier's data."""

    to: str
    context: str
    operation: str
    time: str  # UTC, as in the entry
    fields: tuple[str, ...]
    log_index: int


@dataclass(frozen=True, slots=True)
class Ending:
    """A dossier at the end of the story."""

    dossier: str
    permit_type: str
    procedure: str
    course: str
    status: str
    disclosures: tuple[Disclosure, ...]  # by authority, in the order of the register
    clocks: tuple[Running, ...]


def endings(
    world: World, evidence: Evidence, numbers: Iterable[DossierNumber], now: datetime
) -> Iterator[Ending]:
    """Each dossier's, in the order in which they were opened."""
    for number in numbers:
        scope = world.records.scope(number)
        course = world.agreement.course(scope.permit_type, scope.procedure)
        assert course is not None  # the hub took a notification in
        running = clocks(
            course, world.records.passages(number), _region(world, scope), scope.permit_type, now
        )
        place = {str(one.id): n for n, one in enumerate(world.place.register.authorities)}
        with evidence.log() as log:
            found = sorted(
                _disclosures(log, evidence, number), key=lambda one: (place[one.to], one.log_index)
            )
        yield Ending(
            number,
            scope.permit_type,
            scope.procedure,
            course.name,
            scope.status,
            tuple(found),
            tuple(running),
        )


def unsettled(evidence: Evidence) -> list[str]:
    """Notifications that do not have an end for every recipient: what still waits, by the log."""
    with evidence.log() as log:
        size = log.head().size
        told = [Leaf.parse(leaf) for _, leaf in log.listed(Filter(kind=Kind.NOTIFICATION.value), size, size)]
        ended = [Leaf.parse(leaf) for _, leaf in log.listed(Filter(kind=Kind.SETTLEMENT.value), size, size)]
    done = {(one.notification, party) for one in ended for party in one.to}
    return [
        f"{one.operation} {one.id} waits for {evidence.names[party]}"
        for one in told
        for party in one.to
        if (one.id, party) not in done
    ]


def _disclosures(log: LogReader, evidence: Evidence, number: DossierNumber) -> Iterator[Disclosure]:
    size = log.head().size
    for index, data in reversed(log.listed(Filter(about=About((number,))), size, size)):
        leaf = Leaf.parse(data)
        if leaf.kind not in _RELEASED or leaf.operation is None or leaf.legal_context is None:
            continue
        receiver = leaf.to[0] if leaf.kind is Kind.DELIVERY else leaf.caller
        fields = evidence.view(log, index, leaf.operation).released
        if fields:
            to, context = evidence.names[receiver], leaf.legal_context
            yield Disclosure(to, context, leaf.operation, leaf.time, tuple(sorted(fields)), index)


def _region(world: World, scope: DossierScope) -> str | None:
    competent = [one.authority for one in scope.inscriptions if one.role is Role.REG and one.until is None]
    return next((world.place.register.by_id[name].region for name in competent), None)
