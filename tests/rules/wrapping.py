"""Signature wrapping, generated: every signed part moved or copied to every place, with an evil twin.

After McIntosh and Austel (2005) and WS-Attacker: the signature stays valid for a verifier that finds elements
by id, while an application that looks elsewhere reads the twin (attacks S05–S16).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from lxml import etree

from gateway.model import SoapVersion
from tests.world import ACTION, DS, WSSE, WSU, build, wsa

GOOD_ID, EVIL_ID = (
    "urn:uuid:0b7a3c4e-6f1d-4b7e-9a55-0d6a1f0d9b1c",
    "urn:uuid:e0e0e0e0-6f1d-4b7e-9a55-0d6a1f0d9b1c",
)
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
_ID = f"{{{WSU}}}Id"
_NAMES = {"w": WSSE, "u": WSU, "d": DS, "a": "http://www.w3.org/2005/08/addressing"}
_EVIL = {  # part → (where it is, what its twin says instead)
    "Body": ("/*/*[2]", ("good", "evil")),
    "Timestamp": ("/*/*[1]/w:Security/u:Timestamp", ("09:05:00.000", "09:55:00.000")),
    "Action": ("/*/*[1]/a:Action", ("sendTestMessage", "consultDossier")),
    "MessageID": ("/*/*[1]/a:MessageID", (GOOD_ID, EVIL_ID)),
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
    "first in the header": lambda root, place, moved: root[0].insert(0, moved),
    "last in the header": lambda root, place, moved: root[0].append(moved),
    "first in the security header": lambda root, place, moved: _security(root).insert(0, moved),
    "last in the security header": lambda root, place, moved: _security(root).append(moved),
    "in the timestamp": lambda root, place, moved: _only(root, "//u:Timestamp[1]").append(moved),
    "in the token": lambda root, place, moved: _only(root, "//w:BinarySecurityToken[1]").append(moved),
    "in the signature": lambda root, place, moved: _signature(root).append(moved),
    "in an object of the signature": lambda root, place, moved: _in(_signature(root), f"{{{DS}}}Object", moved),
    "in SignedInfo": lambda root, place, moved: _signature(root)[0].append(moved),
    "in SignatureValue": lambda root, place, moved: _signature(root)[1].append(moved),
    "in KeyInfo": lambda root, place, moved: _signature(root)[2].append(moved),
    "in the token reference": lambda root, place, moved: _signature(root)[2][0].append(moved),
    "in RelatesTo": lambda root, place, moved: _in(root[0], "{http://www.w3.org/2005/08/addressing}RelatesTo", moved),
    "in the Body, first": lambda root, place, moved: _body(root).insert(0, moved),
    "in the Body, last": lambda root, place, moved: _body(root).append(moved),
    "in the operation": lambda root, place, moved: _body(root)[0].append(moved),
    "before the place": lambda root, place, moved: place.addprevious(moved),
    "after the place": lambda root, place, moved: place.addnext(moved),
    "in the place, first": lambda root, place, moved: place.insert(0, moved),
    "in the place, last": lambda root, place, moved: place.append(moved),
    "in a second security header": lambda root, place, moved: _in(root[0], f"{{{WSSE}}}Security", moved),
    "in a second header": lambda root, place, moved: _in(root, root[0].tag, moved),
    "in a second Body": lambda root, place, moved: _in(root, _body(root).tag, moved),
}  # fmt: skip

WRAPPERS: dict[str, Callable[[etree._Element], etree._Element]] = {
    "bare": lambda element: element,
    "wrapped": lambda element: _around("{urn:evil}Wrapper", element),
    "in a Security of its own": lambda element: _around(f"{{{WSSE}}}Security", element),
}


def original(version: SoapVersion) -> bytes:
    """One real message with four signed parts."""
    blocks = wsa("Action", ACTION, "action") + wsa("MessageID", GOOD_ID, "id")
    return build(version=version, blocks=blocks, signed=("body", "time", "action", "id"))


def wrapped(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Every variant of `data`, with a sentence that names it."""
    for part in _EVIL:
        for twin in TWINS:
            for place in PLACES:
                for wrapper in WRAPPERS:
                    for mode in ("original moved", "twin added"):
                        sentence = f"{part}, {mode}, {wrapper}, {place}, twin with {twin}"
                        yield sentence, _variant(data, part, twin, place, wrapper, mode)
    for place in ("first in the header", "last in the header", "in the operation", "last in the envelope"):
        yield f"the whole envelope, {place}", _nested(data, place)


def _variant(data: bytes, part: str, twin: str, place: str, wrapper: str, mode: str) -> bytes:
    root = etree.fromstring(data)
    path, evil = _EVIL[part]
    genuine = _only(root, path)
    false = _twin(genuine, *evil)
    TWINS[twin](false, genuine.get(_ID))
    if mode == "original moved":
        genuine.getparent().replace(genuine, false)
        PLACES[place](root, false, WRAPPERS[wrapper](genuine))
    else:
        PLACES[place](root, genuine, WRAPPERS[wrapper](false))
    return etree.tostring(root)


def _nested(data: bytes, place: str) -> bytes:
    """The original envelope inside an evil one that has its security header and another Body."""
    root = etree.fromstring(data)
    genuine = copy.deepcopy(root)
    body = _body(root)
    body.getparent().replace(body, _twin(body, "good", "evil"))
    for signed in _security(genuine):
        if signed.tag == f"{{{DS}}}Signature":
            _security(genuine).remove(signed)
    PLACES[place](root, body, genuine)
    return etree.tostring(root)


def _twin(genuine: etree._Element, old: str, new: str) -> etree._Element:
    text = etree.tostring(genuine).decode()
    assert old in text
    return etree.fromstring(text.replace(old, new))


def _renamed(twin: etree._Element, name: str, id_: str) -> None:
    twin.attrib.pop(_ID)
    twin.set(name, id_)


def _only(root: etree._Element, path: str) -> etree._Element:
    return root.xpath(path, namespaces=_NAMES)[0]


def _security(root: etree._Element) -> etree._Element:
    return _only(root, "//w:Security[d:Signature]")


def _signature(root: etree._Element) -> etree._Element:
    return _only(root, "//d:Signature")


def _body(root: etree._Element) -> etree._Element:
    return next(child for child in root if etree.QName(child).localname == "Body")


def _in(parent: etree._Element, tag: str, moved: etree._Element) -> None:
    parent.append(_around(tag, moved))


def _around(tag: str, element: etree._Element) -> etree._Element:
    wrapper = etree.Element(tag)
    wrapper.append(element)
    return wrapper
