"""The check of a whole log: every entry, hash, tile, field record and claim against the signed checkpoint.

It goes on after a finding and reports all of them. Hashes of entries are compared with the tiles, and the
tiles with the checkpoint, so that one altered entry is one finding that names it. Reading is left to an
`Evidence`; a live log may grow meanwhile, everything is judged at the size of one head.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.exchangelog import merkle
from gateway.exchangelog.account import Account
from gateway.exchangelog.audit_rows import Judged, Judging, Known, Rows, judged
from gateway.exchangelog.audit_tree import Progress, check_pin, check_tree, missing, unkept
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.erasure import Record
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.kept import Kept
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey, of_log
from gateway.exchangelog.pairing import Pairing
from gateway.exchangelog.tile import WIDTH, TileNodes, width_at


@dataclass(frozen=True, slots=True)
class Head:
    """The stored head of a log, not yet believed."""

    size: int
    root: bytes
    note: bytes
    last: int  # highest index that is stored at the same moment; -1 when none


class Evidence(Rows, Protocol):
    """What the check reads."""

    def head(self) -> Head: ...

    def tile_names(self) -> Iterable[tuple[int, int]]:
        """(level, n) of every stored tile."""

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
    judge: Judging = judged,
) -> Iterator[Finding]:
    """Every finding about the log at this head, in the order of the check. None: the evidence holds.

    `parties`: id in the register → enterprise number; with it claims are compared with their entries.
    `judge`: judges the entries one by one; several processes may do so at once. `verifiers`: the first is of this log;
    with them may be those of logs that succeed it, by which accounts of a later erasure are believed.
    """
    signed: Checkpoint | None = None
    origin = next((one.name for one in verifiers), "")
    try:
        signed = open_checkpoint(head.note, of_log(origin, verifiers))
    except ProofError as error:
        yield Finding(error.flaw, about=error.about)
    if signed is not None and (signed.size, signed.root) != (head.size, head.root):
        yield Finding(Flaw.HEAD)
    if head.last >= head.size:
        yield Finding(Flaw.SURPLUS, head.last)
    size, root = (head.size, head.root) if signed is None else (signed.size, signed.root)
    known = Known(size, min(size, head.last + 1), origin, parties or {})
    while True:
        entries = _Entries(log, known, verifiers, progress)
        found = list(entries.check(judge(log, known)))
        if not entries.overtaken:
            break  # else: what a pruning took away meanwhile is not missing, it is another log to check
    yield from found
    yield from check_tree(log, size, root, entries.differing)
    yield from _surplus(log)
    yield from log.repeated(size)
    if pinned is not None:
        yield from check_pin(log, size, pinned)


def _surplus(log: Evidence) -> Iterator[Finding]:
    names = log.tile_names()
    size = log.head().size  # afterwards: a live log may have grown
    for level, n in names:
        if min(level, n) < 0 or width_at(size, level, n) <= 0:
            yield Finding(Flaw.SURPLUS, about=f"level {level}, tile {n}")


class _Entries:
    """One pass over the entries, with what must be remembered from one to another."""

    def __init__(self, log: Evidence, known: Known, verifiers: Sequence[NoteKey], progress: Progress) -> None:
        self._log = log
        self._known = known
        self._size = known.size
        self._verifiers = verifiers
        self._progress = progress
        self._before, _ = log.record(known.size)
        self._kept = Kept(self._before, known.size, self._believed)
        self._pairing = Pairing(pruned=self._before.minimum > 0)
        self.differing: dict[int, dict[int, bytes]] = {}  # as `check_tree` takes it
        self.overtaken = False  # by a pruning: the minimum index has risen during the pass

    def check(self, entries: Iterable[Judged]) -> Iterator[Finding]:
        expected, remaining = self._before.minimum, list[int]()
        for one in entries:
            if one.index < self._before.minimum:
                if one.index < 0 or one.seeded or one.messages:  # a pruning takes nothing that has its seed
                    yield Finding(Flaw.SURPLUS, one.index, "" if one.index < 0 else "below the minimum index")
                else:
                    remaining.append(one.index)
                continue
            yield from missing(expected, one.index)
            expected = one.index + 1
            yield from self._entry(one)
            if expected % WIDTH == 0:
                self._progress(expected)
        yield from missing(expected, self._size)
        self._progress(self._size)
        yield from unkept(0, self._before.minimum)
        if remaining:
            yield Finding(Flaw.PRUNED_REMAINS, remaining[0], f"to entry {remaining[-1]}")
        yield from self._pairing.left()
        now, later = self._log.record(self._size)
        self.overtaken = now.minimum > self._before.minimum
        yield from self._kept.left(now, later, self._log.held())

    def _entry(self, one: Judged) -> Iterator[Finding]:
        if one.differing is not None:
            n, offset = divmod(one.index, WIDTH)
            self.differing.setdefault(n, {})[offset] = one.differing
        yield from one.findings
        yield from self._kept.check(one)
        if one.leaf is not None:
            yield from self._pairing.check(one.index, one.leaf)

    def _believed(self, account: Account) -> Leaf:
        """As `kept.Believing`."""
        return account.verify(self._known.origin, self._held, self._verifiers)

    def _held(self, of: Checkpoint) -> bool:
        nodes = TileNodes(self._size, self._log.tile)
        return of.size <= self._size and merkle.tree_root(nodes, of.size) == of.root
