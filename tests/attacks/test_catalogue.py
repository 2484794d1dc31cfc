"""Every case of the catalogue, one after the other, against one running hub."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from tests.attacks.case import ROWS, Attack, Scenario, judge
from tests.attacks.catalogue import ABSENT, CASES
from tests.attacks.target import Target
from tests.process.running import ROOT


@pytest.fixture(scope="module")
def target():
    with Target.running() as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_comes_to_nothing(target: Target, case: Attack | Scenario):
    judge(target, case)


def test_what_is_tried_elsewhere_is_there():
    for row, reason in ABSENT.items():
        for path, name in re.findall(r"(tests/[a-z_/]+\.py)(?:::(\w+))?", reason):
            assert (ROOT / path).is_file(), row
            assert not name or f"def {name}(" in (ROOT / path).read_text(), row


def test_every_row_is_tried_or_says_why_not():
    tried = defaultdict(list)
    for case in CASES:
        tried[case.row].append(case.flaw)
    assert set(tried) | set(ABSENT) == set(ROWS)
    assert not set(tried) & set(ABSENT)
    for flaws in tried.values():
        assert len(set(flaws)) == len(flaws)
