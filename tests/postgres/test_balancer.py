"""Two nodes behind HAProxy, under load: one is told to stop, then one is killed."""

from __future__ import annotations

import signal

from tests.postgres.judge import judge
from tests.postgres.load import CALLERS, constant_load
from tests.postgres.nodes import balancer, opened, running_nodes


async def test_node_that_is_told_to_stop_fails_no_exchange_and_one_that_is_killed_only_those_under_way(
    tmp_path,
):
    async with running_nodes(tmp_path, drain_seconds=3600) as nodes, balancer(nodes) as proxy:
        one, other = nodes.nodes
        await proxy.until_up("node-1", "node-2")
        async with constant_load(nodes.pki, proxy.port) as load:
            await load.further()
            assert await one.used()
            assert await other.used()
            one.send(signal.SIGTERM)
            await one.until_ready(ready=False)
            await proxy.until_up("node-2")
            await one.until_unused()  # every caller went to the other, with its next exchange
            one.send(signal.SIGTERM)
            assert await one.process.wait() == 0
            await load.further()
            assert (load.refused, load.broken) == ([], [])

            await one.start()
            await proxy.until_up("node-1", "node-2")
            await load.further()
            await other.kill()
            await proxy.until_up("node-1")
            await load.further()
            assert load.refused == []
            assert len(load.broken) <= CALLERS
        log, keys = opened(nodes)
        with log:
            judge(log, keys, load.told)
