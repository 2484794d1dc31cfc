"""The exchange log in SQLite: one transaction makes a batch durable, integrated and signed.

Knows nothing of threads or waiting: `store` brings the batches, one at a time. A failure here is fatal for
the object; whether the batch was persisted is found out by opening the file again.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from gateway.adapters.store_file import Use, connect, create, unreadable
from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import HASH_SIZE, leaf_hash
from gateway.exchangelog.note import Signer, Verifier
from gateway.exchangelog.tile import WIDTH, Edge, Tile, TileNodes
from gateway.refusal import Code, Refusal

_INSERT = """
INSERT INTO entries (idx, exchange, kind, leaf, authority, ticket, view, digests) VALUES (?,?,?,?,?,?,?,?)
ON CONFLICT (authority, ticket) WHERE ticket IS NOT NULL DO NOTHING
"""
_TILE = "INSERT INTO tiles VALUES (?,?,?) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes"


class Log:
    """The appending end of one log. Owned by one thread."""

    def __init__(self, connection: apsw.Connection, signer: Signer, edge: Edge, claim_key: bytes) -> None:
        self._connection = connection
        self._signer = signer
        self._claim_key = claim_key
        self._edge = edge
        self._views: set[bytes] = set()  # hashes known to be stored

    @classmethod
    def open(cls, path: Path, signer: Signer, pinned: Checkpoint | None = None) -> Log:
        """Opens an existing log; `new_log` makes one.

        Raises `ProofError` when the stored checkpoint does not verify under the signer's key and name, when
        tiles or entries do not agree with it, or when it does not extend the pinned one (rollback).
        """
        connection = connect(path, Use.APPEND)
        try:
            with connection:  # one snapshot: another process may be appending
                edge = load_edge(connection, signer.verifier)
                claim_key = _claim_key(connection)
                _check_last_entries(connection, edge)
                if pinned is not None:
                    _check_extends(connection, edge, pinned.size, pinned.root)
        except apsw.Error as error:
            connection.close()
            raise unreadable(error, path) from error
        except ProofError:
            connection.close()
            raise
        return cls(connection, signer, edge, claim_key)

    @property
    def size(self) -> int:
        return self._edge.size

    def append(self, batch: Sequence[Entry]) -> list[int | Refusal]:
        """For each entry its index, or the refusal of this entry alone (its ticket was used before).

        Returns after COMMIT. Anything raised is fatal: the outcome is unknown and the log is to be
        opened anew, never tried again on this connection.
        """
        # IMMEDIATE: the write lock comes first, so the head read below is still the head at COMMIT.
        self._connection.execute("BEGIN IMMEDIATE")
        self._catch_up()
        outcomes = list[int | Refusal]()
        leaves = list[bytes]()
        for entry in batch:
            outcome = self._insert(self._edge.size + len(leaves), entry)
            if not isinstance(outcome, Refusal):
                leaves.append(leaf_hash(entry.leaf))
            outcomes.append(outcome)
        if not leaves:
            self._connection.execute("ROLLBACK")
            return outcomes
        edge, tiles = self._edge.extend(leaves)
        self._store_head(edge, tiles)
        _commit(self._connection)
        # From here on the batch exists: entries, tiles, seeds, claims and the checkpoint over them.
        self._edge = edge
        self._views.update(entry.fields.vector_hash for entry in batch if entry.fields is not None)
        return outcomes

    def close(self) -> None:
        self._connection.close()

    def _insert(self, index: int, entry: Entry) -> int | Refusal:
        authority, ticket = self._claim(entry)
        view, digests, seed = None, None, None
        if entry.fields is not None:
            view, digests, seed = entry.fields.vector_hash, entry.fields.digests, entry.fields.seed
            if view not in self._views:
                self._connection.execute(
                    "INSERT OR IGNORE INTO views VALUES (?,?)", (view, entry.fields.vector)
                )
        row = (index, entry.exchange, entry.kind.value, entry.leaf, authority, ticket, view, digests)
        try:
            self._connection.execute(_INSERT, row)
        except apsw.ConstraintError:  # a second entry of this kind for one exchange: our own mistake
            return Refusal(Code.INTERNAL, "exchange recorded twice")
        if self._connection.changes() == 0:
            return Refusal(Code.TICKET)
        self._connection.execute("INSERT INTO seeds VALUES (?,?,?)", (index, entry.seed, seed))
        return index

    def _claim(self, entry: Entry) -> tuple[str | None, bytes | None]:
        """A ticket is a peer's own text, which may hold what it must not: the store keeps what tells it apart."""
        if entry.claim is None:
            return None, None
        authority, ticket = entry.claim
        return authority, hmac.digest(self._claim_key, f"{authority} {ticket}".encode(), "sha256")

    def _store_head(self, edge: Edge, tiles: Sequence[Tile]) -> None:
        self._connection.executemany(_TILE, [(tile.level, tile.n, tile.hashes) for tile in tiles])
        root = edge.root()
        note = sign_checkpoint(edge.size, root, self._signer)
        # Compare-and-swap: one root only is ever released for a size.
        old = (self._edge.size, self._edge.root())
        self._connection.execute(
            "UPDATE head SET size = ?, root = ?, note = ? WHERE size = ? AND root = ?",
            (edge.size, root, note, *old),
        )
        if self._connection.changes() != 1:
            raise ProofError(Flaw.HEAD)

    def _catch_up(self) -> None:
        """Another process of the same hub may have appended: believe it only if it extends what we know."""
        (stored,) = self._connection.execute("SELECT size, root FROM head")
        root = self._edge.root()
        if stored == (self._edge.size, root):
            return
        edge = load_edge(self._connection, self._signer.verifier)
        _check_extends(self._connection, edge, self._edge.size, root)
        self._edge = edge


def new_log(path: Path, signer: Signer) -> None:
    """Makes a store with an empty log. Raises `ProofError`: LOG507 when there is a file already."""
    if not create(path, merkle.EMPTY_ROOT, sign_checkpoint(0, merkle.EMPTY_ROOT, signer)):
        raise ProofError(Flaw.STORE_EXISTS, str(path))


def _claim_key(connection: apsw.Connection) -> bytes:
    """Under another key every ticket could be used again."""
    row = connection.execute("SELECT key FROM claim_key").fetchone()
    if row is None:
        raise ProofError(Flaw.UNREADABLE, "key of the claims")
    return bytes(row[0])


def load_edge(connection: apsw.Connection, verifier: Verifier) -> Edge:
    """The edge of the stored tree, once head, checkpoint and tiles agree. Raises `ProofError`."""
    rows: list[tuple[Any, ...]] = connection.execute("SELECT size, root, note FROM head").fetchall()
    if len(rows) != 1:
        raise ProofError(Flaw.HEAD)
    size, root, note = rows[0]
    signed = open_checkpoint(note, verifier)
    if (signed.size, signed.root) != (size, root):
        raise ProofError(Flaw.HEAD)
    edge = Edge.load(size, lambda level, n, width: read_tile(connection, level, n, width))
    if edge.root() != root:
        raise ProofError(Flaw.TREE)
    return edge


def read_tile(connection: apsw.Connection, level: int, n: int, width: int) -> bytes:
    """The first `width` hashes of a stored tile; fewer when it is short, none when it is missing."""
    row = connection.execute("SELECT hashes FROM tiles WHERE level = ? AND n = ?", (level, n)).fetchone()
    return b"" if row is None else bytes(row[0])[: width * HASH_SIZE]


def _check_last_entries(connection: apsw.Connection, edge: Edge) -> None:
    """The entries at the edge are those in the tree; `gateway log verify` does the same for all."""
    ((last,),) = connection.execute("SELECT coalesce(max(idx), -1) FROM entries")
    if last != edge.size - 1:
        raise ProofError(Flaw.MISSING if last < edge.size else Flaw.SURPLUS, f"last index {last}")
    first = edge.size - edge.size % WIDTH
    rows = connection.execute("SELECT leaf FROM entries WHERE idx >= ? ORDER BY idx", (first,))
    hashes = tuple(leaf_hash(leaf) for (leaf,) in rows)
    if edge.size % WIDTH and hashes != edge.partial[0]:
        raise ProofError(Flaw.ALTERED, f"at or after index {first}")


def _check_extends(connection: apsw.Connection, edge: Edge, size: int, root: bytes) -> None:
    nodes = TileNodes(edge.size, lambda level, n, width: read_tile(connection, level, n, width))
    if size > edge.size or merkle.tree_root(nodes, size) != root:
        raise ProofError(Flaw.ROLLBACK, f"size {size}")


def _commit(connection: apsw.Connection) -> None:
    """The commit point of every exchange."""
    connection.execute("COMMIT")
