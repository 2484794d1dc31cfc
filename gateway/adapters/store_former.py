"""The logs that a log succeeds, each in its store, which is only read: each is the one that the next log names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from gateway.adapters import store_erasure
from gateway.adapters.store_connect import connect
from gateway.adapters.store_edge import read_tile
from gateway.adapters.store_session import (
    Session,
    StorePlace,
    Use,
    database_errors,
    snapshot,
    unreadable,
)
from gateway.exchangelog import merkle
from gateway.exchangelog.account import Placed, succeeded_by
from gateway.exchangelog.bucket import bucket_of
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.erasure import Listed, Record
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Ending, Kind
from gateway.exchangelog.kept import ONE_BY_ONE
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey, Verifier, parse_note
from gateway.exchangelog.pin import require_held
from gateway.exchangelog.tile import TileNodes

_NOTE: Final = "SELECT note FROM head"
_LEAF: Final = "SELECT leaf FROM entries WHERE idx = ?"


@dataclass(frozen=True, slots=True)
class LogAt:
    """A log and its store. `checkpoint`: of the log in force as its key has signed it, of a former one as stored."""

    place: StorePlace
    checkpoint: Checkpoint
    first: Placed | None  # entry 0, proved under the checkpoint believed of this log; None when it was pruned
    agreed: Checkpoint | None = (
        None  # a former log: what the next one says it was; None: only its key vouches for it
    )
    led: bool = True  # the log in force leads to it: each log from it on is the one that the next one names

    @property
    def origin(self) -> str:
        return self.checkpoint.origin

    @property
    def succeeds(self) -> Leaf | None:
        """Entry 0, where it says that this log goes on for another."""
        leaf = None if self.first is None else Leaf.parse(self.first.leaf)
        return leaf if leaf is not None and leaf.kind is Kind.SUCCESSOR else None


@dataclass(frozen=True, slots=True)
class Succession:
    """A log and those that it succeeds, as far as their stores are named."""

    in_force: LogAt
    former: Sequence[LogAt]  # the oldest first
    lost: Sequence[str]  # origins of logs of which there is no store any more
    records: Mapping[str, Record]  # by origin: what stands beside each of them as erased, not believed

    @property
    def all(self) -> Sequence[LogAt]:
        return [*self.former, self.in_force]

    @property
    def unnamed(self) -> Leaf | None:
        """Entry 0 of the oldest of them, where it goes on for a log that is not among them."""
        return self.all[0].succeeds

    def after(self, one: LogAt) -> Sequence[LogAt]:
        """The logs that succeed this one, the oldest first."""
        return self.all[self.all.index(one) + 1 :]

    def newest_list(self, one: LogAt) -> Said | None:
        """What was last said to be erased one by one of a former log."""
        for later in reversed(self.after(one)):
            found = self.records[later.origin].former.get(one.origin)
            if found is not None:
                return Said(later, found[1], listed=found[0])
        return None

    def marked(self, one: LogAt) -> Mapping[str, Said]:
        """The buckets that later logs have erased, each by the first entry that says so."""
        found = dict[str, Said]()
        for later in self.after(one):
            for bucket, index in self.records[later.origin].buckets.items():
                if index < later.checkpoint.size:  # else another says so, of this one too
                    found.setdefault(str(bucket), Said(later, index, str(bucket)))
        return found


@dataclass(frozen=True, slots=True)
class Said:
    """What a later log has recorded as erased of a former one: a bucket, or a list of entries."""

    by: LogAt
    index: int  # of its entry
    bucket: str = ONE_BY_ONE
    listed: Listed | None = None

    def stands_in(self, leaf: Leaf, origin: str) -> bool:
        """Whether the entry says this of the log of this origin."""
        if leaf.kind is not Kind.ERASURE or self.listed is None:
            return leaf.kind is Kind.ERASURE and leaf.more["bucket"] == self.bucket
        return (leaf.of_log, leaf.more["erased"]) == (origin, self.listed.commitment)


def succession(place: StorePlace, former: Sequence[StorePlace], verifiers: Sequence[NoteKey]) -> Succession:
    """`former`: their stores, the oldest first. `verifiers`: of the log in force.

    Every former log is the one that the log after it names, up to the checkpoint that it names. Raises `ProofError`:
    LOG720 for another, LOG413 for one of another history, and for a store that cannot be read.
    """
    with reading(place) as session:
        in_force = _log_at(session, place, open_checkpoint(note_of(session).encode(), verifiers))
        records = {in_force.origin: store_erasure.record(session)}
    found, lost = [in_force], list[str]()
    for one in reversed(former):
        with reading(one) as session:
            found.insert(0, _before(found[0], session, one, verifiers))
            records[found[0].origin] = store_erasure.record(session)
        lost = [*_lost(found[1], found[0].origin), *lost]
    lost = [*_lost(found[0], None), *lost]
    return Succession(in_force, found[:-1], lost, records)


def require_all(logs: Succession, years: int, now: datetime) -> None:
    """No log is left out that still keeps something. `years`: for which the agreement keeps the log.

    Raises `ProofError` (LOG720). A lost log has no store; one that ended so long ago keeps nothing any more.
    """
    first = logs.unnamed
    if first is None or first.decision == Ending.LOST:
        return
    if bucket_of(first.seal()).due(years) > now:
        raise ProofError(Flaw.FORMER, f"{first.of_log} is not named")


@contextlib.contextmanager
def reading(place: StorePlace) -> Iterator[Session]:
    """Everything is read as of one moment. Raises `ProofError`."""
    try:
        with contextlib.closing(connect(place, Use.READ)) as session:
            session.take_time()
            with snapshot(session):
                yield session
    except database_errors() as error:
        raise unreadable(error, place) from error


def _before(following: LogAt, session: Session, place: StorePlace, verifiers: Sequence[NoteKey]) -> LogAt:
    """The log of this store, as the log after it names it; by the key of the log in force where nothing names it."""
    note, named = note_of(session).encode(), following.succeeds
    stored = Checkpoint.parse(parse_note(note).text)
    pruned = following.first is None and following.checkpoint.size > 0  # what it said is not known any more
    if pruned or _lost(following, stored.origin):
        renamed = [replace(one, name=stored.origin) for one in verifiers if isinstance(one, Verifier)]
        return replace(_log_at(session, place, open_checkpoint(note, renamed)), led=False)
    if following.first is None or named is None or named.of_log != stored.origin:
        raise ProofError(Flaw.FORMER, f"{place}: {stored.origin}")
    agreed = succeeded_by(following.first, following.agreed or following.checkpoint)
    require_held(agreed, stored.size, lambda level, n, width: read_tile(session, level, n, width))
    return replace(_log_at(session, place, stored, agreed), led=following.led)


def _lost(following: LogAt, origin: str | None) -> Sequence[str]:
    """The log between that of this origin and the following one, which is gone, if there was one."""
    named = following.succeeds
    gone = named is not None and named.of_log != origin and named.decision == Ending.LOST
    return [str(named.of_log)] if named is not None and gone else []


def _log_at(
    session: Session, place: StorePlace, stored: Checkpoint, agreed: Checkpoint | None = None
) -> LogAt:
    """Raises `ProofError`."""
    believed = agreed or stored
    leaf: Any = session.execute(_LEAF, (0,)).fetchone()
    first = None if leaf is None or not believed.size else placed(session, 0, believed)
    if first is not None:
        first.within(believed)
    return LogAt(place, stored, first, agreed)


def placed(session: Session, index: int, tree: Checkpoint) -> Placed:
    """An entry and its proof in a tree that the stored one extends. Raises `ProofError`."""
    row: Any = session.execute(_LEAF, (index,)).fetchone()
    if row is None:
        raise ProofError(Flaw.ABSENT, f"index {index}")
    ((size,),) = session.execute("SELECT size FROM head")
    nodes = TileNodes(size, lambda level, n, width: read_tile(session, level, n, width))
    return Placed(index, bytes(row[0]), tuple(merkle.prove_inclusion(nodes, index, tree.size)))


def note_of(session: Session) -> str:
    """The checkpoint, verbatim and not yet believed."""
    ((note,),) = session.execute(_NOTE)
    return bytes(note).decode()
