"""The leaf of the exchange log: one small canonical-JSON record of closed form.

No personal data, no free text, and nothing that depends on data: whether anything was found shows neither
in a value nor in the size. Values are committed to with salts that are kept elsewhere (`fields`, `entry`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.tile import MAX_ENTRY
from gateway.refusal import Code

VERSION = 1
RETENTION = "exchange"  # retention class; the agreement says how many years
PERMITTED, RELEASED, INCOMPLETE = "permitted", "released", "incomplete"
MAX_PARTIES = 256  # authorities that one request may go to

# RFC 8785 for this form: every string is printable ASCII, every number a small integer, so sorting keys and
# leaving out white space is all of it. Five times as fast as a general encoder; a test compares the two.
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Kind(StrEnum):
    """What the entry records."""

    REQUEST = "request"  # commit 1: may be forwarded
    RESPONSE = "response"  # commit 2: may be returned
    REFUSAL = "refusal"  # instead of either


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry. Commitments, hashes and the nonce are base64url without padding."""

    id: str  # the exchange: shared by its entries
    time: str  # UTC, milliseconds, "Z"
    kind: Kind
    caller: str  # who asked: enterprise number, and unit where the register has one
    to: tuple[str, ...]  # request: the providers asked; response: those that answered, in order
    operation: str | None
    legal_context: str | None
    revision: str | None  # hash of the agreement revision in force; its contract is part of it
    decision: str  # "permitted", "released", "incomplete" or a refusal code
    fields_root: str | None  # response: root over the field records
    nfields: int  # leaf paths of the contract's payload, released and withheld; a function of policy
    subject: str  # salted commitment to the dossier number
    body: str | None  # salted commitment to the hash of the signed body or of the payload
    signature: str | None  # hash of the sender's signature, or over those of the providers
    nonce: str  # 16 random bytes: the leaf hash stays hiding when the entry is gone

    def seal(self) -> bytes:
        """The canonical bytes, checked against the closed form at the last step before hashing.

        Raises `ProofError`.
        """
        record = {
            "v": VERSION,
            "id": self.id,
            "t": self.time,
            "kind": self.kind.value,
            "from": self.caller,
            "to": list(self.to),
            "svc": self.operation,
            "schema": self.revision,
            "purpose": self.legal_context,
            "policy": self.revision,
            "decision": self.decision,
            "fields_root": self.fields_root,
            "nfields": self.nfields,
            "subj": self.subject,
            "actor": None,  # requests name no official
            "body": self.body,
            "msgsig": self.signature,
            "ret": RETENTION,
            "nonce": self.nonce,
        }
        _check(record)
        return _canonical(record).encode("ascii")

    @classmethod
    def parse(cls, data: bytes) -> Leaf:
        """The entry, once it has exactly the closed form. Raises `ProofError`."""
        if len(data) > MAX_ENTRY:
            raise ProofError(Flaw.ENTRY_FORM, "too large")
        try:
            record = json.loads(data.decode("ascii"))
        except (ValueError, RecursionError):
            raise ProofError(Flaw.ENTRY_FORM, "not JSON") from None
        if not isinstance(record, dict):
            raise ProofError(Flaw.ENTRY_FORM, "not an object")
        _check(record)
        # Also catches a repeated key, another order, white space and needless escapes.
        if _canonical(record).encode("ascii") != data:
            raise ProofError(Flaw.ENTRY_FORM, "not canonical")
        return cls(
            record["id"],
            record["t"],
            Kind(record["kind"]),
            record["from"],
            tuple(record["to"]),
            record["svc"],
            record["purpose"],
            record["policy"],
            record["decision"],
            record["fields_root"],
            record["nfields"],
            record["subj"],
            record["body"],
            record["msgsig"],
            record["nonce"],
        )


_Check = Callable[[object], bool]


def _text(pattern: str) -> _Check:
    match = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: isinstance(value, str) and match(value) is not None


def _or_null(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _null(value: object) -> bool:
    return value is None


def _only(*allowed: object) -> _Check:
    # The type too: True equals 1, and 1.0 equals 1.
    return lambda value: any(value == one and type(value) is type(one) for one in allowed)


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
_NO_FIELDS: Final[Mapping[str, _Check]] = {"fields_root": _null, "nfields": _only(0)}
_FORM: Final[Mapping[str, Mapping[str, _Check]]] = {
    Kind.REQUEST: {**_ALWAYS, **_GRANTED, **_NO_FIELDS, "decision": _only(PERMITTED), "msgsig": _DIGEST},
    Kind.RESPONSE: {
        **_ALWAYS,
        **_GRANTED,
        "fields_root": _DIGEST,
        "nfields": _count,
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
}


def _check(record: Mapping[str, object]) -> None:
    kind = record.get("kind")
    form = _FORM.get(kind) if isinstance(kind, str) else None
    if form is None or record.keys() != form.keys():
        raise ProofError(Flaw.ENTRY_FORM, "keys")
    for key, check in form.items():
        if not check(record[key]):
            raise ProofError(Flaw.ENTRY_FORM, key)
    if record["schema"] != record["policy"]:
        raise ProofError(Flaw.ENTRY_FORM, "schema")
