"""`make faults`: every fault at every system call of every act, as a table; exit status 1 when any left damage."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from gateway.cli.lines import table
from tests.faults.acts import ACTS
from tests.faults.base import Base, bases, working
from tests.faults.inject import Fault, faults, run


def main(acts: list[str]) -> int:
    began, rows, damaged = time.monotonic(), [], list[str]()
    with working() as name:
        place = Path(name)
        known = bases(place)
        for act in acts or ACTS:
            good = run(act, known[act].copy(place / act), None)
            outcomes: Counter[tuple[str, str, str]] = Counter()
            for fault in faults(good.calls):
                outcome = _outcome(act, fault, known[act], place / "case")
                outcomes[fault.call, fault.what, outcome] += 1
                if outcome.startswith("DAMAGE"):
                    damaged.append(f"{act}, {fault}: {outcome}")
            rows += [(act, *which, str(count)) for which, count in outcomes.items()]
    table(("Act", "System call", "Fault", "What became of it", "Times"), rows)
    print(f"\n{len(damaged)} left damage. {time.monotonic() - began:.0f} s in all.", *damaged, sep="\n")
    return 1 if damaged else 0


def _outcome(act: str, fault: Fault, base: Base, place: Path) -> str:
    """Whether it was done or not, once the store has been found in order."""
    path = base.copy(place)
    try:
        done = run(act, path, fault)
        base.check(path, done)
    except AssertionError as error:
        return f"DAMAGE: {error}"
    finally:
        shutil.rmtree(place)
    if not done.hit:
        return "not reached"
    return (
        "died" if done.told is None else done.told[0] if done.told[0] == "done" else f"failed, {done.told[1]}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
