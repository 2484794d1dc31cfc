"""Killed all along an erasure, every few lines: it has not happened, or it is recorded and the next start ends it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.adapters import bucket_keys, store_edge, store_eraser, store_erasure, store_log
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import Flaw
from tests.process.store_world import of_a_file, open_store, query
from tests.process.test_erasure import (
    ABOUT_MINE,
    EXPIRED,
    MARCH,
    NOW,
    SIGNER,
    erase,
    eraser,
    findings,
    old,  # noqa: F401 - a fixture
    path,  # noqa: F401 - a fixture
)

WATCHED = {module.__file__ for module in (bucket_keys, store_edge, store_eraser, store_erasure, store_log)}


def killed_at(line: int, act: Callable[[], object], watched: set[str | None] = WATCHED) -> bool:
    """Does it in a process of its own, which is killed when so many lines of these modules have run.

    False when it came to its end.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    left = line

    def count(_frame, event, _argument):
        nonlocal left
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return count

    sys.settrace(lambda frame, _event, _argument: count if frame.f_code.co_filename in watched else None)
    try:
        act()
    finally:
        os._exit(sys.exc_info()[0] is not None)


async def every_kill(place: Path, source: Path, act: Callable[[Path], object], allowed: set[Flaw], step: int):
    """Yields the store after each kill: as it was left, then as the next start leaves it."""
    line, going = 0, True
    while going:
        copy = place / f"kill-{line}" / source.name
        shutil.copytree(source.parent, copy.parent, ignore=shutil.ignore_patterns("kill-*"))
        going = killed_at(line, lambda copy=copy: act(copy))
        assert {one.flaw for one in findings(copy) if one.fails} <= allowed
        async with open_store(copy):
            assert not any(one.fails for one in findings(copy))
        yield copy
        shutil.rmtree(copy.parent)
        line += step
    assert line > 100


def recorded(store: Path, kind: str) -> int:
    return query(store, f"SELECT count(*) FROM entries WHERE kind = '{kind}'")[0][0]


@of_a_file  # which can be copied as it was left
async def test_entries_are_erased_and_recorded_or_neither(path, tmp_path):  # noqa: F811
    outcomes = []
    async for store in every_kill(tmp_path, path, lambda copy: erase(copy, ABOUT_MINE), set(), 7):
        ((left,),) = query(store, "SELECT count(*) FROM seeds WHERE idx IN (0, 1, 4, 5, 8, 9)")
        outcomes.append((recorded(store, "erasure"), left))
    assert set(outcomes) == {(0, 6), (1, 0)}
    assert outcomes == sorted(outcomes)  # nothing that was erased is ever back


@of_a_file  # which can be copied as it was left
async def test_bucket_is_erased_and_recorded_or_neither_and_its_key_goes_with_it(path, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(store_erasure, "AT_ONCE", 2)

    def act(copy: Path) -> None:
        with eraser(copy) as one:
            one.erase_bucket(one.state(MARCH, NOW).bucket, EXPIRED, [SIGNER], NOW)

    outcomes = []
    async for store in every_kill(tmp_path, path, act, {Flaw.BUCKET_KEY_REMAINS, Flaw.SEED_REMAINS}, 5):
        key = store.parent / "bucket-keys" / "exchange_2026-03.key"
        ((left,),) = query(store, "SELECT count(*) FROM seeds WHERE bucket = 'exchange/2026-03'")
        outcomes.append((recorded(store, "erasure"), left, key.exists()))
    assert set(outcomes) == {(0, 6, True), (1, 0, False)}
    assert outcomes == sorted(outcomes, key=lambda one: one[0])


@pytest.mark.parametrize("old", ["sqlite"], indirect=True)
async def test_pruning_is_recorded_and_ended_or_has_not_begun(old, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(store_erasure, "AT_ONCE", 128)
    with eraser(old) as one:
        for month in (1, 2, 3):
            one.erase_bucket(Bucket("exchange", f"2014-{month:02}"), EXPIRED, [SIGNER], NOW)

    def act(copy: Path) -> None:
        with eraser(copy) as one:
            one.prune(EXPIRED.hand, one.minimum(10, NOW), [SIGNER], NOW)

    outcomes = []
    async for store in every_kill(tmp_path, old, act, set(), 20):
        ((first, spent),) = query(store, "SELECT min(idx), (SELECT count(*) FROM spent) FROM entries")
        outcomes.append((recorded(store, "pruning"), first, spent))
    assert set(outcomes) == {(0, 0, 0), (1, 512, 300)}
