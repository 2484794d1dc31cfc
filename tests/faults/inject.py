"""One act under strace, with a fault at one of its system calls or none."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.faults.acts import UNNAMED, Entered, Told, perform

_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(["tests.faults.acts"])
_CALL = re.compile(r"^\d+\s+(\w+)\(", re.MULTILINE)
# Where nobody knows the names of the files beforehand; the last `write` is what the act tells.
_NAMED = "trace=%file,write,pread64,pwrite64,fsync,fdatasync,ftruncate,fchown,fchmod,flock,mmap"
_SECONDS = 30.0
FAULTS = ("error=EIO", "signal=SIGKILL")
FULL = "error=ENOSPC"  # a full disk, where something is written
_WRITING = {"pwrite64", "write", "ftruncate", "fallocate"}


@dataclass(frozen=True)
class Fault:
    """At the nth call of this name on the store's files."""

    call: str
    nth: int
    what: str  # one of FAULTS, or FULL

    @property
    def options(self) -> tuple[str, ...]:
        return "-e", f"trace={self.call}", "-e", f"inject={self.call}:{self.what}:when={self.nth}"


@dataclass(frozen=True)
class Run:
    """One act: what was acknowledged before it, what it told (None: it died), and the system calls seen."""

    act: str
    before: Entered | None
    told: Told | None
    trace: str

    @property
    def calls(self) -> list[str]:
        """By name, in order."""
        return _CALL.findall(self.trace)

    @property
    def hit(self) -> bool:
        """Whether the fault took place."""
        return "(INJECTED)" in self.trace or "+++ killed by SIGKILL +++" in self.trace


def faults(called: list[str]) -> Iterator[Fault]:
    """Every fault at every call."""
    for name, times in Counter(called).items():
        for what in (*FAULTS, FULL) if name in _WRITING else FAULTS:
            for nth in range(1, times + 1):
                yield Fault(name, nth, what)


def outermost(called: list[str]) -> Iterator[Fault]:
    """Every fault at the first and at the last call of each name."""
    times = Counter(called)
    return (fault for fault in faults(called) if fault.nth in {1, times[fault.call]})


def run(act: str, path: Path, fault: Fault | None) -> Run:
    """Do the act to the store at this path."""
    trace = path.with_name("trace")
    mine, theirs = _FORK.Pipe()
    process = _FORK.Process(target=perform, args=(act, path, theirs))
    process.start()
    theirs.close()
    before = mine.recv()
    with _traced(act, process.pid, path, trace, fault):
        mine.send("go")
        told = _received(mine)
        process.join(_SECONDS)
    assert not process.is_alive()
    return Run(act, before, told, trace.read_text())


def _received(pipe: Connection) -> Told | None:
    try:
        assert pipe.poll(_SECONDS)
        told = pipe.recv()
        pipe.send("end")
    except EOFError:
        return None
    return told


@contextmanager
def _traced(act: str, pid: int, path: Path, trace: Path, fault: Fault | None) -> Iterator[None]:
    """With strace attached to every thread of the process."""
    what = ("-e", _NAMED) if act in UNNAMED else _on(path)
    injected = () if fault is None else fault.options
    command = ["strace", "-f", "-q", "-o", str(trace), *what, *injected, "-p", str(pid)]
    strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_until_attached(pid, strace)
        yield
        strace.wait(_SECONDS)  # it ends with what it traces
    finally:
        strace.kill()
        strace.wait()


def _on(path: Path) -> tuple[str, ...]:
    """Calls on these files only: others of the process have nothing to do with the store."""
    files = (path.parent, *(path.with_name(path.name + end) for end in ("", "-wal", "-shm")))
    return tuple(option for file in files for option in ("-P", str(file)))


def _wait_until_attached(pid: int, strace: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not all(_is_traced(task) for task in Path(f"/proc/{pid}/task").iterdir()):
        assert strace.poll() is None, "strace cannot attach: ptrace must be permitted"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _is_traced(task: Path) -> bool:
    return "\nTracerPid:\t0\n" not in (task / "status").read_text()
