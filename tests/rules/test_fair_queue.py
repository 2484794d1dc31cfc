"""PROTOCOL §2.9: authorities have turns by what they used, not by how much they want."""

from __future__ import annotations

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.fair_queue import FairQueue

NAMES = ("A", "B", "C")
PUSH = st.tuples(st.sampled_from(NAMES), st.floats(0.5, 8))
STEPS = st.lists(st.one_of(PUSH, st.none()), max_size=80)  # None: a turn is given


def popped(queue: FairQueue, count: int) -> list:
    return [queue.pop() for _ in range(count)]


def filled(queue: FairQueue | None = None, **counts: int) -> FairQueue:
    queue = FairQueue() if queue is None else queue
    for name, count in counts.items():
        for number in range(count):
            queue.push(name, (name, number))
    return queue


def names(items: list) -> str:
    return "".join(item[0] for item in items)


def test_a_newcomer_has_the_next_turn_but_one_however_many_wait():
    queue = filled(A=100)
    assert names(popped(queue, 10)) == "A" * 10
    queue.push("B", ("B", 0))
    assert "B" in names(popped(queue, 2))


def test_turns_alternate():
    assert names(popped(filled(A=50, B=3, C=3), 9)).count("A") == 3


def test_what_costs_more_has_fewer_turns():
    queue = FairQueue()
    for number in range(40):
        queue.push("A", ("A", number), 4.0)
        queue.push("B", ("B", number), 1.0)
    counts = Counter(names(popped(queue, 40)))
    assert 7 <= counts["A"] <= 9


def test_nobody_saves_turns_up():
    queue = filled(A=20)
    popped(queue, 20)
    filled(queue, A=10, B=10)
    assert 4 <= names(popped(queue, 10)).count("B") <= 6


def test_what_was_taken_out_has_no_turn():
    queue = filled(A=3, B=1)
    queue.remove("A", ("A", 9))
    first, second = ("A", 0), ("B", 0)
    assert queue.drop_last("A") == ("A", 2)
    assert queue.drop_last("C") is None
    assert popped(queue, 4) == [first, second, ("A", 1), None]
    assert len(queue) == 0


def test_removal_is_of_that_very_item():
    queue, item = FairQueue(), object()
    for one in (object(), item, object()):
        queue.push("A", one)
    queue.remove("A", item)
    assert len(queue) == 2
    assert item not in popped(queue, 2)


@given(STEPS)
def test_everything_is_given_out_once_and_in_its_own_order(steps):
    queue, pushed, given_out = FairQueue(), {name: deque() for name in NAMES}, []
    for number, step in enumerate(steps):
        if step is None:
            given_out.append(queue.pop())
        else:
            name, cost = step
            queue.push(name, (name, number), cost)
            pushed[name].append((name, number))
    given_out += popped(queue, len(queue))
    items = [item for item in given_out if item is not None]
    for name in NAMES:
        assert [item for item in items if item[0] == name] == list(pushed[name])
    assert len(queue) == 0
    assert queue.pop() is None


@given(
    st.lists(st.floats(0.5, 8), min_size=1, max_size=60), st.lists(st.floats(0.5, 8), min_size=1, max_size=60)
)
def test_of_two_that_always_want_turns_neither_uses_more_than_one_item_more(costs, others):
    """The bound of start-time fair queueing: what one got ahead is at most the largest item of each."""
    queue = FairQueue()
    for cost in costs:
        queue.push("A", ("A", cost), cost)
    for cost in others:
        queue.push("B", ("B", cost), cost)
    used, left = Counter(A=0.0, B=0.0), Counter(A=len(costs), B=len(others))
    while left["A"] and left["B"]:
        name, cost = queue.pop()
        used[name] += cost
        left[name] -= 1
        assert abs(used["A"] - used["B"]) <= max(costs) + max(others) + 1e-6
