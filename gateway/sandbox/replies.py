"""The hub's verified replies as a requester reads them: answers, receipts, and what waits in a mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.exchangelog.receipt import Proven

Reply = Mapping[str, Any]  # elements of a response by name, in their order: plain dictionaries, lists, values


@dataclass(frozen=True, slots=True)
class Answered:
    """The reply to a question."""

    outcome: str
    code: str
    description: str
    missing: tuple[str, ...]  # sources that did not answer
    filtered: tuple[str, ...]  # what the hub declares as withheld
    exchange: str
    log_index: int | None  # None: there was nothing to record
    log_size: int | None  # entries under the checkpoint by which that entry is proven
    element: str  # name of the payload, with which the paths in `filtered` begin; "" when there is none
    payload: object  # plain dictionaries and lists, None when there is none
    notification: Reply | None  # of a fetched message: what it is, and about which dossier
    message: bytes


@dataclass(frozen=True, slots=True)
class Receipted:
    """The receipt of a notification: nothing can lose it any more."""

    outcome: str
    code: str
    description: str
    exchange: str
    log_index: int | None
    log_size: int | None
    message: bytes


@dataclass(frozen=True, slots=True)
class Heading:
    """A message that waits in a mailbox."""

    message: str
    operation: str
    legal_context: str  # under which it is to be fetched
    accepted: datetime


def answered(reply: Reply, message: bytes, proven: Proven | None) -> Answered:
    """`message`: the reply as it came; `proven`: its entry in the exchange log, if it left one."""
    status = reply["status"]
    information = status.get("information") or []
    payload = list(reply)[-1]  # the contract: the last element of a response
    element = "" if payload == "status" else payload
    filters = reply.get("dataFilters") or {}
    return Answered(
        outcome=status["value"],
        code=status["code"],
        description=status["description"],
        missing=tuple(one["fieldValue"] for one in information if one["fieldName"] == "MISSING_SOURCE"),
        filtered=tuple(filters.get("filteredElement") or ()),
        exchange=reply["informationGateway"]["ticketGateway"],
        log_index=None if proven is None else proven.index,
        log_size=None if proven is None else proven.checkpoint.size,
        element=element,
        payload=reply[element] if element else None,
        notification=reply.get("notification"),
        message=message,
    )


def receipted(reply: Reply, message: bytes, proven: Proven | None) -> Receipted:
    """`message`: the receipt as it came; `proven`: the entry of the notification."""
    status = reply["status"]
    return Receipted(
        status["value"],
        status["code"],
        status["description"],
        reply["informationGateway"]["ticketGateway"],
        None if proven is None else proven.index,
        None if proven is None else proven.checkpoint.size,
        message,
    )


def headings(listed: Answered) -> list[Heading]:
    """What a list of messages holds."""
    payload = listed.payload
    found = payload["message"] if isinstance(payload, dict) else []
    return [
        Heading(one["messageId"], one["operation"], one["legalContext"], one["acceptedAt"]) for one in found
    ]
