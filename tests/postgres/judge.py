"""What must hold of a log, whatever was done to its nodes and its database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.adapters.store_reader import LogReader
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.tile import Edge


@dataclass(frozen=True)
class Told:
    """What somebody was told of an entry: where it stands in the log, under which signed checkpoint."""

    exchange: str
    index: int
    checkpoint: bytes
    kind: Kind = Kind.RESPONSE


def judge(log: LogReader, keys: list[NoteKey], told: Iterable[Told]) -> None:
    """Nothing of the log fails; no gap; nothing twice; what was told is there, once; every checkpoint extends."""
    told = list(told)
    failing = [(one.flaw.name, one.index) for one in audit(log, log.head(), keys) if one.fails]
    assert failing == []
    entries = [entry for _, entry in log.leaves(0, log.head().size)]
    assert len(entries) == log.head().size
    leaves = [Leaf.parse(entry) for entry in entries]
    assert max(Counter((leaf.id, leaf.kind) for leaf in leaves).values()) == 1
    assert len({one.index for one in told}) == len(told)
    for one in told:
        assert (leaves[one.index].id, leaves[one.index].kind) == (one.exchange, one.kind)
    roots = _roots(entries)
    for note in {one.checkpoint for one in told}:
        checkpoint = open_checkpoint(note, keys)
        assert roots[checkpoint.size] == checkpoint.root


def _roots(entries: list[bytes]) -> list[bytes]:
    """Of the tree of each size."""
    edge, roots = Edge(), [Edge().root()]
    for entry in entries:
        edge, _ = edge.extend([leaf_hash(entry)])
        roots.append(edge.root())
    return roots
