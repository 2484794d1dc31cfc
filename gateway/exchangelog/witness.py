"""What a witness does with a checkpoint (C2SP tlog-witness), and the texts that are exchanged for it.

A witness cosigns one growing tree for each log: never two roots of one size, never a smaller tree after a larger.
What it has cosigned before, and for how long it remembers, is for whoever calls this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, decimal, open_checkpoint
from gateway.exchangelog.cosignature import CosignerKey
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import EMPTY_ROOT
from gateway.exchangelog.note import Note, NoteKey, Signature, parse_note, parse_signature
from gateway.exchangelog.pin import parse_proof, write_proof
from gateway.exchangelog.quorum import LogKey
from gateway.exchangelog.tile import ReadTile, TileNodes

MAX_REQUEST: Final = 256 * 1024  # bytes: old size, 63 hashes, and a checkpoint with many signatures
MAX_ANSWER: Final = 64 * 1024  # bytes: signature lines, or a size
SIZE_TYPE: Final = "text/x.tlog.size"


class WitnessError(Exception):
    """Why a witness does not cosign. `status`: of HTTP, as tlog-witness has it.

    `latest`: the size that it holds, of 409. `evidence`: the log signed what contradicts what was cosigned, or, of a
    wrong proof, what was not shown to follow from it.
    """

    def __init__(self, status: int, flaw: Flaw, *, latest: int | None = None, evidence: bool = False) -> None:
        super().__init__(f"{status} {flaw.row.code}")
        self.status: Final = status
        self.flaw: Final = flaw
        self.latest: Final = latest
        self.evidence: Final = evidence


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the size that the log believes the witness to hold, the proof from there, the checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def serialise(self) -> bytes:
        return f"old {self.old}\n".encode("ascii") + write_proof(self.proof) + b"\n" + self.note

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """The form alone. Raises `ProofError`."""
        head, separator, note = data.partition(b"\n\n")
        first, _, hashes = head.partition(b"\n")
        if len(data) > MAX_REQUEST or not separator or not first.startswith(b"old "):
            raise ProofError(Flaw.REQUEST_FORM, "old size, proof, empty line, checkpoint")
        old = decimal(first[4:].decode("ascii", "replace"), Flaw.REQUEST_FORM)
        return cls(old, parse_proof(hashes + b"\n") if hashes else (), note)


@dataclass(frozen=True, slots=True)
class Latest:
    """What a witness last cosigned of a log; before the first time the empty tree."""

    size: int = 0
    root: bytes = EMPTY_ROOT


def named(data: bytes, known: Mapping[str, Sequence[LogKey]]) -> tuple[AddCheckpoint, Checkpoint]:
    """The request and the checkpoint in it, signed by a known log.

    `known`: origin → keys. Raises WitnessError: 400, 404, 403.
    """
    try:
        request = AddCheckpoint.parse(data)
        origin = Checkpoint.parse(parse_note(request.note).text).origin
    except ProofError as error:
        raise WitnessError(400, error.flaw) from error
    if origin not in known:
        raise WitnessError(404, Flaw.ORIGIN)
    try:
        checkpoint = open_checkpoint(request.note, known[origin])
    except ProofError as error:
        raise WitnessError(403, error.flaw) from error
    if request.old > checkpoint.size:
        raise WitnessError(400, Flaw.RANGE)
    return request, checkpoint


def require_consistent(request: AddCheckpoint, checkpoint: Checkpoint, latest: Latest) -> None:
    """That the checkpoint may be cosigned after the latest. Raises WitnessError: 409, 422."""
    forked = checkpoint.size == latest.size and checkpoint.root != latest.root
    if request.old != latest.size:
        raise WitnessError(409, Flaw.RANGE, latest=latest.size, evidence=forked)
    if forked:
        raise WitnessError(422, Flaw.FORK, evidence=True)
    try:
        _verify(request, checkpoint, latest)
    except ProofError as error:
        # A wrong proof may be all that a forked log can give, or come from anybody: the tree that was cosigned,
        # and one after nothing, need no proof.
        raise WitnessError(422, error.flaw, evidence=0 < latest.size < checkpoint.size) from error


def _verify(request: AddCheckpoint, checkpoint: Checkpoint, latest: Latest) -> None:
    """A proof from the empty tree must be empty: nothing would be proved by it. Raises `ProofError`."""
    if request.old:
        merkle.verify_consistency(request.old, checkpoint.size, latest.root, checkpoint.root, request.proof)
    elif request.proof:
        raise ProofError(Flaw.PROOF_LENGTH)


def require_grown(held: bytes, verifiers: Sequence[NoteKey], size: int, read: ReadTile) -> None:
    """That a log of `size` entries extends what a witness holds of it.

    Raises `ProofError`: LOG702 for another tree, LOG711 for one beyond the log, both signed by the log's key;
    others when they are not, so that they prove nothing.
    """
    checkpoint = open_checkpoint(held, verifiers)
    if checkpoint.size > size:
        raise ProofError(Flaw.WITNESS_AHEAD, f"size {checkpoint.size}, the log has {size}")
    if merkle.tree_root(TileNodes(size, read), checkpoint.size) != checkpoint.root:
        raise ProofError(Flaw.FORK, f"size {checkpoint.size}")


def signed_by_log(note: bytes, keys: Sequence[LogKey]) -> Note:
    """The same, with the lines of these keys only: what strangers added is not repeated by a witness."""
    parsed, known = parse_note(note), {(one.name, one.key_id) for one in keys}
    lines = [one for one in parsed.signatures if (one.name, one.key_id) in known]
    return Note(parsed.text, tuple(dict.fromkeys(lines)))


def monitored(origin: str) -> str:
    """The path, below the witness's prefix, at which anybody reads what it last cosigned of a log."""
    return f"{sha256(origin.encode()).hexdigest()}/checkpoint"


def read_cosignature(answer: bytes, text: str, key: CosignerKey) -> tuple[Signature, int]:
    """The line by this witness among those that it answered with, verified, and its time. Raises `ProofError`."""
    try:
        lines = answer.decode().split("\n")
    except UnicodeDecodeError:
        raise ProofError(Flaw.NOTE_FORM, "not UTF-8") from None
    if lines.pop() or not lines:
        raise ProofError(Flaw.NOTE_FORM, "signature lines")
    for signature in map(parse_signature, lines):
        if (signature.name, signature.key_id) == (key.name, key.key_id):
            return signature, key.verify(text, signature)
    raise ProofError(Flaw.UNSIGNED, key.name)


def write_size(size: int) -> bytes:
    return f"{size}\n".encode("ascii")


def read_size(answer: bytes) -> int:
    """Raises `ProofError`."""
    text = answer.decode("ascii", "replace")
    if not text.endswith("\n"):
        raise ProofError(Flaw.REQUEST_FORM, "size")
    return decimal(text[:-1], Flaw.REQUEST_FORM)
