"""The closed form of a leaf: for each kind its keys, and for each key what may stand there.

Checked when an entry is made, at the last step before hashing, and when one is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import Settlement
from gateway.refusal import Code

VERSION: Final = 1
RETENTION: Final = "exchange"  # retention class; the agreement says how many years
PERMITTED, RELEASED, INCOMPLETE, ACCEPTED = "permitted", "released", "incomplete", "accepted"
MAX_PARTIES: Final = 256  # authorities that one request or notification may go to


class Kind(StrEnum):
    """What the entry records."""

    REQUEST = "request"  # commit 1: may be forwarded
    RESPONSE = "response"  # commit 2: may be returned
    REFUSAL = "refusal"  # instead of either
    NOTIFICATION = "notification"  # taken in: will be delivered
    DELIVERY = "delivery"  # what one recipient may receive of it
    SETTLEMENT = "settlement"  # the end of a delivery


class DropReason(StrEnum):
    """Why the operator ended a delivery that could not be made."""

    DUPLICATE = "duplicate"  # the recipient has the same from another notification
    SENT_IN_ERROR = "sent-in-error"  # the sender says so
    INFORMED_OTHERWISE = "informed-otherwise"  # the recipient was told by other means
    RECIPIENT_CLOSED = "recipient-closed"  # it exists no more, and nobody took its place


_Check = Callable[[object], bool]


def check(record: Mapping[str, object]) -> None:
    """Whether the record has exactly the closed form. Raises `ProofError`."""
    kind = record.get("kind")
    form = _FORM.get(kind) if isinstance(kind, str) else None
    if form is None or record.keys() != form.keys():
        raise ProofError(Flaw.ENTRY_FORM, "keys")
    for key, allowed in form.items():
        if not allowed(record[key]):
            raise ProofError(Flaw.ENTRY_FORM, key)
    if record["schema"] != record["policy"]:
        raise ProofError(Flaw.ENTRY_FORM, "schema")
    if kind == Kind.SETTLEMENT:
        _check_end(record)


def _check_end(settlement: Mapping[str, object]) -> None:
    """Only the recipient's own acknowledgement is signed, and only the operator has a reason to give."""
    decision = settlement["decision"]
    if (settlement["msgsig"] is not None) != (decision == Settlement.ACKNOWLEDGED):
        raise ProofError(Flaw.ENTRY_FORM, "msgsig")
    if (settlement["reason"] is not None) != (decision == Settlement.DROPPED):
        raise ProofError(Flaw.ENTRY_FORM, "reason")


def _text(pattern: str) -> _Check:
    match = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: isinstance(value, str) and match(value) is not None


def _or_null(allowed: _Check) -> _Check:
    return lambda value: value is None or allowed(value)


def _null(value: object) -> bool:
    return value is None


def _only(*allowed: object) -> _Check:
    # The type too: True equals 1, and 1.0 equals 1.
    pairs = [(type(one), one) for one in allowed]
    return lambda value: (type(value), value) in pairs


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value <= 0xFFFF


def _time(value: object) -> bool:
    if not _TIME(value):
        return False
    try:
        datetime.fromisoformat(str(value))
    except ValueError:  # 30 February
        return False
    return True


def _parties(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_PARTIES and all(map(_PARTY, value))


def _party(value: object) -> bool:
    return _parties(value) and isinstance(value, list) and len(value) == 1


_TIME = _text(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")
_PARTY = _text(r"\d{10}(/[A-Za-z0-9][A-Za-z0-9 ._-]{0,63})?")
_UUID = _text(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPERATION = _text(r"[A-Za-z][A-Za-z0-9]{0,63}")
_CONTEXT = _text(r"[A-Z]{1,16}:[A-Z_]{1,47}")
_REVISION = _text(r"[0-9a-f]{64}")
_DIGEST = _text(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")  # 32 bytes: the last two bits are unused, so zero
_NONCE = _text(r"[A-Za-z0-9_-]{21}[AQgw]")  # 16 bytes: four unused bits

_ALWAYS: Final[Mapping[str, _Check]] = {
    "v": _only(VERSION),
    "id": _UUID,
    "t": _time,
    "kind": _only(*(kind.value for kind in Kind)),
    "from": _PARTY,
    "to": _parties,
    "subj": _DIGEST,
    "actor": _null,
    "ret": _only(RETENTION),
    "nonce": _NONCE,
}
_GRANTED: Final[Mapping[str, _Check]] = {
    "svc": _OPERATION,
    "schema": _REVISION,
    "purpose": _CONTEXT,
    "policy": _REVISION,
    "body": _DIGEST,
}
_FIELDS: Final[Mapping[str, _Check]] = {"fields_root": _DIGEST, "nfields": _count}
_NO_FIELDS: Final[Mapping[str, _Check]] = {"fields_root": _null, "nfields": _only(0)}
# Of a notification, to one of its recipients.
_DELIVERED: Final[Mapping[str, _Check]] = {"to": _party, "of": _UUID, "in_force": _REVISION}
_FORM: Final[Mapping[str, Mapping[str, _Check]]] = {
    Kind.REQUEST: {**_ALWAYS, **_GRANTED, **_NO_FIELDS, "decision": _only(PERMITTED), "msgsig": _DIGEST},
    Kind.RESPONSE: {
        **_ALWAYS,
        **_GRANTED,
        **_FIELDS,
        "decision": _only(RELEASED, INCOMPLETE),
        "msgsig": _or_null(_DIGEST),  # null: the hub itself answered
    },
    Kind.REFUSAL: {
        **_ALWAYS,
        **_NO_FIELDS,
        "to": _only([]),
        "svc": _or_null(_OPERATION),
        "schema": _or_null(_REVISION),
        "purpose": _or_null(_CONTEXT),
        "policy": _or_null(_REVISION),
        "decision": _only(*(code.row.code for code in Code)),
        "body": _null,
        "msgsig": _or_null(_DIGEST),
    },
    Kind.NOTIFICATION: {
        **_ALWAYS,
        **_GRANTED,
        **_NO_FIELDS,
        "decision": _only(ACCEPTED),
        "msgsig": _DIGEST,
    },
    Kind.DELIVERY: {
        **_ALWAYS,
        **_GRANTED,
        **_FIELDS,
        **_DELIVERED,
        "decision": _only(RELEASED),
        "msgsig": _null,  # the sender's signature stands in the entry of the notification
    },
    Kind.SETTLEMENT: {
        **_ALWAYS,
        **_GRANTED,
        **_NO_FIELDS,
        **_DELIVERED,
        "body": _null,
        "decision": _only(*(one.value for one in Settlement)),
        "reason": _or_null(_only(*(one.value for one in DropReason))),
        "msgsig": _or_null(_DIGEST),
    },
}
