"""Any history of a log, held against a plain list: appends, crashes, commits that fail, restarts, old backups,
erasures, pruning, other keys.

A crash is what a power failure leaves: the file and its write-ahead log as they were at that moment, of the
latter possibly a part only. What is checked after every step are the guarantees of PROTOCOL §8.7.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
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
from gateway.adapters.store_eraser import Eraser
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.entry import refused as refused_entry
from gateway.exchangelog.erasure import Erasing, Hand
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Basis, Ground, Kind
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.merkle import tree_root
from gateway.exchangelog.note import Signer
from gateway.exchangelog.tile import TileNodes
from gateway.model import ExchangeId, Receipt
from gateway.refusal import Code
from tests.exchanges import exchange_id, refusal_entry, refused, request_entry, response_entry
from tests.process.store_world import KEY, ORIGIN, OTHER_KEY, PAYLOAD_KEY, append_all

MEMORY = Path("/dev/shm")  # where there is one, no disk is waited for
OLD = 256  # entries that may be pruned
BOTH = [KEY, OTHER_KEY]
VERIFIERS = [Signer.of(ORIGIN, key).verifier for key in BOTH]
LATER = datetime(2026, 6, 20, tzinfo=UTC)
COURT = Erasing(Hand("0999099901", "officer-1"), Basis.COURT, Ground.ORDERED)
EXPIRED = Erasing(Hand("0999099901", "officer-1"), Basis.RETENTION, Ground.EXPIRED)
commit = store_log._commit
tickets = st.lists(st.integers(0, 40), min_size=1, max_size=6)  # few enough that some come again


@cache
def old_entries() -> list[Entry]:
    """Of a year whose time is over."""
    then = datetime(2014, 1, 9, tzinfo=UTC)
    return [refused_entry(refused(), exchange_id(), then, os.urandom) for _ in range(OLD)]


class DiskError(Exception):
    """Stands for whatever a commit can fail with."""


class History(RuleBasedStateMachine):
    """`log` is the model: the leaf at each index. Everything else is what somebody outside has seen."""

    @initialize()
    def begin(self):
        self.directory = TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.places = 0
        self.runner = asyncio.Runner()
        self.signing = [KEY]
        self.keys = BucketKeys.create(Path(self.directory.name, "keys"))
        self.path = self.new_place() / "store.db"
        self.stores = [self.opened(self.path)]
        first = [
            *old_entries(),
            refusal_entry(),
        ]  # of the newest one the bucket stays, and so every backup opens
        self.log = [entry.leaf for entry in first]
        assert len(self.run(append_all(self.stores[0], first))) == len(self.log)
        self.erased: set[int] = set()
        self.minimum = 0
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

    # What the operator does.

    @rule()
    def change_the_keys(self):
        """One key, then both, then the other alone."""
        steps = [[KEY], [KEY, OTHER_KEY], [OTHER_KEY], [OTHER_KEY, KEY]]
        self.signing = steps[(steps.index(self.signing) + 1) % len(steps)]
        for store in self.stores:
            self.run(store.sign_with(self.signing))

    @rule(which=st.integers(0, 10_000), moment=st.sampled_from(["done", "before", "after"]))
    def erase(self, which: int, moment: str):
        """The seed of an entry; perhaps the machine stops around the commit."""
        index = which % len(self.log)
        if index in self.erased or index < OLD:
            return
        wanted = Indices.of([(index, index)])
        with self.stopping(moment), self.eraser() as eraser:
            eraser.erase_entries(eraser.standing(wanted), COURT, self.signers(), LATER)
        self.notice_what_the_hub_said()
        if moment != "before":
            self.erased.add(index)

    @precondition(lambda self: not self.minimum)
    @rule(moment=st.sampled_from(["done", "before", "after"]))
    def prune(self, moment: str):
        """What is too old: first its bucket is erased, then its entries go."""
        with self.eraser() as eraser:
            for state in eraser.buckets():
                if state.erased is None and state.bucket.due(10) <= LATER:
                    eraser.erase_bucket(state.bucket, EXPIRED, self.signers(), LATER)
        self.notice_what_the_hub_said()
        with self.stopping(moment), self.eraser() as eraser:
            minimum = eraser.minimum(10, LATER)
            eraser.prune(EXPIRED.hand, minimum, self.signers(), LATER)
        self.notice_what_the_hub_said()
        if moment != "before":
            assert minimum == OLD
            self.minimum = minimum
        if moment == "after":  # they are below the minimum index, and still there until a command ends it
            with self.eraser() as eraser:
                eraser.erase_entries(Indices.of([(OLD, OLD)]), COURT, self.signers(), LATER)
            self.erased.add(OLD)
            self.notice_what_the_hub_said()

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
                self.opened(path, pinned=self.newest(), signing=BOTH)
            assert caught.value.flaw is Flaw.ROLLBACK
        else:
            self.run(self.opened(path, pinned=self.newest(), signing=BOTH).close())

    @precondition(lambda self: self.backups)
    @rule(which=st.integers(0, 9), more=st.integers(1, 3))
    def continue_from_a_backup(self, which: int, more: int):
        """A fork, found by everybody who kept a checkpoint of what the backup has not (guarantee 5)."""
        path = self.copied(self.backups[which % len(self.backups)])
        with LogReader.open(path) as log:
            behind = len(self.log) - log.head().size
        store = self.opened(path, signing=BOTH)
        self.run(append_all(store, [refusal_entry() for _ in range(behind + more)]))
        self.run(store.close())
        with LogReader.open(path) as log:
            found = {one.flaw for one in audit(log, log.head(), VERIFIERS, self.newest()) if one.fails}
        assert found == ({Flaw.ROLLBACK} if behind else set())

    # What holds after each of these.

    @invariant()
    def the_log_is_the_list_and_extends_all_that_was_released(self):
        with LogReader.open(self.path) as log:
            head = log.head()
            assert [log.entry(at) for at in range(self.minimum, head.size)] == self.log[self.minimum :]
            assert head.last == head.size - 1
            signed = open_checkpoint(head.note, VERIFIERS)
            assert self.checkpoints.setdefault(signed.size, signed) == signed
            nodes = TileNodes(signed.size, log.tile)
            for size, earlier in self.checkpoints.items():
                assert tree_root(nodes, size) == earlier.root
            assert [one for one in audit(log, head, VERIFIERS) if one.fails] == []
            for index in {self.minimum, head.size - 1}:
                log.prove(index).verify(self.log[index], VERIFIERS)
            seeds = {row.index for row in log.rows(None, head.size) if row.seeded}
        assert self.erased.isdisjoint(seeds)

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
        """With the keys that sign now; a backup may be from before the newest of them."""
        first, *others = options.pop("signing", self.signing)
        given = {
            "payload_key": PAYLOAD_KEY,
            "bucket_keys": self.keys,
            "also": others,
            "create": True,
            **options,
        }
        return Store.open(path, first, ORIGIN, **given)

    def eraser(self) -> Eraser:
        return Eraser(self.path, self.keys)

    def signers(self) -> list[Signer]:
        return [Signer.of(ORIGIN, key) for key in self.signing]

    @contextmanager
    def stopping(self, moment: str) -> Iterator[None]:
        """What is done here is cut off before or after its commit, or done."""
        copies: dict[str, Path] = {}

        def copying(connection: apsw.Connection) -> None:
            copies.setdefault("before", self.copied(self.path))
            commit(connection)
            copies.setdefault("after", self.copied(self.path))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_log, "_commit", copying)
            yield
        if moment != "done":
            self.continue_at(copies[moment])

    def notice_what_the_hub_said(self):
        """An entry of the log's own making, if it is there."""
        with LogReader.open(self.path) as log:
            size = log.head().size
            assert size - len(self.log) in {0, 1}
            self.log += [log.entry(index) for index in range(len(self.log), size)]

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
            added = [log.entry(index) for index in range(len(self.log), log.head().size)]
        assert len(set(added)) == len(added)
        assert set(added) <= {entry.leaf for entry in doubtful}
        self.log += added
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
Histories.settings = settings(max_examples=10, stateful_step_count=25)
