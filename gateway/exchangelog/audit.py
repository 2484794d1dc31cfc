"""The check of a whole log: every entry, hash, tile, field record and claim against the signed checkpoint.

It goes on after a finding and reports all of them. Hashes of entries are compared with the tiles, and the
tiles with the checkpoint, so that one altered entry is one finding that names it. Reading is left to an
`Evidence`; a live log may grow meanwhile, everything is judged at the size of one head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.fields import FieldPlan, base64url
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.exchangelog.merkle import HASH_SIZE
from gateway.exchangelog.note import Verifier
from gateway.exchangelog.tile import WIDTH, Edge, TileNodes, width_at


@dataclass(frozen=True, slots=True)
class Head:
    """The stored head of a log, not yet believed."""

    size: int
    root: bytes
    note: bytes
    last: int  # highest index that is stored at the same moment; -1 when none


@dataclass(frozen=True, slots=True)
class Row:
    """An entry and what stands beside it, as stored."""

    index: int
    leaf: bytes
    exchange: str
    kind: str
    claimed: bool  # has a replay claim
    seeded: bool  # has its seed
    vector_hash: bytes | None
    digests: bytes | None


class Evidence(Protocol):
    """What the check reads."""

    def head(self) -> Head: ...

    def rows(self, end: int) -> Iterator[Row]:
        """Every stored entry below `end`, in order of index."""

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile, fewer when it is short, none when it is missing."""

    def tile_names(self) -> Iterable[tuple[int, int]]:
        """(level, n) of every stored tile."""

    def vector(self, vector_hash: bytes) -> bytes | None: ...

    def repeated(self, end: int) -> Iterable[Finding]:
        """Tickets and (exchange, kind) pairs below `end` that occur twice."""


Progress = Callable[[int], None]  # called with the number of entries checked so far


def audit(
    log: Evidence,
    head: Head,
    verifier: Verifier,
    pinned: Checkpoint | None = None,
    progress: Progress = lambda _: None,
) -> Iterator[Finding]:
    """Every finding about the log at this head, in the order of the check. None: the evidence holds."""
    signed: Checkpoint | None = None
    try:
        signed = open_checkpoint(head.note, verifier)
    except ProofError as error:
        yield Finding(error.flaw, about=error.about)
    if signed is not None and (signed.size, signed.root) != (head.size, head.root):
        yield Finding(Flaw.HEAD)
    if head.last >= head.size:
        yield Finding(Flaw.SURPLUS, head.last)
    size, root = (head.size, head.root) if signed is None else (signed.size, signed.root)
    yield from _Entries(log, size, progress).check()
    yield from _tree(log, size, root)
    yield from log.repeated(size)
    if pinned is not None:
        yield from check_pin(log, size, pinned)


def check_pin(log: Evidence, size: int, pinned: Checkpoint) -> Iterator[Finding]:
    """Whether the log extends a checkpoint that somebody kept elsewhere: the guard against rollback."""
    try:
        holds = (
            pinned.size <= size and merkle.tree_root(TileNodes(size, log.tile), pinned.size) == pinned.root
        )
    except ProofError as error:
        yield Finding(error.flaw, about="below the pinned checkpoint")
        return
    if not holds:
        yield Finding(Flaw.ROLLBACK, about=f"pinned size {pinned.size}")


def _tree(log: Evidence, size: int, root: bytes) -> Iterator[Finding]:
    """The tiles against the root, and the upper tiles against those below them."""
    edge, expected = Edge(), set[tuple[int, int]]()
    for n in range(-(-size // WIDTH)):
        width = width_at(size, 0, n)
        data = log.tile(0, n, width)
        if len(data) != width * HASH_SIZE:
            yield Finding(Flaw.TILE, about=f"level 0, tile {n}")
            return  # without its leaf hashes there is nothing to add up
        edge, tiles = edge.extend([data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)])
        for tile in tiles:
            expected.add((tile.level, tile.n))
            whole = len(tile.hashes) // HASH_SIZE == width_at(size, tile.level, tile.n)
            if whole and log.tile(tile.level, tile.n, len(tile.hashes) // HASH_SIZE) != tile.hashes:
                yield Finding(Flaw.TILE, about=f"level {tile.level}, tile {tile.n}")
    if edge.root() != root:
        yield Finding(Flaw.TREE)
    for level, n in log.tile_names():
        if (level, n) not in expected and width_at(log.head().size, level, n) <= 0:
            yield Finding(Flaw.SURPLUS, about=f"level {level}, tile {n}")


class _Entries:
    """One pass over the entries, with what must be remembered from one to another."""

    def __init__(self, log: Evidence, size: int, progress: Progress) -> None:
        self._log = log
        self._size = size
        self._progress = progress
        self._open: dict[str, tuple[int, Leaf]] = {}  # requests without an outcome so far
        self._plans: dict[bytes, FieldPlan | Flaw] = {}
        self._tile: tuple[int, bytes] = (-1, b"")

    def check(self) -> Iterator[Finding]:
        expected = 0
        for row in self._log.rows(self._size):
            if row.index < 0:
                yield Finding(Flaw.SURPLUS, row.index)
                continue
            yield from (Finding(Flaw.MISSING, index) for index in range(expected, row.index))
            expected = row.index + 1
            yield from self._row(row)
            if expected % WIDTH == 0:
                self._progress(expected)
        yield from (Finding(Flaw.MISSING, index) for index in range(expected, self._size))
        self._progress(self._size)
        for index, leaf in self._open.values():
            yield Finding(Flaw.OUTCOME_UNKNOWN, index, leaf.id)

    def _row(self, row: Row) -> Iterator[Finding]:
        if merkle.leaf_hash(row.leaf) != self._hash(row.index):
            yield Finding(Flaw.ALTERED, row.index)
        if not row.seeded:
            yield Finding(Flaw.SEED, row.index)
        try:
            leaf = Leaf.parse(row.leaf)
        except ProofError as error:
            yield Finding(error.flaw, row.index, error.about)
            return
        if (leaf.id, leaf.kind) != (row.exchange, row.kind):
            yield Finding(Flaw.COLUMN, row.index)
        if row.claimed != (leaf.kind is Kind.REQUEST):
            yield Finding(Flaw.CLAIM, row.index)
        yield from self._fields(row, leaf)
        yield from self._pairing(row.index, leaf)

    def _hash(self, index: int) -> bytes:
        n, offset = divmod(index, WIDTH)
        if self._tile[0] != n:
            self._tile = (n, self._log.tile(0, n, width_at(self._size, 0, n)))
        return self._tile[1][offset * HASH_SIZE : (offset + 1) * HASH_SIZE]

    def _fields(self, row: Row, leaf: Leaf) -> Iterator[Finding]:
        if row.vector_hash is None or row.digests is None:
            if leaf.kind is Kind.RESPONSE or row.vector_hash is not None or row.digests is not None:
                yield Finding(Flaw.FIELDS, row.index)
            return
        plan = self._plan(row.vector_hash)
        if isinstance(plan, Flaw):
            yield Finding(plan, row.index)
            return
        try:
            root = base64url(plan.root(row.digests)).decode()
        except ProofError as error:
            yield Finding(error.flaw, row.index, error.about)
            return
        if (root, len(plan)) != (leaf.fields_root, leaf.nfields):
            yield Finding(Flaw.FIELDS, row.index)

    def _plan(self, vector_hash: bytes) -> FieldPlan | Flaw:
        if vector_hash not in self._plans:
            self._plans[vector_hash] = self._load(vector_hash)
        return self._plans[vector_hash]

    def _load(self, vector_hash: bytes) -> FieldPlan | Flaw:
        vector = self._log.vector(vector_hash)
        if vector is None:
            return Flaw.FIELDS
        try:
            plan = FieldPlan.parse(vector)
        except ProofError as error:
            return error.flaw
        return plan if plan.vector_hash == vector_hash else Flaw.FIELDS

    def _pairing(self, index: int, leaf: Leaf) -> Iterator[Finding]:
        """An outcome follows its request and agrees with it; a refusal may also stand alone."""
        if leaf.kind is Kind.REQUEST:
            if leaf.id in self._open:
                yield Finding(Flaw.PAIRING, index, "second request of one exchange")
            self._open[leaf.id] = (index, leaf)
            return
        _, request = self._open.pop(leaf.id, (0, None))
        if leaf.kind is Kind.RESPONSE and request is None:
            yield Finding(Flaw.PAIRING, index, "response without a request")
        if request is not None and not _agree(request, leaf):
            yield Finding(Flaw.PAIRING, index, "outcome of another question")


def _agree(request: Leaf, outcome: Leaf) -> bool:
    question = (request.caller, request.operation, request.legal_context, request.revision)
    if outcome.kind is Kind.REFUSAL:  # may know less of the question
        return outcome.caller == request.caller
    return (outcome.caller, outcome.operation, outcome.legal_context, outcome.revision) == question
