"""The edge of the stored tree, and what must agree with it before anything is appended or believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.adapters.store_session import Session
from gateway.adapters.store_witnessed import frozen
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import HASH_SIZE, leaf_hash
from gateway.exchangelog.note import NoteKey, parse_note
from gateway.exchangelog.pin import require_held
from gateway.exchangelog.tile import WIDTH, Edge

SIGNED_HEAD: Final = "SELECT size, root, note FROM head"


def load_edge(connection: Session, verifiers: Sequence[NoteKey]) -> Edge:
    """The edge of the stored tree, once head, checkpoint and tiles agree. Raises `ProofError`."""
    return _edge(connection, lambda note: open_checkpoint(note, verifiers))


def require_agreed(connection: Session, agreed: Checkpoint) -> None:
    """The same of a log that ended, which extends what its successor says that it was. Raises `ProofError`."""
    edge = _edge(connection, lambda note: Checkpoint.parse(parse_note(note).text))
    require_extended(connection, edge, agreed)


def _edge(connection: Session, opened: Callable[[bytes], Checkpoint]) -> Edge:
    rows: list[tuple[Any, ...]] = connection.execute(SIGNED_HEAD).fetchall()
    if len(rows) != 1:
        raise ProofError(Flaw.HEAD)
    size, root, note = rows[0]
    signed = opened(note)
    if (signed.size, signed.root) != (size, root):
        raise ProofError(Flaw.HEAD)
    edge = Edge.load(size, lambda level, n, width: read_tile(connection, level, n, width))
    if edge.root() != root:
        raise ProofError(Flaw.TREE)
    return edge


def read_tile(connection: Session, level: int, n: int, width: int) -> bytes:
    """The first `width` hashes of a stored tile; fewer when it is short, none when it is missing."""
    row = connection.execute("SELECT hashes FROM tiles WHERE level = ? AND n = ?", (level, n)).fetchone()
    return b"" if row is None else bytes(row[0])[: width * HASH_SIZE]


def require_thawed(connection: Session) -> None:
    """Raises `ProofError` when the log was frozen, or has ended: nothing is appended any more."""
    found = frozen(connection)
    if found is not None:
        raise ProofError(found.flaw)


def require_last_entries(connection: Session, edge: Edge) -> None:
    """The entries at the edge are those in the tree; `gateway log verify` does the same for all. Raises `ProofError`."""
    ((last,),) = connection.execute("SELECT coalesce(max(idx), -1) FROM entries")
    if last != edge.size - 1:
        raise ProofError(Flaw.MISSING if last < edge.size else Flaw.SURPLUS, f"last index {last}")
    first = edge.size - edge.size % WIDTH
    rows = connection.execute("SELECT leaf FROM entries WHERE idx >= ? ORDER BY idx", (first,))
    hashes = tuple(leaf_hash(leaf) for (leaf,) in rows)
    if edge.size % WIDTH and hashes != edge.partial[0]:
        raise ProofError(Flaw.ALTERED, f"at or after index {first}")


def require_extended(connection: Session, edge: Edge, pinned: Checkpoint) -> None:
    """The stored tree is the pinned one, or has grown from it. Raises `ProofError`: rolled back, or another history."""
    require_held(pinned, edge.size, lambda level, n, width: read_tile(connection, level, n, width))
