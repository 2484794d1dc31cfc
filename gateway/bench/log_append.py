"""Appending to a real store, as the hub does: what an acknowledged entry costs, and whether memory stays flat.

An entry counts when its receipt is there: durable, in the tree, and under a signed checkpoint.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from math import ceil
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store import Store
from gateway.bench.log_entries import deliveries, notification, refused_exchanges
from gateway.bench.memory import Memory
from gateway.bench.process import Helper, Side, resident_mb
from gateway.bench.trouble import BenchError
from gateway.exchangelog.entry import Entry
from gateway.refusal import Refusal

ORIGIN: Final = "gateway.wib.example/bench-log"
_ROUND: Final = 64  # entries of one client, made or measured in one go
_UNIT: Final = 1e-5  # seconds; latencies are counted in these, so that counting them takes no more memory
_PERCENTILES: Final = (1, 25, 50, 75, 99)  # that tell a distribution

Json = dict[str, object]
Progress = Callable[[int], None]  # called with the number of entries appended so far


class Profile(StrEnum):
    """What is appended. Every other entry of LOG_ONLY claims a ticket."""

    LOG_ONLY = "log-only"  # requests and refusals, made before the clock runs: the log by itself
    FIELDS = "fields"  # releases, each made on its way with commitments to its fields


@dataclass(frozen=True, slots=True)
class Load:
    """How much is appended."""

    profile: Profile
    entries: int  # or a few more, so that each client has whole exchanges
    clients: int  # that append at once, shared out among the workers
    workers: int = 1  # processes that append to one store


@dataclass(slots=True)
class Appended:
    """How the appending went. Seconds are those in which entries were on their way."""

    load: Load
    entries: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of all workers and their threads, in these seconds
    latencies: Counter[int] = field(default_factory=Counter)
    resident: list[tuple[int, float]] = field(
        default_factory=list
    )  # entries so far and MB of the largest worker

    @property
    def per_second(self) -> float:
        return self.entries / self.seconds

    @property
    def memory(self) -> Memory:
        """Over the entries, by `memory.RULE`."""
        return Memory.of(self.resident)

    def percentile_ms(self, percent: int) -> float:
        """Nearest rank."""
        left = percent / 100 * self.latencies.total()
        for units in sorted(self.latencies):
            left -= self.latencies[units]
            if left <= 0:
                return units * _UNIT * 1000
        return 0.0

    def json(self) -> Json:
        return {
            "profile": self.load.profile,
            "clients": self.load.clients,
            "workers": self.load.workers,
            "entries": self.entries,
            "seconds": round(self.seconds, 2),
            "throughput": round(self.per_second, 1),
            "p50_ms": round(self.percentile_ms(50), 2),
            "p99_ms": round(self.percentile_ms(99), 2),
            "latency_ms": {str(one): round(self.percentile_ms(one), 3) for one in _PERCENTILES},
            "cpu_us": round(self.cpu_seconds / self.entries * 1e6, 1),
            "rss_before_mb": round(self.resident[0][1], 1),
            "rss_mb": round(self.resident[-1][1], 1),
            "memory": self.memory.json(),
            "resident": [(entries, round(mb, 1)) for entries, mb in self.resident],
        }


def append(path: Path, key: Ed25519PrivateKey, load: Load, progress: Progress) -> Appended:
    """Fill a new store; each client waits for every receipt. Raises BenchError."""
    result, place = Appended(load), _Place(path, key.private_bytes_raw(), os.urandom(32), notification())
    asyncio.run(place.begin())
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                Helper(
                    f"worker {number}",
                    _work,
                    place,
                    load,
                    side=Side.MEASURED,
                    measured=len(os.sched_getaffinity(0)),
                )
            )
            for number in range(load.workers)
        ]
        while result.entries < load.entries:
            # Even, so that a round ends with whole exchanges.
            count = min(_ROUND, 2 * ceil((load.entries - result.entries) / load.clients / 2))
            result.entries += count * load.clients
            _together(workers, count, result)
            progress(result.entries)
    return result


@dataclass(frozen=True, slots=True)
class _Place:
    """What the workers share."""

    path: Path
    log_key: bytes
    payload_key: bytes
    told: Entry  # what all deliveries deliver

    def open(self, *, create: bool = False) -> Store:
        key = Ed25519PrivateKey.from_private_bytes(self.log_key)
        keys = BucketKeys.create(self.path.with_suffix(".keys"))
        return Store.open(
            self.path, key, ORIGIN, payload_key=self.payload_key, bucket_keys=keys, create=create
        )

    async def begin(self) -> None:
        async with self.open(create=True) as store:
            await store.append(self.told)


def _together(workers: Sequence[Helper], count: int, result: Appended) -> None:
    """One round: all of them begin when all are ready. Raises BenchError."""
    for order in (count, None):
        for worker in workers:
            worker.send(order)
        rounds = [worker.receive() for worker in workers]
    failed = next((one for one in rounds if isinstance(one, str)), None)
    if failed is not None:
        raise BenchError(
            "BEN006",
            f"the log took no more entries: {failed}.",
            "See whether the disk is full; name another with --directory.",
        )
    done = [one for one in rounds if isinstance(one, _Round)]
    result.seconds += max(one.seconds for one in done)
    result.cpu_seconds += sum(one.cpu_seconds for one in done)
    for one in done:
        result.latencies.update(one.latencies)
    result.resident.append((result.entries, max(one.resident_mb for one in done)))


@dataclass(slots=True)
class _Round:
    """What one worker did in a round."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: Counter[int] = field(default_factory=Counter)
    resident_mb: float = 0.0


def _work(pipe: Connection, place: _Place, load: Load) -> None:
    """A process of its own with its share of the clients."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(pipe, place, load))


async def _serve(pipe: Connection, place: _Place, load: Load) -> None:
    async with place.open() as store:
        making = deliveries(place.told) if load.profile is Profile.FIELDS else None
        sources = [making or refused_exchanges() for _ in range(load.clients // load.workers)]
        while True:
            count = pipe.recv()
            shares: list[Iterable[Entry]] = [islice(source, count) for source in sources]
            if load.profile is Profile.LOG_ONLY:
                shares = [list(share) for share in shares]
            pipe.send(None)  # ready
            pipe.recv()
            try:
                pipe.send(await _round(store, shares))
            except Refusal as refusal:
                pipe.send(refusal.code.row.code)
                return


async def _round(store: Store, shares: Iterable[Iterable[Entry]]) -> _Round:
    result, began, cpu = _Round(), perf_counter(), process_time()
    await asyncio.gather(*(_client(store, share, result.latencies) for share in shares))
    result.seconds, result.cpu_seconds = perf_counter() - began, process_time() - cpu
    result.resident_mb = resident_mb(os.getpid())
    return result


async def _client(store: Store, entries: Iterable[Entry], latencies: Counter[int]) -> None:
    for entry in entries:
        began = perf_counter()
        await store.append(entry)
        latencies[int((perf_counter() - began) / _UNIT)] += 1
