"""Any course of appending, erasing and pruning: the log verifies, and what is found is what a plain list says."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import Finding, Flaw
from gateway.exchangelog.indices import Indices
from tests.process.store_world import alter, append_all, open_store
from tests.process.test_erasure import (
    EXPIRED,
    MINE,
    NOW,
    OTHER,
    SIGNER,
    erase,
    erase_bucket,
    eraser,
    exchange,
    findings,
    found,
)

MONTHS = [(2014, 1), (2014, 2), (2026, 3), (2026, 4)]


@dataclass
class Known:
    """An entry, as the model has it."""

    dossier: str | None
    bucket: Bucket
    seeded: bool = True


class Erasures(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.path = self.place / "store.db"
        self.known: list[Known] = []
        self.erased: set[Bucket] = set()
        self.minimum, self.turn = 0, 0
        self._tell(MINE, MONTHS[0], 130)  # a whole bundle that may be pruned once its bucket is erased

    def teardown(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)

    @rule(
        dossier=st.sampled_from([MINE, OTHER]), at=st.sampled_from(MONTHS), many=st.sampled_from([1, 1, 70])
    )
    def tell(self, dossier, at, many) -> None:
        self._tell(dossier, at, many)

    def _tell(self, dossier, at, many) -> None:
        bucket, self.turn = Bucket("exchange", f"{at[0]}-{at[1]:02}"), self.turn + 1
        entries = [
            one for number in range(many) for one in exchange(dossier, f"{self.turn}.{number}", at[1], at[0])
        ]
        asyncio.run(self._append(entries))
        if bucket not in self.erased:
            self.known += [Known(dossier, bucket) for _ in entries]

    async def _append(self, entries) -> None:
        async with open_store(self.path) as store:
            await append_all(store, entries)

    @property
    def standing(self) -> list[int]:
        return [index for index, one in enumerate(self.known) if one.seeded]

    @precondition(lambda self: self.standing)
    @rule(data=st.data())
    def erase_some(self, data) -> None:
        chosen = data.draw(st.sets(st.sampled_from(self.standing), min_size=1, max_size=4))
        erase(self.path, Indices.of((one, one) for one in chosen))
        self._gone(chosen)

    @precondition(lambda self: {one.bucket for one in self.known} - self.erased - {bucket_of_now()})
    @rule(data=st.data())
    def erase_whole(self, data) -> None:
        open_ = sorted({one.bucket for one in self.known} - self.erased - {bucket_of_now()})
        bucket = data.draw(st.sampled_from(open_))
        gone = [index for index in self.standing if self.known[index].bucket == bucket]
        assert erase_bucket(self.path, bucket).count == len(gone)
        self.erased.add(bucket)
        self._gone(gone)

    def _gone(self, indices) -> None:
        for index in indices:
            self.known[index].seeded = False
        self.known.append(Known(None, bucket_of_now()))  # the entry that says so

    @precondition(lambda self: self.prunable > self.minimum)
    @rule()
    def prune(self) -> None:
        with eraser(self.path) as one:
            assert one.minimum(10, NOW) == self.prunable
            one.prune(EXPIRED.hand, self.prunable, [SIGNER], NOW)
        self.minimum = self.prunable
        self.known.append(Known(None, bucket_of_now()))

    @property
    def prunable(self) -> int:
        """0 while a seed stands in the way."""
        kept = [index for index, one in enumerate(self.known) if one.bucket.due(10) > NOW]
        end = (kept[0] if kept else len(self.known)) // 256 * 256
        return 0 if any(one.seeded for one in self.known[:end]) else end

    @precondition(lambda self: self.standing)
    @rule(data=st.data())
    def tamper(self, data) -> None:
        """A seed that disappears by another hand is named, and nothing else is."""
        index = data.draw(st.sampled_from(self.standing))
        copy = self.place / "tampered" / self.path.name
        shutil.copytree(self.place, copy.parent, ignore=shutil.ignore_patterns("tampered"))
        alter(copy, f"DELETE FROM seeds WHERE idx = {index}")
        assert [one for one in findings(copy) if one.fails] == [Finding(Flaw.SEED, index)]
        shutil.rmtree(copy.parent)

    @precondition(lambda self: self.known)
    @invariant()
    def everything_is_accounted_for(self) -> None:
        assert not [one for one in findings(self.path) if one.fails]
        for dossier in (MINE, OTHER):
            expected = [index for index in self.standing if self.known[index].dossier == dossier]
            assert found(self.path, dossier) == expected


def bucket_of_now() -> Bucket:
    """Of entries that the tests' own commands make; its month lasts."""
    return Bucket("exchange", f"{NOW:%Y-%m}")


Erasures.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, derandomize=True
)
test_any_course_of_erasures_is_accounted_for = Erasures.TestCase
