"""A log that goes on year after year, each in a store of its own; and the commands of its officer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from gateway import config
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.store import Store
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_eraser import Eraser
from gateway.adapters.store_filter import About, Filter
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_session import StorePlace
from gateway.cli.commands import app
from gateway.exchangelog.entry import Entry
from gateway.model import DossierNumber, DossierScope
from gateway.policy.person import person_digest
from gateway.reading import secret_key
from tests.path import hub as memory
from tests.process import running
from tests.process.search_world import MINE, SSIN, consultation
from tests.process.store_world import append_all, placed_beside

WORK = "WIB:WORK_DECISION"
ORDERED = ("--basis", "court-order", "--ground", "ordered", "--confirm")
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def asked(dossier: DossierNumber, month: int = 3, year: int = 2026) -> list[Entry]:
    """A question about the dossier and its answer, in that month."""
    return consultation("BRUSSELS", "PLATFORM", WORK, dossier, at=datetime(year, month, 9, tzinfo=UTC))


@dataclass(frozen=True)
class Years:
    """Settings `0.toml`, `1.toml` and so on, each of the log that succeeds the one before."""

    place: Path
    stores: tuple[StorePlace, ...]

    @classmethod
    def begin(cls, place: Path, stores: Sequence[StorePlace]) -> Years:
        """The first log, empty but for what its directory knows: MINE is of the person with SSIN."""
        memory.place_pki(place / "pki")
        years = cls(place, tuple(stores))
        running.write_settings(
            place, "https://127.0.0.1:9/soap", {"store": f'"{stores[0]}"', "origin": '"log/0"'}
        )
        text = (place / "gateway.toml").read_text()
        for number, store in enumerate(stores):
            placed_beside(place, store)
            former = ", ".join(f'"{one}"' for one in stores[:number])
            one = text.replace(f'"{stores[0]}"', f'"{store}"', 1).replace('"log/0"', f'"log/{number}"')
            (place / f"{number}.toml").write_text(one.replace("\nformer = []", f"\nformer = [{former}]", 1))
        with closing(Directory.open(stores[0], writes=True)) as directory:
            directory.put(years.scope())
        return years

    def scope(self) -> DossierScope:
        """MINE, as the directory has it."""
        person = person_digest(secret_key(self.settings(0).keys.directory_key), SSIN)
        return DossierScope(DossierNumber(MINE), "SINGLE_PERMIT", "FIRST", "SUBMITTED", NOW, (), person)

    def settings(self, number: int) -> config.Settings:
        return config.load(self.place / f"{number}.toml")

    @property
    def keys(self) -> BucketKeys:
        return BucketKeys.open(self.settings(0).log.bucket_keys)

    def vkey(self, number: int) -> str:
        return self.signers(number)[0].verifier.vkey

    def signers(self, number: int):
        return log_signers(self.settings(number).keys.log_key, f"log/{number}")

    def opened(self, number: int) -> Store:
        """As the hub of that year opens it."""
        (signer,), settings = self.signers(number), self.settings(number)
        return Store.open(
            self.stores[number],
            signer.key,
            f"log/{number}",
            payload_key=secret_key(settings.keys.payload_key),
            bucket_keys=self.keys,
            former=settings.log.former,
        )

    def fill(self, number: int, *entries: Entry) -> None:
        async def work() -> None:
            async with self.opened(number) as store:
                await store.remember(memory.agreement().revision, memory.agreement().files)
                for one in entries:
                    await append_all(store, [one])

        asyncio.run(work())

    def succeed(self, number: int, *options: str) -> None:
        """The log of this number ends, and the next one begins."""
        given = ("--from", self.stores[number], "--vkey", self.vkey(number))
        self.told(number + 1, "log succeed", *given, *(options or ("--reason", "ended")))

    def run(self, number: int, command: str, *options: object):
        words = [*command.split(), "--config", self.place / f"{number}.toml", *options]
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def told(self, number: int, command: str, *options: object):
        result = self.run(number, command, *options, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def refused(self, number: int, command: str, *options: object) -> str:
        """The code with which it fails, having told nothing."""
        result = self.run(number, command, *options)
        assert (result.exit_code, result.stdout) == (1, "")
        return result.stderr[:6]

    def verify(self, of: int, *by: int) -> list[tuple[str, int | None]]:
        """What is wrong with a store, for whoever has its key and those of other logs, and nothing else."""
        keys = [word for one in (of, *by) for word in ("--vkey", self.vkey(one))]
        beside = ("--store", self.stores[of], "--bucket-keys", self.place / "bucket-keys")
        result = CliRunner().invoke(app, ["log", "verify", *map(str, (*beside, *keys)), "--json"])
        told = json.loads(result.stdout)
        assert told["verified"] is (result.exit_code == 0) is (not told["findings"]), result.stdout
        return [(one["code"], one["index"]) for one in told["findings"]]

    def eraser(self, number: int) -> Eraser:
        return Eraser(self.stores[number], self.keys, former=self.stores[:number])

    def entry(self, number: int, index: int) -> dict[str, object]:
        with LogReader.open(self.stores[number]) as log:
            return json.loads(log.entry(index))

    def about(self, number: int, dossier: DossierNumber) -> list[int]:
        """Entries of a log that whoever has the seeds finds to be about the dossier."""
        with LogReader.open(self.stores[number], self.keys) as log:
            wanted = Filter(about=About((dossier,), every=True))
            return [index for index, _, _ in log.found(wanted, 0, 1_000)]
