"""What was released, as the file holds it, against the field records of its entry: nothing in it but what they release.

Both are committed to by the entry, each by itself. Whether they say the same only whoever has both can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lxml import etree

from gateway.exchangelog.fields import FieldRecord
from gateway.exchangelog.flaw import Finding, Flaw
from gateway.model import SERVICE
from gateway.refusal import Refusal
from gateway.soap.xml import Element, Limits, parse

# A payload stands in a message that declares this prefix.
_OPEN, _CLOSE = f'<payload xmlns:s="{SERVICE}">'.encode(), b"</payload>"


def check_payload(index: int, payload: bytes, records: Sequence[FieldRecord]) -> Iterator[Finding]:
    """Each path of the payload that the records withhold (LOG627) or do not have (LOG628).

    Where there are no records nothing is a field: of an echo, or of what an authority may ask.
    """
    reasons = {one.path: one.reason for one in records}
    try:
        root = parse(_OPEN + payload + _CLOSE, Limits())
    except Refusal as refusal:
        yield Finding(Flaw.BODY, index, f"payload: {refusal.code.row.code}")
        return
    for path in sorted({path for child in root for path in _paths(child, "")}) if records else ():
        if path not in reasons:
            yield Finding(Flaw.UNRECORDED, index, path)
        elif reasons[path] is not None:
            yield Finding(Flaw.WITHHELD_CAME, index, path)


def _paths(element: Element, above: str) -> Iterator[str]:
    """Of whatever says something: a text, also beside elements, and an attribute."""
    path = above + etree.QName(element).localname
    says = (element.text, *(child.tail for child in element), *element.attrib.values())
    if (above and len(element) == 0) or any(one and one.strip() for one in says):
        yield path
    for child in element:
        yield from _paths(child, f"{path}/")
