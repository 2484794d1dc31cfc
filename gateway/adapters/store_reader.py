"""Reading the exchange log: for the officer's commands and for the listener that serves tiles.

Opens the file read-only, beside a running hub or without one; it never writes and never moves the
write-ahead log. Nothing read here is believed: `gateway.exchangelog.audit` judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self

from gateway.adapters import store_agreements, store_seeds, store_witnessed
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect
from gateway.adapters.store_edge import load_edge, read_tile, require_agreed
from gateway.adapters.store_erasure import record
from gateway.adapters.store_filter import (
    CONDITIONS,
    COUNTED,
    FOUND,
    LISTED,
    SEALED_FOUND,
    SEALED_LISTED,
    About,
    Filter,
    Narrowed,
)
from gateway.adapters.store_seeds import fields_of, subject_of
from gateway.adapters.store_session import (
    PerEngine,
    Session,
    StorePlace,
    Use,
    database_errors,
    snapshot,
    unreadable,
)
from gateway.adapters.store_witnessed import CosignedNote, Frozen
from gateway.exchangelog import merkle
from gateway.exchangelog.audit import Head
from gateway.exchangelog.audit_rows import Row
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.consistency import ConsistencyProof
from gateway.exchangelog.erasure import Record
from gateway.exchangelog.fields import FieldRecord, plan_of
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.kept import OWN
from gateway.exchangelog.note import NoteKey, parse_note
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.tile import WIDTH, TileId, TileNodes, bundle, width_at
from gateway.refusal import Refusal

CHUNK = 1_024  # rows fetched at a time, so that no read transaction stays open while a log is checked
_ANY = 1 << 62  # more entries than a store can hold

_ROWS = """
SELECT e.idx, e.leaf, e.exchange, e.kind, e.authority IS NOT NULL AND e.ticket IS NOT NULL, e.authority,
       s.idx IS NOT NULL, e.view, e.digests, s.bucket, s.subject, s.fields,
       EXISTS (SELECT 1 FROM messages m WHERE m.idx = e.idx)
FROM entries e LEFT JOIN seeds s ON s.idx = e.idx WHERE e.idx > ? AND e.idx < ? ORDER BY e.idx LIMIT ?
"""
_OWN = "SELECT idx, leaf FROM entries WHERE idx >= ? AND kind IN (?,?) ORDER BY idx"
_RECORDS = "SELECT v.vector, e.digests FROM entries e JOIN views v ON v.hash = e.view WHERE e.idx = ?"
_REVISIONS = "SELECT revision FROM agreements ORDER BY remembered DESC"
_BUNDLE = "SELECT leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
_LEAVES = "SELECT idx, leaf FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?"
# NULL: of an entry without a seed.
_BUCKETS = "SELECT DISTINCT bucket FROM entries LEFT JOIN seeds USING (idx) WHERE idx >= ? AND idx < ?"
# By no index: a damaged one must not hide what it was to prevent. PostgreSQL has none of these expressions.
_REPEATED_TICKETS = PerEngine(
    """
SELECT max(idx) FROM entries NOT INDEXED WHERE idx < ? AND ticket IS NOT NULL
GROUP BY authority, ticket HAVING count(*) > 1
""",
    """
SELECT max(idx) FROM entries WHERE idx + 0 < ? AND ticket IS NOT NULL
GROUP BY authority || '', ticket || '' HAVING count(*) > 1
""",
)
_REPEATED_EXCHANGES = PerEngine(
    "SELECT max(idx) FROM entries NOT INDEXED WHERE idx < ? GROUP BY exchange, kind HAVING count(*) > 1",
    "SELECT max(idx) FROM entries WHERE idx + 0 < ? GROUP BY exchange || '', kind || '' HAVING count(*) > 1",
)


class LogReader:
    """Satisfies `audit.Evidence` and `completeness.Entries`."""

    def __init__(self, connection: Session, bucket_keys: BucketKeys | None = None) -> None:
        self._connection = connection
        self._bucket_keys = bucket_keys

    @classmethod
    def open(cls, place: StorePlace, bucket_keys: BucketKeys | None = None) -> Self:
        """`bucket_keys`: to open seeds with. Raises `ProofError` (LOG501)."""
        return cls(connect(place, Use.READ), bucket_keys)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def head(self) -> Head:
        rows = self._query("SELECT size, root, note, (SELECT coalesce(max(idx), -1) FROM entries) FROM head")
        if len(rows) != 1:
            raise ProofError(Flaw.HEAD)
        return Head(*rows[0])

    def require_keys(self) -> None:
        """The bucket keys are those of this log. Raises `ProofError` (LOG643, LOG644, LOG645)."""
        if self._bucket_keys is None:
            raise ProofError(Flaw.KEYS_MISSING)
        store_seeds.require_keys(self._connection, self._bucket_keys)

    @property
    def checkpoint(self) -> bytes:
        """The signed checkpoint, verbatim."""
        return self.head().note

    def entry(self, index: int) -> bytes:
        """Raises `ProofError` (LOG503, LOG650)."""
        if 0 <= index < self.minimum:
            raise ProofError(Flaw.PRUNED, f"index {index}")
        for (leaf,) in self._query("SELECT leaf FROM entries WHERE idx = ?", (index,)):
            return bytes(leaf)
        raise ProofError(Flaw.ABSENT, f"index {index}")

    def seed(self, index: int) -> bytes:
        """Of the commitments of an entry. Raises `ProofError`: LOG643 to LOG645, LOG684 when it was erased."""
        if self._bucket_keys is None:
            raise ProofError(Flaw.KEYS_MISSING)
        for bucket, wrapped in self._query("SELECT bucket, subject FROM seeds WHERE idx = ?", (index,)):
            return self._bucket_keys.unwrap(Bucket.parse(bucket), wrapped, subject_of(index))
        raise ProofError(Flaw.SEED_ERASED, f"index {index}")

    @property
    def minimum(self) -> int:
        """The lowest index that is kept."""
        return int(self._query("SELECT idx FROM minimum")[0][0])

    def listed(self, wanted: Filter, before: int, limit: int, start: int = 0) -> list[tuple[int, bytes]]:
        """Index and leaf of matching entries from `start` below `before`, the newest first.

        Reads every entry at worst.
        """
        sealed, narrowed = wanted.about is not None, self._narrowed(wanted)
        if sealed:
            about = self._about(wanted, narrowed, start, before, newest=True)
            return [(index, leaf) for index, leaf, _ in islice(about, limit)]
        bounds = {"start": start, "end": before, "limit": limit}
        rows = self._query(narrowed.statement(LISTED), narrowed.bindings | bounds)
        return [(index, bytes(leaf)) for index, leaf in rows]

    def found(self, wanted: Filter, start: int, end: int) -> Iterator[tuple[int, bytes, str | None]]:
        """Every matching entry from `start` below `end`, the oldest first, a chunk in memory at a time.

        With each the dossier that it was found by: "" where it names the person, None without such a filter.
        """
        narrowed = self._narrowed(wanted)
        if wanted.about is not None:
            yield from self._about(wanted, narrowed, start, end, newest=False)
            return
        statement = narrowed.statement(FOUND)
        while chunk := self._query(
            statement, narrowed.bindings | {"start": start, "end": end, "limit": CHUNK}
        ):
            for index, leaf in chunk:
                yield index, bytes(leaf), None
            start = chunk[-1][0] + 1

    def counted(self, wanted: Filter, before: int, start: int = 0) -> int:
        """How many entries from `start` below `before` match. Reads every entry."""
        narrowed = self._narrowed(wanted)
        if wanted.about is not None:
            return sum(1 for _ in self._about(wanted, narrowed, start, before, newest=False))
        bounds = {"start": start, "end": before}
        ((number,),) = self._query(narrowed.statement(COUNTED), narrowed.bindings | bounds)
        return int(number)

    def _about(
        self, wanted: Filter, narrowed: Narrowed, start: int, end: int, *, newest: bool
    ) -> Iterator[tuple[int, bytes, str]]:
        """Opens the seeds of what matches otherwise."""
        if wanted.about is None or self._bucket_keys is None:
            raise ProofError(Flaw.KEYS_MISSING)
        opened = wanted.about.opened(self._bucket_keys)
        statement = narrowed.statement(SEALED_LISTED if newest else SEALED_FOUND, sealed=True)
        while chunk := self._query(
            statement, narrowed.bindings | {"start": start, "end": end, "limit": CHUNK}
        ):
            for index, leaf, subject, *beside in chunk:
                found = opened(subject, index, *beside)
                if found is not None:
                    yield index, bytes(leaf), found
            start, end = (start, chunk[-1][0]) if newest else (chunk[-1][0] + 1, end)

    def _narrowed(self, wanted: Filter) -> Narrowed:
        self._connection.take_time()
        given = {name: getattr(wanted, name) for name in CONDITIONS if getattr(wanted, name) is not None}
        narrowed = Narrowed(given)
        if wanted.about is not None:
            if self._bucket_keys is None:
                raise ProofError(Flaw.KEYS_MISSING)
            if not wanted.about.every:
                narrowed.by_marks(*self._marks(wanted.about, self._bucket_keys))
        if wanted.paths is not None:
            narrowed.by_views([one for one in self._views() if self._releases(one, wanted.paths)])
        return narrowed

    def _marks(self, about: About, keys: BucketKeys) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """The digests that stand beside the seeds of what is looked for."""
        found = [
            one for dossier in about.dossiers for one in store_seeds.digests(self._connection, keys, dossier)
        ]
        named = () if about.person is None else store_seeds.names(self._connection, keys, about.person)
        return found, named

    def _views(self) -> list[bytes]:
        return [bytes(one) for (one,) in self._query("SELECT hash FROM views")]

    def _releases(self, vector_hash: bytes, paths: frozenset[str]) -> bool:
        try:
            return not paths.isdisjoint(plan_of(self.vector(vector_hash) or b"").released)
        except ProofError:  # a malformed vector is for the check to report
            return False

    def unopened(self, start: int, end: int) -> bool:
        """Whether of an entry from `start` below `end` seed or bucket key is gone: nobody can tell what it is about.

        Raises `ProofError`.
        """
        held = frozenset[Bucket]() if self._bucket_keys is None else self._bucket_keys.held()
        buckets = {name for (name,) in self._query(_BUCKETS, (start, end))}
        return None in buckets or not {Bucket.parse(name) for name in buckets} <= held

    def exchange(self, exchange: str) -> list[int]:
        """Indices of the entries of one exchange."""
        found = self._query("SELECT idx FROM entries WHERE exchange = ? ORDER BY idx", (exchange,))
        return [index for (index,) in found]

    def notification(self, exchange: str) -> list[int]:
        """Indices of a notification, its deliveries and its settlements. Reads every entry."""
        parts = self.listed(Filter(notification=exchange), _ANY, _ANY)
        return [*self.exchange(exchange), *sorted(index for index, _ in parts)]

    def records(self, index: int) -> tuple[FieldRecord, ...]:
        """Field records of an entry; none where nothing was released. Raises `ProofError`."""
        for vector, digests in self._query(_RECORDS, (index,)):
            return plan_of(vector).records(digests)
        return ()

    def revisions(self) -> list[str]:
        """Every revision that the store keeps, the one under which the hub last started first."""
        return [str(revision) for (revision,) in self._query(_REVISIONS)]

    def agreement(self, revision: str) -> Mapping[str, bytes] | None:
        """The files of a revision, as stored: whoever compiles them compares their hash. None: not in this store.

        Raises `ProofError`.
        """
        try:
            return store_agreements.agreement(self._connection, revision)
        except Refusal as error:
            raise ProofError(Flaw.UNREADABLE, "agreement") from error

    def hash(self, index: int) -> bytes:
        """The hash that the tree has for the entry; b"" where it has none."""
        size = self.head().size
        if not 0 <= index < size:
            return b""
        n, offset = divmod(index, WIDTH)
        tile = self.tile(0, n, width_at(size, 0, n))
        return tile[offset * merkle.HASH_SIZE : (offset + 1) * merkle.HASH_SIZE]

    def signed(self, verifiers: Sequence[NoteKey]) -> tuple[bytes, Checkpoint]:
        """The checkpoint, verbatim and read: signed, and head and tiles agree with it. Raises `ProofError`."""
        note = self._checkpoint_once(lambda: load_edge(self._connection, verifiers))
        return note, open_checkpoint(note, verifiers)

    def ended(self, agreed: Checkpoint) -> tuple[bytes, Checkpoint]:
        """The same of a log that ended, by what its successor says that it was, whatever key it had. Raises `ProofError`."""
        note = self._checkpoint_once(lambda: require_agreed(self._connection, agreed))
        return note, Checkpoint.parse(parse_note(note).text)

    def _checkpoint_once(self, require: Callable[[], object]) -> bytes:
        """Verbatim, and of the moment of which something is required. Raises `ProofError`."""
        try:
            with snapshot(self._connection):
                require()
                return self.checkpoint
        except database_errors() as error:
            raise unreadable(error) from error

    def cosigned(self) -> CosignedNote | None:
        """The newest checkpoint with enough cosignatures, not yet believed. Raises `ProofError`."""
        try:
            return store_witnessed.cosigned(self._connection)
        except database_errors() as error:
            raise unreadable(error) from error

    def frozen(self) -> Frozen | None:
        """What froze the log. Raises `ProofError`."""
        try:
            return store_witnessed.frozen(self._connection)
        except database_errors() as error:
            raise unreadable(error) from error

    def prove(self, index: int) -> TlogProof:
        """The entry, as `extra`, under the present checkpoint, once the proof leads to its root.

        The signature is left to whoever has the key. Raises `ProofError`: LOG404 for an altered entry.
        """
        head = self.head()
        signed = Checkpoint.parse(parse_note(head.note).text)
        if not 0 <= index < signed.size:
            raise ProofError(Flaw.ABSENT, f"index {index}")
        nodes, leaf = TileNodes(signed.size, self.tile), self.entry(index)
        path = merkle.prove_inclusion(nodes, index, signed.size)
        if merkle.leaf_hash(leaf) != nodes(0, index):
            raise ProofError(Flaw.ALTERED, f"index {index}")
        merkle.verify_inclusion(index, signed.size, merkle.leaf_hash(leaf), path, signed.root)
        return TlogProof(index, tuple(path), head.note, leaf)

    def resource(self, path: str) -> bytes:
        """A resource of tlog-tiles by its path: checkpoint, tile or bundle. Raises `ProofError` (LOG208).

        The checkpoint has its cosignatures, if enough witnesses have seen this very one.
        """
        if path == "checkpoint":
            note, kept = self.checkpoint, self.cosigned()
            return kept.note if kept is not None and kept.note.startswith(note) else note
        name = TileId.parse(path)
        if width_at(self.head().size, name.level or 0, name.n) < name.width:
            raise ProofError(Flaw.TILE_PATH, "beyond the tree")
        if name.level is not None:
            return self.tile(name.level, name.n, name.width)
        start = name.n * WIDTH
        if start + WIDTH <= self.minimum:  # tlog-tiles, Pruning: its end index
            raise ProofError(Flaw.PRUNED, f"bundle {name.n}")
        leaves = self._query(_BUNDLE, (start, start + name.width))
        if len(leaves) != name.width:
            raise ProofError(Flaw.MISSING, f"bundle {name.n}")
        return bundle(leaf for (leaf,) in leaves)

    def prove_consistency(self, old: int, later: Checkpoint, note: bytes) -> ConsistencyProof:
        """That a checkpoint of this log, given with its note, extends the tree of `old` entries.

        Verified against the tree as it is stored. Raises `ProofError`: LOG413 when the log does not extend
        the checkpoint.
        """
        size = self.head().size
        nodes = TileNodes(size, self.tile)
        if later.size > size or merkle.tree_root(nodes, later.size) != later.root:
            raise ProofError(Flaw.ROLLBACK, f"size {later.size}")
        hashes = merkle.prove_consistency(nodes, old, later.size)
        merkle.verify_consistency(old, later.size, merkle.tree_root(nodes, old), later.root, hashes)
        return ConsistencyProof(old, tuple(hashes), note)

    def leaves(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """As `completeness.Entries` has it. Raises `ProofError`: LOG650."""
        if start < self.minimum:
            raise ProofError(Flaw.PRUNED, f"index {start}")
        while chunk := self._query(_LEAVES, (start, end, CHUNK)):
            for index, leaf in chunk:
                yield index, bytes(leaf)
            start = chunk[-1][0] + 1

    # What `audit` reads.

    def rows(self, start: int | None, end: int) -> Iterator[Row]:
        after = -(1 << 63) if start is None else start - 1
        while chunk := self._query(_ROWS, (after, end, CHUNK)):
            for index, leaf, exchange, kind, claimed, authority, seeded, view, digests, *beside in chunk:
                told = (index, leaf, exchange, kind, bool(claimed), authority, bool(seeded), view, digests)
                *seeds, messages = beside
                sealed = self._sealed(index, *seeds) if seeded else None
                yield Row(*told, seeds[0], sealed, bool(messages))
            after = chunk[-1][0]

    def _sealed(self, index: int, bucket: str, subject: bytes, fields: bytes | None) -> Flaw | None:
        """Why the seeds do not open."""
        if self._bucket_keys is None:
            return None
        try:
            self._bucket_keys.unwrap(Bucket.parse(bucket), subject, subject_of(index))
            if fields is not None:
                self._bucket_keys.unwrap(Bucket.parse(bucket), fields, fields_of(index))
        except ProofError as error:
            return error.flaw
        return None

    def record(self, end: int) -> tuple[Record, Sequence[tuple[int, bytes]]]:
        try:
            with snapshot(self._connection):
                own: list[tuple[Any, ...]] = self._connection.execute(_OWN, (end, *OWN)).fetchall()
                return record(self._connection), [(index, bytes(leaf)) for index, leaf in own]
        except database_errors() as error:
            raise unreadable(error) from error

    def held(self) -> frozenset[Bucket] | None:
        return None if self._bucket_keys is None else self._bucket_keys.held()

    def tile(self, level: int, n: int, width: int) -> bytes:
        try:
            return read_tile(self._connection, level, n, width)
        except database_errors() as error:
            raise unreadable(error) from error

    def tile_names(self) -> Iterable[tuple[int, int]]:
        return [(level, n) for level, n in self._query("SELECT level, n FROM tiles")]

    def vector(self, vector_hash: bytes) -> bytes | None:
        for (vector,) in self._query("SELECT vector FROM views WHERE hash = ?", (vector_hash,)):
            return bytes(vector)
        return None

    def repeated(self, end: int) -> Iterable[Finding]:
        self._connection.take_time()
        for (index,) in self._query(_REPEATED_TICKETS, (end,)):
            yield Finding(Flaw.CLAIM, index, "ticket used twice")
        for (index,) in self._query(_REPEATED_EXCHANGES, (end,)):
            yield Finding(Flaw.PAIRING, index, "exchange recorded twice")

    def _query(self, sql: str, bindings: Sequence[object] | dict[str, object] = ()) -> list[tuple[Any, ...]]:
        """All rows at once: no read transaction stays open between two calls."""
        try:
            return self._connection.execute(sql, bindings).fetchall()
        except database_errors() as error:
            raise unreadable(error) from error
