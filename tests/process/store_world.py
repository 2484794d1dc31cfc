"""A store on disk, filled as the broker fills it, and hands to damage it with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store import LogReader, Store
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


def open_store(path: Path, **options: object) -> Store:
    """A new one where there is none."""
    keys = options.pop("bucket_keys", None) or keys_beside(path)
    return Store.open(
        path, KEY, ORIGIN, **{"create": True, "payload_key": PAYLOAD_KEY, "bucket_keys": keys, **options}
    )


def keys_beside(path: Path) -> BucketKeys:
    """The bucket keys of a store in a test; an operator keeps them elsewhere."""
    return BucketKeys.create(Path(path).parent / "bucket-keys")


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


async def fill(path: Path, entries: list[Entry]) -> None:
    """One after the other, so that the order is known."""
    async with open_store(path) as store:
        for entry in entries:
            await store.append(entry)


def findings(path: Path, pinned: Checkpoint | None = None) -> list[Finding]:
    with LogReader.open(path) as log:
        return list(audit(log, log.head(), [VERIFIER], pinned))


def flaws(path: Path) -> set[tuple[Flaw, int | None]]:
    return {(finding.flaw, finding.index) for finding in findings(path)}


def alter(path: Path, *statements: str, bindings: tuple[object, ...] = ()) -> None:
    """What somebody with write access to the file can do."""
    connection = apsw.Connection(str(path))
    connection.execute("DROP TRIGGER IF EXISTS entries_stay; DROP TRIGGER IF EXISTS entries_remain")
    for statement in statements:
        connection.execute(statement, bindings if "?" in statement else ())
    connection.close()


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


class DiskError(Exception):
    """Stands for whatever a commit can fail with."""


class Failing:
    """A connection that fails at its n-th statement."""

    def __init__(self, connection: apsw.Connection, at: int) -> None:
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

    def __getattr__(self, name):
        return getattr(self._connection, name)
