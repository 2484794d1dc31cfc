"""Consistency proofs as files: that a later checkpoint extends an earlier one, to be checked offline.

The form is the body of a C2SP tlog-witness `add-checkpoint` request: the size of the earlier tree, the hashes
of RFC 9162 §2.1.4 in base64, an empty line, the later checkpoint verbatim. So any witness can be handed the
file as it is. It carries no root of the earlier tree: that is in the checkpoint which its reader kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, decimal, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import MAX_NOTE, NoteKey, base64, parse_note
from gateway.exchangelog.proof import parse_hashes


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """Size of the earlier tree, the hashes, and the later checkpoint verbatim."""

    old: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes

    def serialise(self) -> bytes:
        lines = [f"old {self.old}", *map(base64, self.hashes)]
        return "".join(f"{line}\n" for line in lines).encode("ascii") + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> ConsistencyProof:
        """The form alone. Raises `ProofError`."""
        if len(data) > 2 * MAX_NOTE:
            raise ProofError(Flaw.CONSISTENCY_FORM, "too large")
        head, separator, checkpoint = data.partition(b"\n\n")
        try:
            size, *hashes = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise ProofError(Flaw.CONSISTENCY_FORM, "not ASCII") from None
        if not separator or not size.startswith("old "):
            raise ProofError(Flaw.CONSISTENCY_FORM, "old size")
        old = decimal(size.removeprefix("old "), Flaw.CONSISTENCY_FORM)
        parse_note(checkpoint)
        return cls(old, parse_hashes(hashes, Flaw.CONSISTENCY_FORM), checkpoint)

    def verify(self, earlier: Checkpoint, verifiers: Sequence[NoteKey]) -> Checkpoint:
        """The later checkpoint, once it extends the earlier one. Raises `ProofError`.

        From an empty log there is nothing to prove (LOG102).
        """
        later = open_checkpoint(self.checkpoint, verifiers)
        if earlier.origin != later.origin:
            raise ProofError(Flaw.ORIGIN, earlier.origin)
        if earlier.size != self.old:
            raise ProofError(Flaw.OTHER_SIZE, f"of size {self.old}, checkpoint of size {earlier.size}")
        merkle.verify_consistency(earlier.size, later.size, earlier.root, later.root, self.hashes)
        return later
