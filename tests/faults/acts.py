"""What the store does while faults are injected, in a process of its own, and what it must leave behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from gateway.adapters.site_export import export
from gateway.adapters.store import LogReader, Store
from gateway.adapters.store_log import new_log
from gateway.exchangelog.flaw import ProofError
from gateway.refusal import Refusal
from tests.exchanges import request_entry
from tests.process.store_world import SIGNER, VERIFIER, open_store

Entered = tuple[int, bytes]  # index and leaf that were acknowledged
Told = tuple[str, object]  # "done", with an entry that was acknowledged; or "failed", with a code
Doing = Callable[[], Awaitable[Entered | None]]
LAST = "the last"  # ticket of what an act appends


def perform(act: str, path: Path, pipe: Connection) -> None:
    """Get ready, wait for the order, do it, tell of it. Nothing is put in order at the end: it is a crash."""
    asyncio.run(_perform(act, path, pipe))


async def _perform(act: str, path: Path, pipe: Connection) -> None:
    acknowledged, doing = await ACTS[act](path)
    pipe.send(acknowledged)
    pipe.recv()
    pipe.send(await _told(doing))
    pipe.recv()
    os._exit(0)


async def _told(doing: Doing) -> Told:
    try:
        return "done", await doing()
    except Refusal as refusal:
        return "failed", refusal.code.row.code
    except ProofError as error:
        return "failed", error.flaw.row.code


# Each gets ready, and returns what was acknowledged before, and what is to be done.


async def _append(path: Path) -> tuple[None, Doing]:
    return None, partial(_appended, open_store(path))


async def _append_and_move(path: Path) -> tuple[None, Doing]:
    """SQLite moves the write-ahead log into the file after this commit, as it does every 1,000 pages."""
    store = open_store(path)
    store._appender._log._connection.wal_autocheckpoint(1)
    return None, partial(_appended, store)


async def _close(path: Path) -> tuple[Entered, Doing]:
    store = open_store(path)
    return await _appended(store), store.close


async def _open(path: Path) -> tuple[None, Doing]:
    async def open_() -> None:
        open_store(path)

    return None, open_


async def _begin(path: Path) -> tuple[None, Doing]:
    async def begin() -> None:
        new_log(new(path), [SIGNER])

    return None, begin


async def _export(path: Path) -> tuple[Entered, Doing]:
    """Of a log that was exported before, and has grown by an entry."""
    with LogReader.open(path) as log:
        export(log, site(path), [VERIFIER])
    async with open_store(path) as store:
        entered = await _appended(store)

    async def export_() -> None:
        with LogReader.open(path) as log:
            export(log, site(path), [VERIFIER])

    return entered, export_


async def _appended(store: Store) -> Entered:
    entry = request_entry(LAST)
    return (await store.append(entry)).index, entry.leaf


def new(path: Path) -> Path:
    """Where the log is that an act begins."""
    return path.with_name("new.db")


def site(path: Path) -> Path:
    """Where the log is exported to."""
    return path.with_name("site")


ACTS: dict[str, Callable[[Path], Awaitable[tuple[Entered | None, Doing]]]] = {
    "append": _append,
    "append and move the write-ahead log": _append_and_move,
    "close": _close,
    "open after a crash": _open,
    "begin a log": _begin,
    "export": _export,
}
UNNAMED = {"begin a log", "export"}  # work on files whose names are not known beforehand
