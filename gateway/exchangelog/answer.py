"""Whether an answer to an officer's question is whole: in its range nothing was left out, added or altered.

Indices are contiguous, so the entries of a range, hashed, lead to the root of a checkpoint only when every one of
them is there. Whoever holds them asks the question again of each leaf. What no leaf shows, such as whom an entry
is about, stays the word of whoever opened it with the seeds: of such an answer is checked that its entries stand
in the range, and match as far as leaves show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec

from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.completeness import prove_range, verify_range
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import NoteKey, parse_note
from gateway.exchangelog.question import Question
from gateway.exchangelog.tile import ReadTile, TileNodes


class Hidden(StrEnum):
    """What the question is narrowed to besides, which no leaf shows."""

    DOSSIER = "dossier"
    PERSON = "person"
    FIELD = "field"


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries from `start` below `end`, and what ties them to a checkpoint."""

    start: int
    end: int
    proof: tuple[bytes, ...]  # of `completeness`; () of no entry
    checkpoint: str

    @classmethod
    def of(cls, start: int, end: int, checkpoint: bytes, read: ReadTile) -> Range:
        """`read`: tiles of the log that the checkpoint is of. Raises `ProofError`."""
        size = Checkpoint.parse(parse_note(checkpoint).text).size
        proof = prove_range(TileNodes(size, read), start, end, size) if start < end else ()
        return cls(start=start, end=end, proof=tuple(proof), checkpoint=checkpoint.decode())


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question, the range that was looked through, and the indices of the entries that answer it."""

    question: Question
    hidden: tuple[Hidden, ...] = ()
    range: Range
    indices: tuple[int, ...]

    def serialise(self) -> bytes:
        """JSON; hashes are base64."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Answer:
        """The form alone. Raises `ProofError`."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (ValueError, RecursionError):  # also of bytes that are no UTF-8
            raise ProofError(Flaw.ANSWER_FORM) from None


def verify_answer(answer: Answer, leaves: Iterable[bytes], verifiers: Sequence[NoteKey]) -> Checkpoint:
    """The checkpoint under which the answer is whole. `leaves`: every entry of its range, in order.

    Raises `ProofError`, as `require_whole`.
    """
    signed = open_checkpoint(answer.range.checkpoint.encode(), verifiers)
    require_whole(answer, leaves, signed)
    return signed


def require_whole(answer: Answer, leaves: Iterable[bytes], signed: Checkpoint) -> None:
    """The same under a checkpoint that is believed.

    Raises `ProofError`: LOG738 when an entry is left out that a leaf shows to match, or given that does not.
    """
    covered, asking = answer.range, _Asking(answer)
    hashes = asking.each(leaves)
    if covered.start < covered.end or covered.start < 0:
        verify_range(covered.start, covered.end, signed.size, hashes, covered.proof, signed.root)
    elif covered.start > min(covered.end, signed.size) or next(hashes, None) is not None:
        raise ProofError(Flaw.RANGE)
    # Said last: of entries that are not the log's nothing can be said.
    asking.require_whole()


class _Asking:
    """Asks the question again of each entry, on the way to its hash."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._given = iter(answer.indices)
        self._following = next(self._given, None)
        self._wrong: int | None = None  # the first entry that is left out, or does not match

    def each(self, leaves: Iterable[bytes]) -> Iterator[bytes]:
        for index, data in enumerate(leaves, self._answer.range.start):
            listed = index == self._following
            if listed:
                self._following = next(self._given, None)
            matching = self._answer.question.matches(Leaf.parse(data))
            if (listed and not matching) or (matching and not listed and not self._answer.hidden):
                self._wrong = index if self._wrong is None else self._wrong
            yield leaf_hash(data)

    def require_whole(self) -> None:
        """Raises `ProofError` (LOG738)."""
        # What is still to follow lies beyond the range, stands twice, or is out of order.
        wrong = self._following if self._wrong is None else self._wrong
        if wrong is not None:
            raise ProofError(Flaw.ANSWER, f"entry {wrong}")
