"""The WSDL as a document: its operations, and taking some of them out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from gateway.agreement.dialect import parse_file
from gateway.agreement.finding import ContractError, Finding
from gateway.soap.xml import Element

_WSDL: Final = "{http://schemas.xmlsoap.org/wsdl/}"
_SOAP11: Final = "{http://schemas.xmlsoap.org/wsdl/soap/}"
_SOAP12: Final = "{http://schemas.xmlsoap.org/wsdl/soap12/}"
TYPES: Final = f"{_WSDL}types"


def wsdl_file(files: Mapping[str, bytes]) -> str:
    """The name of the one WSDL. Raises ContractError."""
    found = [name for name in files if name.endswith(".wsdl")]
    if len(found) != 1:
        raise ContractError([Finding("contracts", "", f"{len(found)} WSDL files, one expected")])
    return found[0]


def require_same_operations(files: Mapping[str, bytes], operations: Collection[str]) -> None:
    """The WSDL has the operations of the schemas, neither more nor fewer. Raises ContractError."""
    name = wsdl_file(files)
    root = parse_file(files, name)
    stated = {node.get("name", "") for node in _operations(root, "portType")}
    differing = sorted(stated ^ set(operations))
    if differing:
        sentence = "stands in the WSDL or in the schemas, but not in both"
        raise ContractError([Finding(name, f"portType/{one}", sentence) for one in differing])


def keep_operations(root: Element, kept: Collection[str]) -> None:
    """Take every other operation out of port type and bindings, with the messages that only it used."""
    for part in ("portType", "binding"):
        for node in list(_operations(root, part)):
            if node.get("name") not in kept:
                _remove(node)
    used = {
        reference.get("message", "").rpartition(":")[2]
        for node in _operations(root, "portType")
        for reference in node
        if reference.get("message")
    }
    for node in list(root.iterchildren(f"{_WSDL}message")):
        if node.get("name") not in used:
            _remove(node)


def set_address(root: Element, url: str) -> None:
    """Every port is at the public URL."""
    for node in root.iter(f"{_SOAP11}address", f"{_SOAP12}address"):
        node.set("location", url)


def drop_soap12(root: Element) -> None:
    """Take the SOAP 1.2 binding and its port out."""
    for node in list(root.iter(f"{_WSDL}binding", f"{_WSDL}port")):
        if any(str(child.tag).startswith(_SOAP12) for child in node):
            _remove(node)


def _operations(root: Element, part: str) -> Iterator[Element]:
    for parent in root.iterchildren(f"{_WSDL}{part}"):
        yield from parent.iterchildren(f"{_WSDL}operation")


def _remove(node: Element) -> None:
    parent = node.getparent()
    assert parent is not None
    parent.remove(node)
