"""A signed message as it is kept: as received, but for the content of a document, which is kept nowhere twice.

In the place of the content stands an xop:Include, as if it had been attached. What was signed can be restored with
the content, and with nothing else (`restored`).
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from lxml import etree

from gateway.model import SERVICE
from gateway.soap import names
from gateway.soap.xml import Element, parse_verified

_CONTENT: Final = f"{{{SERVICE}}}content"
_SHA256: Final = f"{{{SERVICE}}}sha256"
_LINES: Final = "cid:lines"  # the base64 stood in lines, whose lengths are lost


def without_content(message: bytes) -> bytes:
    """A message that passed `soap.envelope.read`, as it is kept: unchanged where it holds no document's content.

    That stands once, in the Body. Elsewhere, in a header block or twice, it is no document's: whoever adds it would
    only make a message that cannot be proved any more.
    """
    if b"content" not in message:  # no other way to write the name
        return message
    root = parse_verified(message)
    held = list(root[-1].iter(_CONTENT))
    text = held[0].text if len(held) == 1 and not len(held[0]) else None
    if not text:
        return message
    held[0].text = None
    href = _LINES if any(mark in text for mark in " \t\r\n") else "cid:document"
    etree.SubElement(held[0], names.INCLUDE, href=href)
    return etree.tostring(root, encoding="UTF-8")


@dataclass(frozen=True, slots=True)
class Apart:
    """What a kept message says of the document that is not in it."""

    content_id: str
    sha256: str  # in lower-case hexadecimal, as stated beside it; "" when it is not
    in_lines: bool  # the content cannot be put back as it stood


def apart(root: Element) -> Apart | None:
    """None: the message is whole."""
    include = next(root.iter(names.INCLUDE), None)
    if include is None:
        return None
    href, place = include.get("href", ""), include.getparent()
    beside = None if place is None else place.getparent()
    stated = "" if beside is None else (beside.findtext(_SHA256) or "").strip()
    return Apart(unquote(href.removeprefix("cid:")), stated, href == _LINES)


def restored(message: bytes, document: bytes) -> bytes:
    """The message with its document in the place of the Include. Whether this was signed, the signature says."""
    root = parse_verified(message)
    for include in list(root.iter(names.INCLUDE)):
        place = include.getparent()
        if place is not None:
            place.remove(include)
            place.text = b64encode(document).decode()
    return etree.tostring(root, encoding="UTF-8")
