"""What is kept beside the entries, against what the log says was erased: gone by one of its entries, or an alarm.

No checkpoint protects what stands beside the tree, but the entries that say what was erased are in the tree. So
what is missing must be named by one of them, and what one of them names must be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import Finding, Flaw
from gateway.exchangelog.form import Kind
from gateway.exchangelog.indices import Growing, Indices
from gateway.exchangelog.leaf import Leaf

if TYPE_CHECKING:
    from gateway.exchangelog.audit_rows import Judged
    from gateway.exchangelog.erasure import Record

# With these something is always kept: what was received, or what was released.
_WITH_MESSAGES: Final = (Kind.REQUEST, Kind.NOTIFICATION, Kind.RESPONSE, Kind.DELIVERY)
OWN: Final = (Kind.ERASURE, Kind.PRUNING)  # what the hub does with its own log


class Kept:
    """One pass over a log. `before`: the record as it was when the pass began."""

    def __init__(self, before: Record) -> None:
        self._before = before
        self._missing: dict[Bucket | None, Growing] = {}  # None: the leaf does not say
        self._present: dict[Bucket | None, int] = {}  # the first of which something is kept
        self._keyless: dict[Bucket | None, int] = {}  # the first that has, and no key opens it
        self._erased: dict[Bucket, int] = {}  # → index of the entry that says so
        self._newest: tuple[int, object] | None = None  # erasure of entries: its index and commitment
        self._minimum = 0

    def check(self, row: Judged) -> Iterator[Finding]:
        bucket, leaf = row.bucket, row.leaf
        if leaf is not None:
            self._say(row.index, leaf)
        erased = row.index in self._before.indices
        if row.seeded or row.messages:
            self._present.setdefault(bucket, row.index)
            if erased:
                yield Finding(Flaw.SEED_REMAINS, row.index)
        if not row.seeded:
            self._missing.setdefault(bucket, Growing()).add(row.index)
            return
        if leaf is not None and leaf.kind in _WITH_MESSAGES and not (row.messages or erased):
            yield Finding(Flaw.MESSAGE_GONE, row.index)
        if bucket is not None and row.named != str(bucket):
            yield Finding(Flaw.COLUMN, row.index, "bucket")
        if row.sealed is Flaw.BUCKET_KEY:
            self._keyless.setdefault(bucket, row.index)
        elif row.sealed is not None:
            yield Finding(row.sealed, row.index)

    def left(
        self, now: Record, later: Iterable[tuple[int, bytes]], held: frozenset[Bucket] | None
    ) -> Iterator[Finding]:
        """At the end: what none of the entries explains.

        `now`: the record at this moment, and `later` the entries of the log's own that came with it while the
        pass went on: they explain, and are judged by the next pass. `held`: buckets that have a key, when known.
        """
        settled = dict(self._erased)
        for index, data in later:
            self._say(index, Leaf.parse(data))
        if now.minimum != self._minimum:
            yield Finding(Flaw.PRUNING, about=f"minimum index {now.minimum}, recorded {self._minimum}")
        believed = self._agrees(now)
        if not believed:
            yield Finding(Flaw.ERASURE, None if self._newest is None else self._newest[0])
        yield from self._buckets(now)
        yield from self._unexplained(now.indices if believed else Indices())
        for bucket, index in settled.items():
            first = self._present.get(bucket, index)
            if first < index:
                yield Finding(Flaw.SEED_REMAINS, first, f"bucket {bucket}")
        yield from self._keys(settled, held)

    def _say(self, index: int, leaf: Leaf) -> None:
        if leaf.kind is Kind.PRUNING:
            self._minimum = int(str(leaf.more["minimum"]))
        elif leaf.kind is Kind.ERASURE and leaf.more["bucket"] is None:
            self._newest = index, leaf.more["erased"]
        elif leaf.kind is Kind.ERASURE:
            self._erased[Bucket.parse(str(leaf.more["bucket"]))] = index

    def _agrees(self, now: Record) -> bool:
        """Whether the record is the one that the newest erasure of entries commits to."""
        if self._newest is None:  # none, or pruned with everything that it named
            return not now.indices.ranges or now.indices.ranges[-1][1] < now.minimum
        index, commitment = self._newest
        return now.commitment == commitment and now.indices.below(index) == now.indices

    def _buckets(self, now: Record) -> Iterator[Finding]:
        stored = {bucket: index for bucket, index in now.buckets.items() if index >= now.minimum}
        for bucket in sorted(stored.keys() | self._erased.keys()):
            if stored.get(bucket) != self._erased.get(bucket):
                yield Finding(Flaw.ERASURE, self._erased.get(bucket), f"bucket {bucket}")

    def _unexplained(self, erased: Indices) -> Iterator[Finding]:
        for bucket, growing in self._missing.items():
            missing = growing.indices - erased
            if bucket in self._erased:
                missing -= missing.below(self._erased[bucket])
            for first, last in missing.ranges:
                yield Finding(Flaw.SEED, first, "" if first == last else f"up to entry {last}")

    def _keys(self, settled: dict[Bucket, int], held: frozenset[Bucket] | None) -> Iterator[Finding]:
        for bucket, first in self._keyless.items():
            if bucket not in self._erased:
                yield Finding(Flaw.BUCKET_KEY, first, f"bucket {bucket}")
        for bucket in sorted(settled.keys() & (held or frozenset())):
            yield Finding(Flaw.BUCKET_KEY_REMAINS, settled[bucket], f"bucket {bucket}")
