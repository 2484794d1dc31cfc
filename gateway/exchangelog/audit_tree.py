"""The tree of a log, as tiles: against the entries below it and the signed root above it.

What else stands in a log, and where it is kept, is for `audit` and `site`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.merkle import HASH_SIZE
from gateway.exchangelog.tile import WIDTH, Edge, Tile, TileNodes, width_at

Progress = Callable[[int], None]  # called with the number of entries checked so far
_ENTRIES_TOLD = 8  # of one tile, each by a finding of its own


class Tiles(Protocol):
    """Where hash tiles are read from."""

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile, fewer when it is short, none when it is missing."""


class LeafHashes:
    """Entries compared, in their order, with the tiles of their hashes.

    Which of the two is the altered one, the tree above them tells: `check_tree`.
    """

    def __init__(self, log: Tiles, size: int) -> None:
        self._log = log
        self._size = size
        self._tile: tuple[int, bytes] = (-1, b"")
        self.differing: dict[int, dict[int, bytes]] = {}  # tile → offset → hash of an entry that it has not

    def compare(self, index: int, leaf: bytes) -> None:
        """Remembers the entry when the tree has another hash for it."""
        found = self.differs(index, leaf)
        if found is not None:
            n, offset = divmod(index, WIDTH)
            self.differing.setdefault(n, {})[offset] = found

    def differs(self, index: int, leaf: bytes) -> bytes | None:
        """The hash of the entry, when the tree has another."""
        n, offset = divmod(index, WIDTH)
        if self._tile[0] != n:
            self._tile = (n, self._log.tile(0, n, width_at(self._size, 0, n)))
        found = merkle.leaf_hash(leaf)
        return None if found == self._tile[1][offset * HASH_SIZE : (offset + 1) * HASH_SIZE] else found


def missing(start: int, end: int) -> Iterator[Finding]:
    """Entries that are not there, as one finding: how many they are a size may say that nobody signed."""
    if start < end:
        yield Finding(Flaw.MISSING, start, "" if start == end - 1 else f"to entry {end - 1}")


def unkept(start: int, end: int) -> Iterator[Finding]:
    """Entries that were pruned: that they are not judged is said, or the rest would seem to be all."""
    if start < end:
        yield Finding(Flaw.UNKEPT, start, f"to entry {end - 1}")


def check_tree(
    log: Tiles, size: int, root: bytes, differing: Mapping[int, Mapping[int, bytes]]
) -> Iterator[Finding]:
    """Every tile of a tree of `size` entries against the root. `differing`: of `LeafHashes`."""
    return _Tree(log, size, root, differing).check()


def check_pin(log: Tiles, size: int, pinned: Checkpoint) -> Iterator[Finding]:
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

    _log: Tiles
    _size: int
    _root: bytes
    _differing: Mapping[int, Mapping[int, bytes]]
    _edge: Edge = field(default_factory=Edge)

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
            width = len(tile.hashes) // HASH_SIZE
            whole = width == width_at(self._size, tile.level, tile.n)
            if tile.level and whole and self._log.tile(tile.level, tile.n, width) != tile.hashes:
                yield Finding(Flaw.TILE, about=f"level {tile.level}, tile {tile.n}")


def _altered(n: int, differing: Mapping[int, bytes]) -> list[Finding]:
    """One finding for each entry, or for a tile with many of them one that tells how many."""
    indices = [n * WIDTH + offset for offset in sorted(differing)]
    if len(indices) <= _ENTRIES_TOLD:
        return [Finding(Flaw.ALTERED, index) for index in indices]
    return [Finding(Flaw.ALTERED, indices[0], f"and {len(indices) - 1} more, up to entry {indices[-1]}")]
