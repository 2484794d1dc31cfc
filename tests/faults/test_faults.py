"""A failing disk or a sudden end at any system call of an act leaves a good log, in which nothing acknowledged is missing.

All calls of an append; of other acts the first and the last of each name, and with `make faults` all.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.acts import ACTS
from tests.faults.base import Base, bases, working
from tests.faults.inject import faults, outermost, run


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with working() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def known(place: Path) -> dict[str, Base]:
    return bases(place)


@pytest.mark.parametrize("act", ACTS)
def test_no_fault_at_any_system_call_leaves_damage(known: dict[str, Base], place: Path, act: str):
    good = run(act, path := known[act].copy(place / f"{act}, good"), None)
    known[act].check(path, good)
    assert good.told is not None
    assert good.told[0] == "done"
    chosen = faults(good.calls) if act == "append" else outermost(good.calls)
    for number, fault in enumerate(chosen):
        path = known[act].copy(place / f"{act}, {number}")
        done = run(act, path, fault)
        # SQLite begins the memory that connections share anew when it is the first to open the file: whether the one
        # before is gone by then is not for the act to say, so that a run may have a call less than the good one.
        assert done.hit or Counter(done.calls)[fault.call] < fault.nth, fault
        known[act].check(path, done)
        shutil.rmtree(path.parent)
