"""`python -m tests.fuzz --minutes N [TARGET ...]`: each target for its share of the time, one after the other.

Prints what was run and found; the exit status is 1 when anything was.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys

from tests.fuzz.engine import FOUND, ROOT
from tests.fuzz.targets import TARGETS

_BEGIN = 300  # seconds to load everything and to play the seeds, on a busy machine
_RUNS = re.compile(r"stat::number_of_executed_units: +(\d+)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("targets", nargs="*", default=[*TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    shutil.rmtree(FOUND, ignore_errors=True)
    seconds = max(1, int(options.minutes * 60 / len(options.targets)))
    print(f"{len(options.targets)} targets, {seconds} seconds each")
    sound = [_sound(name, seconds) for name in options.targets]
    return int(not all(sound))


def _sound(name: str, seconds: int) -> bool:
    """Runs a target and says what came of it; False when anything was found, or it did not end as it should."""
    how = "guided" if TARGETS[name].guided else "unguided"
    command = [sys.executable, "-m", "tests.fuzz.engine", name, str(seconds), how]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds + _BEGIN,
        )
        code, told = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        code, told = None, "it did not end"
    runs, found = _RUNS.search(told), _found(name)
    ended = "" if code == 0 and runs else f", ended with {code}: {told[-2000:]}"
    print(
        f"{name:>14}: {int(runs[1]) if runs else 0:,} inputs, findings: {', '.join(found) or 'none'}{ended}",
        flush=True,
    )
    return not (found or ended)


def _found(name: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in FOUND.glob(f"{name}-*") if path.suffix != ".txt")


if __name__ == "__main__":
    sys.exit(main())
