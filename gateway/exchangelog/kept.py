"""What is kept beside the entries, against what the log says was erased: gone by one of its entries, or an alarm.

No checkpoint protects what stands beside the tree, but the entries that say what was erased are in the tree. So
what is missing must be named by one of them, and what one of them names must be missing. Of a log that ended, an
entry of a log that succeeds it may say so: its account stands beside the tree, and is believed once it verifies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.exchangelog.account import Account
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.indices import Growing, Indices
from gateway.exchangelog.leaf import Leaf

if TYPE_CHECKING:
    from gateway.exchangelog.audit_rows import Judged
    from gateway.exchangelog.erasure import Record

# With these something is always kept: what was received, or what was released.
_WITH_MESSAGES: Final = (Kind.REQUEST, Kind.NOTIFICATION, Kind.RESPONSE, Kind.DELIVERY)
OWN: Final = (Kind.ERASURE, Kind.PRUNING)  # what the hub does with its own log
ONE_BY_ONE: Final = ""  # among the accounts, which are of a bucket otherwise

# An account → the entry that it proves. Raises `ProofError`.
Believing: TypeAlias = Callable[[Account], Leaf]


class Kept:
    """One pass over a log of this size. `before`: the record as it was when the pass began."""

    def __init__(self, before: Record, size: int, believe: Believing) -> None:
        self._before = before
        self._size = size
        self._believe = believe
        self._missing: dict[Bucket | None, Growing] = {}  # None: the leaf does not say
        self._present: dict[Bucket | None, int] = {}  # the first of which something is kept
        self._keyless: dict[Bucket | None, int] = {}  # the first that has, and no key opens it
        self._erased: dict[Bucket, int] = {}  # → index of the entry that says so
        self._newest: tuple[int, object] | None = None  # erasure of entries: its index and commitment
        self._of_former: dict[str, tuple[int, object]] = {}  # the same, of logs that this one succeeds
        self._minimum = 0

    def check(self, row: Judged) -> Iterator[Finding]:
        bucket, leaf = row.bucket, row.leaf
        if leaf is not None:
            self._say(row.index, leaf)
        erased = row.index in self._before.listed.indices
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
        accounts, findings = self._accounted(now)
        yield from findings
        by_others = dict.fromkeys(map(Bucket.parse, accounts.keys() - {ONE_BY_ONE}), self._size)
        settled |= {one: at for one, at in by_others.items() if str(one) in self._before.accounts}
        self._erased = by_others | self._erased
        if now.minimum != self._minimum:
            yield Finding(Flaw.PRUNING, about=f"minimum index {now.minimum}, recorded {self._minimum}")
        if (account := accounts.get(ONE_BY_ONE)) is not None:  # it names all that were erased before, too
            self._newest = self._size, account.more["erased"]
        believed = self._agrees(now)
        if not believed:
            said = None if self._newest is None or account is not None else self._newest[0]
            yield Finding(Flaw.ERASURE, said)
        yield from self._buckets(now)
        yield from self._former(now)
        yield from self._unexplained(now.listed.indices if believed else Indices())
        for bucket, index in settled.items():
            first = self._present.get(bucket, index)
            if first < index:
                yield Finding(Flaw.SEED_REMAINS, first, f"bucket {bucket}")
        yield from self._keys(settled, held)

    def _say(self, index: int, leaf: Leaf) -> None:
        if leaf.kind is Kind.PRUNING:
            self._minimum = int(str(leaf.more["minimum"]))
        elif leaf.kind is Kind.ERASURE and leaf.of_log is not None:
            self._of_former[leaf.of_log] = index, leaf.more["erased"]
        elif leaf.kind is Kind.ERASURE and leaf.more["bucket"] is None:
            self._newest = index, leaf.more["erased"]
        elif leaf.kind is Kind.ERASURE:
            self._erased[Bucket.parse(str(leaf.more["bucket"]))] = index

    def _accounted(self, now: Record) -> tuple[dict[str, Leaf], list[Finding]]:
        """What logs that succeed this one say, by bucket. One whose key was not given is not believed, and is heard."""
        said, findings = dict[str, Leaf](), list[Finding]()
        for name, data in sorted(now.accounts.items()):
            try:
                leaf = self._heard(Account.parse(data), findings)
            except ProofError as error:
                findings.append(Finding(error.flaw, about=error.about))
                continue
            if (leaf.more["bucket"] or ONE_BY_ONE) == name:
                said[name] = leaf
            else:
                findings.append(Finding(Flaw.ACCOUNT, about=f"of {name or 'single entries'}"))
        return said, list(dict.fromkeys(findings))

    def _heard(self, account: Account, findings: list[Finding]) -> Leaf:
        """Raises `ProofError`."""
        try:
            return self._believe(account)
        except ProofError as error:
            if error.flaw is not Flaw.SUCCESSOR_KEY:
                raise
            findings.append(Finding(error.flaw, about=error.about))
            return Leaf.parse(account.entry.leaf)

    def _agrees(self, now: Record) -> bool:
        """Whether the record is the one that the newest erasure of entries commits to."""
        listed = now.listed
        if self._newest is None:  # none, or pruned with everything that it named
            return not listed.indices.ranges or listed.indices.ranges[-1][1] < now.minimum
        index, commitment = self._newest
        return listed.commitment == commitment and listed.indices.below(index) == listed.indices

    def _former(self, now: Record) -> Iterator[Finding]:
        """What this log says of those that it succeeds, against what stands beside it as said."""
        for origin in sorted(now.former.keys() | self._of_former.keys()):
            listed, index = now.former.get(origin, (None, None))
            said = self._of_former.get(origin)
            pruned = said is None and index is not None and index < now.minimum
            if not pruned and (listed is None or (index, listed.commitment) != said):
                yield Finding(Flaw.ERASURE, None if said is None else said[0], f"of {origin}")

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
