"""Permitted views: the matrix applied to a payload, for one recipient, its context and who provides.

Who asks is the recipient of an answer; of a notification it is who hears of it. A view is a function of the agreement alone. What it withholds and declares is therefore the same whatever
a dossier holds, and tells nobody anything about it. Applying a view to an answer is `gateway.policy.view`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from gateway.agreement.course import Course, Telling
from gateway.agreement.schema import DOCUMENT, leaves
from gateway.agreement.terms import Context, Matrix, Operation, ViewKey
from gateway.model import FieldId, LegalContext, Node, OperationName, Pattern, Role, View

PROVIDER: Final = "PROVIDER"
ROLE: Final = "ROLE"
CONTEXT: Final = "CONTEXT"
RECEIVED: Final = "RECEIVED"
REASONS: Final[Mapping[str, str]] = {
    PROVIDER: "The provider may not provide it.",
    ROLE: "The requester's role may never receive it.",
    CONTEXT: "The requester's role may receive it, but not for this purpose.",
    RECEIVED: "The recipient of a rectification never received it: there is nothing to rectify.",
}


@dataclass(frozen=True, slots=True)
class Sides:
    """What the matrix grants to the two ends of an exchange."""

    provides: frozenset[FieldId]  # the provider's role, in this operation
    ever: frozenset[FieldId]  # the requester's role, in any context
    receives: frozenset[FieldId]  # the requester's role, in this context

    def reason(self, owners: frozenset[FieldId]) -> str | None:
        """Why none of `owners` may pass; None when one may. Default deny: no owner, no passage."""
        if owners.isdisjoint(self.provides):
            return PROVIDER
        if owners.isdisjoint(self.provides & self.ever):
            return ROLE
        if owners.isdisjoint(self.provides & self.receives):
            return CONTEXT
        return None


def owners(
    payload: Node, documents: Mapping[str, FieldId], document_type: str | None
) -> dict[str, frozenset[FieldId]]:
    """Leaf paths of a payload, each with the fields of the matrix of which one must be granted.

    The leaves of a document belong to the field that refers to a document of this type; without a type, to
    the fields of all types. A payload that is wholly structural has no such leaves.
    """
    referring = frozenset(documents.values() if document_type is None else (documents[document_type],))
    return {
        leaf.path: referring if is_document(leaf.field) else frozenset((leaf.field,))
        for leaf in leaves(payload)
        if leaf.field is not None
    }


def is_document(field: FieldId) -> bool:
    """Is it a field of a document itself, whose group is that of the document type asked for?"""
    return field.startswith(f"{DOCUMENT}.")


def compile_view(payload: Node, by_path: Mapping[str, frozenset[FieldId]], sides: Sides) -> View:
    """The view of one payload. `by_path`: what `owners` returned for it."""
    reasons = {fields: sides.reason(fields) for fields in set(by_path.values())}  # many paths have the same
    verdicts = {path: reasons[by_path[path]] for path in sorted(by_path)}
    return View(payload, verdicts, tuple(sorted(_filtered(payload, verdicts))))


def released(view: View, by_path: Mapping[str, frozenset[FieldId]], sides: Sides) -> frozenset[FieldId]:
    """The fields of the matrix that a view releases."""
    granted = sides.provides & sides.receives
    return frozenset(
        field for path, reason in view.verdicts.items() if reason is None for field in by_path[path] & granted
    )


def _filtered(node: Node, verdicts: Mapping[str, str | None]) -> Iterator[str]:
    """What to declare as withheld (KSZ filteredElement): of what the provider could give, the outermost paths.

    A container of which nothing is released stands for all that is in it.
    """
    reasons = {verdicts.get(leaf.path) for leaf in leaves(node)}
    if reasons <= {None, PROVIDER}:
        return
    if None not in reasons:
        yield node.path
    else:
        for child in node.children:
            yield from _filtered(child, verdicts)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Every view that the agreement grants, over a thousand; and what follows from them."""

    views: dict[ViewKey, View] = field(default_factory=dict)
    released: dict[View, frozenset[FieldId]] = field(default_factory=dict)  # fields of the matrix
    provided: dict[tuple[Role, OperationName, str | None], frozenset[FieldId]] = field(default_factory=dict)
    made: dict[tuple[Node, str | None, Sides | None], View] = field(
        default_factory=dict
    )  # shared where equal

    def view(
        self, payload: Node, kind: str | None, sides: Sides | None, by_path: Mapping[str, frozenset[FieldId]]
    ) -> View:
        """`sides`: None when the hub shows no fields: what a mailbox holds has the views of the notification."""
        key = payload, kind, sides
        if key not in self.made:
            view = View(payload, {}, ()) if sides is None else compile_view(payload, by_path, sides)
            self.released[view] = frozenset() if sides is None else released(view, by_path, sides)
            self.made[key] = view
        return self.made[key]


def told(
    courses: Iterable[Course], operation: Operation, contexts: Mapping[LegalContext, Context]
) -> frozenset[Telling]:
    """Every way in which a notification can reach somebody.

    What follows the log reaches whoever received the field before, in a context that its role may invoke.
    """
    if operation.follows_log:
        return frozenset(
            (sender, role, name)
            for sender in operation.providers
            for name, context in contexts.items()
            for role in context.roles
        )
    steps = (step for course in courses for step in course.steps if step.operation == operation.name)
    return frozenset(telling for step in steps for telling in step.tellings())


def compile_views(
    operations: Mapping[OperationName, Operation],
    documents: Mapping[str, FieldId],
    matrix: Matrix,
    tellings: Mapping[OperationName, Collection[Telling]],
) -> Compiled:
    """`tellings`: of each notification. What no operation grants to a recipient in a context has no view at all."""
    compiled = Compiled()
    for operation in operations.values():
        payload = operation.messages.payload
        for kind in _document_types(payload, documents):
            by_path = owners(payload, documents, kind)
            for role in _writers(operation):
                may = matrix.writes(role, operation)
                compiled.provided[role, operation.name, kind] = _writable(payload, by_path, may)
            writes = {role: matrix.writes(role, operation) for role in operation.providers}
            for provider, role, context in _pairs(operation, tellings):
                sides = (
                    Sides(writes[provider], matrix.ever(role), matrix.receives(role, context))
                    if provider is not None
                    else None
                )
                view = compiled.view(payload, kind, sides, by_path)
                compiled.views[operation.name, role, context, provider, kind] = view
    return compiled


def _writers(operation: Operation) -> Iterable[Role]:
    """Who fills the payload: who provides or tells it, also when the hub keeps what it is told."""
    kept = operation.hub and operation.messages.notification
    return operation.requesters if kept else operation.providers


def _pairs(
    operation: Operation, tellings: Mapping[OperationName, Collection[Telling]]
) -> Iterator[tuple[Role | None, Role, LegalContext]]:
    """Who provides to whom, in which context of the latter; None: the hub."""
    if operation.pattern is Pattern.NOTIFY:
        yield from sorted(tellings[operation.name])
        return
    asked = [(role, name) for role, names in operation.requesters.items() for name in sorted(names)]
    for (role, context), provider in product(asked, operation.providers or (None,)):
        yield provider, role, context


def _writable(
    payload: Node, by_path: Mapping[str, frozenset[FieldId]], may: frozenset[FieldId]
) -> frozenset[FieldId]:
    return frozenset(
        leaf.field
        for leaf in leaves(payload)
        if leaf.field is not None and not by_path[leaf.path].isdisjoint(may)
    )


def _document_types(payload: Node, documents: Mapping[str, FieldId]) -> tuple[str | None, ...]:
    """The types for which an operation has views: those of documents when it delivers one, else only None."""
    delivers = any(leaf.field is not None and is_document(leaf.field) for leaf in leaves(payload))
    return (None, *documents) if delivers else (None,)
