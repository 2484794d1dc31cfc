"""The logs that a log succeeds, each in its store; and what is erased of them, which the log in force says.

A former log takes no entry any more. An erasure of its entries is recorded in the log in force, with the list of what
goes, and then carried out in the store of the former log, beside which its account is left (`exchangelog.account`).
A crash in between leaves something recorded; whoever next opens the log in force for appending carries it out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.adapters import store_erasure
from gateway.adapters.store_connect import connect
from gateway.adapters.store_log import read_tile
from gateway.adapters.store_session import (
    Begin,
    Session,
    StorePlace,
    Use,
    database_errors,
    snapshot,
    unreadable,
)
from gateway.exchangelog import merkle
from gateway.exchangelog.account import Account, Placed, succeeded_by
from gateway.exchangelog.bucket import Bucket, bucket_of
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.erasure import Listed
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Ending, Kind
from gateway.exchangelog.kept import ONE_BY_ONE
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey, parse_note
from gateway.exchangelog.pin import require_held
from gateway.exchangelog.tile import TileNodes

_NOTE: Final = "SELECT note FROM head"
_LEAF: Final = "SELECT leaf FROM entries WHERE idx = ?"
_MARKED: Final = "SELECT name, erased FROM buckets WHERE erased IS NOT NULL"
_OPEN: Final = "SELECT name FROM buckets WHERE erased IS NULL"
_MARK: Final = "UPDATE buckets SET erased = (SELECT size FROM head) WHERE name = ? AND erased IS NULL"
_ACCOUNT: Final = """
INSERT INTO accounts VALUES (?, ?) ON CONFLICT (bucket) DO UPDATE SET account = excluded.account
"""


@dataclass(frozen=True, slots=True)
class LogAt:
    """A log and its store. `checkpoint`: of the log in force as its key has signed it, of a former one as stored."""

    place: StorePlace
    checkpoint: Checkpoint
    note: str  # the checkpoint, verbatim
    first: Placed | None  # entry 0, proved under the checkpoint believed of this log; None when it was pruned
    agreed: Checkpoint | None = None  # a former log: what the next one says it was; None: nothing leads to it

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

    def newest_list(self, one: LogAt) -> tuple[LogAt, tuple[Listed, int]] | None:
        """What was last said to be erased one by one of a former log, and by which. Raises `ProofError`."""
        for later in reversed(self.after(one)):
            with reading(later.place) as session:
                found = store_erasure.said(session).get(one.origin)
            if found is not None:
                return later, found
        return None


def succession(place: StorePlace, former: Sequence[StorePlace], verifiers: Sequence[NoteKey]) -> Succession:
    """`former`: their stores, the oldest first. `verifiers`: of the log in force.

    Every former log is the one that the log after it names, up to the checkpoint that it names. Raises `ProofError`:
    LOG720 for another, LOG413 for one of another history, and for a store that cannot be read.
    """
    with reading(place) as session:
        note = _note(session)
        following = _log_at(session, place, open_checkpoint(note.encode(), verifiers), note)
    in_force, found, lost = following, list[LogAt](), list[str]()
    for one in reversed(former):
        following = _before(following, one, lost)
        found.insert(0, following)
    last = following.succeeds
    if last is not None and last.decision == Ending.LOST:
        lost.insert(0, str(last.of_log))
    return Succession(in_force, found, lost)


def require_all(logs: Succession, years: int, now: datetime) -> None:
    """No log is left out that still keeps something. `years`: for which the agreement keeps the log.

    Raises `ProofError` (LOG720). A lost log has no store; one that ended so long ago keeps nothing any more.
    """
    first = logs.unnamed
    if first is None or first.decision == Ending.LOST:
        return
    if bucket_of(first.seal()).due(years) > now:
        raise ProofError(Flaw.FORMER, f"{first.of_log} is not named")


def settle(place: StorePlace, former: Sequence[StorePlace], verifiers: Sequence[NoteKey]) -> bool:
    """Carries out in the stores of former logs what was recorded as erased of them. Raises `ProofError`.

    As `Session.forget`: False while old pages may still hold something.
    """
    if not former:
        return True
    logs = succession(place, former, verifiers)
    cleared = [_settle(logs, one) for one in logs.former]
    return all(cleared)


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


def _before(following: LogAt, place: StorePlace, lost: list[str]) -> LogAt:
    """The log of this store, as the log after it names it. Adds to `lost` one in between that is gone."""
    named = following.succeeds
    with reading(place) as session:
        note = _note(session)
        stored = Checkpoint.parse(parse_note(note.encode()).text)
        if named is not None and named.of_log != stored.origin and named.decision == Ending.LOST:
            lost.insert(0, str(named.of_log))
            return _log_at(session, place, stored, note)
        if following.first is None:  # pruned: what it said is not known any more
            return _log_at(session, place, stored, note)
        if named is None or named.of_log != stored.origin:
            raise ProofError(Flaw.FORMER, f"{place}: {stored.origin}")
        believed = following.agreed or following.checkpoint
        agreed = succeeded_by(following.first, believed)
        require_held(agreed, stored.size, lambda level, n, width: read_tile(session, level, n, width))
        return _log_at(session, place, stored, note, agreed)


def _log_at(
    session: Session, place: StorePlace, stored: Checkpoint, note: str, agreed: Checkpoint | None = None
) -> LogAt:
    """Raises `ProofError`."""
    believed = agreed or stored
    leaf: Any = session.execute(_LEAF, (0,)).fetchone()
    first = None if leaf is None or not believed.size else _placed(session, 0, believed)
    if first is not None:
        first.within(believed)
    return LogAt(place, stored, note, first, agreed)


def _placed(session: Session, index: int, tree: Checkpoint) -> Placed:
    """An entry and its proof in a tree that the stored one extends. Raises `ProofError`."""
    row: Any = session.execute(_LEAF, (index,)).fetchone()
    if row is None:
        raise ProofError(Flaw.ABSENT, f"index {index}")
    ((size,),) = session.execute("SELECT size FROM head")
    nodes = TileNodes(size, lambda level, n, width: read_tile(session, level, n, width))
    return Placed(index, bytes(row[0]), tuple(merkle.prove_inclusion(nodes, index, tree.size)))


def _note(session: Session) -> str:
    ((note,),) = session.execute(_NOTE)
    return bytes(note).decode()


def _settle(logs: Succession, one: LogAt) -> bool:
    """One former log. Where nothing is left to do, its store is only read."""
    newest, mine, buckets, remains = _pending(logs, one)
    entries = newest if newest is not None and newest[1][0] != mine else None
    if entries is None and not buckets and not remains:
        return True
    accounts = {name: _account(logs, one, by, index) for name, (by, index) in buckets.items()}
    account = None if entries is None else _account(logs, one, entries[0], entries[1][1])
    try:
        with contextlib.closing(connect(one.place, Use.APPEND)) as target:
            target.take_time()
            target.begin(Begin.EXCLUSIVE)
            if store_erasure.listed(target) != mine:  # another process carries something out
                target.roll_back()
                return _settle(logs, one)
            if entries is not None:
                _forget(target, entries[1][0], account)
            for name, its in accounts.items():
                _mark(target, name, its)
            target.commit()
            # At this point it is accounted for in the former log, too; rows of buckets go some at a time.
            while store_erasure.remove_erased(target):
                pass
            return target.forget()
    except database_errors() as error:
        raise unreadable(error, one.place) from error


def _pending(
    logs: Succession, one: LogAt
) -> tuple[tuple[LogAt, tuple[Listed, int]] | None, Listed, dict[str, tuple[LogAt, int]], bool]:
    """The newest list, that which the former log has, buckets that it does not know as erased, and whether rows remain."""
    newest = logs.newest_list(one)
    with reading(one.place) as session:
        mine = store_erasure.listed(session)
        open_ = {str(name) for (name,) in session.execute(_OPEN).fetchall()}
        remains = store_erasure.erased_remains(session)
    marked = _marked(logs, one)
    return newest, mine, {name: marked[name] for name in open_ & marked.keys()}, remains


def _marked(logs: Succession, one: LogAt) -> dict[str, tuple[LogAt, int]]:
    """The buckets that later logs have erased, each with the first entry that says so."""
    found = dict[str, tuple[LogAt, int]]()
    for later in logs.after(one):
        with reading(later.place) as session:
            rows: list[tuple[Any, ...]] = session.execute(_MARKED).fetchall()
        for name, index in rows:
            if index < later.checkpoint.size or later is logs.in_force:  # else a later one says so
                found.setdefault(str(name), (later, int(index)))
    return found


def _account(logs: Succession, one: LogAt, by: LogAt, index: int) -> bytes | None:
    """None where nothing leads from the one log to the other: then nobody can prove it, and the check says so."""
    after = logs.after(one)
    between = after[: after.index(by) + 1]
    if one.agreed is None or any(log.agreed is None for log in between[:-1]):
        return None
    with reading(by.place) as session:
        note = _note(session)
        tree = Checkpoint.parse(parse_note(note.encode()).text)
        entry, last = _placed(session, index, tree), _placed(session, 0, tree)
    firsts = [log.first for log in between[:-1] if log.first is not None]
    return Account(entry, (*firsts, last), note).serialise()


def _forget(target: Session, listed: Listed, account: bytes | None) -> None:
    store_erasure.forget_entries(target, listed.indices, listed)
    if account is not None:
        target.execute(_ACCOUNT, (ONE_BY_ONE, account))


def _mark(target: Session, name: str, account: bytes | None) -> None:
    target.execute(_MARK, (str(Bucket.parse(name)),))
    if account is not None:
        target.execute(_ACCOUNT, (name, account))
