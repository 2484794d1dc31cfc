"""The contract's XSDs → the tree of every message, with the field behind each element.

Each element stands under exactly one field group or is structural, or nothing is served at all: an element
that nobody agreed on must never be passed. What a role may do with a field is for `load` and `views`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from gateway.agreement.dialect import Declaration, Declarations, parse_file, read_declarations
from gateway.agreement.finding import ContractError, Finding
from gateway.agreement.marks import MarkKind
from gateway.model import SERVICE, FieldId, Node, OperationName
from gateway.refusal import Code, Refusal
from gateway.soap.xml import Element

DOCUMENT: Final = "document"  # the group of g:document: that of the document type asked for
_RESPONSE: Final = "Response"
_ENVELOPE: Final = frozenset({"informationCustomer", "informationGateway", "legalContext", "criteria"})
_NO_PAYLOAD: Final = _ENVELOPE | {"status", "dataFilters"}
_FAILING: Final = re.compile(r"Element '([^']+)'")  # how a finding of libxml2 begins
# No payload has attributes: xsi:type and xsi:nil would change what a valid element means (attack S34).
_ATTRIBUTES: Final = etree.XPath("boolean(descendant-or-self::*[@*])")


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of one operation. `response` ends with `payload`, whose paths start at its own name."""

    request: Node
    response: Node
    payload: Node


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """The compiled schemas."""

    messages: Mapping[OperationName, Messages]
    groups: Mapping[str, tuple[FieldId, ...]]  # "G08" → its fields in the order of the schema
    values: Mapping[str, frozenset[str]]  # path of an enumerated leaf → its values
    _validator: etree.XMLSchema
    _asked: Mapping[str, str]  # Clark name of every element of requests → its local name

    @property
    def fields(self) -> frozenset[FieldId]:
        """Every field of every group."""
        return frozenset(one for group in self.groups.values() for one in group)

    @property
    def document_fields(self) -> frozenset[FieldId]:
        """Fields that refer to a document: those that hold its digest."""
        found = (leaf.field for leaf in self._texts() if leaf.name == "sha256" and leaf.field is not None)
        return frozenset(found) & self.fields

    def values_of(self, field: FieldId) -> frozenset[str]:
        """The values that the schemas allow for an enumerated field."""
        found = (self.values.get(leaf.path, frozenset()) for leaf in self._texts() if leaf.field == field)
        return frozenset[str]().union(*found)

    def _texts(self) -> Iterator[Node]:
        return (leaf for messages in self.messages.values() for leaf in leaves(messages.payload))

    def validate(self, element: Element, code: Code) -> None:
        """Check a message against the contract. Raises Refusal with `code`, about the element that fails first.

        libxml2's text quotes the peer and is not passed on. An element is named only when requests have one of
        this name: what the peer wrote is looked up among the contract's own names, and an element of answers
        that the peer may not know of is not confirmed to exist.
        """
        if _ATTRIBUTES(element):
            raise Refusal(code, "attributes")
        if not self._validator.validate(element):
            raise Refusal(code, self._failing())

    def _failing(self) -> str:
        failed = _FAILING.match(self._validator.error_log[0].message or "")
        return self._asked.get(failed[1], "") if failed is not None else ""


def leaves(node: Node) -> Iterator[Node]:
    """The text-carrying nodes of a message, in the order of the schema."""
    if not node.children:
        yield node
    for child in node.children:
        yield from leaves(child)


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def compile_contract(files: Mapping[str, bytes]) -> Contract:
    """`files`: path → bytes, with everything that the service's schema imports.

    Raises ContractError: outside the dialect, an element without exactly one mark, a mark out of place.
    """
    entry = _service_schema(files)
    declarations = read_declarations(files, entry)
    builder = _Builder(declarations)
    messages = {name: builder.messages(name) for name in _operations(declarations, entry, builder.found)}
    if builder.found:
        raise ContractError(builder.found)
    complete = {name: one for name, one in messages.items() if one is not None}
    asked = {
        f"{{{node.namespace}}}{node.name}": node.name
        for one in complete.values()
        for node in _nodes(one.request)
    }
    return Contract(complete, _groups(complete), builder.values, _validator(files, entry), asked)


def _service_schema(files: Mapping[str, bytes]) -> str:
    schemas = [name for name in sorted(files) if name.endswith(".xsd")]
    entries = [name for name in schemas if parse_file(files, name).get("targetNamespace") == SERVICE]
    if len(entries) != 1:
        raise ContractError([Finding("contracts", "", f"{len(entries)} schemas of {SERVICE}, one expected")])
    return entries[0]


def _operations(declarations: Declarations, entry: str, found: list[Finding]) -> list[OperationName]:
    """Global elements of the service come in pairs: a request and its response."""
    prefix = f"{{{SERVICE}}}"
    names = [name.removeprefix(prefix) for name in declarations.elements if name.startswith(prefix)]
    requests = [name for name in names if not name.endswith(_RESPONSE)]
    alone = set(names) ^ {*requests, *(request + _RESPONSE for request in requests)}
    sentence = "a request without its response, or a response without its request"
    found.extend(Finding(entry, name.removesuffix(_RESPONSE), sentence) for name in sorted(alone))
    return [OperationName(name) for name in requests if name + _RESPONSE in names]


def _groups(messages: Mapping[OperationName, Messages]) -> dict[str, tuple[FieldId, ...]]:
    trees = [*(one.payload for one in messages.values()), *(one.request for one in messages.values())]
    seen = dict.fromkeys(leaf.field for tree in trees for leaf in leaves(tree) if leaf.field is not None)
    groups: dict[str, list[FieldId]] = {}
    for one in seen:
        groups.setdefault(one.partition(".")[0], []).append(one)
    groups.pop(DOCUMENT, None)
    return {code: tuple(groups[code]) for code in sorted(groups)}


def _validator(files: Mapping[str, bytes], entry: str) -> etree.XMLSchema:
    try:
        return etree.XMLSchema(parse_file(files, entry))
    except etree.XMLSchemaParseError as error:
        log = [Finding(line.filename, "", line.message, line.line) for line in error.error_log]
        raise ContractError(log or [Finding(entry, "", str(error))]) from error


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a declaration is used: inside the container of a group, a field, or a document."""

    kind: MarkKind = MarkKind.STRUCTURAL
    group: str = ""
    field: FieldId | None = None
    payload: bool = False


class _Builder:
    """Builds message trees and notes every mark that is out of place."""

    def __init__(self, declarations: Declarations) -> None:
        self._declarations = declarations
        self.found: list[Finding] = []
        self.values: dict[str, frozenset[str]] = {}
        self._places: dict[str, Declaration] = {}  # path → where it is declared

    def messages(self, name: OperationName) -> Messages | None:
        """The trees of one operation; None when the response has no payload."""
        request = self._declarations.elements[f"{{{SERVICE}}}{name}"]
        response = self._declarations.elements[f"{{{SERVICE}}}{name}{_RESPONSE}"]
        parts = self._declarations.sequences.get(response.type, ())
        if not parts or parts[-1].name in _NO_PAYLOAD or not parts[-1].optional or parts[-1].repeated:
            self._add(response, response.name, "a response ends with one optional payload element")
            return None
        payload = self._node(parts[-1], "", _Scope(payload=True), ())
        self._require_released_by_field(payload)
        head = tuple(self._node(part, response.name, _Scope(), ()) for part in parts[:-1])
        return Messages(
            request=self._node(request, "", _Scope(), ()),
            response=Node(
                response.name, SERVICE, response.name, None, repeated=False, children=(*head, payload)
            ),
            payload=payload,
        )

    def _node(self, one: Declaration, above: str, scope: _Scope, open_types: tuple[str, ...]) -> Node:
        path = f"{above}/{one.name}" if above else one.name
        self._places[path] = one
        inner = self._scope(one, path, scope)
        parts = self._declarations.sequences.get(one.type, ())
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
