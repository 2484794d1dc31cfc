"""A hub's work on its store, to be killed: tells, delivers and acknowledges, and prints what it was promised.

    python -m tests.process.draining STORE RUN [drain]

Lines: `told DOSSIER NUMBER` and `settled DELIVERY` once they are durable; `received RECIPIENT DOSSIER NUMBER`
when the recipient has it. With `drain` nothing new is told, and it ends when nothing waits.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from gateway.adapters.store import Store
from gateway.model import Authority, Delivery, DossierNumber, ExchangeId
from tests.exchanges import NOW, NSSO, PLATFORM, exchange_id
from tests.notifications import (
    OFFICE,
    accepted,
    accepted_entry,
    call_entry,
    content,
    delivered_entry,
    settled_entry,
)
from tests.process.store_world import open_store

LEASE = timedelta(minutes=5)


async def tell(store: Store, run: int, teller: int) -> None:
    for number in range(100_000):
        dossier = DossierNumber(f"dossier-{teller}-{number % 2}")
        before = await store.scope(dossier)
        ticket = f"{run}.{teller}.{number}"
        taken = accepted(ticket, dossier, (PLATFORM, OFFICE, NSSO))
        taken = replace(taken, expected=0 if before is None else before.version)
        name = f"{run:02}-{number:06}"
        entry, names = accepted_entry(taken), [exchange_id() for _ in taken.recipients]
        await store.accept(entry, taken, f"{dossier} {name}".encode(), content(ticket), NOW, names)
        print("told", dossier, name, flush=True)


def received(delivery: Delivery) -> None:
    print("received", delivery.recipient, delivery.notification.payload.decode(), flush=True)


async def carry(store: Store, run: int, recipient: Authority) -> bool:
    now = NOW + timedelta(hours=run)
    batch = await store.lease([recipient.id], now, now + LEASE, 4)
    for one in batch:
        if not one.recorded:
            await store.record(one, delivered_entry(one))
        received(one)
        await store.settle(one, settled_entry(one))
        print("settled", one.id, flush=True)
    return bool(batch)


async def read(store: Store, run: int, owner: Authority) -> bool:
    now = NOW + timedelta(hours=run)
    listed = await store.waiting(owner.id, None, 4, now)
    for one in listed:
        fetch, acknowledgement = exchange_id(), exchange_id()
        await call(store, "fetchMessage", owner, fetch)
        taken = await store.take(owner.id, one.message, now, now + LEASE)
        await store.record(taken, delivered_entry(taken, fetch))
        received(taken)
        await call(store, "acknowledgeMessage", owner, acknowledgement)
        await store.settle(taken, settled_entry(taken, exchange=acknowledgement))
        print("settled", taken.id, flush=True)
    return bool(listed)


async def call(store: Store, operation: str, owner: Authority, exchange: ExchangeId) -> None:
    await store.append(call_entry(operation, owner, exchange, exchange))


async def receive(store: Store, run: int, who: Authority, *, drain: bool) -> None:
    how = read if who is NSSO else carry
    while await how(store, run, who) or not drain:  # noqa: ASYNC110 - to be killed in the middle
        await asyncio.sleep(0)


async def main(path: Path, run: int, *, drain: bool) -> None:
    async with open_store(path) as store:
        tellers = [] if drain else [tell(store, run, number) for number in range(3)]
        receivers = [receive(store, run, who, drain=drain) for who in (PLATFORM, OFFICE, NSSO)]
        await asyncio.gather(*tellers, *receivers)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), drain="drain" in sys.argv))
