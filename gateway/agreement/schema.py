"""The contract's XSDs → one compiled contract: the trees of all messages, and a validator for them.

Each element stands under exactly one field group or is structural, or nothing is served at all. The trees are
made by `trees`; what a role may do with a field is for `load` and `views`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from gateway.agreement.dialect import Declarations, parse_file, read_declarations
from gateway.agreement.finding import ContractError, Finding
from gateway.agreement.trees import DOCUMENT, NOTHING, RESPONSE, Messages, TreeBuilder, leaves, nodes
from gateway.model import SERVICE, FieldId, Node, OperationName
from gateway.refusal import Code, Refusal
from gateway.soap.xml import Element

__all__ = ["DOCUMENT", "NOTHING", "Contract", "Messages", "compile_contract", "leaves"]

_FAILING: Final = re.compile(r"Element '([^']+)'")  # how a finding of libxml2 begins
# No payload has attributes: xsi:type and xsi:nil would change what a valid element means (attack S34).
_ATTRIBUTES: Final = etree.XPath("boolean(descendant-or-self::*[@*])")


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """The compiled schemas."""

    messages: Mapping[OperationName, Messages]
    groups: Mapping[str, tuple[FieldId, ...]]  # "G08" → its fields in the order of the schema
    values: Mapping[str, frozenset[str]]  # path of an enumerated leaf → its values
    _validator: etree.XMLSchema
    _blocks: frozenset[str]  # Clark names of every element of requests, but for what is told
    _told: Mapping[str, frozenset[FieldId]]  # Clark name of every element of what is told → the fields in it

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
        return (leaf for payload in _payloads(self.messages.values()) for leaf in leaves(payload))

    def validate(
        self, element: Element, code: Code, known: Callable[[], Collection[FieldId]] = frozenset
    ) -> None:
        """Check a message against the contract. Raises Refusal with `code`, about the element that fails first.

        libxml2's text quotes the peer and is not passed on. An element is named only when requests have one of
        this name: what the peer wrote is looked up among the contract's own names. An element of answers that
        the peer may not know of is not confirmed to exist; one of what is told, only when it holds a field that
        is `known` to the peer's role, which is asked for only then.
        """
        if _ATTRIBUTES(element):
            raise Refusal(code, "attributes")
        if not self._validator.validate(element):
            raise Refusal(code, self._failing(known))

    def _failing(self, known: Callable[[], Collection[FieldId]]) -> str:
        failed = _FAILING.match(self._validator.error_log[0].message or "")
        name = failed[1] if failed is not None else ""
        if name in self._blocks or not self._told.get(name, frozenset()).isdisjoint(known()):
            return name.rpartition("}")[2]
        return ""


def compile_contract(files: Mapping[str, bytes]) -> Contract:
    """`files`: path → bytes, with everything that the service's schema imports.

    Raises ContractError: outside the dialect, an element without exactly one mark, a mark out of place.
    """
    entry = _service_schema(files)
    declarations = read_declarations(files, entry)
    builder = TreeBuilder(declarations)
    messages = {name: builder.messages(name) for name in _operations(declarations, entry, builder.found)}
    if builder.found:
        raise ContractError(builder.found)
    complete = {name: one for name, one in messages.items() if one is not None}
    return Contract(
        complete,
        _groups(complete),
        builder.values,
        _validator(files, entry),
        _blocks(complete),
        _told(complete),
    )


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
    requests = [name for name in names if not name.endswith(RESPONSE)]
    alone = set(names) ^ {*requests, *(request + RESPONSE for request in requests)}
    sentence = "a request without its response, or a response without its request"
    found.extend(Finding(entry, name.removesuffix(RESPONSE), sentence) for name in sorted(alone))
    return [OperationName(name) for name in requests if name + RESPONSE in names]


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


def _blocks(messages: Mapping[OperationName, Messages]) -> frozenset[str]:
    blocks = (
        block for one in messages.values() for block in one.request.children if block is not one.payload
    )
    inside = (_clark(node) for block in blocks for node in nodes(block))
    return frozenset((*inside, *(_clark(one.request) for one in messages.values())))


def _told(messages: Mapping[OperationName, Messages]) -> dict[str, frozenset[FieldId]]:
    payloads = _payloads(one for one in messages.values() if one.notification)
    told: dict[str, frozenset[FieldId]] = {}
    for node in (node for payload in payloads for node in nodes(payload)):
        fields = frozenset(leaf.field for leaf in leaves(node) if leaf.field is not None)
        told[_clark(node)] = told.get(_clark(node), frozenset()) | fields
    return told


def _payloads(messages: Iterable[Messages]) -> Iterable[Node]:
    """Each tree once, however many messages end with it."""
    return {id(one.payload): one.payload for one in messages}.values()


def _clark(node: Node) -> str:
    return f"{{{node.namespace}}}{node.name}"
