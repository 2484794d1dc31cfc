"""The log before an act, and what must hold of it after any fault."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.adapters.site_directory import SiteDirectory
from gateway.adapters.site_export import export
from gateway.adapters.store import LogReader
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.site import check_site
from gateway.model import Receipt
from gateway.refusal import Code
from tests.exchanges import refusal_entry, request_entry
from tests.faults.acts import ACTS, LAST, Entered, new, site
from tests.faults.inject import Run
from tests.process.store_world import VERIFIER, append_all, findings, open_store

ENTRIES = 255  # one more fills a tile
_MEMORY = Path("/dev/shm")
AHEAD = 3  # of them in the write-ahead log only, after a crash
FATAL = {Code.LOG_UNAVAILABLE.row.code, Flaw.UNREADABLE.row.code, Flaw.CORRUPT.row.code, Flaw.FILE.row.code}


@dataclass(frozen=True)
class Base:
    """A directory with a store; acts are done to copies of it."""

    place: Path

    @classmethod
    def make(cls, place: Path, *, crashed: bool) -> Base:
        """`crashed`: whoever appended the last entries did not close the store."""
        asyncio.run(_fill(place / "store.db", crashed=crashed))
        return cls(place / "crashed" if crashed else place)

    def copy(self, place: Path) -> Path:
        """A store of the act's own."""
        return Path(shutil.copytree(self.place, place), "store.db")

    def check(self, path: Path, run: Run) -> None:
        """What holds of the store, whatever became of the act."""
        leaves, checkpoint = _seen(self.place / "store.db")
        acknowledged = [one for one in (run.before, _entered(run)) if one is not None]
        if run.told is not None and run.told[0] == "failed":
            assert run.told[1] in FATAL, run.told
        asyncio.run(_goes_on(path, checkpoint))
        stored, _ = _seen(path)
        assert stored[: len(leaves)] == leaves
        assert len(stored) == len(leaves) + 1  # the act's entry, or the one with its ticket after it
        assert all(stored[index] == leaf for index, leaf in acknowledged)
        assert [one for one in findings(path, checkpoint) if one.fails] == []
        if run.act == "export":
            _exported_as_it_was_or_is(path, checkpoint)
        if new(path).exists():
            asyncio.run(open_store(new(path), create=False).close())
        else:
            assert (run.act, run.told) != ("begin a log", ("done", None))


def _exported_as_it_was_or_is(path: Path, before: Checkpoint) -> None:
    """Whoever reads the directory meanwhile finds a whole log, and the next export goes on."""
    assert [one for one in check_site(SiteDirectory(site(path)), [VERIFIER], before) if one.fails] == []
    with LogReader.open(path) as log:
        export(log, site(path), [VERIFIER])
    assert [one for one in check_site(SiteDirectory(site(path)), [VERIFIER], before) if one.fails] == []


def _entered(run: Run) -> Entered | None:
    return run.told[1] if run.told is not None and run.told[0] == "done" else None


def _seen(path: Path) -> tuple[list[bytes], Checkpoint]:
    with LogReader.open(path) as log:
        checkpoint = open_checkpoint(log.checkpoint, [VERIFIER])
        return [log.entry(index) for index in range(checkpoint.size)], checkpoint


async def _goes_on(path: Path, checkpoint: Checkpoint) -> None:
    """The store opens, knows whether the act's ticket was used, and takes more."""
    async with open_store(path, create=False, pinned=checkpoint) as store:
        size = store.size
        (again,) = await append_all(store, [request_entry(LAST)])
        if size > checkpoint.size:
            assert again is Code.TICKET
        else:
            assert isinstance(again, Receipt)
            assert again.index == size


async def _fill(path: Path, *, crashed: bool) -> None:
    async with open_store(path) as store:
        await append_all(store, [request_entry(f"t{number}") for number in range(ENTRIES - AHEAD)])
    async with open_store(path) as store:
        await append_all(store, [refusal_entry() for _ in range(AHEAD)])
        if crashed:
            shutil.copytree(path.parent, path.with_name("crashed"), ignore=shutil.ignore_patterns("*-shm"))


def working() -> TemporaryDirectory[str]:
    """Where the acts are done: in memory if possible, for the calls are the same and no disk is waited for."""
    return TemporaryDirectory(prefix="faults-", dir=_MEMORY if _MEMORY.is_dir() else None)


def bases(place: Path) -> dict[str, Base]:
    """For each act the log that it is done to."""
    closed, crashed = (Base.make(place / name, crashed=name == "crashed") for name in ("closed", "crashed"))
    return {act: crashed if act == "open after a crash" else closed for act in ACTS}
