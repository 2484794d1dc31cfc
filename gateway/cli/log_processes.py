"""The entries of a log judged by several processes, a range each: the check of a large log takes every core."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_session import StorePlace
from gateway.exchangelog.audit_rows import Judged, Judging, Known, Rows, judged
from gateway.exchangelog.tile import WIDTH

_RANGE: Final = 16 * WIDTH  # entries that a process judges at a time
_WORTH: Final = 50_000  # entries for each process: it takes about a second to start


def processes_for(size: int) -> int:
    """How many make the check of so many entries quickest: no more than there are cores."""
    return max(1, min(len(os.sched_getaffinity(0)), size // _WORTH))


def in_processes(store: StorePlace, bucket_keys: Path | None, processes: int | None) -> Judging:
    """Gives what one process gives. `processes`: None for as many as are quickest. Raises `ProofError`."""

    def judge(log: Rows, known: Known) -> Iterator[Judged]:
        several = processes or processes_for(known.end)
        return judged(log, known) if several == 1 else _judged(several, store, bucket_keys, known)

    return judge


def _judged(processes: int, store: StorePlace, bucket_keys: Path | None, known: Known) -> Iterator[Judged]:
    bounds = [None, *range(_RANGE, known.end, _RANGE), known.end]
    waiting = deque[Future[list[Judged]]]()
    # Not forked: the progress bar has a thread, and locks.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for start, end in pairwise(bounds):
            waiting.append(pool.submit(_range, store, bucket_keys, known, start, end))
            if len(waiting) > 2 * processes:  # a bound on memory
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _range(
    store: StorePlace, bucket_keys: Path | None, known: Known, start: int | None, end: int | None
) -> list[Judged]:
    keys = None if bucket_keys is None else BucketKeys.open(bucket_keys)
    with LogReader.open(store, keys) as log:
        return list(judged(log, known, start, end))
