"""Helper processes, each with one pipe to the benchmark, and what the kernel says of the hub's process.

Load and floor run outside the hub's process, so that what the kernel accounts to it is its own work alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.bench.trouble import BenchError

# Forked from a process that has loaded what they do, and nothing else: their imports are made once for all of them.
_FORKED: Final = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [f"gateway.bench.{name}" for name in ("client", "crowd", "endpoints", "floor", "log_append")]
)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Side(Enum):
    """Which CPUs a process runs on. What is measured has its own, one for each worker; the load has the others.

    Otherwise the kernel would account to the hub what its neighbours cost it in caches and branch predictors.
    """

    MEASURED = "measured"
    LOAD = "load"

    def cpus(self, measured: int = 1) -> set[int]:
        """Its CPUs, when so many are measured: where there are not enough for both, the load has all."""
        allowed = sorted(os.sched_getaffinity(0))
        return set(allowed[:measured] if self is Side.MEASURED else allowed[measured:] or allowed)

    @contextmanager
    def started(self, measured: int = 1) -> Iterator[None]:
        """Programs started in this block inherit the CPUs of this side."""
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cpus(measured))
        try:
            yield
        finally:
            os.sched_setaffinity(0, allowed)


class Helper:
    """A process that runs `work(pipe, *arguments)` until its pipe closes."""

    def __init__(
        self,
        name: str,
        work: Callable[..., None],
        *arguments: object,
        side: Side = Side.LOAD,
        measured: int = 1,
    ) -> None:
        self.name = name
        self._pipe, theirs = _FORKED.Pipe()
        self._process = _FORKED.Process(
            target=_quietly, args=(work, side.cpus(measured), theirs, *arguments), name=name, daemon=True
        )
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


def _quietly(work: Callable[..., None], cpus: set[int], pipe: Connection, *arguments: object) -> None:
    """Ctrl-C is for the benchmark, which then closes the pipes; a closed pipe ends the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setaffinity(0, cpus)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        work(pipe, *arguments)


def family(pid: int) -> list[int]:
    """A process and all that it started and that still run, the hub's workers (proc(5): children)."""
    found = [pid]
    for one in found:
        with suppress(OSError):  # it ended meanwhile
            tasks = Path(f"/proc/{one}/task").iterdir()
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return found


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds so far, user and system, of a process and all that it started."""

    total: float  # of all threads, also those that ended
    loops: float  # of the main threads alone, where the event loops run
    held_up: float  # no CPU time: for which the main threads could have run, and others had the CPU

    def __sub__(self, other: Self) -> Self:
        return type(self)(
            *(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True))
        )


def spent(pid: int) -> Spent:
    """What the process and its family spent. What ended before this is not in it."""
    family_ = family(pid)
    return Spent(
        sum(_cpu_seconds(Path(f"/proc/{one}/stat")) for one in family_),
        sum(_cpu_seconds(Path(f"/proc/{one}/task/{one}/stat")) for one in family_),
        sum(_held_up(Path(f"/proc/{one}/task/{one}/schedstat")) for one in family_),
    )


def _cpu_seconds(stat: Path) -> float:
    """Of a process or of a thread (proc(5): utime, stime)."""
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:  # it ended meanwhile
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _held_up(schedstat: Path) -> float:
    """Seconds in the run queue (the kernel's sched-stats.txt); 0 where the kernel does not count them."""
    try:
        return int(schedstat.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def resident_mb(pid: int) -> float:
    """Resident memory of one process in MB of 10⁶ bytes (proc(5): statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def peak_mb(pid: int) -> float:
    """The most resident memory that one process ever had, in MB of 10⁶ bytes (proc(5): VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def forget_peak(pid: int) -> None:
    """What a process has now is its peak so far (proc(5): clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
