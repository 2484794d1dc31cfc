"""A flame graph of a hub under load, by py-spy: each thread as a flame of its own, the event loop's and the store's.

What a C function spends is told of the Python function that called it. A thread that only waits (`_worker`,
`SimpleQueue.get`) may burn all the same: not every kernel tells py-spy that it is idle. C frames (`--native`) are
left out, because with them no thread is ever seen to be idle.

The hub is told to let itself be traced by whoever may, so that this works for a plain user too where only a parent
may trace a process (Yama's ptrace_scope 1).
"""

from __future__ import annotations

import asyncio
import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import uvloop

from gateway import serving
from gateway.bench.load import Load, Setting, world
from gateway.bench.place import CROWD
from gateway.bench.profiles import Profile
from gateway.bench.run import Tell, told
from gateway.bench.trouble import BenchError
from gateway.config import load as load_settings

SERVE: Final = ("-m", "gateway.bench.flame")
_RATE: Final = 250  # samples a second
_MARGIN: Final = 30.0  # seconds that py-spy may need besides
_PR_SET_PTRACER: Final = 0x59616D61  # prctl(2), "Yama"
_PR_SET_PTRACER_ANY: Final = ctypes.c_ulong(-1)


def flame(  # noqa: PLR0913, PLR0917 - what is loaded, how long, where, and whom to tell
    load: Load, suite: str, seconds: int, output: Path, directory: Path, contracts: Path, tell: Tell
) -> None:
    """Write the graph, an SVG that a browser shows. Raises BenchError."""
    spy = _spy()
    tell(f"{suite}: starting")
    lanes = 0 if load.profile is Profile.CONSULT else load.clients
    setting = Setting(suite, [load.kilobytes], 1, lanes, CROWD, SERVE)
    with world(directory / f"flame-{suite}", setting, contracts) as here:
        exchanges = here.exchanges_for(float(seconds), load)
        tell(f"flame, {told(suite, 1, load)}: {exchanges} exchanges")
        command = [
            spy, "record", "--pid", str(here.hub.pid), "--output", str(output.resolve()), "--threads",
            "--rate", str(_RATE), "--duration", str(seconds),
        ]  # fmt: skip
        tracing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603 - py-spy with our own arguments
        try:
            here.load(load, exchanges, warmup=0)
            said, _ = tracing.communicate(timeout=seconds + _MARGIN)
        except subprocess.TimeoutExpired:
            said = "it did not end"
        finally:
            tracing.kill()
    if tracing.returncode != 0 or not output.is_file():
        raise _refused(said)


def _spy() -> str:
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.is_file() else shutil.which("py-spy")
    if found is None:
        raise BenchError(
            "BEN008", "py-spy is not installed.", "make install-test installs it, or pip install py-spy."
        )
    return found


def _refused(said: str) -> BenchError:
    lines = said.strip().splitlines() or ["it said nothing"]
    return BenchError(
        "BEN008",
        f"py-spy could not trace the hub: {lines[-1]}.",
        "It needs ptrace: as root, or with CAP_SYS_PTRACE in a container; gateway bench hottest needs neither.",
    )


def main(settings: Path) -> None:
    """Serve as `gateway serve` does, traceable."""
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _PR_SET_PTRACER_ANY, 0, 0, 0)  # in vain where there is no Yama
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serving.serve(load_settings(settings), stop_with_stdin=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
