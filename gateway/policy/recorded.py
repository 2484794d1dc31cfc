"""Whether the vector of released and withheld that an entry records is what the agreement yields (PROTOCOL §10.3).

Needs no personal data: a view is a function of the agreement, of the roles of both ends, operation, legal
context and type of document. It does not depend on the dossier, nor on its status, which decides only
whether there is an exchange at all. Where an entry does not tell one of these, every possibility is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from gateway.agreement.load import Agreement, Operation
from gateway.agreement.schema import leaves
from gateway.agreement.views import RECEIVED, is_document
from gateway.exchangelog.fields import FieldRecord
from gateway.exchangelog.flaw import Finding, Flaw
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.model import LegalContext, OperationName, Role, View

Vector = Mapping[str, str | None]  # leaf path → None when released, else the reason
_TOLD = 5  # paths that a finding names


@dataclass(frozen=True, slots=True)
class Reading:
    """What the entry leaves open, in one of its possibilities."""

    recipient: Role
    provider: Role | None  # None: the hub answered
    document_type: str | None  # None: no document


@dataclass(frozen=True, slots=True)
class RecordedView:
    """What was found. Without a failure: under each of the readings the agreement yields exactly this vector."""

    readings: tuple[Reading, ...]
    findings: tuple[Finding, ...]


def prove_view(
    index: int, leaf: Leaf, records: Sequence[FieldRecord], agreement: Agreement, roles: Mapping[str, Role]
) -> RecordedView:
    """`agreement`: the revision that the leaf names; `roles`: of enterprises as entries write them, as far as known."""
    operation = agreement.operations.get(OperationName(leaf.operation or ""))
    if leaf.kind not in {Kind.RESPONSE, Kind.DELIVERY}:
        return RecordedView((), (Finding(Flaw.NO_VIEW, index, leaf.kind.value),))
    if operation is None:
        return RecordedView((), (Finding(Flaw.NOT_GRANTED, index, "no such operation"),))
    findings = [*_partition(index, records, operation)]
    granted = dict(_granted(leaf, operation, agreement, roles))
    vector = {one.path: one.reason for one in records}
    fitting = [reading for reading, view in granted.items() if _yields(view, vector, operation)]
    if not granted:
        findings.append(Finding(Flaw.NOT_GRANTED, index))
    elif not fitting:
        findings.append(Finding(Flaw.VIEW, index, _differing(granted.values(), vector)))
    else:
        findings += _open(index, leaf, operation, fitting, roles)
    return RecordedView(tuple(fitting), tuple(findings))


def _partition(index: int, records: Sequence[FieldRecord], operation: Operation) -> Iterator[Finding]:
    """Every leaf path of the payload stands in one record, and nothing else does."""
    payload = operation.messages.payload
    # Of what the hub itself answers, or keeps, nothing comes back that belongs to a field.
    expected = set() if operation.hub else {one.path for one in leaves(payload) if one.field is not None}
    found = [one.path for one in records]
    for what, paths in (
        ("twice", {path for path in found if found.count(path) > 1}),
        ("missing", expected - set(found)),
        ("unknown", set(found) - expected),
    ):
        if paths:
            yield Finding(Flaw.PARTITION, index, f"{what}: {_some(paths)}")


def _granted(
    leaf: Leaf, operation: Operation, agreement: Agreement, roles: Mapping[str, Role]
) -> Iterator[tuple[Reading, View]]:
    """The views that the agreement has for what the entry tells."""
    delivery = leaf.kind is Kind.DELIVERY
    recipients = _roles(leaf.to if delivery else (leaf.caller,), roles) or tuple(Role)
    providers: Iterable[Role | None] = (None,)
    if not operation.hub:
        told = _roles((leaf.caller,) if delivery else leaf.to, roles)
        providers = [role for role in told if role in operation.providers] or operation.providers
    context = LegalContext(leaf.legal_context or "")
    for reading in (Reading(*one) for one in product(recipients, providers, _types(operation, agreement))):
        key = operation.name, reading.recipient, context, reading.provider, reading.document_type
        try:
            yield reading, agreement.view(*key)
        except KeyError:  # nobody may ask for it, or be told it, in this way
            continue


def _roles(parties: Iterable[str], roles: Mapping[str, Role]) -> tuple[Role, ...]:
    return tuple(dict.fromkeys(roles[party] for party in parties if party in roles))


def _types(operation: Operation, agreement: Agreement) -> Sequence[str | None]:
    """A question for a document always names its type, and the entry does not."""
    fields = [one.field for one in leaves(operation.messages.payload) if one.field is not None]
    return tuple(agreement.documents) if any(map(is_document, fields)) and not operation.hub else (None,)


def _yields(view: View, vector: Vector, operation: Operation) -> bool:
    """Is it this very vector? Of a rectification what was never received is withheld besides."""
    if not operation.follows_log:
        return dict(view.verdicts) == vector
    return view.verdicts.keys() == vector.keys() and all(
        vector[path] in ({None, RECEIVED} if reason is None else {reason})
        for path, reason in view.verdicts.items()
    )


def _differing(views: Iterable[View], vector: Vector) -> str:
    """The paths at which the view that comes nearest differs."""
    each = [
        [
            path
            for path in vector.keys() | view.verdicts.keys()
            if view.verdicts.get(path, "") != vector.get(path, "")
        ]
        for view in views
    ]
    nearest = min(each, key=len)
    return _some(nearest)


def _open(
    index: int, leaf: Leaf, operation: Operation, fitting: Sequence[Reading], roles: Mapping[str, Role]
) -> Iterator[Finding]:
    """What the entry does not tell, so that nobody can prove it from the entry."""
    named = [party for party in (leaf.caller, *leaf.to) if party in roles]
    source = "by the register that was given" if named else "without a register"
    who = sorted({f"{one.provider or 'hub'} to {one.recipient}" for one in fitting})
    yield Finding(Flaw.ROLE_ASSUMED, index, f"{', '.join(who)}; {source}")
    if operation.follows_log:
        yield Finding(Flaw.NARROWED, index)


def _some(paths: Iterable[str]) -> str:
    ordered = sorted(paths)
    more = f" and {len(ordered) - _TOLD} more" if len(ordered) > _TOLD else ""
    return ", ".join(ordered[:_TOLD]) + more
