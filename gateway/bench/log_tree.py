"""Proofs from a tree of a size that no test can fill: all its entries are equal, so each level has one hash.

Of such a log a store needs only the entries that are asked for, and the tiles that their proofs read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Final

from gateway.adapters.store_connect import connect
from gateway.adapters.store_log import new_log
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_session import Use
from gateway.bench.log_entries import notification
from gateway.exchangelog.checkpoint import sign_checkpoint
from gateway.exchangelog.merkle import leaf_hash, node_hash, prove_inclusion, tree_root
from gateway.exchangelog.note import Signer
from gateway.exchangelog.tile import HEIGHT, ReadTile, TileNodes

SIZE: Final = 1_000_000_000
_PROOFS: Final = 200

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Proved:
    """Seconds that each proof took to make from the store, and to check."""

    size: int
    hashes: int  # of the longest proof
    made: Sequence[float]  # in order of length
    checked: Sequence[float]

    def json(self) -> Json:
        return {
            "size": self.size,
            "proofs": len(self.made),
            "hashes": self.hashes,
            "made_p50_ms": _percentile_ms(self.made, 50),
            "made_p99_ms": _percentile_ms(self.made, 99),
            "checked_p50_ms": _percentile_ms(self.checked, 50),
            "checked_p99_ms": _percentile_ms(self.checked, 99),
        }


def prove(path: Path, signer: Signer) -> Proved:
    """Make and check proofs of entries all over the tree, from a new store at this path."""
    indices = sorted(Random(SIZE).sample(range(SIZE), _PROOFS))  # noqa: S311 - the same in each run
    _write(path, signer, indices)
    hashes, made, checked = 0, list[float](), list[float]()
    with LogReader.open(path) as log:
        for index in indices:
            began = perf_counter()
            proof = log.prove(index)
            made.append(perf_counter() - began)
            began = perf_counter()
            proof.verify(log.entry(index), [signer.verifier])
            checked.append(perf_counter() - began)
            hashes = max(hashes, len(proof.hashes))
    return Proved(SIZE, hashes, sorted(made), sorted(checked))


def _write(path: Path, signer: Signer, indices: Iterable[int]) -> None:
    """What the proofs of these entries need, under the head of the whole tree."""
    entry = notification()
    tiles: dict[tuple[int, int], bytes] = {}
    read = _tiles_of(leaf_hash(entry.leaf), tiles)
    root = tree_root(TileNodes(SIZE, read), SIZE)
    for index in indices:
        prove_inclusion(TileNodes(SIZE, read), index, SIZE)
        read(0, index >> HEIGHT, 1 << HEIGHT)
    new_log(path, [signer])
    with closing(connect(path, Use.APPEND)) as connection, connection:
        note = sign_checkpoint(SIZE, root, [signer])
        connection.execute("UPDATE head SET size = ?, root = ?, note = ?", (SIZE, root, note))
        connection.executemany(
            "INSERT INTO tiles VALUES (?,?,?)", [(*name, hashes) for name, hashes in tiles.items()]
        )
        connection.executemany(
            "INSERT INTO entries (idx, exchange, kind, leaf) VALUES (?,?,?,?)",
            [(index, str(index), entry.kind.value, entry.leaf) for index in indices],
        )


def _tiles_of(leaf: bytes, asked: dict[tuple[int, int], bytes]) -> ReadTile:
    """Reads any tile of a tree of equal leaves, and remembers it."""
    levels = [leaf]
    for _ in range(SIZE.bit_length()):
        levels.append(node_hash(levels[-1], levels[-1]))

    def read(level: int, n: int, width: int) -> bytes:
        hashes = levels[HEIGHT * level] * width
        asked[level, n] = max(asked.get((level, n), b""), hashes, key=len)
        return hashes

    return read


def _percentile_ms(ordered: Sequence[float], percent: int) -> float:
    """Nearest rank."""
    return round(ordered[ceil(percent / 100 * len(ordered)) - 1] * 1000, 3)
