"""`make attack`: play the whole catalogue and print what came of it; exit status 1 when anything got through."""

from __future__ import annotations

import sys
import time

from tests.attacks.case import Attack, Got, Scenario, judge
from tests.attacks.catalogue import ABSENT, CASES
from tests.attacks.target import Target


def main() -> int:
    began, failed, results = time.monotonic(), 0, []
    with Target.running() as target:
        for case in sorted(CASES, key=lambda one: one.row):
            got = _played(target, case)
            failed += isinstance(got, str)
            results.append(got)
            print(_line(case, got), flush=True)
    for row, reason in sorted(ABSENT.items()):
        print(f"{row:4} not tried: {reason}")
    played = [one for one in results if isinstance(one, Got)]
    print(
        f"\n{len(CASES)} cases of {len({case.row for case in CASES})} rows, {failed} got through;"
        f" {len(ABSENT)} rows not tried. Worst: {max(one.seconds for one in played):.2f} s to the answer,"
        f" {max(one.cpu for one in played):.2f} s of the hub's CPU, {max(one.memory for one in played) / 1e6:.1f} MB."
        f" {time.monotonic() - began:.0f} s in all."
    )
    return 1 if failed else 0


def _played(target: Target, case: Attack | Scenario) -> Got | str:
    try:
        return judge(target, case)
    except AssertionError as error:
        return str(error).splitlines()[0]


def _line(case: Attack | Scenario, got: Got | str) -> str:
    outcome = got.outcome if isinstance(got, Got) else f"FAILED: {got}"
    return f"{case.row:4} {case.flaw[:70]:70}  expected {str(case.expected)[:44]:44}  got {outcome}"


if __name__ == "__main__":
    sys.exit(main())
