"""The check of a whole log: every entry, hash, tile, field record and claim against the signed checkpoint.

It goes on after a finding and reports all of them. Hashes of entries are compared with the tiles, and the
tiles with the checkpoint, so that one altered entry is one finding that names it. Reading is left to an
`Evidence`; a live log may grow meanwhile, everything is judged at the size of one head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.exchangelog import merkle
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.erasure import Record
from gateway.exchangelog.fields import FieldPlan, base64url
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.kept import Kept
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import HASH_SIZE
from gateway.exchangelog.note import NoteKey, Verifier
from gateway.exchangelog.pairing import Pairing
from gateway.exchangelog.tile import WIDTH, Edge, Tile, TileNodes, width_at

_ENTRIES_TOLD = 8  # of one tile, each by a finding of its own
_CLAIMING = (Kind.REQUEST, Kind.NOTIFICATION)  # have a replay claim
_RELEASING = (Kind.RESPONSE, Kind.DELIVERY)  # have field records


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
    authority: str | None  # whose claim: an id of the register
    seeded: bool  # has its seed
    vector_hash: bytes | None
    digests: bytes | None
    bucket: str | None = None  # of the seed
    sealed: Flaw | None = None  # why the seed does not open; None when it does, or no keys are known


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

    def record(self, end: int) -> tuple[Record, Sequence[tuple[int, bytes]]]:
        """What stands beside the tree as erased, and at the same moment the log's own entries from `end` on."""

    def held(self) -> frozenset[Bucket] | None:
        """The buckets that have a key; None when that is not known."""

    def repeated(self, end: int) -> Iterable[Finding]:
        """Tickets and (exchange, kind) pairs below `end` that occur twice."""


Progress = Callable[[int], None]  # called with the number of entries checked so far


def audit(  # noqa: PLR0913 - what is checked, by which keys, against what is known elsewhere
    log: Evidence,
    head: Head,
    verifiers: Sequence[NoteKey],
    pinned: Checkpoint | None = None,
    *,
    progress: Progress = lambda _: None,
    parties: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Every finding about the log at this head, in the order of the check. None: the evidence holds.

    `parties`: id in the register → enterprise number; with it claims are compared with their entries.
    """
    signed: Checkpoint | None = None
    try:
        signed = open_checkpoint(head.note, verifiers)
    except ProofError as error:
        yield Finding(error.flaw, about=error.about)
    if signed is not None and (signed.size, signed.root) != (head.size, head.root):
        yield Finding(Flaw.HEAD)
    if head.last >= head.size:
        yield Finding(Flaw.SURPLUS, head.last)
    size, root = (head.size, head.root) if signed is None else (signed.size, signed.root)
    origin = next((one.name for one in verifiers), "")
    entries = _Entries(log, size, progress, parties or {}, origin)
    yield from entries.check()
    yield from _Tree(log, size, root, entries.differing).check()
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


@dataclass(slots=True)
class _Tree:
    """The tiles against the root, the upper tiles against those below them, and entries against both.

    Where a tile of leaf hashes and the entries differ, the hash above the tile, or the root, tells which of
    them was altered: a tile that was overwritten is one finding, and so is each entry.
    """

    _log: Evidence
    _size: int
    _root: bytes
    _differing: Mapping[int, Mapping[int, bytes]]
    _edge: Edge = field(default_factory=Edge)
    _expected: set[tuple[int, int]] = field(default_factory=set)

    def check(self) -> Iterator[Finding]:
        for n in range(-(-self._size // WIDTH)):
            hashes, findings = self._leaves(n)
            yield from findings
            if hashes is None:
                return  # without its leaf hashes there is nothing to add up
            self._edge, tiles = self._edge.extend(hashes)
            yield from self._upper(tiles)
        if self._edge.root() != self._root:
            yield Finding(Flaw.TREE)
        for level, n in self._log.tile_names():
            if (level, n) not in self._expected and width_at(self._log.head().size, level, n) <= 0:
                yield Finding(Flaw.SURPLUS, about=f"level {level}, tile {n}")

    def _leaves(self, n: int) -> tuple[list[bytes] | None, list[Finding]]:
        """The leaf hashes to go on with, and what is wrong with them."""
        width, about = width_at(self._size, 0, n), f"level 0, tile {n}"
        data, differing = self._log.tile(0, n, width), self._differing.get(n, {})
        stored = [data[at : at + HASH_SIZE] for at in range(0, width * HASH_SIZE, HASH_SIZE)]
        whole = len(data) == width * HASH_SIZE
        if not differing and whole:
            return stored, []
        rebuilt = [differing.get(offset, one) for offset, one in enumerate(stored)]
        if all(len(one) == HASH_SIZE for one in rebuilt) and self._fits(n, rebuilt):
            return rebuilt, [Finding(Flaw.TILE, about=about)]
        altered = _altered(n, differing)
        if not whole:
            return None, [Finding(Flaw.TILE, about=about), *altered]
        wrong = [] if self._fits(n, stored) else [Finding(Flaw.TILE, about=about)]
        return stored, [*wrong, *altered]

    def _fits(self, n: int, hashes: list[bytes]) -> bool:
        """Whether what stands above the tile was computed from these hashes."""
        if len(hashes) < WIDTH:  # the last tile: only the root stands above it
            return self._edge.extend(hashes)[0].root() == self._root
        above, offset = divmod(n, WIDTH)
        data = self._log.tile(1, above, width_at(self._size, 1, above))
        return data[offset * HASH_SIZE : (offset + 1) * HASH_SIZE] == merkle.root(hashes)

    def _upper(self, tiles: Iterable[Tile]) -> Iterator[Finding]:
        for tile in tiles:
            self._expected.add((tile.level, tile.n))
            width = len(tile.hashes) // HASH_SIZE
            whole = width == width_at(self._size, tile.level, tile.n)
            if tile.level and whole and self._log.tile(tile.level, tile.n, width) != tile.hashes:
                yield Finding(Flaw.TILE, about=f"level {tile.level}, tile {tile.n}")


def _names_key(leaf: Leaf, origin: str) -> bool:
    """Whether the key that was announced is one of this log."""
    try:
        return Verifier.parse(str(leaf.more["vkey"])).name == origin
    except ProofError:
        return False


def _altered(n: int, differing: Mapping[int, bytes]) -> list[Finding]:
    """One finding for each entry, or for a tile with many of them one that tells how many."""
    indices = [n * WIDTH + offset for offset in sorted(differing)]
    if len(indices) <= _ENTRIES_TOLD:
        return [Finding(Flaw.ALTERED, index) for index in indices]
    return [Finding(Flaw.ALTERED, indices[0], f"and {len(indices) - 1} more, up to entry {indices[-1]}")]


class _Entries:
    """One pass over the entries, with what must be remembered from one to another."""

    def __init__(
        self, log: Evidence, size: int, progress: Progress, parties: Mapping[str, str], origin: str
    ) -> None:
        self._log = log
        self._origin = origin
        self._size = size
        self._progress = progress
        self._before, _ = log.record(size)
        self._kept = Kept(self._before)
        self._pairing = Pairing(pruned=self._before.minimum > 0)
        self._plans: dict[bytes, FieldPlan | Flaw] = {}
        self._tile: tuple[int, bytes] = (-1, b"")
        self._callers = {enterprise: name for name, enterprise in parties.items()}
        self.differing: dict[int, dict[int, bytes]] = {}  # tile → offset → hash of an entry that it has not

    def check(self) -> Iterator[Finding]:
        expected = self._before.minimum
        for row in self._log.rows(self._size):
            if row.index < self._before.minimum:
                yield Finding(Flaw.SURPLUS, row.index)
                continue
            yield from (Finding(Flaw.MISSING, index) for index in range(expected, row.index))
            expected = row.index + 1
            yield from self._row(row)
            if expected % WIDTH == 0:
                self._progress(expected)
        yield from (Finding(Flaw.MISSING, index) for index in range(expected, self._size))
        self._progress(self._size)
        yield from self._pairing.left()
        yield from self._kept.left(*self._log.record(self._size), self._log.held())

    def _row(self, row: Row) -> Iterator[Finding]:
        self._compare(row)
        try:
            leaf = Leaf.parse(row.leaf)
        except ProofError as error:
            yield Finding(error.flaw, row.index, error.about)
            yield from self._kept.check(row, None)
            return
        yield from self._kept.check(row, leaf)
        if (leaf.id, leaf.kind) != (row.exchange, row.kind):
            yield Finding(Flaw.COLUMN, row.index)
        if row.claimed != (leaf.kind in _CLAIMING):
            yield Finding(Flaw.CLAIM, row.index)
        elif row.authority is not None and self._callers.get(leaf.caller, row.authority) != row.authority:
            yield Finding(Flaw.CLAIM, row.index, "claimed by another authority")
        if leaf.kind is Kind.KEY_ROTATION and not _names_key(leaf, self._origin):
            yield Finding(Flaw.ROTATION, row.index)
        yield from self._fields(row, leaf)
        yield from self._pairing.check(row.index, leaf)

    def _compare(self, row: Row) -> None:
        """Entry and tile. Which of the two is the altered one, the tree above them tells."""
        n, offset = divmod(row.index, WIDTH)
        if self._tile[0] != n:
            self._tile = (n, self._log.tile(0, n, width_at(self._size, 0, n)))
        found = merkle.leaf_hash(row.leaf)
        if found != self._tile[1][offset * HASH_SIZE : (offset + 1) * HASH_SIZE]:
            self.differing.setdefault(n, {})[offset] = found

    def _fields(self, row: Row, leaf: Leaf) -> Iterator[Finding]:
        if row.vector_hash is None or row.digests is None:
            if leaf.kind in _RELEASING or row.vector_hash is not None or row.digests is not None:
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
