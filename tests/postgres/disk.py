"""A disk that is full, or slow, for one server: strace injects it into the system calls of all its processes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres.cluster import Server

# Data files and the write-ahead log are written with these; its own messages are not.
FULL = "trace=pwrite64,pwritev", "inject=pwrite64,pwritev:error=ENOSPC"
SLOW = "trace=fdatasync,fsync", "inject=fdatasync,fsync:delay_enter=200000"  # microseconds, for each
_LOOKS, _PAUSE = 1200, 0.05


@contextmanager
def injected(server: Server, expressions: tuple[str, ...]) -> Iterator[None]:
    """As long as this lasts, for the processes that are there and those that they begin."""
    processes = server.processes()
    options = [option for one in expressions for option in ("-e", one)]
    attached = [option for pid in processes for option in ("-p", str(pid))]
    strace = subprocess.Popen(
        ["strace", "-f", "-q", "-o", "/dev/null", *options, *attached], stderr=subprocess.DEVNULL
    )
    try:
        _wait_until_attached(processes, strace)
        yield
    finally:
        strace.terminate()  # it lets go of them
        strace.wait()


def _wait_until_attached(processes: list[int], strace: subprocess.Popen[bytes]) -> None:
    for _ in range(_LOOKS):
        if all(map(_is_traced, processes)):
            return
        assert strace.poll() is None, "strace cannot attach: ptrace must be permitted"
        time.sleep(_PAUSE)
    raise AssertionError("strace does not attach")


def _is_traced(pid: int) -> bool:
    """Or gone."""
    try:
        return "\nTracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
