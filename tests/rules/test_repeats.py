"""Attack L04: what many say in one minute is told a hundred times, and then as a number."""

from __future__ import annotations

import pytest

from gateway.broker.event import trace
from gateway.edge.repeats import TOLD, Repeats

HTTP = (("peer", "BRUSSELS"), ("code", "WIB01008"))
SLOW = (("peer", "BRUSSELS"), ("code", "WIB01005"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_of_ten_thousand_a_hundred_are_told_and_the_rest_is_a_number():
    clock = Clock()
    repeats = Repeats(clock)
    assert sum(repeats.passes(HTTP) for _ in range(10_000)) == TOLD
    assert list(repeats.over(ending=False)) == []
    clock.now = 60.0
    assert list(repeats.over(ending=False)) == [(HTTP, 10_000 - TOLD)]
    assert list(repeats.over(ending=False)) == []


def test_what_says_something_else_is_told_beside_it():
    repeats = Repeats(Clock())
    assert all(repeats.passes(HTTP) for _ in range(TOLD))
    assert repeats.passes(SLOW)
    assert not repeats.passes(HTTP)


def test_a_new_minute_begins_anew():
    clock = Clock()
    repeats = Repeats(clock)
    for _ in range(TOLD + 1):
        repeats.passes(HTTP)
    clock.now = 61.0
    list(repeats.over(ending=False))
    assert repeats.passes(HTTP)


def test_at_the_end_everything_is_told():
    repeats = Repeats(Clock())
    for _ in range(TOLD + 3):
        repeats.passes(HTTP)
    assert list(repeats.over(ending=True)) == [(HTTP, 3)]


def test_the_trace_of_an_endless_recursion_is_short():
    def deeper() -> None:
        deeper()

    with pytest.raises(RecursionError) as caught:
        deeper()
    assert len(trace(caught.value)) < 1024
    assert trace(caught.value).startswith("RecursionError at test_repeats.py:")
