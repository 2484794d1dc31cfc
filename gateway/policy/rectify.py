"""Whom a rectification goes to: every earlier recipient of a rectified field (GDPR art. 19), as the log has them.

A recipient hears of it whether or not it still takes part in the dossier: what it was told is wrong all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.agreement.load import Agreement, Operation
from gateway.agreement.schema import leaves
from gateway.model import Authority, FieldId, LegalContext, OperationName, Recipient, Role
from gateway.policy.decide import Facts

_NUMBER: Final = FieldId("G01.dossierNumber")  # says which dossier is meant; it cannot be rectified


@dataclass(frozen=True, slots=True)
class EarlierRelease:
    """Who received what of a dossier before, by the log: which paths of which operation's payload, and why."""

    enterprise: str  # as in the entry
    operation: OperationName
    legal_context: LegalContext
    released: frozenset[str]  # leaf paths


def earlier_recipients(
    written: frozenset[FieldId],
    sender: Authority,
    operation: Operation,
    earlier: Sequence[EarlierRelease],
    facts: Facts,
) -> tuple[Recipient, ...]:
    """In the order of the register. `written`: the fields rectified; `earlier`: oldest first."""
    assert sender.role is not None  # policy.notify: an authority without a role sends nothing
    found = []
    for one in facts.register.authorities:
        if one.id == sender.id or one.role is None:
            continue
        received = [release for release in earlier if release.enterprise == str(one.enterprise)]
        owed = _owed(received, written - {_NUMBER}, facts.agreement)
        context = _context(owed, one.role, sender.role, operation, facts.agreement)
        if context is not None:
            found.append(Recipient(one, context))
    return tuple(found)


def _owed(
    received: Iterable[EarlierRelease], written: frozenset[FieldId], agreement: Agreement
) -> dict[LegalContext, frozenset[FieldId]]:
    """What is rectified of that which was received, by context, the context used last at the end."""
    fields = _fields(agreement)
    owed: dict[LegalContext, frozenset[FieldId]] = {}
    for one in received:
        had = frozenset(field for path in one.released for field in fields.get(path, ())) & written
        if had:
            owed[one.legal_context] = had | owed.pop(one.legal_context, frozenset())
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


@lru_cache(maxsize=16)
def _fields(agreement: Agreement) -> Mapping[str, frozenset[FieldId]]:
    """Path of a payload → its field. Payloads of several operations share their paths, and with them the fields."""
    found: dict[str, set[FieldId]] = {}
    for operation in agreement.operations.values():
        for leaf in leaves(operation.messages.payload):
            if leaf.field is not None:
                found.setdefault(leaf.path, set()).add(leaf.field)
    return {path: frozenset(fields) for path, fields in found.items()}
