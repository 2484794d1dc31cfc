"""Two nodes behind HAProxy, on a primary with a synchronous standby, under load: what dies, in this order."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.path.hub import ROOT
from tests.postgres.cluster import Cluster, cluster, uri
from tests.postgres.judge import Told, judge
from tests.postgres.load import CALLERS, constant_load
from tests.postgres.nodes import Balancer, Nodes, balancer, log_keys, running_nodes
from tests.postgres.stores import reading

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Site:
    """What an installation has."""

    database: Cluster
    nodes: Nodes
    proxy: Balancer
    told: list[Told] = field(default_factory=list)  # in all tests: every checkpoint that was ever released

    @asynccontextmanager
    async def under_load(self):
        """Afterwards nothing is amiss."""
        await self.proxy.until_up("node-1", "node-2")
        async with constant_load(self.nodes.pki, self.proxy.port) as load:
            await load.further()
            yield load
            await load.further()
        self.told += load.told
        with reading(uri(self.database.primary.port)) as log:
            judge(log, log_keys(self.nodes), self.told)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("site")
    with cluster() as both:
        both.wait_for_standby()
        store = uri(*(one.port for one in both.servers))
        async with (
            running_nodes(place, 2, store=store, drain_seconds=3600) as nodes,
            balancer(nodes) as proxy,
        ):
            yield Site(both, nodes, proxy)


async def test_primary_dies_and_both_nodes_find_the_standby_that_is_promoted(site):
    async with site.under_load() as load:
        site.database.primary.kill()
        await site.proxy.until_up()  # no node can record
        site.database.promote()
        await site.proxy.until_up("node-1", "node-2")
    assert set(load.refused) <= {"WIB10001"}


async def test_node_that_is_told_to_stop_fails_no_exchange(site):
    one, other = site.nodes.nodes
    async with site.under_load() as load:
        assert await one.used()
        assert await other.used()
        one.send(signal.SIGTERM)
        await one.until_ready(ready=False)
        await site.proxy.until_up("node-2")
        await one.until_unused()  # every caller went to the other, with its next exchange
        one.send(signal.SIGTERM)
        assert await one.process.wait() == 0
    assert (load.refused, load.broken) == ([], [])
    await one.start()


async def test_node_that_is_killed_fails_the_exchanges_under_way_and_no_other(site):
    async with site.under_load() as load:
        await site.nodes.nodes[1].kill()
        await site.proxy.until_up("node-1")
    assert load.refused == []
    assert len(load.broken) <= CALLERS
    verified = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "log", "verify", "--config", str(site.nodes.nodes[0].settings)),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await verified.wait() == 0
