"""A node reduced to its store, to be killed: appends exchanges, and prints what it was promised.

    python -m tests.postgres.appending URI KEYS NAME

A line for each entry that was acknowledged, written before the next one is appended: its kind, its exchange, its index
and its checkpoint in Base64. What the store refuses is left, and another exchange begun.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from contextlib import suppress
from pathlib import Path

from gateway.adapters.store import Store
from gateway.refusal import Refusal
from tests.exchanges import exchange_entries
from tests.postgres.stores import opened

_AT_ONCE, _PAUSE = 2, 0.05


async def append(store: Store, name: str) -> None:
    for number in range(1_000_000):
        with suppress(Refusal):
            for entry in exchange_entries(f"{name}.{number}"):
                receipt = await store.append(entry)
                note = base64.b64encode(receipt.checkpoint).decode()
                print(entry.kind.value, entry.exchange, receipt.index, note, flush=True)
        await asyncio.sleep(_PAUSE)


async def main(uri: str, keys: str, name: str) -> None:
    async with opened(uri, Path(keys)) as store:
        await asyncio.gather(*(append(store, f"{name}.{one}") for one in range(_AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
