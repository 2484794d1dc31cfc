"""Ids of exchanges: RFC 9562 §5.7."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from gateway.exchangelog.exchange_id import new_exchange_id

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 999 * 365 * 86_400).map(lambda second: FIRST + timedelta(seconds=second))


def test_the_example_of_the_standard():
    """RFC 9562, appendix A.6: its time, and its chance with bits that a version and a variant replace."""
    then = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    made = new_exchange_id(then, lambda size: bytes.fromhex("fcc3d8c4dc0c0c07398f")[:size])
    assert made == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(MOMENTS, st.binary(min_size=10, max_size=10))
def test_each_is_of_version_7_whatever_chance_brings(now: datetime, chance: bytes):
    made = UUID(new_exchange_id(now, lambda _: chance))
    assert (made.version, made.variant) == (7, RFC_4122)


@given(st.lists(MOMENTS, min_size=2, max_size=5), st.binary(min_size=10, max_size=10))
def test_later_ones_stand_behind_earlier_ones(moments: list[datetime], chance: bytes):
    ordered = sorted(set(moments))
    made = [new_exchange_id(one, lambda _: chance) for one in ordered]
    assert all(one < other for one, other in pairwise(made))
    assert new_exchange_id(ordered[0] + timedelta(milliseconds=1), lambda _: bytes(10)) > new_exchange_id(
        ordered[0], lambda _: bytes([255] * 10)
    )
