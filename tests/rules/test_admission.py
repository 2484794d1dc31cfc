"""PROTOCOL §2.9: places, turns and quotas by authority. The event loop is real; of time nothing is measured."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from gateway.broker.bell import aside
from gateway.edge.admission import Admission, AdmissionLimits
from gateway.model import Quota
from gateway.refusal import Code, Refusal

LIMITS = {"in_flight": 4, "of_an_authority": 3, "in_flight_bytes": 1000, "wait_seconds": 60.0}


class Counted:
    """What was told last."""

    def __init__(self):
        self.under_way = self.wait = 0

    def in_flight(self, count: int) -> None:
        self.under_way = count

    def waiting(self, count: int) -> None:
        self.wait = count


class Clock:
    """A busy loop: each turn seems to take this many seconds."""

    def __init__(self, turn: float):
        self.now, self.turn = 100.0, turn

    def __call__(self) -> float:
        self.now += self.turn
        return self.now


def admission(clock: Clock | None = None, **limits: float) -> tuple[Admission, Counted]:
    counted = Counted()
    return Admission(AdmissionLimits(**{**LIMITS, **limits}), counted, clock or Clock(0)), counted


def refused(act) -> Refusal:
    with pytest.raises(Refusal) as caught:
        act()
    return caught.value


# Quotas.


def test_beyond_its_quota_an_authority_is_told_when_to_come_again_and_others_are_not_concerned():
    door, _ = admission()
    for _ in range(5):
        door.charge("A", Quota(0.25, 5))
    refusal = refused(lambda: door.charge("A", Quota(0.25, 5)))
    assert (refusal.code, refusal.retry_after) == (Code.QUOTA, 4)
    door.charge("B", Quota(0.25, 5))


def test_without_a_term_of_the_agreement_there_is_no_quota():
    door, _ = admission()
    for _ in range(10_000):
        door.charge("A", None)


# Places.


def test_no_more_than_its_share_for_one_authority():
    door, counted = admission()
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(door.place("A", 0))
        assert refused(lambda: held.enter_context(door.place("A", 0))).code is Code.BUSY
        held.enter_context(door.place("B", 0))
        assert counted.under_way == 4
        assert refused(lambda: held.enter_context(door.place("C", 0))).code is Code.BUSY
    assert counted.under_way == 0
    with door.place("A", 0):
        assert counted.under_way == 1


def test_bytes_are_bounded_and_one_message_alone_always_fits():
    door, counted = admission()
    with door.place("A", 5000):
        assert refused(lambda: door.place("B", 1).__enter__()).code is Code.BUSY
    with door.place("A", 900), door.place("B", 100):
        assert refused(lambda: door.place("B", 1).__enter__()).code is Code.BUSY
    assert counted.under_way == 0


def test_while_it_only_waits_for_a_message_a_request_has_no_place():
    door, counted = admission(in_flight=1)
    with door.place("A", 10):
        with aside.get()():
            assert counted.under_way == 0
            with door.place("B", 1000):
                assert counted.under_way == 1
        assert counted.under_way == 1
    assert counted.under_way == 0


# Turns.


async def exchange(door: Admission, name: str, told: list[str], size: int = 0) -> None:
    """One that ends as soon as it has begun."""
    with door.place(name, size) as place:
        try:
            await door.turn(place)
        except Refusal as refusal:
            told.append(f"{name} {refusal.code.row.label}")
            raise
        told.append(name)


async def test_one_that_is_alone_begins_at_once():
    door, counted = admission()
    told: list[str] = []
    task = exchange(door, "A", told)
    with pytest.raises(StopIteration):
        task.send(None)
    assert told == ["A"]
    assert counted.wait == 0


async def test_one_authority_cannot_keep_the_turns_of_another():
    door, counted = admission(Clock(1), in_flight=100, of_an_authority=100)
    told: list[str] = []
    flood = [asyncio.create_task(exchange(door, "A", told)) for _ in range(50)]
    await asyncio.sleep(0)
    assert counted.wait == 49
    calm = asyncio.create_task(exchange(door, "B", told))
    await asyncio.gather(*flood, calm)
    assert told.index("B") <= 3
    assert told.count("A") == 50
    assert (counted.wait, counted.under_way) == (0, 0)


async def test_what_was_begun_goes_on_before_another_begins():
    """A busy loop, in which each turn takes long: between two beginnings there are many of them."""
    door, _ = admission(Clock(1), in_flight=100, of_an_authority=100)
    steps: list[str] = []

    async def several_steps(name: str) -> None:
        with door.place("A", 0) as place:
            await door.turn(place)
            for _ in range(10):
                steps.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(*(several_steps(name) for name in "abcdefghijk"))
    assert steps[:10] == ["a"] * 10  # nobody else was there when it came
    assert (set(steps[10:90]), set(steps[90:])) == (set("bcdefghi"), set("jk"))  # eight at most, and the rest


async def steps_of(order: str) -> list[str]:
    """Capitals are exchanges of one authority, small letters of another; each takes ten turns of the loop."""
    door, _ = admission(Clock(0.001), in_flight=100, of_an_authority=100)
    steps: list[str] = []

    async def several_steps(name: str) -> None:
        with door.place("A" if name.isupper() else "B", 0) as place:
            await door.turn(place)
            for _ in range(10):
                steps.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(*map(several_steps, order))
    return steps


async def test_whoever_asks_now_and_then_finds_one_exchange_of_a_flood_before_it_not_eight():
    steps = await steps_of("ABCDEFz")
    assert steps[:10] == ["A"] * 10
    assert (set(steps[10:30]), set(steps[30:40]), set(steps[40:50])) == (set("Bz"), set("C"), set("D"))


async def test_two_that_both_ask_much_begin_four_each_together():
    steps = await steps_of("ABCDEFabcdef")
    assert set(steps[10:90]) == set("BCDEabcd")


async def test_one_that_is_alone_begins_eight_together():
    assert set((await steps_of("ABCDEFGHIJK"))[10:90]) == set("BCDEFGHI")


async def test_a_few_cannot_take_all_places():
    """Whoever has most gives one of those that have not begun; the one that came last."""
    door, counted = admission(Clock(1), in_flight=5, of_an_authority=5)
    told: list[str] = []
    flood = [asyncio.create_task(exchange(door, "A", told)) for _ in range(6)]
    await asyncio.sleep(0)
    calm = asyncio.create_task(exchange(door, "B", told))
    results = await asyncio.gather(*flood, calm, return_exceptions=True)
    assert [isinstance(one, Refusal) for one in results] == [False] * 5 + [True, False]
    assert results[5].retry_after == 2
    assert told.count("A busy") == 1
    assert (counted.wait, counted.under_way) == (0, 0)


async def test_the_place_of_one_that_leaves_at_the_same_moment_can_be_had():
    door, counted = admission(Clock(1), in_flight=4, of_an_authority=4)
    told: list[str] = []
    flood = [asyncio.create_task(exchange(door, "A", told)) for _ in range(5)]
    await asyncio.sleep(0)
    assert flood[4].cancel()  # it hears of that when the loop turns
    with door.place("B", 0):
        results = await asyncio.gather(*flood, return_exceptions=True)
    assert [type(one) for one in results] == [type(None)] * 4 + [asyncio.CancelledError]
    assert (told, counted.wait, counted.under_way) == (["A"] * 4, 0, 0)


async def test_nobody_is_pushed_out_by_an_authority_that_has_as_many():
    door, _ = admission(Clock(1), in_flight=3, of_an_authority=3)
    told: list[str] = []
    waiting = [asyncio.create_task(exchange(door, name, told)) for name in "AABB"]
    await asyncio.sleep(0)
    assert refused(lambda: door.place("B", 0).__enter__()).code is Code.BUSY
    await asyncio.gather(*waiting)
    assert sorted(told) == list("AABB")


async def test_who_waits_too_long_is_told_to_come_back():
    door, counted = admission(Clock(1), wait_seconds=1e-9)
    with door.place("A", 0) as first, door.place("B", 0) as second:
        await door.turn(first)
        with pytest.raises(Refusal) as caught:
            await door.turn(second)
    assert (caught.value.code, caught.value.retry_after) == (Code.BUSY, 2)
    assert (counted.wait, counted.under_way) == (0, 0)


async def test_who_leaves_while_it_waits_leaves_nothing_behind():
    door, counted = admission(Clock(1), in_flight=10, of_an_authority=10)
    told: list[str] = []
    tasks = [asyncio.create_task(exchange(door, "A", told)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert told == ["A"]
    assert (counted.wait, counted.under_way) == (0, 0)
    await exchange(door, "B", told)
    assert told == ["A", "B"]


# Refusals.


def test_who_does_not_heed_when_to_come_back_is_told_later_and_others_at_once():
    door, _ = admission()
    told = [door.patience("A") for _ in range(60)]
    assert told == [0.0] * 40 + [2.0] * 20
    assert door.patience("B") == 0.0
