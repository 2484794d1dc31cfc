"""A hub under the profiler: `python -m gateway.bench.profiled SETTINGS`, for developers.

As `gateway serve`, but its event loop's thread runs under cProfile, whose figures go to hub.prof beside the
settings when the hub is stopped. The profiler about doubles the cost of Python code and none of that of C
code, so that its shares are hints and its times no measurements.
"""

from __future__ import annotations

import asyncio
import cProfile
import io
import pstats
import sys
from pathlib import Path
from typing import Final

import uvloop

from gateway import app
from gateway.config import load

SERVE: Final = ("-m", "gateway.bench.profiled")


def profile_file(directory: Path) -> Path:
    return directory / "hub.prof"


def hottest(directory: Path, lines: int, order: str) -> str:
    """The table of the functions that took most time; `order` is one of pstats' sort keys."""
    text = io.StringIO()
    statistics = pstats.Stats(str(profile_file(directory)), stream=text)
    statistics.sort_stats(order).print_stats(lines)
    return text.getvalue()


def main(settings: Path) -> None:
    """Serve until told to stop, then write the figures."""
    profile = cProfile.Profile()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        profile.runcall(runner.run, app.serve(load(settings)))
    profile.dump_stats(profile_file(settings.parent))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
