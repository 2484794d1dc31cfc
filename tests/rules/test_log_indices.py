"""Sets of indices as ranges behave as sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.indices import Growing, Indices

some = st.frozensets(st.integers(0, 40))


def ranges(indices: frozenset[int]) -> Indices:
    return Indices.of((one, one) for one in indices)


def members(indices: Indices) -> frozenset[int]:
    return frozenset(one for first, last in indices.ranges for one in range(first, last + 1))


@given(some, some, st.integers(0, 45))
def test_they_behave_as_sets(one, other, end):
    mine, theirs = ranges(one), ranges(other)
    assert members(mine) == one
    assert len(mine) == len(one)
    assert members(mine | theirs) == one | other
    assert members(mine - theirs) == one - other
    assert members(mine.below(end)) == {index for index in one if index < end}
    assert [index in mine for index in range(45)] == [index in one for index in range(45)]


@given(some)
def test_there_is_one_way_to_write_a_set(indices):
    written = str(ranges(indices))
    assert Indices.parse(written) == ranges(indices)
    grown = Growing()
    for index in sorted(indices):
        grown.add(index)
    assert grown.indices == ranges(indices)


def test_it_is_written_as_people_write_it():
    assert str(Indices.parse("80,3,77-79,78")) == "3,77-80"
    assert str(Indices.parse("")) == ""


@pytest.mark.parametrize("text", [",", "3-", "-3", "4-3", "a", "3 ,4", "1-2-3", "٣", "1" * 19])
def test_nothing_else_is_read(text):
    with pytest.raises(ProofError) as caught:
        Indices.parse(text)
    assert caught.value.flaw is Flaw.UNKNOWN_VALUE
