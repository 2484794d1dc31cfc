"""Signature wrapping, generated: a whole signed message inside one that lies (attacks S11, S13)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from lxml import etree

from tests.world import DS, WSA
from tests.wrapping.moves import PARTS, body, header, only, security, signature, twin_of

Change = Callable[[etree._Element], None]
_HOSTS: dict[str, Callable[[etree._Element], etree._Element]] = {
    "the header": header,
    "the Body": body,
    "the operation": lambda root: body(root)[0],
    "the security header": security,
    "the Timestamp": lambda root: only(root, "//u:Timestamp"),
    "an Object of the signature": lambda root: etree.SubElement(signature(root), f"{{{DS}}}Object"),
    "RelatesTo": lambda root: etree.SubElement(header(root), f"{{{WSA}}}RelatesTo"),
    "an unknown header block": lambda root: etree.SubElement(header(root), "{urn:evil}Block"),
}


def nestings() -> Iterator[tuple[str, Change]]:
    """The whole signed message inside one that lies; the outer keeps all, some or nothing of the security header."""
    for host in _HOSTS:
        for kept in ("all", "only the signature", "everything but the signature", "nothing"):
            yield f"the lie around the whole message in {host}; it keeps {kept}", _nesting(host, kept)


def _nesting(host: str, kept: str) -> Change:
    def change(root: etree._Element) -> None:
        genuine = _nested(root)
        place = _HOSTS[host](root)
        outer = list(security(root))
        for child in outer:
            is_signature = child.tag == f"{{{DS}}}Signature"
            if kept == "nothing" or (
                kept != "all" and is_signature is (kept == "everything but the signature")
            ):
                child.getparent().remove(child)
            elif kept != "all":
                _remove(genuine, child.tag)
        place.append(genuine)

    return change


def _remove(genuine: etree._Element, tag: str) -> None:
    inner = only(
        genuine,
        f"//w:Security/*[namespace-uri()='{tag[1:].partition('}')[0]}' and local-name()='{tag.partition('}')[2]}']",
    )
    inner.getparent().remove(inner)


def _nested(root: etree._Element) -> etree._Element:
    """A copy of the whole message, its Body replaced by a lie in the message itself."""
    genuine = copy.deepcopy(root)
    body(root).getparent().replace(body(root), twin_of(body(root), PARTS["Body"]))
    return genuine
