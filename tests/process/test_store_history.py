"""Any history of a log, held against a plain list: appends, crashes, commits that fail, restarts, old backups.

A crash is what a power failure leaves: the file and its write-ahead log as they were at that moment, of the
latter possibly a part only. What is checked after every step are the guarantees of PROTOCOL §8.7.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.adapters import store_log
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store import LogReader, Store
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.merkle import tree_root
from gateway.exchangelog.tile import TileNodes
from gateway.model import ExchangeId, Receipt
from gateway.refusal import Code
from tests.exchanges import refusal_entry, request_entry, response_entry
from tests.process.store_world import VERIFIER, append_all, findings, open_store

MEMORY = Path("/dev/shm")  # where there is one, no disk is waited for
commit = store_log._commit
tickets = st.lists(st.integers(0, 40), min_size=1, max_size=6)  # few enough that some come again


class DiskError(Exception):
    """Stands for whatever a commit can fail with."""


class History(RuleBasedStateMachine):
    """`log` is the model: the leaf at each index. Everything else is what somebody outside has seen."""

    @initialize()
    def begin(self):
        self.directory = TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.places = 0
        self.keys = BucketKeys.create(Path(self.directory.name, "keys"))
        self.path = self.new_place() / "store.db"
        self.runner = asyncio.Runner()
        self.stores = [self.opened(self.path)]
        self.log: list[bytes] = []
        self.claimed: set[int] = set()
        self.open: list[ExchangeId] = []
        self.checkpoints: dict[int, Checkpoint] = {}  # by size: every one that was ever readable
        self.backups: list[Path] = []

    # What happens.

    @rule(numbers=tickets, which=st.integers(0, 1), refusals=st.integers(0, 3))
    def append(self, numbers: list[int], which: int, refusals: int):
        entries = self.made(numbers, refusals)
        results = self.run(append_all(self.stores[which % len(self.stores)], entries))
        fresh = set(numbers) - self.claimed
        won = [number for number, result in zip(numbers, results, strict=False) if result is not Code.TICKET]
        assert Counter(won) == Counter(fresh)  # of each ticket that is new exactly one request
        done = {
            one.index: entry for one, entry in zip(results, entries, strict=True) if isinstance(one, Receipt)
        }
        assert sorted(done) == list(range(len(self.log), len(self.log) + len(fresh) + refusals))
        self.log += [done[index].leaf for index in sorted(done)]
        self.claimed |= fresh
        self.open += [one.exchange for one in done.values() if one.kind is Kind.REQUEST]

    @precondition(lambda self: self.open)
    @rule()
    def answer(self):
        entry = response_entry(self.open.pop())
        (result,) = self.run(append_all(self.stores[0], [entry]))
        assert result.index == len(self.log)
        self.log.append(entry.leaf)

    @rule(numbers=tickets, persists=st.booleans())
    def commit_fails(self, numbers: list[int], persists: bool):
        """Nobody is told that it was recorded, nothing more is appended, and opening anew tells what there is."""

        def fail(connection: apsw.Connection) -> None:
            if persists:
                commit(connection)
            raise DiskError

        entries = self.made([number for number in numbers if number not in self.claimed], 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_log, "_commit", fail)
            assert set(self.run(append_all(self.stores[0], entries))) <= {Code.LOG_UNAVAILABLE, Code.TICKET}
        assert not self.stores[0].ready
        assert self.run(append_all(self.stores[0], [refusal_entry()])) == [Code.LOG_UNAVAILABLE]
        self.restart()
        self.find_out(entries)

    @rule()
    def restart(self):
        self.close()
        self.stores = [self.opened(self.path, pinned=self.newest())]

    @precondition(lambda self: len(self.stores) == 1)
    @rule()
    def another_process_opens_the_log(self):
        self.stores.append(self.opened(self.path, pinned=self.newest()))

    @rule()
    def crash(self):
        self.continue_at(self.copied(self.path))

    @rule(numbers=tickets, moment=st.sampled_from(["before", "during", "after"]), part=st.floats(0, 1))
    def crash_while_appending(self, numbers: list[int], moment: str, part: float):
        """The files as they are around COMMIT; during it only some of the write-ahead log has reached the disk."""
        copies: dict[str, Path] = {}

        def copying(connection: apsw.Connection) -> None:
            copies["before"] = self.copied(self.path)
            commit(connection)
            copies["after"] = self.copied(self.path)

        entries = self.made([number for number in numbers if number not in self.claimed], 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_log, "_commit", copying)
            self.run(append_all(self.stores[0], entries))
        copies["during"] = copies["before"]
        if moment == "during":
            tear(ahead(copies["before"]), ahead(copies["after"]), part)
        self.continue_at(copies[moment])
        self.find_out(entries)

    # Backups.

    @rule()
    def back_up(self):
        self.backups.append(self.copied(self.path))

    @precondition(lambda self: self.backups)
    @rule(which=st.integers(0, 9))
    def restore(self, which: int):
        """Whoever gives the hub a newer checkpoint than the backup has keeps it from appending (guarantee 7)."""
        path = self.copied(self.backups[which % len(self.backups)])
        with LogReader.open(path) as log:
            behind = log.head().size < len(self.log)
        if behind:
            with pytest.raises(ProofError) as caught:
                self.opened(path, pinned=self.newest())
            assert caught.value.flaw is Flaw.ROLLBACK
        else:
            self.run(self.opened(path, pinned=self.newest()).close())

    @precondition(lambda self: self.backups)
    @rule(which=st.integers(0, 9), more=st.integers(1, 3))
    def continue_from_a_backup(self, which: int, more: int):
        """A fork, found by everybody who kept a checkpoint of what the backup has not (guarantee 5)."""
        path = self.copied(self.backups[which % len(self.backups)])
        with LogReader.open(path) as log:
            behind = len(self.log) - log.head().size
        store = self.opened(path)
        self.run(append_all(store, [refusal_entry() for _ in range(behind + more)]))
        self.run(store.close())
        found = {one.flaw for one in findings(path, self.newest()) if one.fails}
        assert found == ({Flaw.ROLLBACK} if behind else set())

    # What holds after each of these.

    @invariant()
    def the_log_is_the_list_and_extends_all_that_was_released(self):
        with LogReader.open(self.path) as log:
            head = log.head()
            assert [log.entry(index) for index in range(head.size)] == self.log
            assert head.last == head.size - 1
            signed = open_checkpoint(head.note, [VERIFIER])
            assert self.checkpoints.setdefault(signed.size, signed) == signed
            nodes = TileNodes(signed.size, log.tile)
            for size, earlier in self.checkpoints.items():
                assert tree_root(nodes, size) == earlier.root
            assert not [one for one in audit(log, head, [VERIFIER]) if one.fails]
            for index in range(0, head.size, 7):
                log.prove(index).verify(self.log[index], [VERIFIER])

    def teardown(self):
        if hasattr(self, "directory"):
            self.close()
            self.runner.close()
            self.directory.cleanup()

    # Hands.

    def made(self, numbers: list[int], refusals: int) -> list[Entry]:
        """Requests with these tickets, then refusals."""
        requests = [request_entry(f"t{number}") for number in numbers]
        return [*requests, *(refusal_entry() for _ in range(refusals))]

    def opened(self, path: Path, **options: object) -> Store:
        return open_store(path, bucket_keys=self.keys, **options)

    def run(self, doing):
        return self.runner.run(doing)

    def newest(self) -> Checkpoint | None:
        """What a careful officer has."""
        return self.checkpoints[max(self.checkpoints)] if self.checkpoints else None

    def close(self):
        for store in self.stores:
            self.run(store.close())

    def new_place(self) -> Path:
        self.places += 1
        place = Path(self.directory.name, str(self.places))
        place.mkdir()
        return place

    def copied(self, path: Path) -> Path:
        """The files as they are now, elsewhere."""
        copy = Path(shutil.copy(path, self.new_place()))
        if ahead(path).exists():
            shutil.copy(ahead(path), copy.parent)
        return copy

    def continue_at(self, copy: Path):
        """The processes are gone; what they left is opened."""
        self.close()
        self.path = copy
        self.stores = [self.opened(copy, pinned=self.newest())]

    def find_out(self, doubtful: list[Entry]):
        """Each entry that nobody was told of is there once, behind the others, or is not there."""
        with LogReader.open(self.path) as log:
            stored = [log.entry(index) for index in range(log.head().size)]
        assert stored[: len(self.log)] == self.log
        added = stored[len(self.log) :]
        assert len(set(added)) == len(added)
        assert set(added) <= {entry.leaf for entry in doubtful}
        self.log = stored
        self.claimed |= {int(one.claim[1][1:]) for one in doubtful if one.leaf in added and one.claim}


def ahead(path: Path) -> Path:
    """The write-ahead log of a store."""
    return path.with_name(path.name + "-wal")


def tear(old: Path, new: Path, part: float):
    """The file `old` with this part of what was written to it since."""
    before, after = old.read_bytes() if old.exists() else b"", new.read_bytes()
    first = next(
        (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(before)
    )
    cut = first + round((len(after) - first) * part)
    old.write_bytes(after[:cut] + before[cut:])


Histories: Callable[[], None] = History.TestCase
Histories.settings = settings(max_examples=12, stateful_step_count=25)
