"""The check of a whole log: every entry, hash, tile, field record and claim against the signed checkpoint.

It goes on after a finding and reports all of them. Hashes of entries are compared with the tiles, and the
tiles with the checkpoint, so that one altered entry is one finding that names it. Reading is left to an
`Evidence`; a live log may grow meanwhile, everything is judged at the size of one head.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from gateway.exchangelog.audit_tree import LeafHashes, Progress, Tiles, check_pin, check_tree
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.erasure import Record
from gateway.exchangelog.fields import FieldPlan, base64url
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.kept import Kept
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey, Verifier
from gateway.exchangelog.pairing import Pairing
from gateway.exchangelog.tile import WIDTH, width_at

_CLAIMING = (Kind.REQUEST, Kind.NOTIFICATION)  # have a replay claim
_RELEASING = (Kind.RESPONSE, Kind.DELIVERY)  # have field records


@dataclass(frozen=True, slots=True)
class Head:
    """The stored head of a log, not yet believed."""

    size: int
    root: bytes
    note: bytes
    last: int  # highest index that is stored at the same moment; -1 when none


class Row(msgspec.Struct, frozen=True):
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
    messages: bool = False  # has kept messages, or the payload that was released


class Evidence(Tiles, Protocol):
    """What the check reads."""

    def head(self) -> Head: ...

    def rows(self, end: int) -> Iterator[Row]:
        """Every stored entry below `end`, in order of index."""

    def tile_names(self) -> Iterable[tuple[int, int]]:
        """(level, n) of every stored tile."""

    def vector(self, vector_hash: bytes) -> bytes | None: ...

    def record(self, end: int) -> tuple[Record, Sequence[tuple[int, bytes]]]:
        """What stands beside the tree as erased, and at the same moment the log's own entries from `end` on."""

    def held(self) -> frozenset[Bucket] | None:
        """The buckets that have a key; None when that is not known."""

    def repeated(self, end: int) -> Iterable[Finding]:
        """Tickets and (exchange, kind) pairs below `end` that occur twice."""


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
    found = list(entries.check())
    while entries.overtaken:  # what a pruning takes away meanwhile is not missing: it is another log to check
        entries = _Entries(log, size, progress, parties or {}, origin)
        found = list(entries.check())
    yield from found
    yield from check_tree(log, size, root, entries.hashes.differing)
    yield from _surplus(log)
    yield from log.repeated(size)
    if pinned is not None:
        yield from check_pin(log, size, pinned)


def _names_key(leaf: Leaf, origin: str) -> bool:
    """Whether the key that was announced is one of this log."""
    try:
        return Verifier.parse(str(leaf.more["vkey"])).name == origin
    except ProofError:
        return False


def _surplus(log: Evidence) -> Iterator[Finding]:
    names = log.tile_names()
    size = log.head().size  # afterwards: a live log may have grown
    for level, n in names:
        if width_at(size, level, n) <= 0:
            yield Finding(Flaw.SURPLUS, about=f"level {level}, tile {n}")


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
        self._callers = {enterprise: name for name, enterprise in parties.items()}
        self.hashes = LeafHashes(log, size)
        self.overtaken = False  # by a pruning: the minimum index has risen during the pass

    def check(self) -> Iterator[Finding]:
        expected, remaining = self._before.minimum, list[int]()
        for row in self._log.rows(self._size):
            if row.index < self._before.minimum:
                if row.index < 0 or row.seeded or row.messages:  # a pruning takes nothing that has its seed
                    yield Finding(Flaw.SURPLUS, row.index, "" if row.index < 0 else "below the minimum index")
                else:
                    remaining.append(row.index)
                continue
            yield from (Finding(Flaw.MISSING, index) for index in range(expected, row.index))
            expected = row.index + 1
            yield from self._row(row)
            if expected % WIDTH == 0:
                self._progress(expected)
        yield from (Finding(Flaw.MISSING, index) for index in range(expected, self._size))
        self._progress(self._size)
        if remaining:
            yield Finding(Flaw.PRUNED_REMAINS, remaining[0], f"to entry {remaining[-1]}")
        yield from self._pairing.left()
        now, later = self._log.record(self._size)
        self.overtaken = now.minimum > self._before.minimum
        yield from self._kept.left(now, later, self._log.held())

    def _row(self, row: Row) -> Iterator[Finding]:
        self.hashes.compare(row.index, row.leaf)
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
