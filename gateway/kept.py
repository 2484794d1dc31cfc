"""A reply as its recipient kept it: what it says of its entry in the log, and every value that came.

For `gateway.exchangelog.receipt` to check. Whose signature stands under the message is for `wss.verify`, at the
moment when it comes; what the log recorded can still be checked when that signature has long expired.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from gateway.agreement import blocks
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.receipt import Held
from gateway.model import Receipt
from gateway.soap.xml import Element

# Payloads of which no element is a field of a dossier: nothing of them is released or withheld.
FIELDLESS: Final = frozenset({"echo", "accessControl", "messages"})
# Replies that may say nothing of the log: nothing of a dossier is in them (PROTOCOL §14.1, §14.3).
UNLOGGED: Final = frozenset({"listMessages", "acknowledgeMessage"})
_OF_MESSAGES: Final = {"fetchMessage": Kind.DELIVERY, "acknowledgeMessage": Kind.SETTLEMENT}
_BLOCKS: Final = frozenset(
    {
        "informationCustomer",
        "informationGateway",
        "legalContext",
        "criteria",
        "status",
        "dataFilters",
        "notification",
    }
)
_CONTENT: Final = "document/content"  # recorded as the SHA-256 of the content (§8.3)


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply: what came, and its receipt, not believed yet. `receipt`: None where the reply names no entry."""

    operation: str  # that was asked for
    ticket: str  # of the question, echoed
    held: Held
    receipt: Receipt | None


def read_reply(element: Element) -> Kept:
    """The reply in a response element. Raises `ProofError` (LOG629) for what is none."""
    try:
        return _read(element)
    except (KeyError, IndexError, ValueError) as error:
        raise ProofError(Flaw.REPLY_FORM) from error


def _read(element: Element) -> Kept:
    found = {blocks.name_of(child): child for child in element}
    # One of each, and one payload: a second one would be read by others, and here by nobody.
    if len(found) != len(element) or len(found.keys() - _BLOCKS - {blocks.name_of(element[-1])}) > 0:
        raise ValueError
    operation = blocks.name_of(element).removesuffix("Response")
    status = blocks.texts(found["status"])["value"]
    payload = element[-1]
    holds = blocks.name_of(payload) not in _BLOCKS | FIELDLESS
    values: dict[str, list[str]] = {}
    for path, text in _leaves(payload, "") if holds else ():
        values.setdefault(path, []).append(text)
    customer = blocks.read_customer(found["informationCustomer"])
    held = Held(
        exchange=blocks.texts(found["informationGateway"])["ticketGateway"],
        kind=_kind(operation, status),
        recipient=str(customer.enterprise),
        legal_context=blocks.text_of(found["legalContext"]),
        operation=_recorded_operation(operation, found),
        values={path: tuple(texts) for path, texts in values.items()},
    )
    return Kept(operation, customer.ticket, held, blocks.read_receipt(found["informationGateway"]))


def _kind(operation: str, status: str) -> Kind:
    """Of the entry behind a reply. An upload is acknowledged like a notification, and recorded like an answer."""
    if operation in _OF_MESSAGES:
        return _OF_MESSAGES[operation]
    return Kind.NOTIFICATION if status == "OK" and operation != "uploadDocument" else Kind.RESPONSE


def _recorded_operation(operation: str, found: dict[str, Element]) -> str | None:
    """Of a message from a mailbox the entry names the notification's."""
    if operation not in _OF_MESSAGES:
        return operation
    told = found.get("notification")
    return None if told is None else blocks.texts(told)["operation"]


def _leaves(element: Element, above: str) -> Iterator[tuple[str, str]]:
    """Path and text of every element without elements, in document order. Raises ValueError for text elsewhere."""
    path = above + blocks.name_of(element)
    stray = (element.text if len(element) else "", *(child.tail for child in element))
    if element.attrib or any(text and text.strip() for text in stray):
        raise ValueError
    if len(element) == 0:
        text = element.text or ""
        yield path, sha256(b64decode(text, validate=True)).hexdigest() if path == _CONTENT else text
    for child in element:
        yield from _leaves(child, f"{path}/")
