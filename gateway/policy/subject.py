"""What a person is told of the exchanges of its data (GDPR art. 15(1)): who received which categories, when, why.

A pure rule over entries that somebody opened. What is shown, and what never (PROTOCOL §8.13):

- a release, and each delivery, with how it ended: a disclosure to a recipient;
- what still waits for a recipient: it will be disclosed;
- that an officer looked the person up, when, and of which authority, not who (CJEU C-579/21);
- no refusal: nothing was disclosed, and it would tell the person who tried to find out what;
- nothing that the officer withholds, and not whether anything was withheld: by a restriction (GDPR art. 23) not
  even its existence may be told.

No value of any field is known here, nor whether a released field had one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gateway.agreement.schema import leaves
from gateway.agreement.terms import Agreement
from gateway.agreement.views import is_document
from gateway.exchangelog.fields import FieldRecord
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.model import DossierNumber, FieldId, LegalContext, OperationName, Role

Roles = Callable[[str], Role | None]  # enterprise, as in the entries → its role in the register


class State(StrEnum):
    """What became of what was released."""

    ANSWERED = "answered"  # returned to whoever asked
    NOT_RETURNED = "not returned"  # released, but the reply could not be signed
    UNDER_WAY = "under way"  # delivered or fetched, not acknowledged yet
    ACKNOWLEDGED = "acknowledged"
    LAPSED = "lapsed"
    EXPIRED = "expired"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Opened:
    """An entry about the person, and what stands beside it."""

    index: int
    leaf: Leaf
    dossier: DossierNumber | None  # None: it only names the person
    records: Sequence[FieldRecord] = ()


@dataclass(frozen=True, slots=True)
class Category:
    """A field group of which fields were released."""

    code: str
    name: str
    fields: tuple[FieldId, ...]
    document: bool  # in a document, whose type the log does not hold: one of these categories


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One release to one recipient."""

    index: int
    time: str
    dossier: DossierNumber | None
    recipient: str  # enterprise
    sources: tuple[str, ...]
    operation: OperationName
    legal_context: LegalContext
    purpose: str
    categories: tuple[Category, ...]
    bases: Mapping[str, str]  # letter of the agreement's [bases] → legal basis
    revision: str  # of the agreement
    state: State
    exchange: str
    notification: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a recipient will be told."""

    index: int  # of the notification
    time: str
    dossier: DossierNumber | None
    recipient: str
    source: str
    operation: OperationName


@dataclass(frozen=True, slots=True)
class Looked:
    """An officer looked the person up in the log."""

    index: int
    time: str
    authority: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """What the officer decides not to show, entry by entry or for a whole purpose."""

    indices: frozenset[int] = frozenset()
    contexts: frozenset[str] = frozenset()

    def holds(self, one: Opened) -> bool:
        return one.index in self.indices or one.leaf.legal_context in self.contexts


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told, in the order of the log."""

    disclosures: tuple[Disclosure, ...]
    waiting: tuple[Waiting, ...]
    looked_up: tuple[Looked, ...]


def report(
    entries: Iterable[Opened],
    agreements: Callable[[str], Agreement],
    roles: Roles,
    withheld: Withheld = Withheld(),
) -> Report:
    """`entries`: everything about the person, in the order of the log; `agreements`: by revision."""
    seen = _Seen()
    for one in entries:
        seen.outcome(one.leaf)  # of what is withheld too: whom it reached does not wait
        if withheld.holds(one):
            continue
        if one.leaf.kind is Kind.ACCESS:
            seen.looked_up.append(Looked(one.index, one.leaf.time, one.leaf.caller))
        elif one.leaf.kind is Kind.NOTIFICATION:
            seen.notifications.append(one)
        elif one.leaf.kind in {Kind.RESPONSE, Kind.DELIVERY}:
            assert one.leaf.revision is not None  # the form of these kinds
            told = disclosure(one, agreements(one.leaf.revision), roles)
            seen.disclosures += [] if told is None else [told]
    return Report(tuple(seen.ended()), tuple(seen.waiting()), tuple(seen.looked_up))


def disclosure(one: Opened, agreement: Agreement, roles: Roles) -> Disclosure | None:
    """A release in the words of the agreement; None where nothing of the person's was released."""
    leaf = one.leaf
    assert leaf.operation is not None  # the form of responses and deliveries
    assert leaf.legal_context is not None
    operation, name = OperationName(leaf.operation), LegalContext(leaf.legal_context)
    recipient = leaf.to[0] if leaf.kind is Kind.DELIVERY else leaf.caller
    categories = tuple(_categories(one.records, operation, name, roles(recipient), agreement))
    if not categories:
        return None
    context = agreement.contexts.get(name)
    return Disclosure(
        index=one.index,
        time=leaf.time,
        dossier=one.dossier,
        recipient=recipient,
        sources=(leaf.caller,) if leaf.kind is Kind.DELIVERY else leaf.to,
        operation=operation,
        legal_context=name,
        purpose=name if context is None else context.purpose,
        categories=categories,
        bases=_bases(operation, name, categories, roles(recipient), agreement),
        revision=agreement.revision,
        state=State.UNDER_WAY if leaf.kind is Kind.DELIVERY else State.ANSWERED,
        exchange=leaf.id,
        notification=leaf.notification,
    )


def _categories(
    records: Sequence[FieldRecord],
    name: OperationName,
    context: LegalContext,
    role: Role | None,
    agreement: Agreement,
) -> Iterator[Category]:
    """Groups of released paths, in the order of the agreement. Of a document the groups that it can be of."""
    operation = agreement.operations.get(name)
    if operation is None:
        return
    by_path = {leaf.path: leaf.field for leaf in leaves(operation.messages.payload)}
    released = {by_path.get(one.path) for one in records if one.reason is None} - {None}
    referring = frozenset[FieldId]()
    if any(is_document(one) for one in released if one is not None):
        receives = frozenset(agreement.documents.values())
        referring = receives if role is None else receives & agreement.matrix.receives(role, context)
    for group in agreement.groups.values():
        if fields := tuple(one for one in group.fields if one in released):
            yield Category(group.code, group.name, fields, document=False)
        elif fields := tuple(one for one in group.fields if one in referring):
            yield Category(group.code, group.name, fields, document=True)


def _bases(
    name: OperationName,
    context: LegalContext,
    categories: Sequence[Category],
    role: Role | None,
    agreement: Agreement,
) -> Mapping[str, str]:
    """Why the operation exists, why the purpose allows it, why the recipient may receive each category."""
    letters = [*agreement.operations[name].basis]
    if context in agreement.contexts:
        letters += agreement.contexts[context].source.basis
    if role is not None:
        letters += [
            one for category in categories for one in agreement.groups[category.code].cells[role].source.basis
        ]
    return {one: agreement.bases[one] for one in dict.fromkeys(letters)}


@dataclass(slots=True)
class _Seen:
    """One pass over the entries: what came out of what was released stands after it."""

    disclosures: list[Disclosure] = field(default_factory=list)
    notifications: list[Opened] = field(default_factory=list)
    looked_up: list[Looked] = field(default_factory=list)
    _ends: dict[tuple[str | None, str], State] = field(default_factory=dict)  # notification, recipient
    _refused: set[str] = field(default_factory=set)  # exchanges
    _reached: set[tuple[str | None, str]] = field(default_factory=set)

    def outcome(self, leaf: Leaf) -> None:
        if leaf.kind is Kind.REFUSAL:
            self._refused.add(leaf.id)
        elif leaf.kind is Kind.SETTLEMENT:
            self._ends[leaf.notification, leaf.to[0]] = State(leaf.decision)
        elif leaf.kind is Kind.DELIVERY:
            self._reached.add((leaf.notification, leaf.to[0]))

    def ended(self) -> Iterator[Disclosure]:
        for one in self.disclosures:
            end = self._ends.get((one.notification, one.recipient))
            if one.notification is not None and end is not None:
                yield replace(one, state=end)
            elif one.notification is None and one.exchange in self._refused:
                yield replace(one, state=State.NOT_RETURNED)
            else:
                yield one

    def waiting(self) -> Iterator[Waiting]:
        for one in self.notifications:
            for recipient in one.leaf.to:
                place = (one.leaf.id, recipient)
                if place not in self._reached and place not in self._ends:
                    yield Waiting(
                        one.index,
                        one.leaf.time,
                        one.dossier,
                        recipient,
                        one.leaf.caller,
                        OperationName(str(one.leaf.operation)),
                    )
