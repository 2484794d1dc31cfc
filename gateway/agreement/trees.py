"""Declarations of the contract's schemas → the tree of every message, with the field behind each element.

An operation has one of three forms. What is asked for ends the response, what is told ends the request, and
a call may have neither. A mark out of place is a finding: an element that nobody agreed on must never be passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.agreement.dialect import Declaration, Declarations
from gateway.agreement.finding import Finding
from gateway.agreement.marks import Mark, MarkKind
from gateway.model import SERVICE, FieldId, Node, OperationName

DOCUMENT: Final = "document"  # the group of g:document: that of the document type asked for
RESPONSE: Final = "Response"
_ENVELOPE: Final = frozenset({"informationCustomer", "informationGateway", "legalContext", "criteria"})
_NO_PAYLOAD: Final = _ENVELOPE | {"status", "dataFilters"}
NOTHING: Final = Node("", SERVICE, "", None, repeated=False, children=())  # the payload of what has none


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of one operation.

    The response to a question ends with `payload`; of a notification it is the request that does. The paths of
    a payload start at its own name. An operation that neither asks nor tells has the payload NOTHING.
    """

    request: Node
    response: Node
    payload: Node
    notification: bool
    demanded: frozenset[str]  # criteria that no request leaves out


def leaves(node: Node) -> tuple[Node, ...]:
    """The text-carrying nodes of a message, in the order of the schema."""
    return node.leaves


def nodes(node: Node) -> Iterator[Node]:
    """Every node of a message, the outer before the inner."""
    yield node
    for child in node.children:
        yield from nodes(child)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a declaration is used: inside the container of a group, a field, or a document."""

    kind: MarkKind = MarkKind.STRUCTURAL
    group: str = ""
    field: FieldId | None = None
    payload: bool = False


class TreeBuilder:
    """Builds message trees and notes every mark that is out of place."""

    def __init__(self, declarations: Declarations) -> None:
        self._declarations = declarations
        self.found: list[Finding] = []
        self.values: dict[str, frozenset[str]] = {}
        self._places: dict[str, Declaration] = {}  # path → where it is declared
        self._payloads: dict[tuple[str, str, str, Mark], Node] = {}

    def messages(self, name: OperationName) -> Messages | None:
        """The trees of one operation; None when they have none of the three forms."""
        request = self._declarations.elements[f"{{{SERVICE}}}{name}"]
        response = self._declarations.elements[f"{{{SERVICE}}}{name}{RESPONSE}"]
        asked, answered = self._parts(request), self._parts(response)
        notification = bool(answered) and answered[-1].name == "status"
        if notification and asked and asked[-1].name == "criteria":
            return Messages(
                self._message(request),
                self._message(response),
                NOTHING,
                notification=False,
                demanded=self._demanded(asked),
            )
        payload = self._payload(request) if notification else self._payload(response)
        if payload is None:
            return None
        if notification:
            self._require_told(request, payload)
        return Messages(
            request=self._message(request, payload if notification else None),
            response=self._message(response, None if notification else payload),
            payload=payload,
            notification=notification,
            demanded=self._demanded(asked),
        )

    def _parts(self, one: Declaration) -> tuple[Declaration, ...]:
        return self._declarations.sequences.get(one.type, ())

    def _demanded(self, asked: Iterable[Declaration]) -> frozenset[str]:
        criteria = (one for one in asked if one.name == "criteria" and not one.optional)
        return frozenset(part.name for one in criteria for part in self._parts(one) if not part.optional)

    def _payload(self, message: Declaration) -> Node | None:
        """The tree of what a message ends with. Many messages end with the same, which is then one tree."""
        parts = self._parts(message)
        if not parts or parts[-1].name in _NO_PAYLOAD or not parts[-1].optional or parts[-1].repeated:
            self._add(message, message.name, "a message ends with one optional payload element")
            return None
        last = parts[-1]
        key = (last.namespace, last.name, last.type, last.mark)
        if key not in self._payloads:
            self._payloads[key] = self._node(last, "", _Scope(payload=True), ())
            self._require_released_by_field(self._payloads[key])
        return self._payloads[key]

    def _require_told(self, request: Declaration, payload: Node) -> None:
        """A notification has room for the declaration of what is withheld, and tells something to filter."""
        if [part.name for part in self._parts(request)[-2:-1]] != ["dataFilters"]:
            self._add(request, request.name, "in a notification dataFilters stands before the payload")
        if all(leaf.field is None for leaf in leaves(payload)):
            self._add(request, request.name, "what a notification tells has fields")

    def _message(self, one: Declaration, payload: Node | None = None) -> Node:
        """The tree of a message, with its last part's tree where that is made already."""
        if payload is None:
            return self._node(one, "", _Scope(), ())
        head = tuple(self._node(part, one.name, _Scope(), ()) for part in self._parts(one)[:-1])
        return Node(one.name, SERVICE, one.name, None, repeated=False, children=(*head, payload))

    def _node(self, one: Declaration, above: str, scope: _Scope, open_types: tuple[str, ...]) -> Node:
        path = f"{above}/{one.name}" if above else one.name
        self._places[path] = one
        inner = self._scope(one, path, scope)
        parts = self._parts(one)
        if one.type in open_types:
            self._add(one, path, "a type contains itself")
            parts = ()
        elif self._declarations.is_text(one.type):
            self._leaf(one, path, inner)
        elif not parts:
            self._add(one, path, "a complex type has elements")
        children = tuple(self._node(part, path, inner, (*open_types, one.type)) for part in parts)
        # g:document marks a subtree; the field is that of its leaves
        field = None if children and inner.kind is MarkKind.DOCUMENT else inner.field
        return Node(one.name, one.namespace, path, field, one.repeated, children)

    def _scope(self, one: Declaration, path: str, scope: _Scope) -> _Scope:
        """The scope that a mark opens. A mark that could release more than its surroundings is a finding."""
        mark, kind = one.mark, one.mark.kind
        allowed: dict[MarkKind, set[MarkKind]] = {
            MarkKind.STRUCTURAL: {MarkKind.STRUCTURAL, MarkKind.CONTAINER, MarkKind.FIELD, MarkKind.DOCUMENT},
            MarkKind.CONTAINER: {MarkKind.FIELD},
            MarkKind.FIELD: {MarkKind.INHERIT},
            MarkKind.DOCUMENT: {MarkKind.DOCUMENT},
        }
        if kind not in allowed[scope.kind]:
            self._add(one, path, f"mark {kind.value} inside {scope.kind.value}")
        elif scope.group and mark.group and mark.group != scope.group:
            self._add(one, path, f"field of group {mark.group} inside the element of group {scope.group}")
        if kind is MarkKind.INHERIT:
            return scope
        if kind is MarkKind.DOCUMENT:
            return _Scope(kind, DOCUMENT, FieldId(f"{DOCUMENT}.{one.name}"), scope.payload)
        if scope.payload and kind is not MarkKind.STRUCTURAL and not one.optional:
            self._add(one, path, "must be optional, because it may be withheld")
        return _Scope(kind, mark.group, mark.field, scope.payload)

    def _leaf(self, one: Declaration, path: str, scope: _Scope) -> None:
        if scope.kind is MarkKind.CONTAINER:
            self._add(one, path, f"carries text but names no field of group {scope.group}")
        values = self._declarations.values.get(one.type)
        if values:
            self.values[path] = values

    def _require_released_by_field(self, payload: Node) -> None:
        """In a payload with fields every text belongs to a field, each field to one element, or all is structural."""
        texts = list(leaves(payload))
        if all(leaf.field is None for leaf in texts):
            return
        for leaf in texts:
            if leaf.field is None:
                self._add(self._places[leaf.path], leaf.path, "structural text in a payload with fields")
        kinds = {leaf.field.startswith(f"{DOCUMENT}.") for leaf in texts if leaf.field is not None}
        if len(kinds) > 1:
            self._add(
                self._places[payload.path], payload.path, "a payload is a document or has groups, not both"
            )
        opening = list(_opening(payload, None))
        counts = Counter(node.field for node in opening)
        for node in opening:
            if counts[node.field] > 1:
                self._add(
                    self._places[node.path], node.path, f"{counts[node.field]} elements of field {node.field}"
                )

    def _add(self, one: Declaration, path: str, sentence: str) -> None:
        finding = Finding(one.file, path, sentence, one.line)
        if finding not in self.found:
            self.found.append(finding)


def _opening(node: Node, above: FieldId | None) -> Iterator[Node]:
    """The elements that open a field: what is below them inherits."""
    if node.field is not None and node.field != above:
        yield node
    for child in node.children:
        yield from _opening(child, node.field)
