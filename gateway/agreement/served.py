"""The contract as one role is served it: what it may never see or use does not stand in it.

Pruning removes elements and operations, never changes one, so that a message valid against a served contract
is valid against the whole one. Caching and transport are left to the edge.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from copy import deepcopy
from typing import Final

from lxml import etree

from gateway.agreement import wsdl
from gateway.agreement.dialect import XS, parse_file
from gateway.agreement.terms import Agreement
from gateway.model import MARKS, SERVICE, FieldId, OperationName, Role
from gateway.soap.xml import Element

_XS: Final = f"{{{XS}}}"
_MARK: Final = f"{_XS}annotation/{_XS}appinfo/{{{MARKS}}}group"
_TYPES: Final = (f"{_XS}complexType", f"{_XS}simpleType")
Roots = dict[str, Element]


def served_contract(agreement: Agreement, role: Role, url: str) -> Mapping[str, bytes]:
    """Path → bytes of the WSDL and XSDs for a role, in the layout of `contracts`; `url`: of the service."""
    return {name: _bytes(root) for name, root in _pruned(agreement, role, url).items()}


def single_wsdl(agreement: Agreement, role: Role, url: str, *, soap12: bool = True) -> bytes:
    """The same contract in one file, for stacks that follow no schemaLocation (XML::Compile).

    `soap12`: False leaves the SOAP 1.2 port out, which some stacks cannot read.
    """
    roots = _pruned(agreement, role, url)
    document = roots.pop(wsdl.wsdl_file(agreement.files))
    types = document.find(wsdl.TYPES)
    assert types is not None  # the WSDL imports the schemas there
    types[:] = [_inlined(root) for root in _imported_first(roots)]
    if not soap12:
        wsdl.drop_soap12(document)
    return _bytes(document)


def served_documents(agreement: Agreement, role: Role, url: str) -> Mapping[str, bytes]:
    """Query string → document, as the service serves them at `url`: wsdl, xsd=NAME, singleWsdl, singleWsdl11."""
    roots = _pruned(agreement, role, url)
    description = wsdl.wsdl_file(agreement.files)
    for root in roots.values():
        for node in root.iter(f"{_XS}import"):
            node.set("schemaLocation", f"{url}?xsd={posixpath.basename(node.get('schemaLocation', ''))}")
    schemas = {f"xsd={posixpath.basename(name)}": root for name, root in roots.items() if name != description}
    return {
        "wsdl": _bytes(roots[description]),
        **{query: _bytes(root) for query, root in schemas.items()},
        "singleWsdl": single_wsdl(agreement, role, url),
        "singleWsdl11": single_wsdl(agreement, role, url, soap12=False),
    }


def served_operations(agreement: Agreement, role: Role) -> frozenset[OperationName]:
    """The operations that a role may call, provide, or receive a notification of."""
    return frozenset(
        name
        for name, operation in agreement.operations.items()
        if operation.requesters.get(role) or operation.recipients.get(role) or role in operation.providers
    )


def _pruned(agreement: Agreement, role: Role, url: str) -> Roots:
    names = sorted(name for name in agreement.files if name.endswith((".xsd", ".wsdl")))
    roots = {name: parse_file(agreement.files, name) for name in names}
    operations = served_operations(agreement, role)
    document = roots[wsdl.wsdl_file(agreement.files)]
    wsdl.keep_operations(document, operations)
    wsdl.set_address(document, url)
    schemas = {name: root for name, root in roots.items() if root is not document}
    _drop_operations(schemas, operations)
    _drop_fields(schemas, agreement.visible(role))
    _drop_empty(schemas)
    _drop_unused_types(schemas)
    return roots


def _drop_operations(schemas: Roots, kept: frozenset[OperationName]) -> None:
    for root in schemas.values():
        if root.get("targetNamespace") != SERVICE:
            continue
        for node in list(root.iterchildren(f"{_XS}element")):
            if node.get("name", "").removesuffix("Response") not in kept:
                root.remove(node)


def _drop_fields(schemas: Roots, visible: frozenset[FieldId]) -> None:
    for root in schemas.values():
        for node in list(root.iter(f"{_XS}element")):
            mark = node.find(_MARK)
            if mark is None or mark.get("field") is None:
                continue
            if f"{mark.get('code')}.{mark.get('field')}" not in visible:
                _remove(node)


def _drop_empty(schemas: Roots) -> None:
    """Elements whose type lost all its elements: a container of a group of which nothing is visible."""
    while True:
        empty = {
            _qualified(root, node)
            for root in schemas.values()
            for node in root.iterchildren(f"{_XS}complexType")
            if next(node.iter(f"{_XS}element"), None) is None
        }
        users = [
            node
            for root in schemas.values()
            for node in root.iter(f"{_XS}element")
            if _reference(node, "type") in empty
        ]
        if not users:
            return
        for node in users:
            _remove(node)


def _drop_unused_types(schemas: Roots) -> None:
    """Types that no remaining message reaches, so that their names and elements are not told either."""
    types = {_qualified(root, node): node for root in schemas.values() for node in root.iterchildren(*_TYPES)}
    waiting = [node for root in schemas.values() for node in root.iterchildren(f"{_XS}element")]
    used: set[str] = set()
    while waiting:
        for node in waiting.pop().iter(f"{_XS}element", f"{_XS}restriction"):
            name = _reference(node, "type" if node.tag == f"{_XS}element" else "base")
            if name in types and name not in used:
                used.add(name)
                waiting.append(types[name])
    for name in types.keys() - used:
        _remove(types[name])


def _inlined(root: Element) -> Element:
    """A schema to stand inside wsdl:types: its imports are found by namespace."""
    copy = deepcopy(root)
    for node in copy.iter(f"{_XS}import"):
        node.attrib.pop("schemaLocation", None)
    return copy


def _imported_first(schemas: Roots) -> list[Element]:
    """Schemas in an order in which each follows those that it imports."""
    waiting = dict(schemas)
    ordered: list[Element] = []
    while waiting:
        targets = {root.get("targetNamespace") for root in waiting.values()}
        free = next(
            name
            for name, root in waiting.items()
            if targets.isdisjoint(node.get("namespace") for node in root.iterchildren(f"{_XS}import"))
        )
        ordered.append(waiting.pop(free))
    return ordered


def _qualified(root: Element, node: Element) -> str:
    return f"{{{root.get('targetNamespace')}}}{node.get('name')}"


def _reference(node: Element, attribute: str) -> str:
    """The qualified name in an attribute, in Clark notation."""
    prefix, _, local = node.get(attribute, "").rpartition(":")
    return f"{{{node.nsmap.get(prefix or None)}}}{local}"


def _remove(node: Element) -> None:
    parent = node.getparent()
    assert parent is not None
    parent.remove(node)


def _bytes(root: Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
