"""`make failures`: one trial after the other, as long as there is time. Exit status 1 when any of them went wrong."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.cli.lines import table
from tests.postgres.trial import trial

_TROUBLES = 12  # of one trial; then it begins anew, with an empty log


async def _suffer(seed: int, end: float, counted: Counter[str]) -> None:
    chance = random.Random(seed)
    with TemporaryDirectory(prefix="wib-failures-") as place:
        async with trial(Path(place), chance) as one:
            for _ in range(_TROUBLES):
                trouble = chance.choice(list(one.troubles))
                print(f"  {trouble}", flush=True)
                await one.suffer(trouble)
                one.judge()
                counted[trouble] += 1
                if time.monotonic() > end:
                    return


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.postgres")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the one trial that is run")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**32)
    end, counted, failed = time.monotonic() + 60 * given.minutes, Counter[str](), list[int]()
    while time.monotonic() < end:
        print(f"seed {seed}", flush=True)
        try:
            asyncio.run(_suffer(seed, end, counted))
        except Exception:  # noqa: BLE001 - whatever it was, the next trial is run
            traceback.print_exc()
            failed.append(seed)
        if given.seed is not None:
            break
        seed += 1
    table(("Trouble", "Times it was survived"), [(name, str(times)) for name, times in counted.most_common()])
    print(f"\n{len(failed)} trials failed.", *(f"make failures SEED={one}" for one in failed), sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
