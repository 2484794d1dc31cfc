"""Checkpoints (C2SP tlog-checkpoint): the signed size and root of a log."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import EMPTY_ROOT, HASH_SIZE
from gateway.exchangelog.note import Note, NoteKey, Signature, Signer, base64, open_note, unbase64

DECIMAL = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)  # no leading zero, below 2**63 but for the check below
MAX_SIZE = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits itself to. Our own carry no extension lines; those of others are kept, unread."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        lines = (self.origin, str(self.size), base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The form alone. Raises `ProofError`."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise ProofError(Flaw.CHECKPOINT_FORM, "lines")
        origin, size, root, *extensions = lines
        found = cls(
            origin,
            decimal(size, Flaw.CHECKPOINT_FORM),
            unbase64(root, Flaw.CHECKPOINT_FORM),
            tuple(extensions),
        )
        if len(found.root) != HASH_SIZE or (found.size == 0 and found.root != EMPTY_ROOT):
            raise ProofError(Flaw.CHECKPOINT_FORM, "root")
        return found


def sign_checkpoint(
    size: int, root: bytes, signers: Sequence[Signer], beside: Callable[[str], Signature] | None = None
) -> bytes:
    """`beside`: signs the text, too, by a key of another type. The origin is the keys' name; there are two while the log changes its key, each with a line of its own.

    One root only is signed for a size: whoever calls this keeps that promise.
    """
    text = Checkpoint(signers[0].name, size, root).text
    lines = [one.sign(text) for one in signers]
    if beside is not None:
        lines.append(beside(text))
    return Note(text, tuple(lines)).serialise()  # of sound form: names were checked


def open_checkpoint(data: bytes, verifiers: Sequence[NoteKey]) -> Checkpoint:
    """The checkpoint of the log that the keys name, a signature by one of them verified and none of theirs wrong.

    `verifiers`: keys of one log, former ones too. Raises `ProofError`.
    """
    checkpoint = Checkpoint.parse(open_note(data, verifiers).text)
    # A key signs for its own log only: a checkpoint of another origin under this key is no evidence.
    if {checkpoint.origin} != {one.name for one in verifiers}:
        raise ProofError(Flaw.ORIGIN)
    return checkpoint


def decimal(text: str, flaw: Flaw) -> int:
    """ASCII decimal without leading zeros, below 2**63. Raises `ProofError`."""
    if DECIMAL.fullmatch(text) is None or int(text) > MAX_SIZE:
        raise ProofError(flaw, "number")
    return int(text)
