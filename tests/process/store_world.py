"""A store on disk, filled as the broker fills it, and hands to damage it with."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store import LogReader, Store
from gateway.adapters.store_connect import connect
from gateway.adapters.store_session import PerEngine, Session, StorePlace, Use
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Finding, Flaw
from gateway.exchangelog.note import Signer
from gateway.model import Receipt
from gateway.refusal import Code, Refusal

ORIGIN = "xlog.hub.example/2026"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SIGNER = Signer.of(ORIGIN, KEY)
VERIFIER = SIGNER.verifier
PAYLOAD_KEY = bytes(range(32, 64))


of_a_file = pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # what is tested is a file
_BESIDE: dict[StorePlace, Path] = {}


def placed_beside(directory: Path, place: StorePlace) -> StorePlace:
    """A database whose bucket keys are in this directory."""
    _BESIDE[place] = directory
    return place


def open_store(path: StorePlace, **options: object) -> Store:
    """A new one where there is none."""
    keys = options.pop("bucket_keys", None) or keys_beside(path)
    return Store.open(
        path, KEY, ORIGIN, **{"create": True, "payload_key": PAYLOAD_KEY, "bucket_keys": keys, **options}
    )


def keys_beside(path: StorePlace) -> BucketKeys:
    """The bucket keys of a store in a test; an operator keeps them elsewhere."""
    directory = path.parent if isinstance(path, Path) else _BESIDE[path]
    return BucketKeys.create(directory / "bucket-keys")


@dataclass(frozen=True)
class At:
    """Equal to a receipt for the entry at this index, whose signed checkpoint covers it."""

    index: int

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Receipt):
            return NotImplemented
        signed = open_checkpoint(other.checkpoint, [VERIFIER])
        return (other.origin, other.index) == (ORIGIN, self.index) and signed.size > self.index

    __hash__ = None


async def append_all(store: Store, entries: list[Entry]) -> list[Receipt | Code]:
    """All at once; for each the receipt, or the code of its refusal."""
    results = await asyncio.gather(*(store.append(entry) for entry in entries), return_exceptions=True)
    return [result.code if isinstance(result, Refusal) else result for result in results]


async def fill(path: StorePlace, entries: list[Entry]) -> None:
    """One after the other, so that the order is known."""
    async with open_store(path) as store:
        for entry in entries:
            await store.append(entry)


def findings(path: StorePlace, pinned: Checkpoint | None = None) -> list[Finding]:
    with LogReader.open(path) as log:
        return list(audit(log, log.head(), [VERIFIER], pinned))


def flaws(path: StorePlace) -> set[tuple[Flaw, int | None]]:
    return {(finding.flaw, finding.index) for finding in findings(path)}


def alter(path: StorePlace, *statements: str, bindings: tuple[object, ...] = ()) -> None:
    """What somebody with write access to the store can do."""
    with closing(connect(path, Use.WRITE)) as connection:
        for statement in _UNGUARDED[isinstance(path, Path)]:
            connection.execute(statement)
        for statement in statements:
            for one in [statement] if isinstance(statement, PerEngine) else statement.split("; "):
                connection.execute(one, bindings if "?" in one else ())


_UNGUARDED = {
    True: (
        "PRAGMA foreign_keys = 0",
        "DROP TRIGGER IF EXISTS entries_stay",
        "DROP TRIGGER IF EXISTS entries_remain",
    ),
    False: ("ALTER TABLE entries DISABLE TRIGGER USER",),
}


def query(path: StorePlace, sql: str) -> list[tuple[object, ...]]:
    with closing(connect(path, Use.READ)) as connection:
        return connection.execute(sql).fetchall()


class DiskError(Exception):
    """Stands for whatever a commit can fail with."""


class Failing:
    """A connection that fails at its n-th statement."""

    def __init__(self, connection: Session, at: int) -> None:
        self._connection, self._left = connection, at

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise DiskError

    def execute(self, *arguments):
        self._step()
        return self._connection.execute(*arguments)

    def executemany(self, *arguments):
        self._step()
        return self._connection.executemany(*arguments)

    def insert(self, *arguments):
        self._step()
        return self._connection.insert(*arguments)

    def __getattr__(self, name):
        return getattr(self._connection, name)
