"""Pins: checkpoints that somebody keeps, and what a later or another one says of the same log.

A log that two people saw in two states either grew from one to the other, or was forked. Which of the two it
was is proved by a consistency proof, whoever makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import base64, unbase64
from gateway.exchangelog.tile import ReadTile, TileNodes

MAX_PROOF = 63  # hashes; tlog-witness: a client must not send more

# (smaller size, larger size) → consistency proof of RFC 9162.
Prove: TypeAlias = Callable[[int, int], Sequence[bytes]]


def compare(one: Checkpoint, other: Checkpoint, prove: Prove) -> tuple[Checkpoint, Checkpoint]:
    """The older and the newer of two signed checkpoints, the newer shown to extend the older.

    Raises `ProofError`: LOG206 of two logs; LOG702 for two roots of one size, which nothing can excuse; LOG103
    or LOG104 when the proof does not hold, which may be the proof's fault.
    """
    if one.origin != other.origin:
        raise ProofError(Flaw.ORIGIN, f"{one.origin} and {other.origin}")
    older, newer = sorted((one, other), key=lambda checkpoint: checkpoint.size)
    if older.size == newer.size:
        if older.root != newer.root:
            raise ProofError(Flaw.FORK, f"size {older.size}")
    elif older.size:  # everything extends the empty log
        proof = prove(older.size, newer.size)
        merkle.verify_consistency(older.size, newer.size, older.root, newer.root, proof)
    return older, newer


def require_held(pinned: Checkpoint, size: int, read: ReadTile) -> None:
    """That a tree of `size` entries extends a pinned checkpoint. Raises `ProofError`: LOG413."""
    if pinned.size > size or merkle.tree_root(TileNodes(size, read), pinned.size) != pinned.root:
        raise ProofError(Flaw.ROLLBACK, f"size {pinned.size}")


def prover(size: int, read: ReadTile) -> Prove:
    """Proofs from the tiles of a tree of `size` entries. They raise `ProofError` beyond it."""
    nodes = TileNodes(size, read)

    def prove(old: int, new: int) -> Sequence[bytes]:
        if new > size:
            raise ProofError(Flaw.RANGE, f"size {new}, the log has {size}")
        return merkle.prove_consistency(nodes, old, new)

    return prove


def write_proof(hashes: Sequence[bytes]) -> bytes:
    """A consistency proof as text: one base64 hash on a line, as in a request of tlog-witness."""
    return "".join(f"{base64(one)}\n" for one in hashes).encode("ascii")


def parse_proof(data: bytes) -> tuple[bytes, ...]:
    """And back. Raises `ProofError`."""
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ProofError(Flaw.PROOF_FORM, "not ASCII") from None
    if lines.pop() or len(lines) > MAX_PROOF:
        raise ProofError(Flaw.PROOF_FORM, "lines")
    hashes = tuple(unbase64(line, Flaw.PROOF_FORM) for line in lines)
    if any(len(one) != merkle.HASH_SIZE for one in hashes):
        raise ProofError(Flaw.HASH_LENGTH)
    return hashes
