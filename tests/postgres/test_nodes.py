"""Four nodes that only append, on a primary with a synchronous standby: every trouble once, in an order of chance."""

from __future__ import annotations

import random

from tests.postgres.trial import trial

SEED = 20261128


async def test_whatever_happens_the_log_stays_one_and_the_nodes_go_on_by_themselves(tmp_path):
    chance = random.Random(SEED)
    print("seed", SEED)
    async with trial(tmp_path, chance) as one:
        for trouble in chance.sample(list(one.troubles), len(one.troubles)):
            print(trouble)
            await one.suffer(trouble)
        one.judge()
