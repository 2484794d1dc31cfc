"""The exchange log in its store: one transaction makes a batch durable, integrated and signed.

Knows nothing of threads or waiting: `store` brings the batches, one at a time. A failure here is fatal for
the object; whether the batch was persisted is found out by opening the store again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from gateway.adapters import store_messages, store_seeds
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect, creating
from gateway.adapters.store_edge import (
    SIGNED_HEAD,
    load_edge,
    require_extended,
    require_last_entries,
    require_thawed,
)
from gateway.adapters.store_erasure import complete
from gateway.adapters.store_seeds import Seeds
from gateway.adapters.store_session import (
    Begin,
    Session,
    StorePlace,
    Use,
    database_errors,
    snapshot,
    unreadable,
)
from gateway.adapters.store_work import CLAIM_KEY_SIZE, ClaimKey, Work
from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Signer, parse_note
from gateway.exchangelog.tile import Edge, Tile
from gateway.refusal import Code, Refusal

_INSERT = """
INSERT INTO entries (idx, exchange, kind, leaf, authority, ticket, view, digests) VALUES (?,?,?,?,?,?,?,?)
ON CONFLICT DO NOTHING
"""
_VIEW = "INSERT INTO views VALUES (?,?) ON CONFLICT DO NOTHING"
_USED = """
SELECT 1 FROM entries WHERE authority = :authority AND ticket = :ticket
UNION ALL SELECT 1 FROM spent WHERE authority = :authority AND ticket = :ticket
"""
_NEAR = 4 * 1_024  # entries that are taken in one by one; a full look reads a few tiles
_SINCE = "SELECT leaf, kind FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
_HEAD = "SELECT size, root, EXISTS (SELECT 1 FROM frozen) FROM head"
_BEGIN_LOG = "INSERT INTO head VALUES (1, 0, ?, ?) ON CONFLICT DO NOTHING"
_TILE = "INSERT INTO tiles VALUES (?,?,?) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes"


class Log:
    """The appending end of one log. Owned by one thread."""

    def __init__(  # noqa: PLR0913, PLR0917 - `open` puts them together
        self,
        connection: Session,
        signers: Sequence[Signer],
        edge: Edge,
        keys: ClaimKey,
        bucket_keys: BucketKeys,
        beside: Cosigner | None = None,
    ) -> None:
        self._connection = connection
        self._signers = signers  # several while the log changes its key
        self._beside = beside
        self._keys = keys
        self._bucket_keys = bucket_keys
        self._seeds = Seeds(bucket_keys)
        self._edge = edge
        self._views: set[bytes] = set()  # hashes known to be stored
        self._signed = self.checkpoint = b""  # the newest that was signed, and that was committed

    @classmethod
    def open(
        cls,
        place: StorePlace,
        signers: Sequence[Signer],
        bucket_keys: BucketKeys,
        pinned: Checkpoint | None = None,
        beside: Cosigner | None = None,
    ) -> Log:
        """Opens an existing log; `new_log` makes one. `beside`: an ML-DSA-44 key that signs each checkpoint, too.

        Raises `ProofError` when the stored checkpoint verifies under none of the signers' keys, when
        tiles or entries do not agree with it, when it does not extend the pinned one (rollback), when it is frozen,
        or when the bucket keys are not those of this log. Whoever begins to append opens it by
        `store_settle.open_settled`, which ends what was recorded as erased.
        """
        connection = connect(place, Use.APPEND)
        try:
            with snapshot(connection):  # another process may be appending
                edge = load_edge(connection, [one.verifier for one in signers])
                keys = ClaimKey.of(connection)
                require_last_entries(connection, edge)
                store_seeds.require_keys(connection, bucket_keys)
                require_thawed(connection)
                if pinned is not None:
                    require_extended(connection, edge, pinned)
            connection.settle()
        except database_errors() as error:
            connection.close()
            raise unreadable(error, place) from error
        except OSError as error:
            connection.close()
            raise ProofError(Flaw.UNREADABLE, f"{place}: {error.strerror}") from error
        except ProofError:
            connection.close()
            raise
        return cls(connection, signers, edge, keys, bucket_keys, beside)

    @property
    def size(self) -> int:
        return self._edge.size

    @property
    def keys(self) -> ClaimKey:
        return self._keys

    @property
    def signers(self) -> Sequence[Signer]:
        """Whose keys sign from now on."""
        return self._signers

    @property
    def known(self) -> Checkpoint:
        """The tree as far as this object has seen it: what is committed later, by anybody, extends it."""
        return Checkpoint(self._signers[0].name, self._edge.size, self._edge.root())

    def append(
        self, batch: Sequence[Work[Any]], late: Callable[[], Sequence[Work[Any]]] = tuple
    ) -> list[Any]:
        """For each work its outcome, or the refusal of this work alone (its ticket was used before).

        `late`: works to be done as well, asked for once nobody else appends: commits are shared with what came while
        this process waited for its turn.

        Returns after COMMIT, or with LOG_UNAVAILABLE for all of them when no checkpoint could be signed: then
        nothing was done, and the next batch may fare better; so it may after `Occupied`. Anything else raised is fatal: the outcome is unknown and the log is to be
        opened anew, never tried again on this connection.
        """
        signers = self._signers
        exclusive = any(work.exclusive for work in batch)
        self._begin(exclusive=exclusive)
        if exclusive:
            batch = [*batch, *late()]
        outcomes = self._together(batch)
        if outcomes is None:  # somebody's entry is refused: whose, is found out one by one
            self._roll_back()
            self._signers = signers
            self._begin(exclusive=exclusive)
            outcomes = self._one_by_one(self._edge.size, batch)
        if all(isinstance(outcome, Refusal) for outcome in outcomes):
            self._roll_back()
            return outcomes
        entries = _taken(batch, outcomes)
        try:
            edge = self._extend(entries) if entries else self._edge
        except Refusal:  # the log's key is in a token that does not sign: nothing of the batch exists
            self._roll_back()
            self._signers = signers
            return [Refusal(Code.LOG_UNAVAILABLE) for _ in batch]  # each is raised in a task of its own
        _commit(self._connection)
        # From here on the batch exists: entries, tiles, seeds, claims, effects and the checkpoint over them.
        self._edge, self.checkpoint = edge, self._signed
        self._seeds.committed()
        self._views.update(entry.fields.vector_hash for entry in entries if entry.fields is not None)
        return outcomes

    def begin_with(self, first: Entry) -> None:
        """Entry 0, in the transaction in which the store is made. Raises `Refusal` when it cannot be kept or signed."""
        refused = self._insert(0, [first])
        if refused is not None:
            raise refused
        self._extend([first])

    def stand_in_line(self) -> None:
        """See `Session.stand_in_line`."""
        self._connection.stand_in_line()

    def give_up(self) -> bool:
        """See `Session.give_up`."""
        return self._connection.give_up()

    def look(self) -> None:
        """The server is there, and its log is no shorter than what is known. Raises `database_errors`, `ProofError`."""
        ((size,),) = self._connection.execute("SELECT size FROM head")
        if size < self._edge.size:
            raise ProofError(Flaw.ROLLBACK, f"size {self._edge.size}")

    def sign_with(self, signers: Sequence[Signer]) -> None:
        """Sign with these keys from now on, and the present checkpoint anew: one root, other signatures.

        Within the transaction of a batch, as `SignWith`. Raises Refusal, with the keys as they were, when one of
        these does not sign.
        """
        (note,) = self._connection.execute("SELECT note FROM head").fetchone() or (b"",)
        own = {one.verifier.key_id for one in signers}
        if self._beside is not None:
            own.add(self._beside.public.key_id)
        if {one.key_id for one in parse_note(note).signatures} != own:
            self._store_head(self._edge, (), signers)
        self._signers = signers

    def close(self) -> None:
        self._connection.close()

    def complete(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """See `store_erasure.complete`. Raises `ProofError`."""
        complete(self._connection, self._bucket_keys, progress)

    def forget(self) -> bool:
        """See `Session.forget`."""
        return self._connection.forget()

    def _begin(self, *, exclusive: bool) -> None:
        """EXCLUSIVE: the lock comes first, so the head that is read here is still the head at COMMIT."""
        self._connection.begin(Begin.EXCLUSIVE if exclusive else Begin.WRITE)
        if exclusive:
            self._catch_up()
        self._signed = self.checkpoint

    def _together(self, batch: Sequence[Work[Any]]) -> list[Any] | None:
        """The outcomes, with a run of entries that have no effect written at once: most of them are such.

        None: one of those is refused, and what was begun is of no use.
        """
        outcomes, index = list[Any](), self._edge.size
        for plain, works in groupby(batch, lambda work: work.effect is None and work.entry is not None):
            run = list(works)
            if not plain:
                some = self._one_by_one(index, run)
            elif self._insert(index, [work.entry for work in run if work.entry is not None]) is None:
                some = list(range(index, index + len(run)))
            else:
                return None
            outcomes += some
            index += len(_taken(run, some))
        return outcomes

    def _one_by_one(self, index: int, works: Iterable[Work[Any]]) -> list[Any]:
        outcomes = list[Any]()
        for work in works:
            outcomes.append(self._perform(index, work))
            index += len(_taken([work], outcomes[-1:]))
        return outcomes

    def _perform(self, index: int, work: Work[Any]) -> Any:
        """The work's outcome or its refusal. Most work has no effect, and needs no savepoint to be undone."""
        if work.effect is None:
            return index if work.entry is None else self._insert(index, [work.entry]) or index
        self._connection.execute("SAVEPOINT work")
        try:
            outcome = None if work.entry is None else self._insert(index, [work.entry])
            if not isinstance(outcome, Refusal):
                outcome = work.effect.apply(self._connection, index)
            elif work.entry is not None and work.entry.kind is Kind.SETTLEMENT:  # ended by another meanwhile?
                work.effect.apply(self._connection, index)
        except Refusal as refusal:
            outcome = refusal
        if isinstance(outcome, Refusal):
            self._connection.execute("ROLLBACK TO work")
            self._seeds.undone()
        self._connection.execute("RELEASE work")
        return outcome

    def _insert(self, index: int, entries: Sequence[Entry]) -> Refusal | None:
        """Writes them, from this index on. When any of them is refused, which this tells of one, none may stay."""
        try:
            seeds = [self._seeds.row(self._connection, at, entry) for at, entry in enumerate(entries, index)]
        except Refusal as refusal:
            return refusal
        except ProofError:  # without its seed, which nobody could erase, there is no entry
            return Refusal(Code.LOG_UNAVAILABLE, "bucket key")
        rows = [self._row(at, entry) for at, entry in enumerate(entries, index)]
        if self._connection.insert(_INSERT, rows) != len(rows):
            return self._why(entries[0])
        self._connection.insert(store_seeds.INSERT, seeds)
        store_messages.keep(self._connection, zip(seeds, entries, strict=True))
        return None

    def _row(self, index: int, entry: Entry) -> tuple[object, ...]:
        """What `_INSERT` takes. The view is written before it."""
        authority, ticket, view, digests = None, None, None, None
        if entry.claim is not None:
            authority, ticket = entry.claim[0], self._keys.ticket(*entry.claim)
        if entry.fields is not None:
            view, digests = entry.fields.vector_hash, entry.fields.digests
            if view not in self._views:
                self._connection.execute(_VIEW, (view, entry.fields.vector))
        return index, entry.exchange, entry.kind.value, entry.leaf, authority, ticket, view, digests

    def _why(self, entry: Entry) -> Refusal:
        """It is not there: its ticket was used, or there is one of this kind for the exchange, our own mistake."""
        used = None
        if entry.claim is not None:
            claim = {"authority": entry.claim[0], "ticket": self._keys.ticket(*entry.claim)}
            used = self._connection.execute(_USED, claim).fetchone()
        return Refusal(Code.INTERNAL, "exchange recorded twice") if used is None else Refusal(Code.TICKET)

    def _extend(self, entries: Sequence[Entry]) -> Edge:
        edge, tiles = self._edge.extend([leaf_hash(entry.leaf) for entry in entries])
        self._store_head(edge, tiles, self._signers)
        return edge

    def _store_head(self, edge: Edge, tiles: Sequence[Tile], signers: Sequence[Signer]) -> None:
        self._connection.executemany(_TILE, [(tile.level, tile.n, tile.hashes) for tile in tiles])
        root = edge.root()
        undated = None if self._beside is None else self._beside.undated
        note = sign_checkpoint(edge.size, root, signers, undated)
        # Compare-and-swap: one root only is ever released for a size.
        old = (self._edge.size, self._edge.root())
        self._connection.execute(
            "UPDATE head SET size = ?, root = ?, note = ? WHERE size = ? AND root = ?",
            (edge.size, root, note, *old),
        )
        if self._connection.changes() != 1:
            raise ProofError(Flaw.HEAD)
        self._signed = note

    def _catch_up(self) -> None:
        """Another process of the same hub may have appended: believe it only if it extends what we know."""
        ((*stored, is_frozen),) = self._connection.execute(_HEAD)
        if is_frozen:
            require_thawed(self._connection)
        known = self.known
        if stored == [known.size, known.root]:
            return
        if known.size < stored[0] <= known.size + _NEAR and self._follow():
            return
        edge = load_edge(self._connection, [one.verifier for one in self._signers])
        require_extended(self._connection, edge, known)
        self._edge = edge
        self._seeds.forget()

    def _follow(self) -> bool:
        """Takes in what others appended since, leaf by leaf: then the tree extends ours by its making.

        False, and nothing taken in, when that does not lead to the head; why, a full look will tell. Raises `ProofError`
        for a checkpoint that none of the log's keys signed.
        """
        ((size, root, note),) = self._connection.execute(SIGNED_HEAD)
        rows = self._connection.execute(_SINCE, (self._edge.size, size)).fetchall()
        edge, _ = self._edge.extend([leaf_hash(leaf) for leaf, _ in rows])
        signed = open_checkpoint(note, [one.verifier for one in self._signers])
        if not (edge.size, edge.root()) == (size, root) == (signed.size, signed.root):
            return False
        self._edge = edge
        if any(kind == Kind.ERASURE.value for _, kind in rows):
            self._seeds.forget()
        return True

    def _roll_back(self) -> None:
        self._connection.roll_back()
        self._seeds.undone()


def _taken(works: Sequence[Work[Any]], outcomes: Sequence[Any]) -> list[Entry]:
    """The entries of the works that were not refused."""
    return [
        work.entry
        for work, outcome in zip(works, outcomes, strict=True)
        if work.entry is not None and not isinstance(outcome, Refusal)
    ]


@dataclass(frozen=True, slots=True)
class SignWith:
    """An effect on the log itself: see `Log.sign_with`."""

    log: Log
    signers: Sequence[Signer]

    def apply(self, _connection: Session, _index: int) -> None:
        self.log.sign_with(self.signers)


def new_log(place: StorePlace, signers: Sequence[Signer]) -> None:
    """Makes a store with an empty log. Raises `ProofError`: LOG507 when there is one already."""
    with creating(place) as session:
        begin_log(session, place, signers, os.urandom(CLAIM_KEY_SIZE))


def begin_log(session: Session, place: StorePlace, signers: Sequence[Signer], claim_key: bytes) -> None:
    """An empty log in a store that is being made. Raises `ProofError`: LOG507 when there is one already."""
    note = sign_checkpoint(0, merkle.EMPTY_ROOT, signers)
    session.execute(_BEGIN_LOG, (merkle.EMPTY_ROOT, note))
    if session.changes() == 0:
        raise ProofError(Flaw.STORE_EXISTS, str(place))
    session.execute("INSERT INTO minimum VALUES (1, 0)")
    session.execute("INSERT INTO claim_key VALUES (1, ?)", (claim_key,))


def first_entry(session: Session, signers: Sequence[Signer], bucket_keys: BucketKeys, first: Entry) -> None:
    """Of a log that was begun in the same transaction. Raises `Refusal` when it cannot be kept or signed."""
    edge = load_edge(session, [one.verifier for one in signers])
    Log(session, signers, edge, ClaimKey.of(session), bucket_keys).begin_with(first)


def _commit(connection: Session) -> None:
    """The commit point of every exchange."""
    connection.commit()
