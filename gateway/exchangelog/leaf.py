"""The leaf of the exchange log: one small canonical-JSON record of closed form.

No personal data, no free text, and nothing that depends on data: whether anything was found shows neither
in a value nor in the size. Values are committed to with salts that are kept elsewhere (`fields`, `entry`).
What may stand in each key is in `form`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import KEYS, RETENTION, VERSION, Kind, decode, require, write
from gateway.exchangelog.tile import MAX_ENTRY

__all__ = ["Kind", "Leaf"]

_DELIVERED: Final = (Kind.DELIVERY, Kind.SETTLEMENT)
_KEYS: Final = {  # member → key
    "time": "t",
    "caller": "from",
    "operation": "svc",
    "legal_context": "purpose",
    "revision": "policy",
    "subject": "subj",
    "signature": "msgsig",
    "notification": "of",
}


class Leaf(msgspec.Struct, frozen=True, rename=_KEYS):
    """One entry. Commitments, hashes and the nonce are base64url without padding."""

    id: str  # the exchange, or the delivery: shared by its entries
    time: str  # UTC, milliseconds, "Z"
    kind: Kind
    caller: str  # who asked or told: enterprise number, and unit where the register has one
    to: tuple[
        str, ...
    ]  # request: the providers asked; response: those that answered, in order; or recipients
    operation: str | None
    legal_context: str | None  # of a delivery and its settlement: the recipient's
    revision: str | None  # hash of the agreement revision in force, of a delivery: when it was accepted
    decision: str  # "permitted", "released", "incomplete", "accepted", a settlement or a refusal code
    fields_root: str | None  # response, delivery: root over the field records
    nfields: int  # leaf paths of the contract's payload, released and withheld; a function of policy
    subject: str  # salted commitment to the dossier number
    body: str | None  # salted commitment to the hash of the signed body or of the payload
    signature: str | None  # hash of the sender's signature, or over those of the providers
    nonce: str  # 16 random bytes: the leaf hash stays hiding when the entry is gone
    notification: str | None = None  # delivery, settlement: of which
    in_force: str | None = None  # delivery, settlement: hash of the agreement revision in force then
    reason: str | None = None  # settlement: why it was dropped
    actor: str | None = None  # salted commitment to the official who acted; exchanges name none
    more: Mapping[str, object] = {}  # of kinds that are no exchange: what else their form has

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
            "actor": self.actor,
            "body": self.body,
            "msgsig": self.signature,
            "ret": RETENTION,
            "nonce": self.nonce,
        }
        if self.kind in _DELIVERED:
            record |= {"of": self.notification, "in_force": self.in_force}
        if self.kind is Kind.SETTLEMENT:
            record["reason"] = self.reason
        if not record.keys().isdisjoint(self.more):
            raise ProofError(Flaw.ENTRY_FORM, "keys")
        record |= self.more
        return write(record)

    @classmethod
    def parse(cls, data: bytes) -> Leaf:
        """The entry, once it has exactly the closed form. Raises `ProofError`."""
        if len(data) > MAX_ENTRY:
            raise ProofError(Flaw.ENTRY_FORM, "too large")
        more = _MORE.get(require(data))
        if more is None:
            return _leaf(data)
        record = decode(data)
        return msgspec.convert(record | {"more": {key: record[key] for key in record.keys() & more}}, cls)

    @property
    def of_log(self) -> str | None:
        """Origin of the log that the entry is about, where that is not its own."""
        found = self.more.get("of_log")
        return None if found is None else str(found)


_leaf = msgspec.json.Decoder(Leaf).decode
_OWN = {
    "v",
    "schema",
    "ret",
    *Leaf.__struct_encode_fields__,
}  # the first three: of one value, or that of another key
_MORE: Final = {kind: keys - _OWN for kind, keys in KEYS.items() if keys - _OWN}
