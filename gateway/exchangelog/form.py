"""The closed form of a leaf: for each kind its keys, and for each key what may stand there.

Checked when an entry is made, at the last step before hashing, and when one is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.tile import WIDTH
from gateway.model import Settlement
from gateway.refusal import Code

VERSION: Final = 1
RETENTION: Final = "exchange"  # retention class; the agreement says how many years
PERMITTED, RELEASED, INCOMPLETE, ACCEPTED = "permitted", "released", "incomplete", "accepted"
ERASED, PRUNED = "erased", "pruned"
ANNOUNCED: Final = "announced"
MAX_PARTIES: Final = 256  # authorities that one request or notification may go to


class Kind(StrEnum):
    """What the entry records."""

    REQUEST = "request"  # commit 1: may be forwarded
    RESPONSE = "response"  # commit 2: may be returned
    REFUSAL = "refusal"  # instead of either
    NOTIFICATION = "notification"  # taken in: will be delivered
    DELIVERY = "delivery"  # what one recipient may receive of it
    SETTLEMENT = "settlement"  # the end of a delivery
    ERASURE = "erasure"  # what was kept beside entries is destroyed
    PRUNING = "pruning"  # entries below an index are no longer kept
    KEY_ROTATION = "key-rotation"  # another key will sign checkpoints
    SUCCESSOR = "successor"  # the first entry of a log that goes on for another
    ACCESS = "access"  # an officer looks somebody up: before the answer is given


# Kinds of entries about the log itself: no hub need have served for them.
OF_THE_LOG: Final = (Kind.ERASURE, Kind.PRUNING, Kind.KEY_ROTATION, Kind.SUCCESSOR, Kind.ACCESS)


class DropReason(StrEnum):
    """Why the operator ended a delivery that could not be made."""

    DUPLICATE = "duplicate"  # the recipient has the same from another notification
    SENT_IN_ERROR = "sent-in-error"  # the sender says so
    INFORMED_OTHERWISE = "informed-otherwise"  # the recipient was told by other means
    RECIPIENT_CLOSED = "recipient-closed"  # it exists no more, and nobody took its place


class Basis(StrEnum):
    """By what right, or for what duty, something is erased."""

    DATA_SUBJECT = "gdpr-17"  # the right to erasure
    AUTHORITY = "gdpr-58-2-g"  # ordered by a supervisory authority
    COURT = "court-order"
    RETENTION = "retention"  # GDPR art. 5(1)(e): the agreement's period has ended
    BREACH = "gdpr-33-5"  # none erased it: it is lost, and that is documented


class Ground(StrEnum):
    """Which case of the basis; the word is that of GDPR art. 17(1)."""

    NOT_NECESSARY = "not-necessary"  # art. 17(1)(a)
    OBJECTION = "objection"  # (c)
    UNLAWFUL = "unlawful-processing"  # (d)
    OBLIGATION = "legal-obligation"  # (e)
    ORDERED = "ordered"
    EXPIRED = "expired"
    KEY_LOST = "key-lost"  # of a bucket


GROUNDS: Final[Mapping[str, frozenset[str]]] = {
    Basis.DATA_SUBJECT: frozenset(
        {
            Ground.NOT_NECESSARY,
            Ground.OBJECTION,
            Ground.UNLAWFUL,
            Ground.OBLIGATION,
        }
    ),
    Basis.AUTHORITY: frozenset({Ground.ORDERED}),
    Basis.COURT: frozenset({Ground.ORDERED}),
    Basis.RETENTION: frozenset({Ground.EXPIRED}),
    Basis.BREACH: frozenset({Ground.KEY_LOST}),
}


class Ending(StrEnum):
    """Why a log has a successor."""

    ENDED = "ended"  # its time was over: each year has a log of its own
    FORKED = "forked"  # two checkpoints by its key contradict each other
    LOST = "lost"  # its store, or its key, is gone


class Query(StrEnum):
    """What an officer asked of the log."""

    LIST = "list"  # entries, some of them
    EXPORT = "export"  # all entries that match, to be kept elsewhere
    SUBJECT = "subject"  # the report that a person may ask for
    EVIDENCE = "evidence"  # all that is kept of one exchange, in one file
    ERASURE = "erasure"  # what there is to erase


class SearchedBy(StrEnum):
    """What the officer gave to find entries by; its value is committed to, and stands nowhere."""

    DOSSIER = "dossier"
    PERSON = "person"
    ENTRY = "entry"  # an index, which `start` and `end` tell in any case


_Check = str  # a regular expression over the canonical JSON of a value


def require(data: bytes) -> Kind:
    """The kind of record that these bytes are, once they are canonical JSON (RFC 8785) of exactly the closed form.

    One expression for each kind says all of it, so that a whole log is checked in seconds: every key in its place,
    no other, every value in the one way to write it. Raises `ProofError`.
    """
    named = _KIND.search(data)
    kind, forms = (None, ()) if named is None else _canonical(named[1])
    found = next((one for form in forms if (one := form.fullmatch(data))), None)
    if kind is None or found is None:
        raise ProofError(Flaw.ENTRY_FORM, _wrong(data))
    try:
        datetime.fromisoformat(found["t"].decode())
    except ValueError:  # 30 February
        raise ProofError(Flaw.ENTRY_FORM, "t") from None
    sense = _SENSE.get(kind)
    if sense is not None:
        sense(decode(data))
    return kind


def write(record: Mapping[str, object]) -> bytes:
    """The canonical bytes of a record that has exactly the closed form. Raises `ProofError`.

    RFC 8785: every string is printable ASCII, every number a small integer, so sorting keys is all of it. Much
    faster than a general encoder; a test compares the two.
    """
    try:
        data = _encode(record)
    except (TypeError, ValueError):
        raise ProofError(Flaw.ENTRY_FORM, "not JSON") from None
    require(data)
    return data


def _wrong(data: bytes) -> str:
    """What is out of form: a key, or what the bytes are not."""
    try:
        record = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(record, dict):
        return "not an object"
    kind = record.get("kind")
    forms = _FORMS.get(kind, ()) if isinstance(kind, str) else ()
    form = next((one for one in forms if record.keys() == one.keys()), None)
    if form is None:
        return "keys"
    for key, allowed in form.items():
        if re.fullmatch(allowed, json.dumps(record[key], separators=(",", ":")), re.ASCII) is None:
            return key
    # Else a repeated key, another order, white space, needless escapes.
    return "schema" if record["schema"] != record["policy"] else "not canonical"


def _check_end(settlement: Mapping[str, object]) -> None:
    """Only the recipient's own acknowledgement is signed, and only the operator has a reason to give."""
    decision = settlement["decision"]
    if (settlement["msgsig"] is not None) != (decision == Settlement.ACKNOWLEDGED):
        raise ProofError(Flaw.ENTRY_FORM, "msgsig")
    if (settlement["reason"] is not None) != (decision == Settlement.DROPPED):
        raise ProofError(Flaw.ENTRY_FORM, "reason")


def _check_erasure(erasure: Mapping[str, object]) -> None:
    """Of a bucket, which is named, or of entries, which are committed to; and on a ground of the basis."""
    if (erasure["bucket"] is None) == (erasure["erased"] is None):
        raise ProofError(Flaw.ENTRY_FORM, "erased")
    if erasure["ground"] not in GROUNDS[str(erasure["basis"])]:
        raise ProofError(Flaw.ENTRY_FORM, "ground")


def _check_minimum(pruning: Mapping[str, Any]) -> None:
    if pruning["minimum"] % WIDTH:
        raise ProofError(Flaw.ENTRY_FORM, "minimum")


def _check_range(access: Mapping[str, Any]) -> None:
    if access["start"] > access["end"]:
        raise ProofError(Flaw.ENTRY_FORM, "end")


def _text(pattern: str) -> _Check:
    """`pattern` matches neither a quotation mark nor a backslash nor anything but printable ASCII."""
    return f'"(?:{pattern})"'


def _or_null(allowed: _Check) -> _Check:
    return f"(?:{allowed}|null)"


def _only(*allowed: object) -> _Check:
    return "(?:" + "|".join(re.escape(json.dumps(one)) for one in allowed) + ")"


_MOMENT = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z"
_TIME = _text(_MOMENT)
_PARTY = _text(r"\d{10}(?:/[A-Za-z0-9][A-Za-z0-9 ._-]{0,63})?")
_UUID = _text(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_OPERATION = _text(r"[A-Za-z][A-Za-z0-9]{0,63}")
_CONTEXT = _text(r"[A-Z]{1,16}:[A-Z_]{1,47}")
_REVISION = _text(r"[0-9a-f]{64}")
_PARTIES = rf"\[(?:{_PARTY}(?:,{_PARTY}){{0,{MAX_PARTIES - 1}}})?\]"
_ONE_PARTY = rf"\[{_PARTY}\]"
_DIGEST = _text(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")  # 32 bytes: the last two bits are unused, so zero
_BUCKET = _text(r"[a-z][a-z-]{0,15}/\d{4}-(0[1-9]|1[0-2])")
_NONCE = _text(r"[A-Za-z0-9_-]{21}[AQgw]")  # 16 bytes: four unused bits
_COUNT = r"(?:\d|[1-9]\d{1,3}|[1-5]\d{4}|6(?:[0-4]\d{3}|5(?:[0-4]\d{2}|5(?:[0-2]\d|3[0-5]))))"  # two bytes
_NUMBER = r"(?:0|[1-9]\d{0,14})"  # less than 2⁵³: every reader of JSON reads it exactly (RFC 8259 §6)
_POSITIVE = r"[1-9]\d{0,14}"
_ORIGIN = _text(r"[A-Za-z0-9][A-Za-z0-9._~:/-]{0,127}")
_VKEY = _text(r"[A-Za-z0-9][A-Za-z0-9._~:/-]{0,127}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}")  # Ed25519: 33 bytes
_null = "null"

_ALWAYS: Final[Mapping[str, _Check]] = {
    "v": _only(VERSION),
    "id": _UUID,
    "t": _TIME,
    "kind": _only(*(kind.value for kind in Kind)),
    "from": _PARTY,
    "to": _PARTIES,
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
_FIELDS: Final[Mapping[str, _Check]] = {"fields_root": _DIGEST, "nfields": _COUNT}
_NO_FIELDS: Final[Mapping[str, _Check]] = {"fields_root": _null, "nfields": _only(0)}
# Of what the hub does with its own log.
_OWN: Final[Mapping[str, _Check]] = {
    **_ALWAYS,
    **_NO_FIELDS,
    "to": _only([]),
    "svc": _null,
    "schema": _null,
    "purpose": _null,
    "policy": _null,
    "body": _null,
    "msgsig": _null,
}
# By an officer; null only in a log that was begun before officers were named in these entries.
_ACTED: Final[Mapping[str, _Check]] = {"actor": _or_null(_DIGEST)}
# Of a notification, to one of its recipients.
_DELIVERED: Final[Mapping[str, _Check]] = {"to": _ONE_PARTY, "of": _UUID, "in_force": _REVISION}
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
    Kind.ERASURE: {
        **_OWN,
        **_ACTED,
        "decision": _only(ERASED),
        "basis": _only(*(one.value for one in Basis)),
        "ground": _only(*(one.value for one in Ground)),
        "bucket": _or_null(_BUCKET),
        "erased": _or_null(_DIGEST),
        "count": _NUMBER,
    },
    Kind.PRUNING: {**_OWN, **_ACTED, "decision": _only(PRUNED), "minimum": _POSITIVE},
    Kind.KEY_ROTATION: {**_OWN, "decision": _only(ANNOUNCED), "vkey": _VKEY},
    Kind.SUCCESSOR: {
        **_OWN,
        "decision": _only(*(one.value for one in Ending)),
        "of_log": _ORIGIN,
        "of_size": _NUMBER,
        "of_root": _DIGEST,
    },
    Kind.ACCESS: {
        **_OWN,
        "decision": _only(PERMITTED),
        "actor": _DIGEST,
        "body": _DIGEST,  # of the question as it was asked
        "query": _only(*(one.value for one in Query)),
        "by": _only(*(one.value for one in SearchedBy)),
        "start": _NUMBER,
        "end": _NUMBER,
    },
}
# About a log that this one succeeds, which takes no entry any more. A bucket is of all of them: none is named.
_OF_FORMER: Final[Mapping[str, Mapping[str, _Check]]] = {
    Kind.ERASURE: {**_FORM[Kind.ERASURE], "bucket": _null, "of_log": _ORIGIN},
    Kind.ACCESS: {**_FORM[Kind.ACCESS], "of_log": _ORIGIN},
}
_FORMS: Final[Mapping[str, Sequence[Mapping[str, _Check]]]] = {
    kind: (form, *([_OF_FORMER[kind]] if kind in _OF_FORMER else ())) for kind, form in _FORM.items()
}


def _compiled(form: Mapping[str, _Check]) -> re.Pattern[bytes]:
    """The whole record: its keys sorted, and one revision under two names."""
    values = dict(form) | {"policy": f"(?P<policy>{form['policy']})", "schema": "(?P=policy)"}
    values["t"] = f'"(?P<t>{_MOMENT})"'
    inner = ",".join(f'"{key}":{values[key]}' for key in sorted(values))
    return re.compile(rf"\{{{inner}\}}".encode())


@lru_cache(maxsize=64)
def _canonical(name: bytes) -> tuple[Kind | None, Sequence[re.Pattern[bytes]]]:
    """The kind of that name and its expressions. Compiled when one is looked for: few processes meet them all."""
    kind = name.decode()
    return (Kind(kind), tuple(map(_compiled, _FORMS[kind]))) if kind in _FORMS else (None, ())


# Every key that an entry of this kind may have.
KEYS: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset().union(*forms) for kind, forms in _FORMS.items()
}
_KIND = re.compile(rb'"kind":"([a-z-]{1,32})"')  # no value can hold a quotation mark: the first is the key
_SENSE: Final = {  # what no expression says: how values go together
    Kind.SETTLEMENT: _check_end,
    Kind.ERASURE: _check_erasure,
    Kind.PRUNING: _check_minimum,
    Kind.ACCESS: _check_range,
}
_encode = msgspec.json.Encoder(order="deterministic").encode
decode = msgspec.json.Decoder(dict[str, Any]).decode  # of bytes that were checked
