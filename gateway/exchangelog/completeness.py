"""That a range of entries is complete: rehashed to the signed root, nothing missing and nothing added.

Indices of a tree have no gaps, so entries that lead to its root at these places are all that there are. This
is what makes an answer over a range checkable: whoever has the entries needs beside them two proofs' worth of
hashes, and believes neither who sent them nor an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

from gateway.exchangelog import merkle
from gateway.exchangelog.audit_tree import LeafHashes, Progress, Tiles, missing
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.merkle import HASH_SIZE, Nodes, leaf_hash, node_hash, split, subtree
from gateway.exchangelog.tile import WIDTH, TileNodes


class Entries(Tiles, Protocol):
    """Where entries and hash tiles are read from."""

    def leaves(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of the entries from `start` to below `end` that are there, in order.

        Raises `ProofError` where they cannot be read.
        """


def prove_range(nodes: Nodes, start: int, end: int, size: int) -> list[bytes]:
    """Roots of the largest subtrees beside the leaves start..end-1, from left to right. Raises `ProofError`."""
    _require_range(start, end, size)
    return [subtree(nodes, low, high) for low, high in _beside(0, size, start, end)]


def verify_range(  # noqa: PLR0913, PLR0917 - what is claimed, of which tree, and by which proof
    start: int, end: int, size: int, leaves: Iterable[bytes], proof: Sequence[bytes], root: bytes
) -> None:
    """Raises `ProofError` unless the leaf hashes are all of start..end-1 under the root. Holds few at a time."""
    _require_range(start, end, size)
    given, beside = iter(leaves), iter(proof)

    def fold(low: int, high: int) -> bytes:
        if high <= start or low >= end:
            return _next_hash(beside)
        if start <= low and high <= end and high - low <= WIDTH:
            return merkle.root(_taken(given, high - low))
        middle = low + split(high - low)
        return node_hash(fold(low, middle), fold(middle, high))

    if fold(0, size) != root:
        raise ProofError(Flaw.ROOT)
    if next(given, None) is not None or next(beside, None) is not None:
        raise ProofError(Flaw.PROOF_LENGTH)


def check_range(
    log: Entries, signed: Checkpoint, start: int, end: int, progress: Progress = lambda _: None
) -> Iterator[Finding]:
    """What is wrong with the entries start..end-1 of a log under this checkpoint. None: they are complete.

    Raises `ProofError` for a range that the tree does not have.
    """
    _require_range(start, end, signed.size)
    try:
        proof = prove_range(TileNodes(signed.size, log.tile), start, end, signed.size)
        verify_range(start, end, signed.size, _hashes(log, start, end, progress), proof, signed.root)
    except ProofError as error:
        with suppress(ProofError):  # what cannot be read has been said
            yield from _wrong(log, signed.size, start, end)
        yield Finding(error.flaw, about=error.about or f"entries {start} to {end - 1}")


def _hashes(log: Entries, start: int, end: int, progress: Progress) -> Iterator[bytes]:
    """Leaf hashes in order. A gap ends them: what comes after it stands at no known place."""
    for expected, (index, leaf) in enumerate(log.leaves(start, end), start):
        if index != expected:
            return
        if index % WIDTH == 0:
            progress(index - start)
        yield leaf_hash(leaf)
    progress(end - start)


def _wrong(log: Entries, size: int, start: int, end: int) -> Iterator[Finding]:
    """Which entries are missing, and which are not those of the tiles."""
    hashes, expected = LeafHashes(log, size), start
    for index, leaf in log.leaves(start, end):
        yield from missing(expected, index)
        expected = index + 1
        hashes.compare(index, leaf)
    yield from missing(expected, end)
    for n, offsets in sorted(hashes.differing.items()):
        yield from (Finding(Flaw.ALTERED, n * WIDTH + offset) for offset in sorted(offsets))


def _beside(low: int, high: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The largest subtrees of low..high-1 that have nothing of start..end-1."""
    if high <= start or low >= end:
        yield low, high
    elif low < start or high > end:
        middle = low + split(high - low)
        yield from _beside(low, middle, start, end)
        yield from _beside(middle, high, start, end)


def _taken(leaves: Iterator[bytes], count: int) -> list[bytes]:
    taken = list(islice(leaves, count))
    if len(taken) != count:
        raise ProofError(Flaw.PROOF_LENGTH)
    if any(len(one) != HASH_SIZE for one in taken):
        raise ProofError(Flaw.HASH_LENGTH)
    return taken


def _next_hash(proof: Iterator[bytes]) -> bytes:
    found = next(proof, None)
    if found is None:
        raise ProofError(Flaw.PROOF_LENGTH)
    if len(found) != HASH_SIZE:
        raise ProofError(Flaw.HASH_LENGTH)
    return found


def _require_range(start: int, end: int, size: int) -> None:
    if not 0 <= start < end <= size:
        raise ProofError(Flaw.RANGE, f"entries {start} to below {end}, size {size}")
