"""Tiles (C2SP tlog-tiles, height 8): their paths, the growing edge of a tree, and reading nodes from them.

Pure: tiles are bytes that somebody else keeps. A tile of any width is a prefix of the tile when full, so
one stored copy serves every partial width.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from gateway.exchangelog import merkle
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import HASH_SIZE, node_hash

HEIGHT = 8  # tlog-tiles fixes it
WIDTH = 1 << HEIGHT  # hashes in a full tile, entries in a full bundle
MAX_LEVEL = 63  # tlog-tiles: the highest level a path may name
MAX_ENTRY = 0xFFFF  # bytes; a bundle counts them in a uint16

# (level, n, width) → the first `width` hashes of that tile, concatenated.
ReadTile: TypeAlias = Callable[[int, int, int], bytes]

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9]\d?)/(?P<n>(?:x\d{3}/){0,5}\d{3})(?:\.p/(?P<width>[1-9]\d{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class TileId:
    """Name of a hash tile, or of an entry bundle when `level` is None."""

    level: int | None
    n: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_groups(self.n)}{partial}"

    @classmethod
    def parse(cls, path: str) -> TileId:
        """The one way to write each name. Raises `ProofError`."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise ProofError(Flaw.TILE_PATH)
        level = None if found["level"] == "entries" else int(found["level"])
        n = int(found["n"].replace("x", "").replace("/", ""))
        name = cls(level, n, int(found["width"] or WIDTH))
        # The full tile has no .p; leading zero groups and levels above 63 name nothing.
        if name.path != path or (level or 0) > MAX_LEVEL:
            raise ProofError(Flaw.TILE_PATH)
        return name


@dataclass(frozen=True, slots=True)
class Tile:
    """Hashes of one tile as far as it is filled."""

    level: int
    n: int
    hashes: bytes


def resources(size: int) -> Iterator[TileId]:
    """Every hash tile and bundle of a tree of `size` entries: full ones, and the partial at the edge."""
    level, count = 0, size
    while count:
        full, rest = divmod(count, WIDTH)
        for name_level in (level, None) if level == 0 else (level,):
            yield from (TileId(name_level, n) for n in range(full))
            if rest:
                yield TileId(name_level, full, rest)
        level, count = level + 1, full


def width_at(size: int, level: int, n: int) -> int:
    """How many hashes the tile has in a tree of `size` entries; 0 or less when it is not there."""
    return min(WIDTH, (size >> (HEIGHT * level)) - n * WIDTH)


def bundle(entries: Iterable[bytes]) -> bytes:
    """tlog-tiles: each entry after its length in two bytes, big-endian."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises `ProofError`."""
    entries: list[bytes] = []
    offset = 0
    while offset < len(data):
        start = offset + 2
        offset = start + int.from_bytes(data[offset:start], "big")
        if start > len(data) or offset > len(data):
            raise ProofError(Flaw.ENTRY_FORM, "bundle cut short")
        entries.append(data[start:offset])
    return entries


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: all that appending needs.

    `partial` holds, for each level, the hashes of the last tile that is not full. `peaks` are the roots of
    the complete subtrees that `size` consists of in binary, the largest first; they spare hashing the
    partial tiles again at every append.
    """

    size: int = 0
    partial: tuple[tuple[bytes, ...], ...] = ()
    peaks: tuple[bytes, ...] = ()

    def root(self) -> bytes:
        return _joined(self.peaks)

    def extend(self, leaves: Sequence[bytes]) -> tuple[Edge, list[Tile]]:
        """The edge after appending leaf hashes, and every tile that grew."""
        grown: list[list[bytes]] = []
        peaks, size = list(self.peaks), self.size
        for leaf in leaves:
            _grow(grown, 0, leaf)
            node, height = leaf, 0
            while size >> height & 1:
                node, height = node_hash(peaks.pop(), node), height + 1
                if height % HEIGHT == 0:  # a tile is full: its root is a hash of the level above
                    _grow(grown, height // HEIGHT, node)
            peaks.append(node)
            size += 1
        partial, tiles = self._tiles(grown)
        return Edge(size, partial, tuple(peaks)), tiles

    def _tiles(self, grown: list[list[bytes]]) -> tuple[tuple[tuple[bytes, ...], ...], list[Tile]]:
        partial, tiles = list(self.partial), list[Tile]()
        partial.extend([()] * (len(grown) - len(partial)))
        for level, new in enumerate(grown):
            hashes = (*partial[level], *new)
            first = self.size >> (HEIGHT * (level + 1))
            tiles.extend(
                Tile(level, first + at // WIDTH, b"".join(hashes[at : at + WIDTH]))
                for at in range(0, len(hashes), WIDTH)
            )
            partial[level] = hashes[len(hashes) - len(hashes) % WIDTH :]
        return tuple(partial), tiles

    @classmethod
    def load(cls, size: int, read: ReadTile) -> Edge:
        """The edge of a stored tree. The caller compares `root()` with a checkpoint that it believes."""
        partial: list[tuple[bytes, ...]] = []
        peaks: list[bytes] = []
        level = 0
        while size >> (HEIGHT * level):
            full, rest = divmod(size >> (HEIGHT * level), WIDTH)
            hashes = split_hashes(read(level, full, rest), rest) if rest else ()
            partial.append(hashes)
            peaks[:0] = _peaks(hashes)
            level += 1
        return cls(size, tuple(partial), tuple(peaks))


class TileNodes:
    """`merkle.Nodes` over the tiles of a tree of `size` entries; keeps what it has read."""

    def __init__(self, size: int, read: ReadTile) -> None:
        self._size = size
        self._read = read
        self._seen: dict[tuple[int, int], Sequence[Sequence[bytes]]] = {}

    def __call__(self, height: int, n: int) -> bytes:
        level, below = divmod(height, HEIGHT)
        tile, offset = divmod(n << below, WIDTH)
        return self._subtrees(level, tile)[below][offset >> below]

    def _subtrees(self, level: int, n: int) -> Sequence[Sequence[bytes]]:
        if (level, n) not in self._seen:
            width = width_at(self._size, level, n)
            self._seen[level, n] = _subtrees(Tile(level, n, self._read(level, n, width)), width)
        return self._seen[level, n]


@lru_cache(
    maxsize=64
)  # 45 KB each; proofs from a large tree have the upper tiles and the right edge in common
def _subtrees(tile: Tile, width: int) -> Sequence[Sequence[bytes]]:
    """The complete subtrees of a tile by their height, from its hashes upwards. Raises `ProofError`."""
    levels: list[Sequence[bytes]] = [split_hashes(tile.hashes, width)]
    while len(levels[-1]) > 1:
        levels.append(merkle.pairs(levels[-1]))
    return levels


def split_hashes(data: bytes, width: int) -> tuple[bytes, ...]:
    """The hashes of a tile that must hold exactly `width`. Raises `ProofError`."""
    if len(data) != width * HASH_SIZE or width <= 0:
        raise ProofError(Flaw.TILE)
    return tuple(data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE))


def _grow(grown: list[list[bytes]], level: int, node: bytes) -> None:
    while len(grown) <= level:
        grown.append([])
    grown[level].append(node)


@lru_cache(maxsize=4)  # each commit asks three times: for the tree as it was, twice, and as it becomes
def _joined(peaks: tuple[bytes, ...]) -> bytes:
    """The root over complete subtrees, the largest first."""
    if not peaks:
        return merkle.EMPTY_ROOT
    found = peaks[-1]
    for peak in peaks[-2::-1]:
        found = node_hash(peak, found)
    return found


def _peaks(hashes: tuple[bytes, ...]) -> list[bytes]:
    peaks: list[bytes] = []
    start = 0
    for bit in reversed(range(HEIGHT)):
        if len(hashes) >> bit & 1:
            peaks.append(merkle.root(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    return peaks


def _groups(n: int) -> str:
    digits = f"{n:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
