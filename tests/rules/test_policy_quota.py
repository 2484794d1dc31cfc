"""PROTOCOL §7.8: how often an authority may send a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Quota
from gateway.policy.quota import draw

QUOTAS = st.builds(Quota, st.floats(0.01, 1000), st.integers(1, 500))
GAPS = st.lists(st.floats(0, 30), max_size=60)
NOW = 1000.0


def drawn(quota: Quota, moments: list[float]) -> list[float]:
    """The moments at which a message was within the quota."""
    full_at, within = moments[0] if moments else 0.0, []
    for now in moments:
        full_at, wait = draw(quota, full_at, now)
        if not wait:
            within.append(now)
    return within


def at(gaps: list[float]) -> list[float]:
    return [NOW + sum(gaps[:count]) for count in range(1, len(gaps) + 1)]


def test_a_burst_is_let_through_and_no_more():
    assert len(drawn(Quota(1, 5), [NOW] * 20)) == 5


def test_one_comes_back_with_each_interval():
    assert drawn(Quota(2, 1), [NOW, NOW + 0.4, NOW + 0.5, NOW + 0.9, NOW + 1.0]) == [
        NOW,
        NOW + 0.5,
        NOW + 1.0,
    ]


@given(QUOTAS, GAPS)
def test_in_no_window_are_there_more_than_burst_and_rate_allow(quota: Quota, gaps: list[float]):
    within = drawn(quota, at(gaps))
    for first in range(len(within)):
        for last in range(first, len(within)):
            seconds = within[last] - within[first]
            assert last - first + 1 <= quota.burst + seconds * quota.per_second + 0.01


@given(QUOTAS, st.integers(1, 600))
def test_who_waits_as_long_as_told_is_let_through(quota: Quota, count: int):
    full_at = NOW
    for _ in range(count):
        full_at, wait = draw(quota, full_at, NOW)
    later = NOW + max(wait, 1 / quota.per_second)
    assert draw(quota, full_at, later)[1] == 0.0


@given(QUOTAS, st.integers(1, 600))
def test_a_refusal_takes_nothing(quota: Quota, count: int):
    """Otherwise whoever asks too early would never be served."""
    full_at = NOW
    for _ in range(quota.burst):
        full_at, _ = draw(quota, full_at, NOW)
    for _ in range(count):
        assert draw(quota, full_at, NOW)[0] == full_at


def test_a_quota_that_is_made_smaller_holds_at_once():
    full_at = NOW
    for _ in range(10):
        full_at, _ = draw(Quota(1, 100), full_at, NOW)
    assert draw(Quota(1, 100), full_at, NOW)[1] == 0.0
    assert draw(Quota(1, 5), full_at, NOW)[1] == pytest.approx(6.0)
