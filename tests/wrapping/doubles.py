"""Signature wrapping, generated: headers, tokens and signatures that stand twice, and messages inside messages.

What is signed stays where it is, or goes along whole; which of two an application reads depends on the application
(attacks S10–S13, S18, S19, S41–S43).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from lxml import etree

from gateway.model import SoapVersion
from tests.world import DS, WSA, WSSE, WSU
from tests.wrapping.messages import Message, Shape
from tests.wrapping.moves import (
    PARTS,
    STRANGER,
    Plan,
    around,
    body,
    header,
    only,
    security,
    signature,
    twin_of,
)
from tests.wrapping.nesting import nestings

Change = Callable[[etree._Element], None]
_ID = f"{{{WSU}}}Id"
_ACTORS = {
    "no actor": None,
    "an empty actor": "",
    "the next actor": "http://schemas.xmlsoap.org/soap/actor/next",
    "the role next": "http://www.w3.org/2003/05/soap-envelope/role/next",
    "the role none": "http://www.w3.org/2003/05/soap-envelope/role/none",
    "the role of the last receiver": "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
    "an actor of its own": "urn:evil:actor",
}


def doubles(data: bytes, message: Message, shape: Shape) -> Iterator[Plan]:
    """Every variant of a signed message in which something stands twice."""
    foreign = etree.fromstring(message.lying(STRANGER).sign(shape))
    for sentence, change in _changes(shape.version, foreign):
        yield Plan(sentence, _changed(data, change), lie=sentence.startswith("the lie"))


def _changed(data: bytes, change: Change) -> Callable[[], bytes]:
    def make() -> bytes:
        root = etree.fromstring(data)
        change(root)
        return etree.tostring(root)

    return make


def _changes(version: SoapVersion, foreign: etree._Element) -> Iterator[tuple[str, Change]]:
    yield from _second_security(version, foreign)
    yield from _second_child(foreign)
    yield from _second_signature(foreign)
    yield from _second_info()
    yield from _second_of_the_envelope()
    yield from nestings()


def _second_security(version: SoapVersion, foreign: etree._Element) -> Iterator[tuple[str, Change]]:
    """One that is empty, a copy, or a stranger's; before and behind the genuine one."""
    for words, actor in _ACTORS.items():
        for attribute in ("actor", "role"):
            for kind in ("empty", "a copy", "a stranger's"):
                for before in (True, False):
                    where = "before" if before else "behind"
                    sentence = f"a second security header, {kind}, {words} in @{attribute}, {where}"
                    name = f"{{{version.value}}}{attribute}"
                    yield sentence, _security_added(foreign, kind, name, actor, before)
        if actor:
            yield f"the security header for {words}", _attribute(f"{{{version.value}}}actor", actor)
            yield f"the security header for {words}, by role", _attribute(f"{{{version.value}}}role", actor)


def _security_added(foreign: etree._Element, kind: str, name: str, actor: str | None, before: bool) -> Change:
    def change(root: etree._Element) -> None:
        genuine = security(root)
        made = {
            "empty": lambda: etree.Element(f"{{{WSSE}}}Security"),
            "a copy": lambda: copy.deepcopy(genuine),
            "a stranger's": lambda: copy.deepcopy(security(foreign)),
        }[kind]()
        if actor is not None:
            made.set(name, actor)
        (genuine.addprevious if before else genuine.addnext)(made)

    return change


def _attribute(name: str, value: str) -> Change:
    return lambda root: security(root).set(name, value)


def _second_child(foreign: etree._Element) -> Iterator[tuple[str, Change]]:
    """A second token, Timestamp or addressing block beside the first: the same, or a lie."""
    for name in ("Token", "Timestamp", "Action", "MessageID", "To"):
        for kind in ("a copy", "a lie", "a lie without id", "a lie with another id"):
            for before in (True, False):
                where = "before" if before else "behind"
                yield f"a second {name}, {kind}, {where}", _child_added(name, kind, before)
    for kind in ("a copy", "a lie"):
        for place in ("header", "body", "signature"):
            for name in ("Token", "Timestamp"):
                yield f"a second {name}, {kind}, in the {place}", _child_elsewhere(name, kind, place)
    yield "a stranger's token in the place of the signer's", _stranger_for("BinarySecurityToken", foreign)


def _child_added(name: str, kind: str, before: bool) -> Change:
    def change(root: etree._Element) -> None:
        found = root.xpath(PARTS[name].path, namespaces={"w": WSSE, "u": WSU, "a": WSA})
        if not found:  # without addressing the first one is added too
            block = etree.fromstring(f'<a:{name} xmlns:a="{WSA}">urn:evil:gateway</a:{name}>')
            header(root).extend([block, copy.deepcopy(block)])
            return
        made = _made(found[0], name, kind)
        (found[0].addprevious if before else found[0].addnext)(made)

    return change


def _child_elsewhere(name: str, kind: str, place: str) -> Change:
    def change(root: etree._Element) -> None:
        made = _made(only(root, PARTS[name].path), name, kind)
        {"header": header, "body": lambda root: body(root)[0], "signature": signature}[place](root).append(
            made
        )

    return change


def _made(genuine: etree._Element, name: str, kind: str) -> etree._Element:
    made = copy.deepcopy(genuine) if kind == "a copy" else twin_of(genuine, PARTS[name])
    if kind == "a lie without id":
        made.attrib.pop(_ID, None)
    elif kind == "a lie with another id":
        made.set(_ID, "another")
    return made


def _stranger_for(local: str, foreign: etree._Element) -> Change:
    def change(root: etree._Element) -> None:
        genuine = only(root, f"//w:{local}")
        genuine.getparent().replace(genuine, copy.deepcopy(only(foreign, f"//w:{local}")))

    return change


def _second_signature(foreign: etree._Element) -> Iterator[tuple[str, Change]]:
    """Of the signer or of a stranger, whole or covering nothing of this message; in and outside the header."""
    for kind in ("a copy", "a stranger's", "a stranger's with its token", "empty"):
        for where in ("before", "behind", "in the Body", "in the header", "in an Object", "in KeyInfo"):
            yield f"a second signature, {kind}, {where}", _signature_added(foreign, kind, where)
    yield "a stranger's signature in the place of the signer's", lambda root: _take_over(root, foreign)


def _signature_added(foreign: etree._Element, kind: str, where: str) -> Change:
    def change(root: etree._Element) -> None:
        genuine = signature(root)
        made = {
            "a copy": lambda: copy.deepcopy(genuine),
            "empty": lambda: etree.Element(f"{{{DS}}}Signature"),
        }.get(kind, lambda: copy.deepcopy(signature(foreign)))()
        if kind.endswith("token"):
            token = copy.deepcopy(only(foreign, "//w:BinarySecurityToken"))
            token.set(_ID, "foreign")
            only(made, ".//w:Reference").set("URI", "#foreign")
            security(root).append(token)
        {
            "before": genuine.addprevious,
            "behind": genuine.addnext,
            "in the Body": body(root)[0].append,
            "in the header": header(root).append,
            "in an Object": lambda one: genuine.append(around(f"{{{DS}}}Object", one)),
            "in KeyInfo": genuine[2].append,
        }[where](made)

    return change


def _take_over(root: etree._Element, foreign: etree._Element) -> None:
    genuine = signature(root)
    genuine.getparent().replace(genuine, copy.deepcopy(signature(foreign)))


def _second_info() -> Iterator[tuple[str, Change]]:
    """A second SignedInfo, SignatureValue or reference, and a Manifest: which of them counts?"""
    for index, name in enumerate(("SignedInfo", "SignatureValue", "KeyInfo")):
        yield f"a second {name} before", lambda root, n=index: _copied(signature(root)[n], before=True)
        yield f"a second {name} behind", lambda root, n=index: _copied(signature(root)[n], before=False)
        yield (
            f"a second {name} in an Object",
            lambda root, n=index: signature(root).append(
                around(f"{{{DS}}}Object", copy.deepcopy(signature(root)[n]))
            ),
        )
    yield "each reference twice", lambda root: [_copied(one, before=False) for one in signature(root)[0][2:]]
    yield (
        "a Manifest of the references",
        lambda root: signature(root).append(
            around(f"{{{DS}}}Object", around(f"{{{DS}}}Manifest", copy.deepcopy(signature(root)[0][2])))
        ),
    )


def _copied(element: etree._Element, *, before: bool) -> None:
    (element.addprevious if before else element.addnext)(copy.deepcopy(element))


def _second_of_the_envelope() -> Iterator[tuple[str, Change]]:
    yield "a second Body, a copy, behind", lambda root: _copied(body(root), before=False)
    yield (
        "the lie in a first Body, the signed one behind",
        lambda root: body(root).addprevious(twin_of(body(root), PARTS["Body"])),
    )
    yield (
        "the lie in a second Body, behind",
        lambda root: body(root).addnext(twin_of(body(root), PARTS["Body"])),
    )
    yield "a second Header, a copy, before", lambda root: _copied(header(root), before=True)
    yield "a second Header, empty, behind", lambda root: header(root).addnext(etree.Element(header(root).tag))
    yield (
        "the lie as a second operation, first",
        lambda root: body(root).insert(0, twin_of(body(root), PARTS["Body"])[0]),
    )
    yield "a second operation, last", lambda root: body(root).append(twin_of(body(root), PARTS["Body"])[0])
