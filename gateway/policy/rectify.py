"""Whom a rectification goes to: every earlier recipient of a rectified field (GDPR art. 19), as the log has them.

A recipient hears of it whether or not it still takes part in the dossier: what it was told is wrong all the same.
It hears of what it received, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.agreement.load import Agreement, Operation
from gateway.agreement.schema import leaves
from gateway.model import (
    Authority,
    AuthorityId,
    ExchangeId,
    FieldId,
    LegalContext,
    OperationName,
    Recipient,
    Role,
)
from gateway.policy.decide import Facts
from gateway.policy.written import Written

_NUMBER: Final = FieldId("G01.dossierNumber")  # says which dossier is meant; it cannot be rectified
_Received = tuple[LegalContext, frozenset[FieldId]]


@dataclass(frozen=True, slots=True)
class EarlierRelease:
    """Who received what of a dossier before, by the log: which paths of which operation's payload, and why."""

    index: int  # of the entry
    enterprise: str  # as in the entry
    operation: OperationName
    legal_context: LegalContext
    released: frozenset[str]  # leaf paths that the view showed
    present: frozenset[str]  # of them, those of which there was a value to show
    notification: ExchangeId | None = None  # that was delivered; None: an answer


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A delivery that is not settled: its recipient will receive what is wrong, or has it unacknowledged."""

    recipient: AuthorityId
    sender: AuthorityId
    operation: OperationName
    legal_context: LegalContext  # the recipient's


@dataclass(frozen=True, slots=True)
class Owed:
    """What a rectification may tell one recipient."""

    shown: frozenset[FieldId]  # that the recipient was shown, with a value or as absent
    known: frozenset[FieldId]  # of which it received a value


def earlier_recipients(  # noqa: PLR0913, PLR0917 - what is rectified by whom, and what was told before
    written: Written,
    sender: Authority,
    operation: Operation,
    earlier: Sequence[EarlierRelease],
    waiting: Sequence[Outstanding],
    facts: Facts,
) -> tuple[Recipient, ...]:
    """In the order of the register. `earlier`: oldest first."""
    assert sender.role is not None  # policy.notify: an authority without a role sends nothing
    found = []
    for one in facts.register.authorities:
        if one.id == sender.id or one.role is None:
            continue
        received = (*_released(one, earlier, facts.agreement), *_coming(one, one.role, waiting, facts))
        owed = _owed(received, rectified(written))
        context = _context(owed, one.role, sender.role, operation, facts.agreement)
        if context is not None:
            found.append(Recipient(one, context))
    return tuple(found)


def rectified(written: Written) -> frozenset[FieldId]:
    """The fields that a rectification corrects."""
    return written.fields - {_NUMBER}


def owed_to(
    recipient: Authority, rectification: ExchangeId, earlier: Sequence[EarlierRelease], agreement: Agreement
) -> Owed:
    """What the recipient had received when the rectification was first released to it.

    What it receives a second time is what stands in the log the first time: a question that was answered
    meanwhile adds nothing. Nothing in the log, nothing owed.
    """
    own = [one for one in earlier if one.enterprise == str(recipient.enterprise)]
    again = [one for one in own if one.notification == rectification]
    before = again[:1] or own
    return Owed(
        _fields_of((path for one in before for path in one.released), agreement),
        _fields_of((path for one in before for path in one.present), agreement),
    )


def _released(one: Authority, earlier: Iterable[EarlierRelease], agreement: Agreement) -> Iterator[_Received]:
    for release in earlier:
        if release.enterprise == str(one.enterprise):
            yield release.legal_context, _fields_of(release.released, agreement)


def _coming(one: Authority, role: Role, waiting: Iterable[Outstanding], facts: Facts) -> Iterator[_Received]:
    """What still waits comes before the rectification, and is wrong."""
    for delivery in waiting:
        if delivery.recipient == one.id:
            yield delivery.legal_context, _view_of(delivery, role, facts)


def _view_of(delivery: Outstanding, role: Role, facts: Facts) -> frozenset[FieldId]:
    """By the agreement in force; of what it knows no more it may be anything."""
    agreement, sender = facts.agreement, facts.register.by_id.get(delivery.sender)
    try:
        view = agreement.view(
            delivery.operation, role, delivery.legal_context, None if sender is None else sender.role
        )
    except KeyError:
        return agreement.contract.fields
    return agreement.released_fields(view)


def _owed(
    received: Iterable[_Received], written: frozenset[FieldId]
) -> dict[LegalContext, frozenset[FieldId]]:
    """What is rectified of that which was received, by context, the context used last at the end."""
    owed: dict[LegalContext, frozenset[FieldId]] = {}
    for context, fields in received:
        had = fields & written
        if had:
            owed[context] = had | owed.pop(context, frozenset())
    return owed


def _context(
    owed: dict[LegalContext, frozenset[FieldId]],
    role: Role,
    sender: Role,
    operation: Operation,
    agreement: Agreement,
) -> LegalContext | None:
    """The context under which most of what is owed may be told; of equals the one used last. None: under none."""
    wanted = frozenset[FieldId]().union(*owed.values())
    told = {
        context: len(
            wanted & agreement.released_fields(agreement.view(operation.name, role, context, sender))
        )
        for context in reversed(owed)
        if context in operation.recipients.get(role, ())
    }
    best = max(told, key=lambda context: told[context], default=None)
    return best if best is not None and told[best] else None


def _fields_of(paths: Iterable[str], agreement: Agreement) -> frozenset[FieldId]:
    fields = _fields(agreement)
    return frozenset(field for path in paths for field in fields.get(path, ()))


@lru_cache(maxsize=16)
def _fields(agreement: Agreement) -> Mapping[str, frozenset[FieldId]]:
    """Path of a payload → its field. Payloads of several operations share their paths, and with them the fields."""
    found: dict[str, set[FieldId]] = {}
    for operation in agreement.operations.values():
        for leaf in leaves(operation.messages.payload):
            if leaf.field is not None:
                found.setdefault(leaf.path, set()).add(leaf.field)
    return {path: frozenset(fields) for path, fields in found.items()}
