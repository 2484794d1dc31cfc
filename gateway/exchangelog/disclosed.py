"""One value of one entry, proven to somebody who sees none of the others (PROTOCOL §11.6).

Made from what a recipient holds; checked with nothing but the file and the log's verification key.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.fields import FieldRecord, verify_disclosure
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey, base64, unbase64
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.receipt import Held, disclosures, verify_receipt
from gateway.model import Receipt

VERSION: Final = 1
MAX_DISCLOSED: Final = 16_000_000  # bytes; bounds what is parsed before anything is verified
_KEYS: Final = frozenset({"v", "disclosure", "record", "position", "hashes", "proof"})
# What reading JSON of another form may raise.
_MALFORMED: Final = (
    KeyError, ValueError, TypeError, AttributeError, RecursionError, rfc8785.CanonicalizationError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A value that the log recorded as released. Made by `DisclosedValue.verify` only."""

    path: str
    value: tuple[str, ...]  # the texts at the path, in order; () when there was none
    index: int
    leaf: Leaf
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class DisclosedValue:
    """What is handed over: the opened record, its way to `fields_root`, and the proof of the entry."""

    disclosure: bytes  # RFC 9901 §4.2.1: salt, path, value
    record: FieldRecord
    position: int  # of the record among those of the entry
    hashes: tuple[bytes, ...]  # from the record's sibling to the root
    proof: bytes  # C2SP tlog-proof with the leaf

    @classmethod
    def of(cls, path: str, held: Held, receipt: Receipt, verifiers: Sequence[NoteKey]) -> DisclosedValue:
        """The value at a path, from a receipt that holds. Raises `ProofError`."""
        proven = verify_receipt(held, receipt, verifiers)
        assert receipt.proof is not None  # verify_receipt refused it
        positions = {one.path: at for at, one in enumerate(proven.records) if one.digest is not None}
        if path not in positions:
            raise ProofError(Flaw.NOT_RELEASED, path)
        position, record = positions[path], proven.records[positions[path]]
        nodes = merkle.nodes_of([merkle.leaf_hash(one.canonical) for one in proven.records])
        return cls(
            disclosures(held.values, proven.records, receipt.proof.seed)[record],
            record,
            position,
            tuple(merkle.prove_inclusion(nodes, position, len(proven.records))),
            receipt.proof.tlog,
        )

    def serialise(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        return rfc8785.dumps(
            {
                "v": VERSION,
                "disclosure": self.disclosure.decode("ascii"),
                "record": json.loads(self.record.canonical),
                "position": self.position,
                "hashes": [base64(one) for one in self.hashes],
                "proof": self.proof.decode(),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> DisclosedValue:
        """The form alone. Raises `ProofError`."""
        if len(data) > MAX_DISCLOSED:
            raise ProofError(Flaw.DISCLOSED_FORM, "too large")
        try:
            found = cls._of(json.loads(data))
            canonical = found.serialise()
        except _MALFORMED:
            raise ProofError(Flaw.DISCLOSED_FORM) from None
        if canonical != data:
            raise ProofError(Flaw.DISCLOSED_FORM, "not canonical")
        return found

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> DisclosedValue:
        """Raises what `parse` translates for what has another form."""
        match told["record"]:
            case ["r", str(path), str(digest)] if told.keys() == _KEYS and told["v"] == VERSION:
                record = FieldRecord(path, digest, None)
            case _:
                raise ValueError
        if type(told["position"]) is not int:
            raise ValueError
        hashes = tuple(unbase64(one, Flaw.DISCLOSED_FORM) for one in told["hashes"])
        disclosure, proof = told["disclosure"].encode("ascii"), told["proof"].encode()
        return cls(disclosure, record, told["position"], hashes, proof)

    def verify(self, verifiers: Sequence[NoteKey]) -> Shown:
        """The value, once the log has an entry that recorded it. Raises `ProofError`."""
        proof = TlogProof.parse(self.proof)
        if proof.extra is None:
            raise ProofError(Flaw.DISCLOSED_FORM, "entry")
        checkpoint = proof.verify(proof.extra, verifiers)
        leaf = Leaf.parse(proof.extra)
        if leaf.fields_root is None:
            raise ProofError(Flaw.FIELDS)
        root = urlsafe_b64decode(f"{leaf.fields_root}=")  # of the leaf's closed form: 43 characters
        hashed = merkle.leaf_hash(self.record.canonical)
        merkle.verify_inclusion(self.position, leaf.nfields, hashed, self.hashes, root)
        value = verify_disclosure(self.disclosure, self.record)
        return Shown(self.record.path, tuple(value or ()), proof.index, leaf, checkpoint)
