"""Proof files (C2SP tlog-proof): that an entry is in a log, to be checked offline.

`extra` carries the entry itself. The format does not authenticate it, and need not: its hash is the leaf
that the proof starts from, so another entry leads to another root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, decimal, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import HASH_SIZE
from gateway.exchangelog.note import MAX_NOTE, NoteKey, base64, parse_note, unbase64

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63  # a tree of 2**63 entries


@dataclass(frozen=True, slots=True)
class TlogProof:
    """Index, inclusion proof (the leaf's sibling first) and the checkpoint verbatim."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def serialise(self) -> bytes:
        extra = [] if self.extra is None else [f"extra {base64(self.extra)}"]
        lines = [HEADER, *extra, f"index {self.index}", *map(base64, self.hashes)]
        return "".join(f"{line}\n" for line in lines).encode("ascii") + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """The form alone. Raises `ProofError`."""
        if len(data) > 2 * MAX_NOTE:
            raise ProofError(Flaw.PROOF_FORM, "too large")
        head, separator, checkpoint = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise ProofError(Flaw.PROOF_FORM, "not ASCII") from None
        if not separator or lines[0] != HEADER:
            raise ProofError(Flaw.PROOF_FORM, "header")
        extra = _extra(lines)
        if len(lines) < 2 or not lines[1].startswith("index "):
            raise ProofError(Flaw.PROOF_FORM, "index")
        index = decimal(lines[1].removeprefix("index "), Flaw.PROOF_FORM)
        parse_note(checkpoint)
        return cls(index, parse_hashes(lines[2:], Flaw.PROOF_FORM), checkpoint, extra)

    def verify(self, entry: bytes, verifiers: Sequence[NoteKey]) -> Checkpoint:
        """The checkpoint under which the entry stands at `index`. Raises `ProofError`."""
        checkpoint = open_checkpoint(self.checkpoint, verifiers)
        leaf = merkle.leaf_hash(entry)
        merkle.verify_inclusion(self.index, checkpoint.size, leaf, self.hashes, checkpoint.root)
        return checkpoint


def _extra(lines: list[str]) -> bytes | None:
    """Takes the optional second line away."""
    if len(lines) < 2 or not lines[1].startswith("extra "):
        return None
    return unbase64(lines.pop(1).removeprefix("extra "), Flaw.PROOF_FORM)


def parse_hashes(lines: Sequence[str], flaw: Flaw) -> tuple[bytes, ...]:
    """Hashes in base64, one on each line. Raises `ProofError`."""
    if len(lines) > MAX_HASHES:
        raise ProofError(flaw, "too many hashes")
    hashes = tuple(unbase64(line, flaw) for line in lines)
    if any(len(one) != HASH_SIZE for one in hashes):
        raise ProofError(Flaw.HASH_LENGTH)
    return hashes
