"""When a delivery is tried again, and when a recipient is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.schedule import Breaker, Circuit, RetryPolicy

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
POLICY = RetryPolicy(first=2, cap=60, dead_after=3600)
PAUSE = timedelta(seconds=30)
DRAW = st.floats(0, 1, exclude_max=True)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@pytest.mark.parametrize(
    ("attempts", "longest"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 60), (7, 60), (100_000, 60)]
)
def test_each_failure_doubles_the_delay_up_to_the_cap(attempts: int, longest: float):
    assert POLICY.delay(attempts, 0) == seconds(longest)


@given(st.integers(1, 10_000), DRAW)
def test_chance_takes_away_at_most_half(attempts: int, draw: float):
    longest = POLICY.delay(attempts, 0)
    assert longest / 2 <= POLICY.delay(attempts, draw) <= longest


def test_different_draws_part_what_failed_together():
    assert POLICY.due(3, NOW, 0.0) == NOW + seconds(8)
    assert POLICY.due(3, NOW, 0.5) == NOW + seconds(6)


def test_a_delivery_is_dead_when_its_notification_is_old_enough():
    assert not POLICY.is_dead(NOW, NOW + seconds(3599))
    assert POLICY.is_dead(NOW, NOW + seconds(3600))


@pytest.mark.parametrize("bounds", [(0, 60, 1), (-1, 60, 1), (61, 60, 1), (2, 60, 0)])
def test_bounds_that_make_no_schedule_are_refused(bounds: tuple[float, float, float]):
    with pytest.raises(ValueError):
        RetryPolicy(*bounds)
    RetryPolicy(2, 60, 1)


def failed(times: int) -> Breaker:
    breaker = Breaker(3, PAUSE)
    for _ in range(times):
        breaker.failed(NOW)
    return breaker


def test_a_closed_circuit_lets_as_many_begin_as_the_limit_leaves():
    breaker = failed(2)
    assert breaker.state(NOW) is Circuit.CLOSED
    assert [breaker.allows(NOW, 4, under_way) for under_way in (0, 3, 4, 5)] == [4, 1, 0, 0]


def test_enough_failures_in_a_row_open_the_circuit():
    breaker = failed(3)
    assert breaker.is_open(NOW)
    assert breaker.allows(NOW, 4, 0) == 0


def test_a_success_between_failures_begins_the_count_again():
    breaker = failed(2)
    breaker.succeeded()
    breaker.failed(NOW)
    assert not breaker.is_open(NOW)


def test_after_the_pause_one_attempt_decides():
    breaker, later = failed(3), NOW + PAUSE
    assert breaker.is_open(later - seconds(1))
    assert breaker.state(later) is Circuit.HALF_OPEN
    assert breaker.allows(later, 4, 0) == 1
    assert breaker.allows(later, 4, 1) == 0


def test_the_deciding_attempt_closes_the_circuit_or_opens_it_again():
    later = NOW + PAUSE
    good, bad = failed(3), failed(3)
    good.succeeded()
    bad.failed(later)
    assert good.state(later) is Circuit.CLOSED
    assert bad.state(later) is Circuit.OPEN
    assert bad.state(later + PAUSE) is Circuit.HALF_OPEN


def test_a_clock_that_is_set_back_makes_no_pause_longer():
    assert failed(3).state(NOW - seconds(1)) is Circuit.HALF_OPEN


def test_no_circuit_opens_without_a_failure():
    with pytest.raises(ValueError):
        Breaker(0, PAUSE)
    assert Breaker(1, PAUSE).state(NOW) is Circuit.CLOSED
