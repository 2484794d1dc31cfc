"""The Merkle tree of RFC 6962 and RFC 9162: hashes, roots, inclusion and consistency proofs.

Proofs are made from a `Nodes` function, so the same code serves a list of leaves and a store of tiles.
Verification is the iterative algorithm of RFC 9162 with every length enforced. Where hashes are kept is
left to `tile`, and which root is to be believed to `checkpoint`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias

from gateway.exchangelog.flaw import Flaw, ProofError

HASH_SIZE = 32  # bytes; SHA-256
EMPTY_ROOT = sha256(b"").digest()

# (height, n) → the root of the n-th complete subtree of 2**height leaves.
Nodes: TypeAlias = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """RFC 9162 §2.1.1; the prefix keeps leaves and nodes apart (second-preimage attack)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Root of a list of leaf hashes.

    Pairing from the left and carrying an odd last node upwards gives the tree that RFC 9162 §2.1.1
    defines by splitting at the largest power of two.
    """
    level = list(leaves)
    while len(level) > 1:
        above = pairs(level)
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0] if level else EMPTY_ROOT


def pairs(level: Sequence[bytes]) -> list[bytes]:
    """The nodes above those of a level, as far as both of their children are there."""
    return [
        sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)
    ]


class PartialTree:
    """A tree of which some leaves never change: their subtrees are hashed once, when it is made."""

    __slots__ = ("_changing", "_nodes")

    def __init__(self, template: Sequence[bytes]) -> None:
        """`template`: the leaf hashes that stay, and b"" for each that differs every time."""
        # Leaves, then level by level the nodes above them, the root at the end; b"" is to be computed.
        self._nodes = list(template) or [EMPTY_ROOT]
        self._changing: list[tuple[int, int, int]] = []  # which, from which two
        level = list(range(len(template)))
        while len(level) > 1:
            above = [self._add(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
            level = above + level[len(above) * 2 :]

    def _add(self, left: int, right: int) -> int:
        at, pair = len(self._nodes), (self._nodes[left], self._nodes[right])
        if not all(pair):
            self._changing.append((at, left, right))
        self._nodes.append(node_hash(*pair) if all(pair) else b"")
        return at

    def root(self, leaves: Sequence[bytes]) -> bytes:
        """As the function of this name, for leaves that agree with the template."""
        nodes = self._nodes.copy()
        nodes[: len(leaves)] = leaves
        for at, left, right in self._changing:
            nodes[at] = sha256(b"\x01" + nodes[left] + nodes[right]).digest()
        return nodes[-1]


def nodes_of(leaves: Sequence[bytes]) -> Nodes:
    """`Nodes` over leaf hashes held in memory."""
    return lambda height, n: root(leaves[n << height : (n + 1) << height])


def subtree(nodes: Nodes, start: int, end: int) -> bytes:
    """Root of leaves start..end-1; `start` is a multiple of the power of two that the range fits in."""
    width = end - start
    if width & (width - 1) == 0:
        return nodes(width.bit_length() - 1, start // width)
    middle = start + split(width)
    return node_hash(subtree(nodes, start, middle), subtree(nodes, middle, end))


def tree_root(nodes: Nodes, size: int) -> bytes:
    return subtree(nodes, 0, size) if size else EMPTY_ROOT


def prove_inclusion(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """RFC 9162 §2.1.3.1, the leaf's sibling first. Raises `ProofError`."""
    if not 0 <= index < size:
        raise ProofError(Flaw.RANGE, f"index {index}, size {size}")
    start, end = 0, size
    path: list[bytes] = []
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(subtree(nodes, middle, end))
            end = middle
        else:
            path.append(subtree(nodes, start, middle))
            start = middle
    return path[::-1]


def prove_consistency(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """RFC 9162 §2.1.4.1 for 0 < old ≤ new. Raises `ProofError`."""
    if not 0 < old <= new:
        raise ProofError(Flaw.RANGE, f"sizes {old} and {new}")
    start, end = 0, new
    path: list[bytes] = []
    while end != old:
        middle = start + split(end - start)
        if old <= middle:
            path.append(subtree(nodes, middle, end))
            end = middle
        else:
            path.append(subtree(nodes, start, middle))
            start = middle
    if start:  # otherwise the last subtree is the old tree itself, which the verifier holds
        path.append(subtree(nodes, start, end))
    return path[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], expected: bytes) -> None:
    """RFC 9162 §2.1.3.2. Raises `ProofError` unless the leaf hash is at `index` under the root `expected`."""
    _lengths(leaf, expected, *proof)
    if not 0 <= index < size:
        raise ProofError(Flaw.RANGE, f"index {index}, size {size}")
    found = leaf
    for sibling, left in _climb(index, size - 1, proof):
        found = node_hash(sibling, found) if left else node_hash(found, sibling)
    if found != expected:
        raise ProofError(Flaw.ROOT)


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162 §2.1.4.2. Raises `ProofError` unless the new tree extends the old one.

    A proof from the empty tree says nothing, so `old` = 0 is an error here; whoever has seen nothing yet
    must say so, not call a proof valid.
    """
    _lengths(old_root, new_root, *proof)
    if not 0 < old <= new:
        raise ProofError(Flaw.RANGE, f"sizes {old} and {new}")
    if old == new:
        _equal_trees(old_root, new_root, proof)
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofError(Flaw.PROOF_LENGTH)
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    found_old = found_new = path[0]
    for sibling, left in _climb(position, last, path[1:]):
        if left:
            found_old, found_new = node_hash(sibling, found_old), node_hash(sibling, found_new)
        else:
            found_new = node_hash(found_new, sibling)
    if found_old != old_root or found_new != new_root:
        raise ProofError(Flaw.ROOT)


def _climb(position: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The walk of RFC 9162 from a node to the root: each sibling, and whether it stands to the left."""
    for sibling in proof:
        if last == 0:
            raise ProofError(Flaw.PROOF_LENGTH)
        left = position & 1 == 1 or position == last
        yield sibling, left
        if left:  # levels at which the node had no sibling and was carried upwards
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        position, last = position >> 1, last >> 1
    if last:
        raise ProofError(Flaw.PROOF_LENGTH)


def _equal_trees(old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofError(Flaw.PROOF_LENGTH)
    if old_root != new_root:
        raise ProofError(Flaw.ROOT)


def _lengths(*hashes: bytes) -> None:
    # An empty "hash" must never equal an empty root: some verifiers accept exactly that.
    if any(len(one) != HASH_SIZE for one in hashes):
        raise ProofError(Flaw.HASH_LENGTH)


def split(width: int) -> int:
    """The largest power of two below `width` (≥ 2)."""
    return 1 << ((width - 1).bit_length() - 1)
