"""A document as it stands in a message, answered or uploaded: its content taken out, its digest in the place.

From then on nothing but the digest of a document is filtered, merged and recorded, whatever its size.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from gateway.agreement.blocks import name_of, service
from gateway.model import SERVICE, Request
from gateway.refusal import Code, Refusal
from gateway.soap.xml import Element

_CONTENT: Final = f"{{{SERVICE}}}content"
_EMPTY: Final = hashlib.sha256().hexdigest()
_WHITESPACE: Final = {ord(c): None for c in " \t\r\n"}  # of XML; others are characters like any


@dataclass(frozen=True, slots=True)
class Document:
    """What the element says of its document, and what the content is."""

    reference: str
    type: str
    media_type: str
    sha256: str  # as it is said
    content: str  # SHA-256 of the content; both in lower-case hexadecimal

    def write(self) -> str:
        """The element, with the digest for content."""
        inner = (
            service("reference", self.reference)
            + service("type", self.type)
            + service("mediaType", self.media_type)
            + service("sha256", self.sha256)
            + service("content", self.content)
        )
        return f'<s:document xmlns:s="{SERVICE}">{inner}</s:document>'


def take_content(element: Element, place: Element | None) -> tuple[Document, bytes]:
    """The document of a schema-valid element, and the content that stood there, b"" when it is attached.

    `place`: the element whose content came as an attachment, with that content's SHA-256 as its text. In the
    place of every content its digest then stands. Raises ValueError: the content is none, or is elsewhere.
    """
    held, content = element.find(_CONTENT), b""
    assert held is not None  # the contract demands it
    if place is None:
        content = _decoded(held.text or "")
        held.text = hashlib.sha256(content).hexdigest()
    elif held is not place:  # the contract knows one place for it
        raise ValueError("an attachment elsewhere")
    if held.text == _EMPTY:  # of an attachment the contract does not see the size
        raise ValueError("an empty document")
    said = {name_of(child): child.text or "" for child in element}
    document = Document(said["reference"], said["type"], said["mediaType"], said["sha256"], said["content"])
    return document, content


def require_uploaded(request: Request, place: Element | None) -> tuple[str, bytes]:
    """The media type of the document that a request uploads, and its content as `take_content` returns it.

    Raises Refusal: SCHEMA, DOCUMENT_MISMATCH.
    """
    named = request.criteria
    assert request.payload is not None  # agreement.admit refuses an upload of nothing
    try:
        document, content = take_content(request.payload, place)
    except ValueError as error:
        raise Refusal(Code.SCHEMA, "content") from error
    if not document.content == document.sha256 == named.document_sha256:
        raise Refusal(Code.DOCUMENT_MISMATCH, "digest")
    if (document.reference, document.type) != (named.document_reference, named.document_type):
        raise Refusal(Code.DOCUMENT_MISMATCH)
    return document.media_type, content


def _decoded(content: str) -> bytes:
    """What every decoder makes of the content: libxml2's base64Binary lets other characters stand between those of
    base64, which one decoder skips and another reads, so that digest and document would be of different bytes.

    Raises ValueError.
    """
    raw = content.translate(_WHITESPACE)
    data = base64.b64decode(raw, validate=True)
    if base64.b64encode(data).decode() != raw:
        raise ValueError("not canonical")
    return data
