"""Every target once more: the cases that were found, and a fixed number of inputs, the same on each run."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.chance import mutated
from tests.fuzz.target import CORPUS
from tests.fuzz.targets import TARGETS

KEPT = [(name, case) for name, target in TARGETS.items() for case in target.kept()]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "case"), KEPT)
def test_a_case_that_was_found_is_found_no_more(name: str, case: str):
    TARGETS[name].judge(TARGETS[name].kept()[case])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_what_is_made_of_them_break_no_rule(name: str):
    target, random = TARGETS[name], Random(name)
    seeds = target.seeds()
    for data in (*seeds, *(mutated(seeds, random, target.largest) for _ in range(target.replayed))):
        try:
            target.judge(data)
        except BaseException as error:
            error.add_note(f"{name}: {data.hex()}")
            raise


@pytest.mark.parametrize("name", ["request", "answer", "evidence", "certificate"])
def test_what_is_not_changed_is_accepted_so_that_changes_reach_everything(name: str):
    assert all(TARGETS[name].judge(seed) for seed in TARGETS[name].seeds())


def test_every_kept_case_belongs_to_a_target():
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
