"""A hub that watches itself: `python -m gateway.bench.profiled SETTINGS`, for developers.

As `gateway serve`, but the thread of the event loop is sampled by its own CPU time. Nothing is traced, so
that Python and C code are slowed down alike, by little: shares can be believed, unlike a tracer's. What a C
function spends is told of the Python function that called it. The log's appender thread is not watched.

SIGUSR1 forgets the samples so far; when the hub stops, they go to hub.samples.json beside the settings.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import uvloop

from gateway import serving
from gateway.config import load

SERVE: Final = ("-m", "gateway.bench.profiled")
_INTERVAL: Final = 0.001  # seconds of CPU
_PACKAGES: Final = "site-packages/"


class Sampler:
    """CPU seconds by function: `own`, and `within` it and all that it calls."""

    def __init__(self) -> None:
        self.own: Counter[CodeType] = Counter()
        self.within: Counter[CodeType] = Counter()
        self._last = time.thread_time()

    def start(self) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: self._forget())
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)  # noqa: FBT003 - the standard library's own signature
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def json(self) -> str:
        """Rows of function, own seconds, seconds within."""
        return json.dumps([(_label(code), self.own[code], seconds) for code, seconds in self.within.items()])

    def _forget(self) -> None:
        self.own.clear()
        self.within.clear()

    def _sample(self, _: int, frame: FrameType | None) -> None:
        """The timer counts all threads' time, so each sample weighs what this thread spent since the last."""
        weight = time.thread_time() - self._last
        if frame is not None:
            self.own[frame.f_code] += weight  # type: ignore[assignment] # seconds, not a count
        seen = set[CodeType]()
        while frame is not None:
            seen.add(frame.f_code)
            frame = frame.f_back
        for code in seen:
            self.within[code] += weight  # type: ignore[assignment] # seconds, not a count
        self._last = time.thread_time()


def hottest(directory: Path, exchanges: int, lines: int) -> str:
    """Where the time went: microseconds for each exchange, by function, in two tables."""
    rows = json.loads(samples_file(directory).read_text())
    tables = []
    for title, column in (("own", 1), ("with what it calls", 2)):
        rows.sort(key=lambda row: -row[column])
        shown = (f"{row[column] / exchanges * 1e6:8.0f}  {row[0]}" for row in rows[:lines])
        tables.append(f"µs per exchange, {title}:\n" + "\n".join(shown))
    return "\n\n".join(tables)


def samples_file(directory: Path) -> Path:
    """Where the figures go."""
    return directory / "hub.samples.json"


def _label(code: CodeType) -> str:
    path = code.co_filename.rpartition(_PACKAGES)[2]
    root = str(Path(__file__).parents[2]) + "/"
    return f"{code.co_qualname}  {path.removeprefix(root)}:{code.co_firstlineno}"


def main(settings: Path) -> None:
    """Serve until told to stop, or until standard input closes, then write the figures."""
    sampler = Sampler()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sampler.start()
        runner.run(serving.serve(load(settings), stop_with_stdin=True))
        sampler.stop()
    samples_file(settings.parent).write_text(sampler.json())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
