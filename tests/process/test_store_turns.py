"""Processes take turns in writing to a file; one that hangs within its turn does not hang the others."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from gateway.adapters import store_turn
from gateway.adapters.store_connect import connect
from gateway.adapters.store_session import Begin, Occupied, Use, unreadable
from gateway.exchangelog.flaw import Flaw
from gateway.refusal import Code
from tests.exchanges import exchange_entries, request_entry
from tests.process.store_world import At, append_all, fill, findings, of_a_file, open_store

pytestmark = of_a_file


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(store_turn, "TURN_SECONDS", 0.2)


async def until_ready(store) -> None:
    for _ in range(2_000):
        if store.ready:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(store.trouble)


async def test_what_waits_for_a_turn_that_does_not_end_is_refused_and_does_not_happen(path):
    await fill(path, exchange_entries("a"))
    async with open_store(path) as store:
        with closing(connect(path, Use.WRITE)) as hanging:
            hanging.begin(Begin.EXCLUSIVE)
            assert await append_all(store, exchange_entries("b")) == [Code.LOG_UNAVAILABLE] * 2
            assert (store.ready, store.trouble, store.failed) == (False, Flaw.OCCUPIED, False)
            assert await append_all(store, [request_entry("c")]) == [Code.LOG_UNAVAILABLE]
            hanging.roll_back()
        await until_ready(store)
        assert store.trouble is None
        assert await append_all(store, exchange_entries("b")) == [At(2), At(3)]  # its ticket was never used
    assert findings(path) == []


async def test_works_behind_the_batch_that_waits_are_refused_with_it(path):
    await fill(path, exchange_entries("a"))
    async with open_store(path) as store:
        with closing(connect(path, Use.WRITE)) as hanging:
            hanging.begin(Begin.EXCLUSIVE)
            first = asyncio.create_task(append_all(store, [request_entry("b")]))
            await asyncio.sleep(0.05)  # it stands in line
            behind = await append_all(store, [request_entry(f"c{number}") for number in range(600)])
            assert behind == [Code.LOG_UNAVAILABLE] * 600
            assert await first == [Code.LOG_UNAVAILABLE]
            hanging.roll_back()
        await until_ready(store)
        assert store.pending == 0
        assert await append_all(store, [request_entry("b")]) == [At(2)]


async def test_a_turn_that_ends_in_time_is_waited_for(path, monkeypatch):
    monkeypatch.setattr(store_turn, "TURN_SECONDS", 60.0)
    await fill(path, exchange_entries("a"))
    async with open_store(path) as store:
        with closing(connect(path, Use.WRITE)) as other:
            other.begin(Begin.EXCLUSIVE)
            waiting = asyncio.create_task(append_all(store, [request_entry("b")]))
            await asyncio.sleep(1.2)  # the watch has looked
            assert store.ready
            other.roll_back()
            assert await waiting == [At(2)]


async def test_a_command_gives_up(path):
    await fill(path, exchange_entries("a"))
    with closing(connect(path, Use.WRITE)) as hanging, closing(connect(path, Use.APPEND)) as command:
        hanging.begin(Begin.EXCLUSIVE)
        with pytest.raises(Occupied) as caught:
            command.begin(Begin.EXCLUSIVE)
        assert unreadable(caught.value).flaw is Flaw.OCCUPIED
        hanging.roll_back()
        command.begin(Begin.EXCLUSIVE)
        command.roll_back()
