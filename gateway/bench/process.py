"""Helper processes, each with one pipe to the benchmark, and what the kernel says of the hub's process.

Load and floor run outside the hub's process, so that what the kernel accounts to it is its own work alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.bench.trouble import BenchError

_SPAWN: Final = multiprocessing.get_context("spawn")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Side(Enum):
    """Which CPUs a process runs on. What is measured has one to itself, hub and floor alike; the load has the others.

    Otherwise the kernel would account to the hub what its neighbours cost it in caches and branch predictors.
    """

    MEASURED = "measured"
    LOAD = "load"

    @contextmanager
    def started(self) -> Iterator[None]:
        """Processes started in this block inherit the CPUs of this side."""
        allowed = os.sched_getaffinity(0)
        first = {min(allowed)}
        os.sched_setaffinity(0, first if self is Side.MEASURED else (allowed - first) or allowed)
        try:
            yield
        finally:
            os.sched_setaffinity(0, allowed)


class Helper:
    """A process that runs `work(pipe, *arguments)` until its pipe closes."""

    def __init__(
        self, name: str, work: Callable[..., None], *arguments: object, side: Side = Side.LOAD
    ) -> None:
        self.name = name
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_quietly, args=(work, theirs, *arguments), name=name, daemon=True
        )
        with side.started():
            self._process.start()
        theirs.close()

    def send(self, order: object) -> None:
        self._pipe.send(order)

    def receive(self) -> object:
        """The next message. Raises BenchError when the process ended instead."""
        try:
            return self._pipe.recv()
        except EOFError as error:
            self._process.join(5)
            raise BenchError(
                "BEN003",
                f"the {self.name} process ended with status {self._process.exitcode}.",
                "Its own message stands above; run again with fewer --clients if memory is short.",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(2)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(5)


def _quietly(work: Callable[..., None], pipe: Connection, *arguments: object) -> None:
    """Ctrl-C is for the benchmark, which then closes the pipes; a closed pipe ends the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        work(pipe, *arguments)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, also those that ended (proc(5): utime, stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Resident memory in MB of 10⁶ bytes (proc(5): statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
