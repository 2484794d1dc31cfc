"""The exchange log written out as a site of static files, or what is new of it since the last time.

Hash tiles are not copied from the store but computed from the entries that are written beside them, and only
if they add up to the signed root is a checkpoint published over them: what is exported has been checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.site_directory import SiteDirectory, SiteWriter
from gateway.adapters.store_reader import LogReader
from gateway.exchangelog import merkle
from gateway.exchangelog.audit_tree import LeafHashes, Progress
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import HASH_SIZE, leaf_hash
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.site import CHECKPOINT
from gateway.exchangelog.tile import (
    HEIGHT,
    WIDTH,
    Edge,
    Tile,
    TileId,
    TileNodes,
    bundle,
    resources,
    split_hashes,
    width_at,
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export has done."""

    checkpoint: Checkpoint
    before: int  # size of the tree that was there; 0 for none
    files: int  # tiles and bundles written


def export(
    log: LogReader, path: Path, verifiers: Sequence[NoteKey], progress: Progress = lambda _: None
) -> Exported:
    """Bring the directory to the log's present checkpoint.

    Raises `ProofError`: LOG604 for a directory of another log, LOG605 when the log does not extend what is
    there, LOG404 and others when the store does not hold; then the checkpoint that was there stays.
    """
    minimum = log.minimum  # first: the checkpoint then covers the entry that says so
    note, signed = log.signed(verifiers)
    with SiteWriter.writing(path) as writer:
        site = SiteDirectory(path)
        before = _before(site, writer, verifiers)
        _require_extension(log, signed, before)
        growth = _Growth(log, writer, signed.size, minimum)
        root = growth.write(_start(site, before.size, minimum), progress)
        if root != signed.root:  # each entry has the hash of its tile, so it is a tile that was altered
            raise ProofError(Flaw.TREE)
        writer.publish(note)
        _drop_partials(writer, before.size, signed.size)
        _drop_pruned(site, writer, minimum)
    return Exported(signed, before.size, growth.files)


def _before(site: SiteDirectory, writer: SiteWriter, verifiers: Sequence[NoteKey]) -> Checkpoint:
    """What was exported to the directory before. Raises `ProofError`: LOG604."""
    note = site.read(CHECKPOINT)
    if note is None:
        writer.require_ours()
        return Checkpoint(verifiers[0].name, 0, merkle.EMPTY_ROOT)
    try:
        return open_checkpoint(note, verifiers)
    except ProofError as error:
        raise ProofError(Flaw.OTHER_DIRECTORY, f"its checkpoint: {error.flaw.row.code}") from error


def _require_extension(log: LogReader, signed: Checkpoint, before: Checkpoint) -> None:
    nodes = TileNodes(signed.size, log.tile)
    if before.size > signed.size or merkle.tree_root(nodes, before.size) != before.root:
        raise ProofError(Flaw.NO_EXTENSION, f"size {before.size} there, {signed.size} here")


def _start(site: SiteDirectory, size: int, minimum: int) -> int:
    """Where to begin: with the first bundle that was not full, or from the start when a file has gone."""
    full = (name for name in resources(size) if name.width == WIDTH)
    there = all(site.has(name) for name in full if not _pruned(name, minimum))
    return size - size % WIDTH if there else 0


def _pruned(name: TileId, minimum: int) -> bool:
    """tlog-tiles, Pruning: whether the end index of a bundle is at most the minimum index. Hash tiles stay."""
    return name.level is None and (name.n + 1) * WIDTH <= minimum


def _drop_partials(writer: SiteWriter, before: int, size: int) -> None:
    for name in resources(size):
        if name.width == WIDTH and width_at(before, name.level or 0, name.n) < WIDTH:
            writer.drop_partials(name)


def _drop_pruned(site: SiteDirectory, writer: SiteWriter, minimum: int) -> None:
    """Take away what the log no longer keeps, the highest last: while that is there, there is something to do."""
    if minimum and site.has(TileId(None, minimum // WIDTH - 1)):
        for n in range(minimum // WIDTH):
            writer.drop(TileId(None, n))


class _Growth:
    """The files of a tree of `size` entries from one of its full bundles on."""

    def __init__(self, log: LogReader, writer: SiteWriter, size: int, minimum: int) -> None:
        self._log = log
        self._writer = writer
        self._size = size
        self._minimum = minimum
        self.files = 0

    def write(self, start: int, progress: Progress) -> bytes:
        """Every bundle and tile that `start` entries do not fill; the root of them all."""
        edge = Edge.load(start, self._log.tile)
        for n in range(start // WIDTH, -(-self._size // WIDTH)):
            edge, tiles = edge.extend(self._bundle(n))
            self._write_tiles(one for one in tiles if len(one.hashes) == WIDTH * HASH_SIZE)
            progress(edge.size)
        counts = (self._size >> HEIGHT * (level + 1) for level in range(len(edge.partial)))
        partial = zip(counts, edge.partial, strict=True)
        self._write_tiles(Tile(level, n, b"".join(some)) for level, (n, some) in enumerate(partial) if some)
        return edge.root()

    def _bundle(self, n: int) -> Sequence[bytes]:
        """Leaf hashes of a bundle, which is written unless it was pruned."""
        if _pruned(TileId(None, n), self._minimum):
            return split_hashes(self._log.tile(0, n, WIDTH), WIDTH)
        leaves = self._leaves(n)
        self._write(TileId(None, n, len(leaves)), bundle(leaves))
        return [leaf_hash(leaf) for leaf in leaves]

    def _leaves(self, n: int) -> list[bytes]:
        """The entries of a bundle, all of them, and none but those of the tree. Raises `ProofError`."""
        start, width = n * WIDTH, width_at(self._size, 0, n)
        hashes, leaves = LeafHashes(self._log, self._size), list[bytes]()
        for index, leaf in self._log.leaves(start, start + width):
            if index != start + len(leaves):
                break
            hashes.compare(index, leaf)
            leaves.append(leaf)
        if len(leaves) != width:
            raise ProofError(Flaw.MISSING, f"index {start + len(leaves)}")
        for offset in hashes.differing.get(n, ()):
            raise ProofError(Flaw.ALTERED, f"index {start + offset}")
        return leaves

    def _write_tiles(self, tiles: Iterable[Tile]) -> None:
        for tile in tiles:
            self._write(TileId(tile.level, tile.n, len(tile.hashes) // HASH_SIZE), tile.hashes)

    def _write(self, name: TileId, data: bytes) -> None:
        self._writer.write(name, data)
        self.files += 1
