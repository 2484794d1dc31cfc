"""Bytes ↔ envelope: the exact skeleton of a SOAP message (PROTOCOL §3.2).

The result is still untrusted: which of its parts were signed, and by whom, is for `wss` to say.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from gateway.model import Addressing, Envelope, SoapVersion
from gateway.refusal import Code, Refusal
from gateway.soap import names
from gateway.soap.xml import Element, Limits, parse

PLACE: Final = "urn:workinginbelgium:place-of-the-attachment"  # stands where the attachment's base64 belongs
_VERSIONS: Final = {f"{{{version.value}}}Envelope": version for version in SoapVersion}
_ADDRESSING: Final = {
    f"{{{names.WSA}}}{name}": name
    for name in ("To", "From", "ReplyTo", "FaultTo", "MessageID", "RelatesTo", "Action")
}
# An absolute IRI in ASCII without markup: it is echoed in a signed RelatesTo (attack G02).
_IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}:[A-Za-z0-9:/?#@!$()*+,;=._~%-]{1,200}")


def read(data: bytes, limits: Limits) -> Envelope:
    """Parse one message and check its skeleton.

    Raises Refusal: those of `soap.xml.parse`, SOAP_VERSION, SOAP_STRUCTURE, MUST_UNDERSTAND,
    SECURITY_HEADER, ADDRESSING.
    """
    root = parse(data, limits)
    # What it would include was not sent (attack H26). The name has one way to be written, the namespace has many.
    if b"Include" in data and next(root.iter(names.INCLUDE), None) is not None:
        raise Refusal(Code.SOAP_STRUCTURE, "xop:Include")
    return _envelope(root, data)


def read_message(data: bytes, limits: Limits) -> Envelope:
    """The same for the SOAP message of an MTOM package with an attachment: `place_of_content` must follow."""
    return _envelope(parse(data, limits), data)


def read_packaged(data: bytes, limits: Limits, content_id: str) -> tuple[Envelope, Element]:
    """Both: the message, and the element whose text the attachment `content_id` is. Raises as `read`."""
    envelope = read_message(data, limits)
    return envelope, place_of_content(envelope, content_id)


def place_of_content(envelope: Envelope, content_id: str) -> Element:
    """XOP §3.2, strictly: the one Include, alone in its element, in the Body, of the attachment that is there.

    Only then has the message one base64 form, with one digest. Nothing is ever fetched by an href. PLACE is then
    the text of the element. Raises Refusal: SOAP_STRUCTURE.
    """
    found = list(envelope.header.getroottree().getroot().iter(f"{{{names.XOP}}}*"))
    place = found[0].getparent() if len(found) == 1 else None
    if place is None or found[0].tag != names.INCLUDE or len(place) != 1 or len(found[0]):
        raise Refusal(Code.SOAP_STRUCTURE, "xop:Include")
    include = found[0]
    if place.text or include.text or include.tail or envelope.body not in place.iterancestors():
        raise Refusal(Code.SOAP_STRUCTURE, "xop:Include")
    href = include.get("href", "")  # RFC 2392: a Content-ID with what URLs reserve in %-notation
    if list(include.attrib) != ["href"] or href[:4] != "cid:" or unquote(href[4:]) != content_id:
        raise Refusal(Code.SOAP_STRUCTURE, "xop:Include")
    place.remove(include)
    place.text = PLACE
    return place


def _envelope(root: Element, data: bytes) -> Envelope:
    version = _VERSIONS.get(str(root.tag))
    if version is None:
        raise Refusal(Code.SOAP_VERSION)
    header, body = _skeleton(root, version)
    security = _security(header, version)
    return Envelope(version, header, body, security, _addressing(header), data)


def element_children(parent: Element) -> list[Element]:
    """Child elements of a parent that must hold no text of its own.

    Raises Refusal: SOAP_STRUCTURE.
    """
    children = list(parent)
    if (parent.text and parent.text.strip()) or any(c.tail and c.tail.strip() for c in children):
        raise Refusal(Code.SOAP_STRUCTURE, "text between elements")
    return children


def _skeleton(root: Element, version: SoapVersion) -> tuple[Element, Element]:
    children = element_children(root)
    wanted = [f"{{{version.value}}}Header", f"{{{version.value}}}Body"]
    if [child.tag for child in children] != wanted:
        raise Refusal(Code.SOAP_STRUCTURE)
    header, body = children
    if len(element_children(body)) != 1:  # two operations in one Body: attack Z06
        raise Refusal(Code.SOAP_STRUCTURE, "Body")
    return header, body


def _security(header: Element, version: SoapVersion) -> Element:
    found: list[Element] = []
    for block in element_children(header):
        if block.tag == names.SECURITY:
            found.append(block)
        elif block.tag not in _ADDRESSING and _must_understand(block, version):
            raise Refusal(Code.MUST_UNDERSTAND)
    if len(found) != 1:
        raise Refusal(Code.SECURITY_HEADER)
    # One addressed to another role is signed for somebody else (attack S10).
    if found[0].get(f"{{{version.value}}}actor") or found[0].get(f"{{{version.value}}}role"):
        raise Refusal(Code.SECURITY_HEADER)
    return found[0]


def _must_understand(block: Element, version: SoapVersion) -> bool:
    return (block.get(f"{{{version.value}}}mustUnderstand") or "0").strip() not in {"0", "false"}


def _addressing(header: Element) -> Addressing | None:
    blocks: dict[str, Element] = {}
    for block in header:
        name = _ADDRESSING.get(str(block.tag))
        if name is None:
            continue
        if name in blocks:
            raise Refusal(Code.ADDRESSING, name)
        blocks[name] = block
    if not blocks:
        return None
    for name in ("ReplyTo", "FaultTo"):  # a reply elsewhere is server-side request forgery (attack W22)
        if name in blocks and _reply_address(blocks[name]) != names.WSA_ANONYMOUS:
            raise Refusal(Code.ADDRESSING, name)
    return Addressing(*(_identifier(blocks, name) for name in ("MessageID", "Action", "To")))


def _reply_address(endpoint: Element) -> str | None:
    children = list(endpoint)
    if [child.tag for child in children] != [f"{{{names.WSA}}}Address"] or len(children[0]):
        return None
    return (children[0].text or "").strip()


def _identifier(blocks: dict[str, Element], name: str) -> str | None:
    if name not in blocks:
        return None
    value = (blocks[name].text or "").strip()
    if len(blocks[name]) or not _IDENTIFIER.fullmatch(value):
        raise Refusal(Code.ADDRESSING, name)
    return value
