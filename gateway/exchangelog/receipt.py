"""What a recipient checks of its own exchange: that the log recorded exactly what it received (PROTOCOL §11.4).

Needs what the reply brought and the log's verification key, and neither gateway nor network. How values and
receipt stand in a message is left to `gateway.kept`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.fields import SEED_SIZE, FieldRecord, base64url, disclosure, fields_root, salts
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.proof import TlogProof
from gateway.model import EntryProof, Receipt

_TO_RECIPIENT = (Kind.DELIVERY, Kind.SETTLEMENT)  # their `from` is who told it


@dataclass(frozen=True, slots=True)
class Held:
    """What a recipient has in hand."""

    exchange: str  # the gateway's ticket
    kind: Kind  # of the entry that such a reply stands for
    recipient: str  # its own enterprise number, and unit
    legal_context: str
    operation: str | None  # None: the reply does not say, as the acknowledgement of a message
    values: Mapping[str, tuple[str, ...]]  # every leaf path of the payload that came → its texts in order


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry that was checked against what its recipient holds. Made by `verify_receipt` only."""

    index: int
    leaf: Leaf
    checkpoint: Checkpoint
    records: tuple[FieldRecord, ...]  # sorted by path


def entry_proof(tlog: TlogProof, records: Sequence[FieldRecord], seed: bytes | None) -> EntryProof:
    """What is handed to the recipient of an entry."""
    return EntryProof(
        tlog.serialise(),
        seed,
        tuple((one.path, one.digest) for one in records if one.digest is not None),
        tuple((one.path, one.reason) for one in records if one.reason is not None),
    )


def records_of(proof: EntryProof) -> tuple[FieldRecord, ...]:
    """The field records that were handed over, sorted by path. Raises `ProofError` when one path has two."""
    released = (FieldRecord(path, digest, None) for path, digest in proof.released)
    withheld = (FieldRecord(path, None, reason) for path, reason in proof.withheld)
    records = tuple(sorted((*released, *withheld), key=lambda one: one.path))
    if len({one.path for one in records}) != len(records):
        raise ProofError(Flaw.FIELD_FORM, "a path twice")
    return records


def verify_place(receipt: Receipt | None, verifiers: Sequence[NoteKey]) -> Checkpoint:
    """The signed checkpoint that covers the entry. Whether the entry is this exchange's, only the proof tells.

    Raises `ProofError`.
    """
    if receipt is None:
        raise ProofError(Flaw.RECEIPT_MISSING)
    checkpoint = open_checkpoint(receipt.checkpoint, verifiers)
    if checkpoint.origin != receipt.origin:
        raise ProofError(Flaw.RECEIPT_DIFFERS, "origin")
    if not 0 <= receipt.index < checkpoint.size:
        raise ProofError(Flaw.RECEIPT_OLD, f"entry {receipt.index}, size {checkpoint.size}")
    return checkpoint


def verify_receipt(held: Held, receipt: Receipt | None, verifiers: Sequence[NoteKey]) -> Proven:
    """The entry, once the log has it and it records what came: no field more, none less, every value the same.

    `verifiers`: the log's keys, known beforehand. Raises `ProofError`; of several flaws the first.
    """
    checkpoint = verify_place(receipt, verifiers)  # 1. the place, under a signature of the log
    assert receipt is not None  # verify_place refused it
    if receipt.proof is None:
        raise ProofError(Flaw.RECEIPT_MISSING, "proof")
    leaf = _verify_entry(receipt, receipt.proof, verifiers)  # 2. the entry at that place
    _require_same(held, leaf)  # 3. of this exchange
    records = records_of(receipt.proof)
    _require_root(records, leaf)  # 4. its field records
    _require_recorded(held.values, records)  # 5. nothing came that is not released
    _require_values(held.values, records, receipt.proof.seed)  # 6. what came is what is recorded
    return Proven(receipt.index, leaf, checkpoint, records)


def _verify_entry(receipt: Receipt, given: EntryProof, verifiers: Sequence[NoteKey]) -> Leaf:
    proof = TlogProof.parse(given.tlog)
    if (proof.index, proof.checkpoint) != (receipt.index, receipt.checkpoint):
        raise ProofError(Flaw.RECEIPT_DIFFERS)
    if proof.extra is None:
        raise ProofError(Flaw.RECEIPT_MISSING, "entry")
    proof.verify(proof.extra, verifiers)
    return Leaf.parse(proof.extra)


def _require_same(held: Held, leaf: Leaf) -> None:
    """A true entry of another exchange, or of another moment of this one, proves nothing about it."""
    recipients = leaf.to if leaf.kind in _TO_RECIPIENT else (leaf.caller,)
    for what, same in (
        ("exchange", leaf.id == held.exchange),
        ("kind", leaf.kind is held.kind),
        ("recipient", recipients == (held.recipient,)),
        ("legal context", leaf.legal_context == held.legal_context),
        ("operation", held.operation in {None, leaf.operation}),
    ):
        if not same:
            raise ProofError(Flaw.RECEIPT_OTHER, what)


def _require_root(records: Sequence[FieldRecord], leaf: Leaf) -> None:
    root = None if leaf.fields_root is None else base64url(fields_root(records)).decode()
    if (root, len(records)) != (leaf.fields_root, leaf.nfields):
        raise ProofError(Flaw.FIELDS)


def _require_recorded(values: Mapping[str, object], records: Sequence[FieldRecord]) -> None:
    reasons = {one.path: one.reason for one in records}
    for path in sorted(values):
        if path not in reasons:
            raise ProofError(Flaw.UNRECORDED, path)
        if reasons[path] is not None:
            raise ProofError(Flaw.WITHHELD_CAME, path)


def _require_values(
    values: Mapping[str, tuple[str, ...]], records: Sequence[FieldRecord], seed: bytes | None
) -> None:
    for record, disclosed in disclosures(values, records, seed).items():
        if base64url(sha256(disclosed).digest()).decode() != record.digest:
            raise ProofError(Flaw.VALUE if record.path in values else Flaw.VALUE_MISSING, record.path)


def disclosures(
    values: Mapping[str, tuple[str, ...]], records: Sequence[FieldRecord], seed: bytes | None
) -> dict[FieldRecord, bytes]:
    """The disclosure of each released record (RFC 9901), for the values that came; null where none did.

    Raises `ProofError` for released records without a seed.
    """
    released = [one for one in records if one.digest is not None]
    if not released:
        return {}
    if seed is None or len(seed) != SEED_SIZE:
        raise ProofError(Flaw.RECEIPT_MISSING, "seed")
    opened = zip(released, salts(seed, len(released)), strict=True)
    return {one: disclosure(salt, one.path, values.get(one.path) or None) for one, salt in opened}
