"""The ground of a drill: a log that a real hub has filled, on a copy that may be harmed, and its officers' tools.

Officer A and officer B each keep a checkpoint of their own, as `gateway log checkpoint` gives it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store import LogReader
from gateway.cli.log import app
from gateway.exchangelog.checkpoint import sign_checkpoint
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Signer
from gateway.exchangelog.tile import Edge
from tests.path.hub import OTHER_DOSSIER, Hub, pki
from tests.path.notifying import declare, drain

ORIGIN = "test.example/log"
_WORK = "WIB:WORK_DECISION"


def log_key() -> Ed25519PrivateKey:
    """What a thief of keys has."""
    key = load_pem_private_key(pki()["HUB/log.key.pem"], None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


@dataclass(frozen=True)
class Ground:
    """Files of one drill. The checkpoints and the backup are from before the drill."""

    place: Path

    @property
    def store(self) -> Path:
        return self.place / "store.db"

    @property
    def bucket_keys(self) -> BucketKeys:
        return BucketKeys.open(self.place / "bucket-keys")

    @property
    def backup(self) -> Path:
        """A good copy of an earlier day, with fewer entries."""
        return self.place / "backup.db"

    @property
    def kept(self) -> Path:
        """The newest checkpoint, which officer A keeps."""
        return self.place / "a.checkpoint"

    @classmethod
    def copy(cls, filled: Path, place: Path) -> Ground:
        """The ground of one drill, which may do with it what it likes."""
        return cls(Path(shutil.copytree(filled, place)))

    def find(self, **wanted: object) -> int:
        """Index of the last entry that says this."""
        told = list(enumerate(map(json.loads, self.leaves)))
        return max(at for at, leaf in told if wanted.items() <= leaf.items())

    @property
    def leaves(self) -> list[bytes]:
        with LogReader.open(self.store) as log:
            return [log.entry(index) for index in range(log.head().size)]

    def alter(self, *statements: str, bindings: tuple[object, ...] = ()) -> None:
        """What somebody with write access to the file can do; triggers are against mistakes only."""
        connection = apsw.Connection(str(self.store))
        connection.execute("DROP TRIGGER IF EXISTS entries_stay; DROP TRIGGER IF EXISTS entries_remain")
        for statement in statements:
            connection.execute(statement, bindings if "?" in statement else ())
        connection.close()

    def checkpoint(self, name: str) -> Path:
        """Keep what the log shows now."""
        file = self.place / name
        file.write_text(self._told("checkpoint", "--store", self.store, "--vkey", _vkey())[0])
        return file

    def rewrite(self, leaves: list[bytes], signer: Signer) -> None:
        """The strongest insider: entries, tiles, head and signature all agree afterwards. Nothing is added."""
        edge, tiles = Edge().extend([leaf_hash(leaf) for leaf in leaves])
        self.alter(
            f"DELETE FROM seeds WHERE idx >= {edge.size}", f"DELETE FROM entries WHERE idx >= {edge.size}"
        )
        for index, leaf in enumerate(leaves):
            self.alter("UPDATE entries SET leaf = ? WHERE idx = " + str(index), bindings=(leaf,))
        for tile in tiles:
            where = f"level = {tile.level} AND n = {tile.n}"
            self.alter(f"UPDATE tiles SET hashes = ? WHERE {where}", bindings=(tile.hashes,))
        note = sign_checkpoint(edge.size, edge.root(), [signer])
        self.alter(f"UPDATE head SET size = {edge.size}, root = ?, note = ?", bindings=(edge.root(), note))

    def verify(self, pin: Path | None = None, *, successor: str | None = None) -> set[str]:
        """`gateway log verify`, with the checkpoint that an officer kept: the codes of what fails.

        `successor`: key of the log that goes on for this one.
        """
        pinned = () if pin is None else ("--pin", pin)
        pinned += () if successor is None else ("--vkey", successor)
        log = ("--store", self.store, "--vkey", _vkey(), "--bucket-keys", self.place / "bucket-keys")
        output, status = self._told("verify", *log, *pinned, "--json")
        told = json.loads(output)
        failures = {one["code"] for one in told["findings"] if one["level"] == "failure"}
        assert (status == 0) is told["verified"] is (not failures)
        return failures

    def compare(self, one: Path, other: Path) -> set[str]:
        """`gateway log compare-pins`, with nothing but what two officers kept: the code that it ends with."""
        result = CliRunner().invoke(app, ["compare-pins", str(one), str(other), "--vkey", _vkey()])
        return set() if result.exit_code == 0 else {result.stderr.partition(":")[0]}

    def _told(self, *arguments: object) -> tuple[str, int]:
        result = CliRunner().invoke(app, [str(one) for one in arguments])
        return result.stdout, result.exit_code


def _vkey() -> str:
    return Signer.of(ORIGIN, log_key()).verifier.vkey


def fill(place: Path) -> Path:
    """A day of exchanges, a backup, and another day; then officer A takes a checkpoint."""
    asyncio.run(_fill(place))
    ground = Ground(place)
    ground.checkpoint("a.checkpoint")
    assert ground.verify(ground.kept) == set()
    return place


async def _fill(place: Path) -> None:
    hub = await Hub.start(place)
    await hub.dossier(OTHER_DOSSIER, "CARD_ISSUED")
    await _day(hub)
    await hub.store.close()
    shutil.copy(place / "store.db", place / "backup.db")
    await hub.restart()
    await _day(hub)
    await hub.store.close()


async def _day(hub: Hub) -> None:
    """A dossier asked for and given, one refused, and something told and delivered."""
    assert (await hub.consult("BRUSSELS", "consultDossier", _WORK)).code is None
    assert (await hub.consult("FLANDERS", "consultDossier", _WORK)).code == "WIB07005"
    assert (await declare(hub, OTHER_DOSSIER)).code is None
    await drain(hub)
