"""Signature wrapping, generated: every signed part moved or copied to every place, with an evil twin.

After McIntosh and Austel (2005) and WS-Attacker: the signature stays valid for a verifier that finds elements
by id, while an application that looks elsewhere reads the twin (attacks S05–S16).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice, product
from typing import NamedTuple

from lxml import etree

from gateway.wss import times
from tests.path.hub import NOW
from tests.world import DS, WSA, WSSE, WSU
from tests.wrapping.messages import EVIL, holder

XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
STRANGER = "GERMAN_COMMUNITY"  # enrolled, and the sender of none of these messages
_ID = f"{{{WSU}}}Id"
_NAMES = {"w": WSSE, "u": WSU, "d": DS, "a": WSA}


class Plan(NamedTuple):
    """One message that is not made yet."""

    sentence: str
    make: Callable[[], bytes]
    lie: bool  # the evil twin stands where the signed part belongs
    refused: bool = True  # or else it may be a header block that nobody reads


@dataclass(frozen=True)
class Part:
    """A part of a message that may be signed, and what its twin says instead."""

    path: str
    lie: Callable[[str], str]


def _says(element: str, value: str) -> Callable[[str], str]:
    return lambda text: re.sub(rf"(<(?:\w+:)?{element}(?: [^>]*)?>)[^<]*", rf"\g<1>{value}", text)


def _of_a_stranger(token: str) -> str:
    return _says("BinarySecurityToken", base64.b64encode(holder(STRANGER).der).decode())(token)


PARTS = {
    "Body": Part("/*/*[2]", _says("ticket", EVIL)),
    "Timestamp": Part(
        "/*/*[1]/w:Security/u:Timestamp", _says("Expires", times.write(NOW + timedelta(minutes=50)))
    ),
    "Action": Part("/*/*[1]/a:Action", _says("Action", "urn:evil:action")),
    "MessageID": Part("/*/*[1]/a:MessageID", _says("MessageID", "urn:evil:message")),
    "To": Part("/*/*[1]/a:To", _says("To", "urn:evil:gateway")),
    "Token": Part("/*/*[1]/w:Security/w:BinarySecurityToken", _of_a_stranger),
}

# How the twin is identified: a function of the twin and of the id of the original.
TWINS: dict[str, Callable[[etree._Element, str], None]] = {
    "the same id": lambda twin, id_: None,
    "no id": lambda twin, id_: twin.attrib.pop(_ID),
    "another id": lambda twin, id_: twin.set(_ID, "evil"),
    "Id": lambda twin, id_: _renamed(twin, "Id", id_),
    "ID": lambda twin, id_: _renamed(twin, "ID", id_),
    "id": lambda twin, id_: _renamed(twin, "id", id_),
    "xml:id": lambda twin, id_: _renamed(twin, XML_ID, id_),
    "evil:Id": lambda twin, id_: _renamed(twin, "{urn:evil}Id", id_),
}

# Where the wrapped element goes. Each function is given the envelope and the place of the part, and inserts.
PLACES: dict[str, Callable[[etree._Element, etree._Element, etree._Element], None]] = {
    "first in the envelope": lambda root, place, moved: root.insert(0, moved),
    "last in the envelope": lambda root, place, moved: root.append(moved),
    "first in the header": lambda root, place, moved: header(root).insert(0, moved),
    "last in the header": lambda root, place, moved: header(root).append(moved),
    "first in the security header": lambda root, place, moved: security(root).insert(0, moved),
    "last in the security header": lambda root, place, moved: security(root).append(moved),
    "in the timestamp": lambda root, place, moved: only(root, "//u:Timestamp[1]").append(moved),
    "in the token": lambda root, place, moved: only(root, "//w:BinarySecurityToken[1]").append(moved),
    "in the signature": lambda root, place, moved: signature(root).append(moved),
    "in an object of the signature": lambda root, place, moved: into(signature(root), f"{{{DS}}}Object", moved),
    "in SignedInfo": lambda root, place, moved: signature(root)[0].append(moved),
    "in SignatureValue": lambda root, place, moved: signature(root)[1].append(moved),
    "in KeyInfo": lambda root, place, moved: signature(root)[2].append(moved),
    "in the token reference": lambda root, place, moved: signature(root)[2][0].append(moved),
    "in RelatesTo": lambda root, place, moved: into(header(root), f"{{{WSA}}}RelatesTo", moved),
    "in the Body, first": lambda root, place, moved: body(root).insert(0, moved),
    "in the Body, last": lambda root, place, moved: body(root).append(moved),
    "in the operation": lambda root, place, moved: body(root)[0].append(moved),
    "before the place": lambda root, place, moved: place.addprevious(moved),
    "after the place": lambda root, place, moved: place.addnext(moved),
    "in the place, first": lambda root, place, moved: place.insert(0, moved),
    "in the place, last": lambda root, place, moved: place.append(moved),
    "in a second security header": lambda root, place, moved: into(header(root), f"{{{WSSE}}}Security", moved),
    "in a second header": lambda root, place, moved: into(root, header(root).tag, moved),
    "in a second Body": lambda root, place, moved: into(root, body(root).tag, moved),
}  # fmt: skip

WRAPPERS: dict[str, Callable[[etree._Element], etree._Element]] = {
    "bare": lambda element: element,
    "wrapped": lambda element: around("{urn:evil}Wrapper", element),
    "in a Security of its own": lambda element: around(f"{{{WSSE}}}Security", element),
}


def moves(data: bytes, first: int = 0, step: int = 1) -> Iterator[Plan]:
    """Every variant of a signed message in which one of its signed parts has a twin; or one in `step` of them."""
    choices = product(signed_parts(data), TWINS, PLACES, WRAPPERS, (True, False))
    for name, twin, place, wrapper, moved in islice(choices, first, None, step):
        mode = "original moved" if moved else "twin added"
        sentence = f"{name}, {mode}, {wrapper}, {place}, twin with {twin}"
        yield Plan(sentence, _variant(data, PARTS[name], twin, place, wrapper, moved), moved, moved)


def signed_parts(data: bytes) -> list[str]:
    """The parts that the signature refers to."""
    root = etree.fromstring(data)
    referenced = {one.get("URI")[1:] for one in root.iter(f"{{{DS}}}Reference")}
    found = ((name, root.xpath(part.path, namespaces=_NAMES)) for name, part in PARTS.items())
    return [name for name, elements in found if elements and elements[0].get(_ID) in referenced]


def _variant(
    data: bytes, part: Part, twin: str, place: str, wrapper: str, moved: bool
) -> Callable[[], bytes]:
    def make() -> bytes:
        root = etree.fromstring(data)
        genuine = only(root, part.path)
        false = twin_of(genuine, part)
        TWINS[twin](false, genuine.get(_ID))
        if moved:
            genuine.getparent().replace(genuine, false)
            PLACES[place](root, false, WRAPPERS[wrapper](genuine))
        else:
            PLACES[place](root, genuine, WRAPPERS[wrapper](false))
        return etree.tostring(root)

    return make


def twin_of(genuine: etree._Element, part: Part) -> etree._Element:
    text = etree.tostring(genuine, with_tail=False).decode()
    lie = part.lie(text)
    assert lie != text, genuine.tag
    return etree.fromstring(lie)


def _renamed(twin: etree._Element, name: str, id_: str) -> None:
    twin.attrib.pop(_ID)
    twin.set(name, id_)


def only(root: etree._Element, path: str) -> etree._Element:
    return root.xpath(path, namespaces=_NAMES)[0]


def security(root: etree._Element) -> etree._Element:
    return only(root, "//w:Security[d:Signature]")


def signature(root: etree._Element) -> etree._Element:
    return only(root, "//d:Signature")


def header(root: etree._Element) -> etree._Element:
    return next(child for child in root if etree.QName(child).localname == "Header")


def body(root: etree._Element) -> etree._Element:
    return next(child for child in root if etree.QName(child).localname == "Body")


def into(parent: etree._Element, tag: str, moved: etree._Element) -> None:
    parent.append(around(tag, moved))


def around(tag: str, element: etree._Element) -> etree._Element:
    wrapper = etree.Element(tag)
    wrapper.append(element)
    return wrapper
