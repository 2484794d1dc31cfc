"""A log as a site of static files (C2SP tlog-tiles), and the check of all of it.

What a site holds is the tree and its entries: enough to check every hash, the form of each entry and which
belong together, with nothing but the log's key. Seeds, claims and field records are not there. Where the
files lie is left to `Resources`; nothing in them is believed before the checkpoint's signature covers it. Of a
log that was pruned the bundles below its minimum index may be gone; their hashes are still checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from gateway.exchangelog.audit_tree import LeafHashes, Progress, check_pin, check_tree, missing, unkept
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import HASH_SIZE
from gateway.exchangelog.note import NoteKey, parse_note
from gateway.exchangelog.pairing import Pairing
from gateway.exchangelog.tile import WIDTH, TileId, bundle, parse_bundle, width_at

CHECKPOINT = "checkpoint"  # its path


class Resources(Protocol):
    """The files of a site, by their paths."""

    def read(self, path: str) -> bytes | None:
        """None when there is none. Raises `ProofError` when it cannot be read."""

    def paths(self) -> Iterable[str]:
        """Of everything below `tile/`."""


class Site:
    """The tree of a site as it was at `size`. Satisfies `completeness.Entries`."""

    def __init__(self, resources: Resources, size: int) -> None:
        self._resources = resources
        self.size = size

    def tile(self, level: int, n: int, width: int) -> bytes:
        """As `Tiles` has it."""
        return self.read(TileId(level, n, width))

    def bundle(self, n: int) -> TileId:
        return TileId(None, n, width_at(self.size, 0, n))

    def entries(self, n: int) -> list[bytes]:
        """The entries of a bundle. Raises `ProofError`: LOG402 when it is missing, LOG602."""
        name = self.bundle(n)
        data = self.read(name)
        if not data:
            raise ProofError(Flaw.MISSING, name.path)
        try:
            found = parse_bundle(data)
        except ProofError as error:
            raise ProofError(Flaw.BUNDLE, name.path) from error
        if len(found) != name.width:
            raise ProofError(Flaw.BUNDLE, name.path)
        return found

    def leaves(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """As `Entries` has it."""
        for n in range(start // WIDTH, -(-end // WIDTH)):
            for index, leaf in enumerate(self.entries(n), n * WIDTH):
                if start <= index < end:
                    yield index, leaf

    def read(self, name: TileId) -> bytes:
        """The resource, or the full one in its place: a log may take partial ones away once that is there.

        Empty when there is neither.
        """
        found = self._resources.read(name.path)
        if found is None and name.width < WIDTH:
            found = self._resources.read(TileId(name.level, name.n).path)
            return b"" if found is None else _cut(found, name)
        return found or b""


def open_site(resources: Resources, verifiers: Sequence[NoteKey]) -> tuple[Checkpoint, Site]:
    """The checkpoint of a site, signed, and the site at its size. Raises `ProofError`: LOG601."""
    signed = open_checkpoint(_note(resources), verifiers)
    return signed, Site(resources, signed.size)


def check_site(
    resources: Resources,
    verifiers: Sequence[NoteKey],
    pinned: Checkpoint | None = None,
    *,
    progress: Progress = lambda _: None,
) -> Iterator[Finding]:
    """Every finding about a site: signature, tree, tiles, bundles, form and pairing of the entries.

    Raises `ProofError` (LOG601) when there is no checkpoint.
    """
    note = _note(resources)
    try:
        signed = open_checkpoint(note, verifiers)
    except ProofError as error:
        yield Finding(error.flaw, about=error.about)
        try:
            signed = Checkpoint.parse(parse_note(note).text)  # the rest is checked all the same
        except ProofError:
            return
    site = Site(resources, signed.size)
    bundles = _Bundles(site, progress)
    yield from bundles.check(_present(resources, site))
    yield from check_tree(site, signed.size, signed.root, bundles.hashes.differing)
    yield from _beside(resources, site)
    if pinned is not None:
        yield from check_pin(site, signed.size, pinned)


class _Bundles:
    """One pass over the entries."""

    def __init__(self, site: Site, progress: Progress) -> None:
        self._site = site
        self._progress = progress
        self._pairing = Pairing(pruned=site.size > 0 and not site.read(site.bundle(0)))
        self._minimum = 0  # as the log itself records it
        self.hashes = LeafHashes(site, site.size)

    def check(self, numbers: Iterable[int]) -> Iterator[Finding]:
        """`numbers`: of the bundles that are there, in order. A run of missing ones is one finding, however large the
        size claims to be.
        """
        gaps, expected = list[tuple[int, int]](), 0
        for n in numbers:
            gaps.append((expected, n))
            expected = n + 1
            yield from self._bundle(n)
            self._progress(min(expected * WIDTH, self._site.size))
        gaps.append((expected, -(-self._site.size // WIDTH)))
        for first, end in gaps:
            # tlog-tiles, Pruning: what lies below the minimum index that the log itself records may be gone.
            start, stop = first * WIDTH, min(end * WIDTH, self._site.size)
            yield from unkept(start, min(stop, self._minimum))
            yield from missing(max(start, self._minimum), stop)
        yield from self._pairing.left()

    def _bundle(self, n: int) -> Iterator[Finding]:
        try:
            found = self._site.entries(n)
        except ProofError as error:
            yield Finding(error.flaw, n * WIDTH, error.about)
            return
        for index, data in enumerate(found, n * WIDTH):
            self.hashes.compare(index, data)
            try:
                leaf = Leaf.parse(data)
            except ProofError as error:
                yield Finding(error.flaw, index, error.about)
                continue
            if leaf.kind is Kind.PRUNING:
                self._minimum = int(str(leaf.more["minimum"]))
            yield from self._pairing.check(index, leaf)


def _present(resources: Resources, site: Site) -> Iterator[int]:
    """Numbers of the bundles that are there, in order.

    The list of files tells where to go on after a gap, and no more: while an export is under way it is soon old.
    """
    end, expected = -(-site.size // WIDTH), 0
    for n in (*sorted(_listed(resources, site.size)), end):
        while expected < n and site.read(site.bundle(expected)):
            yield expected
            expected += 1
        if expected <= n < end:
            yield n
            expected = n + 1


def _listed(resources: Resources, size: int) -> set[int]:
    """Numbers of the bundles below `size` that are there in some width."""
    names = (_named(path) for path in resources.paths())
    bundles = (name.n for name in names if name is not None and name.level is None)
    return {n for n in bundles if width_at(size, 0, n) > 0}


def _beside(resources: Resources, site: Site) -> Iterator[Finding]:
    """Files that are not of the tree at this size: partial ones of smaller sizes must agree with it."""
    for path in resources.paths():
        name = _named(path)
        width = 0 if name is None else width_at(site.size, name.level or 0, name.n)
        if name is None or name.width > width:
            yield Finding(Flaw.UNCOVERED, about=path)
        elif name.width < width:
            whole, part = site.read(TileId(name.level, name.n, width)), resources.read(path)
            # None: an export has just taken it away.
            if whole and part is not None and part != _cut(whole, name):
                yield Finding(Flaw.BUNDLE if name.level is None else Flaw.TILE, about=path)


def _cut(data: bytes, name: TileId) -> bytes:
    """As much of a wider tile or bundle as the name asks for; of a malformed one everything."""
    if name.level is not None:
        return data[: name.width * HASH_SIZE]
    try:
        return bundle(parse_bundle(data)[: name.width])
    except ProofError:
        return data


def _named(path: str) -> TileId | None:
    try:
        return TileId.parse(path)
    except ProofError:
        return None


def _note(resources: Resources) -> bytes:
    note = resources.read(CHECKPOINT)
    if note is None:
        raise ProofError(Flaw.NO_SITE)
    return note
