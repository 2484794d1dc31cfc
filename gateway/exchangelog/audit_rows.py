"""Each entry of a log judged by itself: its form, its hash in the tree, its field records, its claim and its seed.

What takes an entry together with others is for `audit`. Here none is known of another, so that ranges of a log can
be judged apart, by several processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec

from gateway.exchangelog.audit_tree import LeafHashes, Tiles
from gateway.exchangelog.bucket import Bucket, bucket_of
from gateway.exchangelog.fields import FieldPlan, base64url
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import Verifier

_CLAIMING = (Kind.REQUEST, Kind.NOTIFICATION)  # have a replay claim
_RELEASING = (Kind.RESPONSE, Kind.DELIVERY)  # have field records


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


class Rows(Tiles, Protocol):
    """Where entries are read from."""

    def rows(self, start: int | None, end: int) -> Iterator[Row]:
        """Every stored entry from `start` below `end`, in order of index; from the very first when None."""

    def vector(self, vector_hash: bytes) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the log beforehand."""

    size: int
    end: int  # no entry is stored from here to `size`: a size that nobody signed may be any number
    origin: str
    parties: Mapping[str, str]  # id in the register → enterprise number


class Judged(msgspec.Struct, frozen=True):
    """An entry as far as it could be judged by itself, and what takes others to judge it."""

    index: int
    leaf: Leaf | None  # None: it has not the closed form
    bucket: Bucket | None  # as the leaf says; None: it does not
    seeded: bool
    named: str | None  # bucket of the seed, as stored
    sealed: Flaw | None  # as in `Row`
    messages: bool
    findings: tuple[Finding, ...]
    differing: bytes | None  # hash of the entry, where the tree has another


# (log, what is known) → its entries below the size, in order of index.
Judging: TypeAlias = Callable[[Rows, Known], Iterator[Judged]]


def judged(log: Rows, known: Known, start: int | None = None, end: int | None = None) -> Iterator[Judged]:
    """The entries of the log, or those of a range."""
    judge = _Judge(log, known)
    return map(judge.row, log.rows(start, known.end if end is None else end))


class _Judge:
    """Keeps the views that it has met."""

    def __init__(self, log: Rows, known: Known) -> None:
        self._log = log
        self._origin = known.origin
        self._callers = {enterprise: name for name, enterprise in known.parties.items()}
        self._plans: dict[bytes, FieldPlan | Flaw] = {}
        self._hashes = LeafHashes(log, known.size)

    def row(self, row: Row) -> Judged:
        leaf: Leaf | None = None
        try:
            leaf = Leaf.parse(row.leaf)
            findings = tuple(self._beside(row, leaf))
        except ProofError as error:
            findings = (Finding(error.flaw, row.index, error.about),)
        seed = (row.seeded, row.bucket, row.sealed)
        differing = self._hashes.differs(row.index, row.leaf)
        return Judged(row.index, leaf, _bucket(row.leaf), *seed, row.messages, findings, differing)

    def _beside(self, row: Row, leaf: Leaf) -> Iterator[Finding]:
        """What stands beside the leaf."""
        if (leaf.id, leaf.kind) != (row.exchange, row.kind):
            yield Finding(Flaw.COLUMN, row.index)
        if row.claimed != (leaf.kind in _CLAIMING):
            yield Finding(Flaw.CLAIM, row.index)
        elif row.authority is not None and self._callers.get(leaf.caller, row.authority) != row.authority:
            yield Finding(Flaw.CLAIM, row.index, "claimed by another authority")
        if leaf.kind is Kind.KEY_ROTATION and not _names_key(leaf, self._origin):
            yield Finding(Flaw.ROTATION, row.index)
        yield from self._fields(row, leaf)

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


def _bucket(leaf: bytes) -> Bucket | None:
    try:
        return bucket_of(leaf)
    except ProofError:
        return None


def _names_key(leaf: Leaf, origin: str) -> bool:
    """Whether the key that was announced is one of this log."""
    try:
        return Verifier.parse(str(leaf.more["vkey"])).name == origin
    except ProofError:
        return False
