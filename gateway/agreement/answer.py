"""A provider's verified message → the answer to this very question (PROTOCOL §9).

The provider is half trusted: it must answer what was asked, in the contract's form, and write only what it
may provide. What of it may go on is for `policy.view`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from gateway.agreement.document import Document, take_content
from gateway.agreement.load import Agreement
from gateway.agreement.messages import Reply, read_reply
from gateway.model import SERVICE, Answer, Authority, Caller, Node, Outcome, Permitted, Ticket
from gateway.refusal import Code, Refusal
from gateway.soap.xml import Element, parse_verified

_SHARE: Final = 50  # elements of one provider in a gathered list, as in the lists of a dossier
_GATHERED: Final = 500  # elements of the merged list: maxOccurs in the contract, which a reply must keep


def accept(provider: Caller, asked: Ticket, permitted: Permitted, agreement: Agreement) -> Answer:
    """`asked`: the ticket that the hub gave this one question, which is not about a document.

    Raises Refusal: PROVIDER_FAULT, PROVIDER_MISMATCH, PROVIDER_SCHEMA, PROVIDER_RIGHT.
    """
    assert permitted.request.criteria.document_sha256 is None
    reply = _read(provider, asked, permitted, agreement)
    return _answer(provider, reply)


def accept_document(
    provider: Caller, asked: Ticket, permitted: Permitted, agreement: Agreement, place: Element | None
) -> tuple[Answer, bytes]:
    """The answer to a question about a document, and the content that came inside the message, b"" if none did.

    `place`: the element whose content came as an attachment, as `take_content` says.

    Raises Refusal: as `accept`, and DOCUMENT_DIGEST.
    """
    reply = _read(provider, asked, permitted, agreement)
    content = b""
    if reply.payload is not None:
        content = _document(reply.payload, permitted, place)
    elif place is not None:
        raise Refusal(Code.PROVIDER_SCHEMA, "content")
    return _answer(provider, reply), content


def own(hub: Authority, payload: str) -> Answer:
    """The hub's own answer, from the payload element that it wrote."""
    return Answer(hub, Outcome.DATA_FOUND, parse_verified(payload.encode()), b"")


def kept(hub: Authority) -> Answer:
    """The hub's own answer to an upload, which holds nothing."""
    return Answer(hub, Outcome.DATA_FOUND, None, b"")


def not_found(provider: Authority) -> Answer:
    """The answer for a provider that cannot be asked and left no such document with the hub."""
    return Answer(provider, Outcome.NO_DATA_FOUND, None, b"")


def deposited(provider: Authority, document: Document, signature: bytes, permitted: Permitted) -> Answer:
    """The answer for a provider from what it uploaded; `signature`: of the upload.

    Raises Refusal: PROVIDER_RIGHT, PROVIDER_MISMATCH, DOCUMENT_DIGEST.
    """
    payload = parse_verified(document.write().encode())
    _require_right(payload, provider, permitted)
    _require_asked(document, permitted)
    return Answer(provider, Outcome.DATA_FOUND, payload, signature)


def leaves(node: Node, element: Element) -> list[tuple[Node, str]]:
    """Every text of a schema-valid element, with its place in the contract."""
    if not node.children:
        return [(node, element.text or "")]
    found: list[tuple[Node, str]] = []
    _collect(_by_tag(node), element, found)
    return found


def _collect(places: Mapping[str, Node], element: Element, found: list[tuple[Node, str]]) -> None:
    for child in element:
        node = places[str(child.tag)]
        if node.children:
            _collect(_by_tag(node), child, found)
        else:
            found.append((node, child.text or ""))


@lru_cache(maxsize=4096)
def _by_tag(node: Node) -> Mapping[str, Node]:
    """The children of a node of the contract by their Clark names."""
    return {f"{{{child.namespace}}}{child.name}": child for child in node.children}


def _answer(provider: Caller, reply: Reply) -> Answer:
    signed = provider.verified
    return Answer(provider.authority, reply.outcome, reply.payload, signed.signature, signed.message)


def _read(provider: Caller, asked: Ticket, permitted: Permitted, agreement: Agreement) -> Reply:
    element = provider.verified.element[0]
    if element.tag == f"{{{provider.verified.version.value}}}Fault":
        raise Refusal(Code.PROVIDER_FAULT)
    if element.tag != f"{{{SERVICE}}}{permitted.request.operation}Response":
        raise Refusal(Code.PROVIDER_MISMATCH, "operation")
    agreement.contract.validate(element, Code.PROVIDER_SCHEMA)
    reply = read_reply(element)
    _require_same_question(reply, asked, permitted)
    if (reply.outcome is Outcome.DATA_FOUND) != (reply.payload is not None):  # two readings of one answer
        raise Refusal(Code.PROVIDER_SCHEMA, "status")
    if reply.payload is not None:
        _require_right(reply.payload, provider.authority, permitted)
        if agreement.operations[permitted.request.operation].scatter:
            _require_own_region(reply.payload, provider.authority, permitted)
            _require_share(reply.payload, permitted)
    return reply


def _require_same_question(reply: Reply, asked: Ticket, permitted: Permitted) -> None:
    request = permitted.request
    if reply.ticket != asked or reply.legal_context != request.legal_context:  # attack R04
        raise Refusal(Code.PROVIDER_MISMATCH, "ticket")
    if reply.criteria != request.criteria:
        raise Refusal(Code.PROVIDER_MISMATCH, "criteria")


def _require_right(payload: Element, provider: Authority, permitted: Permitted) -> None:
    """Writers are restricted too: a region cannot write a residence decision. One dossier, the one asked about."""
    may = permitted.provided[provider.id]
    for leaf, value in leaves(permitted.view.payload, payload):
        if leaf.field is not None and leaf.field not in may:
            raise Refusal(Code.PROVIDER_RIGHT, leaf.field)
        if leaf.field == "G01.dossierNumber" and value.strip() != permitted.request.criteria.dossier:
            raise Refusal(Code.PROVIDER_MISMATCH, "dossier")  # attack R02


def _require_own_region(payload: Element, provider: Authority, permitted: Permitted) -> None:
    """Gathered answers are merged, so that the region in them alone tells who said what: nobody speaks for another."""
    for leaf, value in leaves(permitted.view.payload, payload):
        if leaf.field == "G34.region" and value != provider.region:
            raise Refusal(Code.PROVIDER_MISMATCH, "region")


def _require_share(payload: Element, permitted: Permitted) -> None:
    """Merged answers are one list of the contract: nobody's may make the reply invalid, or crowd out the others."""
    if len(payload) > min(_SHARE, _GATHERED // len(permitted.providers)):
        raise Refusal(Code.PROVIDER_SCHEMA, "list")


def _document(payload: Element, permitted: Permitted, place: Element | None) -> bytes:
    """A document is the one whose digest was asked for: end to end from the dossier that named it."""
    try:
        document, content = take_content(payload, place)
    except ValueError as error:
        raise Refusal(Code.PROVIDER_SCHEMA, "content") from error
    _require_asked(document, permitted)
    return content


def _require_asked(document: Document, permitted: Permitted) -> None:
    asked = permitted.request.criteria
    if not document.content == document.sha256 == asked.document_sha256:
        raise Refusal(Code.DOCUMENT_DIGEST)
    if (document.reference, document.type) != (asked.document_reference, asked.document_type):
        raise Refusal(Code.PROVIDER_MISMATCH, "document")
