"""The only XML parser of the gateway: hardened and bounded (PROTOCOL §3.1).

Bytes in, tree out, or a refusal. Whatever this module returns has no document type declaration, no
comment, no processing instruction, no entity node, and a size that later stages can afford. What the
elements mean is left to others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lxml import etree

from gateway.refusal import Code, Refusal

Element = etree._Element  # noqa: SLF001 - lxml's public factory returns this type and names no other

# Only UTF-8, with or without a declaration; libxml2 alone would also read UTF-7, HZ and UTF-16 (attack P26).
_DECLARATION: Final = re.compile(
    rb"""<\?xml\s+version\s*=\s*["']1\.0["'](\s+encoding\s*=\s*["'][Uu][Tt][Ff]-8["'])?"""
    rb"""(\s+standalone\s*=\s*["'](yes|no)["'])?\s*\?>"""
)
_BOM: Final = b"\xef\xbb\xbf"
_OPENS_WITH_DECLARATION: Final = re.compile(rb"<\?xml[ \t\r\n]")  # <?xml-stylesheet is an instruction


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one message. Origins: measured costs of canonicalisation floods (PROTOCOL §3.1)."""

    bytes: int = 16 * 1024 * 1024  # a 7 MiB document in base64, and its envelope
    depth: int = 64  # elements; libxml2 itself stops at 256
    elements: int = 50_000
    attributes: int = 64  # per element: exclusive C14N is quadratic in them
    all_attributes: int = 16_384  # in the whole message, counted as equals signs before parsing
    namespaces: int = (
        1_024  # declarations in the message; stacks that repeat them need 650 for a full dossier
    )
    # Exclusive C14N looks the prefix of each element and attribute up among the declarations around it: a list of
    # 50,000 elements may have 80 around it, 4,000 elements 1,000.
    lookups: int = 4_000_000
    attribute_value: int = 65_536  # characters


@lru_cache(maxsize=8)
def _too_deep(limits: Limits) -> etree.XPath:
    return etree.XPath(
        f"boolean({'/*' * (limits.depth + 1)})"
    )  # one linear walk; ancestor:: would be quadratic


@lru_cache(maxsize=8)
def _too_many(limits: Limits) -> etree.XPath:
    return etree.XPath(f"count(//*) > {limits.elements} or boolean(//*[@*[{limits.attributes + 1}]])")


@lru_cache(maxsize=8)
def _long_attribute(limits: Limits) -> etree.XPath:
    return etree.XPath(f"boolean(//@*[string-length() > {limits.attribute_value}])")


_LIBRARY_LIMITS: Final = {  # of libxml2: 256 elements deep, 10,000,000 characters of text, 50,000 of a name
    etree.ErrorTypes.ERR_RESOURCE_LIMIT,
    etree.ErrorTypes.ERR_NAME_TOO_LONG,
}
_COMMENTS: Final = etree.XPath("boolean(//comment()) or boolean(//processing-instruction())")
# A reused parser: its options are constant and each parse starts clean.
_PARSER: Final = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    remove_comments=False,
    remove_pis=False,
    remove_blank_text=False,
    recover=False,
    collect_ids=False,  # no id table of libxml2's making: wss keeps its own (attack S16)
)


def parse(data: bytes, limits: Limits) -> Element:
    """Return the root element of `data`.

    Raises Refusal: TOO_LARGE, XML_MALFORMED, XML_DTD, XML_COMMENT, XML_LIMIT.
    """
    if len(data) > limits.bytes:
        raise Refusal(Code.TOO_LARGE)
    _require_utf8(data)
    if b"<!DOCTYPE" in data:  # before the parser sees an entity (attacks P01–P14)
        raise Refusal(Code.XML_DTD)
    many, dear = _require_affordable(data, limits)
    root = parse_verified(data)
    tree = root.getroottree()
    if tree.docinfo.internalDTD is not None or tree.docinfo.doctype:
        raise Refusal(Code.XML_DTD)
    if (b"<!--" in data or data.count(b"<?") > _declares(data)) and _COMMENTS(tree):
        raise Refusal(Code.XML_COMMENT)  # they split text that is signed as one (attacks P30, P31)
    if _too_deep(limits)(tree) or (many and _too_many(limits)(tree)):
        raise Refusal(Code.XML_LIMIT)
    if dear and not is_affordable(root, limits.lookups):
        raise Refusal(Code.XML_LIMIT, "namespace declarations")
    if len(data) > limits.attribute_value and _long_attribute(limits)(tree):
        raise Refusal(Code.XML_LIMIT)
    return root


def parse_verified(data: bytes) -> Element:
    """Parse bytes that this process made or that already passed `parse`: canonical, signed parts.

    Raises Refusal: XML_MALFORMED, XML_LIMIT.
    """
    try:
        return etree.fromstring(data, _PARSER)
    except (etree.LxmlError, ValueError) as error:
        beyond = isinstance(error, etree.XMLSyntaxError) and error.code in _LIBRARY_LIMITS
        raise Refusal(Code.XML_LIMIT if beyond else Code.XML_MALFORMED) from error


# lxml hands on only those prefixes that stand in its dictionary of XML names, and "#default" is none: without
# this the default namespace that JAX-WS peers sign would be left out. HTML allows any name into the dictionary.
_DEFAULT: Final = "#default"
_INTERN: Final = etree.HTMLParser().makeelement


def canonical(element: Element, prefixes: list[str] | None = None) -> bytes:
    """Exclusive C14N 1.0 without comments of `element`; `prefixes` is the InclusiveNamespaces PrefixList.

    Raises Refusal: XML_MALFORMED for what C14N cannot express, such as relative namespace URIs (attack P37).
    """
    if prefixes and _DEFAULT in prefixes:
        _INTERN(_DEFAULT)
    try:
        return etree.tostring(
            element, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=prefixes
        )
    except (etree.LxmlError, ValueError) as error:
        raise Refusal(Code.XML_MALFORMED, "canonicalisation") from error


def is_affordable(element: Element, most: int) -> bool:
    """Whether exclusive C14N of `element` meets at most so many declarations.

    Counted are those around each element in it, once for the element and once for each of its attributes.
    """
    parent, met = element.getparent(), 0
    around = 0 if parent is None else len(parent.nsmap)
    for event, what in etree.iterwalk(element, events=("start", "start-ns", "end-ns")):
        if isinstance(what, Element):
            met += around * (1 + len(what.attrib))
            if met > most:
                return False
        else:
            around += 1 if event == "start-ns" else -1
    return True


def text(value: str) -> str:
    """Escape `value` as character data in canonical form (Canonical XML 1.0 §2.3)."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")


def _require_affordable(data: bytes, limits: Limits) -> tuple[bool, bool]:
    """Upper bounds that bytes alone show, so that a flood costs no tree (attacks P17, P18, P20).

    Whether the tree may still hold too many elements, or an element too many attributes; and whether its prefixes may
    take too many lookups: most messages have so few tags, equals signs and declarations that they cannot.
    """
    tags, signs, declared = data.count(b"<"), data.count(b"="), data.count(b"xmlns")
    if declared > limits.namespaces:
        raise Refusal(Code.XML_LIMIT, "namespace declarations")
    if tags > 2 * limits.elements + 1:  # two tags each, and the declaration
        raise Refusal(Code.XML_LIMIT, "elements")
    if signs > limits.all_attributes:
        raise Refusal(Code.XML_LIMIT, "attributes")
    many = tags > limits.elements or signs > limits.attributes
    return many, declared * (tags + signs) > limits.lookups


def _declares(data: bytes) -> bool:
    return _OPENS_WITH_DECLARATION.match(data.removeprefix(_BOM)) is not None


def _require_utf8(data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(Code.XML_MALFORMED, "UTF-8") from error
    # NUL: UTF-16 without a byte order mark is valid UTF-8 to the line above.
    if b"\0" in data or (_declares(data) and not _DECLARATION.match(data.removeprefix(_BOM))):
        raise Refusal(Code.XML_MALFORMED, "UTF-8")
