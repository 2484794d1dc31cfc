"""An entry with its field records and the agreement that governed it, in one file: what `policy.recorded` needs.

Everything in it is public to an officer: no value, no salt, no dossier. Checked with nothing but the file and
the log's verification key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.fields import FieldRecord, base64url, fields_root
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.proof import TlogProof

VERSION: Final = 1
MAX_EXHIBIT: Final = 16_000_000  # bytes; bounds what is parsed before anything is verified
_KEYS: Final = frozenset({"v", "proof", "records", "agreement"})
# What reading JSON of another form may raise.
_MALFORMED: Final = (
    KeyError, ValueError, TypeError, AttributeError, RecursionError, rfc8785.CanonicalizationError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exhibit:
    """What is laid before whoever checks. Nothing of it is believed before `verify`."""

    proof: TlogProof  # with the leaf
    records: tuple[FieldRecord, ...]
    agreement: Mapping[str, bytes] | None  # files of the revision; None: not at hand

    @property
    def leaf(self) -> Leaf:
        """Of the proof, not verified. Raises `ProofError`."""
        if self.proof.extra is None:
            raise ProofError(Flaw.PROOF_FORM, "entry")
        return Leaf.parse(self.proof.extra)

    def verify(self, verifiers: Sequence[NoteKey]) -> Checkpoint:
        """The checkpoint under which the log has the entry, whose records these are. Raises `ProofError`."""
        leaf = self.leaf
        checkpoint = self.proof.verify(self.proof.extra or b"", verifiers)
        root = base64url(fields_root(self.records)).decode() if leaf.fields_root is not None else None
        if (root, len(self.records)) != (leaf.fields_root, leaf.nfields):
            raise ProofError(Flaw.FIELDS)
        return checkpoint

    def serialise(self) -> bytes:
        """Canonical JSON (RFC 8785). Raises `ProofError` without the agreement."""
        if self.agreement is None:
            raise ProofError(Flaw.REVISION_ABSENT)
        return rfc8785.dumps(
            {
                "v": VERSION,
                "proof": self.proof.serialise().decode(),
                "records": [json.loads(one.canonical) for one in self.records],
                "agreement": {name: data.decode() for name, data in self.agreement.items()},
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Exhibit:
        """The form alone. Raises `ProofError`."""
        if len(data) > MAX_EXHIBIT:
            raise ProofError(Flaw.FIELD_FORM, "too large")
        try:
            found = cls._of(json.loads(data))
            canonical = found.serialise()
        except _MALFORMED:
            raise ProofError(Flaw.FIELD_FORM, "exhibit") from None
        if canonical != data:
            raise ProofError(Flaw.FIELD_FORM, "not canonical")
        return found

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Exhibit:
        """Raises what `parse` translates for what has another form."""
        if told.keys() != _KEYS or told["v"] != VERSION:
            raise ValueError
        files = {str(name): text.encode() for name, text in told["agreement"].items()}
        proof = TlogProof.parse(told["proof"].encode())
        return cls(proof, tuple(map(_record, told["records"])), files)


def _record(told: object) -> FieldRecord:
    match told:
        case ["r", str(path), str(digest)]:
            return FieldRecord(path, digest, None)
        case ["w", str(path), str(reason)]:
            return FieldRecord(path, None, reason)
    raise ValueError
