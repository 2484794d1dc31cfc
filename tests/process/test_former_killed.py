"""Killed all along an erasure that two stores take part in: the log in force says it, and the former one loses it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.adapters import store_eraser, store_erasure, store_settle
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_eraser import Eraser
from gateway.adapters.store_former import succession
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_settle import open_settled
from gateway.exchangelog.audit import audit
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.erasure import Erasing, Hand
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.form import Basis, Ground
from gateway.exchangelog.indices import Indices
from tests.process.former_world import NOW, Years, asked
from tests.process.search_world import HERS, MINE
from tests.process.store_world import query
from tests.process.test_erasure_killed import killed_at

COURT = Erasing(Hand("0999000110", "officer-1"), Basis.COURT, Ground.ORDERED)
WATCHED = {module.__file__ for module in (store_eraser, store_erasure, store_settle)}


@pytest.fixture
def years(tmp_path) -> Years:
    years = Years.begin(tmp_path, [tmp_path / "0.db", tmp_path / "1.db"])
    years.fill(0, *asked(MINE), *asked(HERS))
    years.succeed(0)
    years.fill(1, *asked(MINE))
    return years


def findings(years: Years, place: Path, number: int) -> set[Flaw]:
    verifiers = [one.verifier for year in (number, 0, 1) for one in years.signers(year)]
    with LogReader.open(place / f"{number}.db", BucketKeys.open(place / "bucket-keys")) as log:
        return {one.flaw for one in audit(log, log.head(), verifiers)}


def every_kill(
    years: Years, act: Callable[[Eraser, Path], object], step: int, allowed: frozenset[Flaw] = frozenset()
) -> Iterator[Path]:
    """Yields the directory after each kill, as the next start of a hub leaves it."""
    line, going = 0, True
    while going:
        place = years.place / f"kill-{line}"
        shutil.copytree(years.place, place, ignore=shutil.ignore_patterns("kill-*", "pki"))
        old, new, keys = place / "0.db", place / "1.db", BucketKeys.open(place / "bucket-keys")

        def erase(new=new, keys=keys, old=old, place=place) -> None:
            with Eraser(new, keys, former=[old]) as eraser:
                act(eraser, place)

        going = killed_at(line, erase, WATCHED)
        for number in (0, 1):
            assert findings(years, place, number) <= allowed
        open_settled(new, years.signers(1), keys, former=[old]).close()
        for number in (0, 1):
            assert findings(years, place, number) == set()
        yield place
        shutil.rmtree(place)
        line += step
    assert line > 100


def outcome(place: Path, which: str) -> tuple[int, int]:
    """Erasures that the log in force has, and seeds that the former one has."""
    ((said,),) = query(place / "1.db", "SELECT count(*) FROM entries WHERE kind = 'erasure'")
    ((left,),) = query(place / "0.db", f"SELECT count(*) FROM seeds WHERE {which}")
    return said, left


def test_entries_of_a_former_log_are_erased_and_recorded_or_neither(years):
    def act(eraser: Eraser, place: Path) -> None:
        verifiers = [one.verifier for one in years.signers(1)]
        (former,) = succession(place / "1.db", [place / "0.db"], verifiers).former
        eraser.erase_entries(Indices.parse("0-1"), COURT, years.signers(1), NOW, former)

    outcomes = [outcome(place, "idx < 2") for place in every_kill(years, act, 7)]
    assert set(outcomes) == {(0, 2), (1, 0)}
    assert outcomes == sorted(outcomes)


def test_a_bucket_is_erased_everywhere_and_recorded_or_neither(years, monkeypatch):
    monkeypatch.setattr(store_erasure, "AT_ONCE", 2)

    def act(eraser: Eraser, _: Path) -> None:
        eraser.erase_bucket(Bucket("exchange", "2026-03"), COURT, years.signers(1), NOW)

    begun = frozenset({Flaw.BUCKET_KEY_REMAINS, Flaw.SEED_REMAINS})
    outcomes = [outcome(place, "bucket = 'exchange/2026-03'") for place in every_kill(years, act, 11, begun)]
    assert set(outcomes) == {(0, 4), (1, 0)}
    assert outcomes == sorted(outcomes)
