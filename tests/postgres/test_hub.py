"""A hub under load while something happens to its database, or to the wire between them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from gateway.adapters.pin import read_pin
from gateway.exchangelog.checkpoint import open_checkpoint
from tests.postgres.cluster import OWNER, Server, server, uri
from tests.postgres.disk import FULL, SLOW, injected
from tests.postgres.judge import Told, judge
from tests.postgres.load import calling, constant_load
from tests.postgres.nodes import Node, Nodes, log_keys, running_nodes
from tests.postgres.relay import Relay, Wire, relay
from tests.postgres.stores import reading
from tests.postgres.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Hub:
    """One node, and a database at the other end of a wire."""

    database: Server
    wire: Relay
    nodes: Nodes
    told: list[Told] = field(default_factory=list)  # in all tests: every checkpoint that was ever released

    @property
    def node(self) -> Node:
        return self.nodes.nodes[0]

    @asynccontextmanager
    async def under_load(self):
        """Something happens within; afterwards exchanges are answered, and nothing is amiss."""
        async with constant_load(self.nodes.pki, self.node.port) as load:
            await load.further()
            yield load
            await self.node.until_ready()
            await load.further()
        self.told += load.told
        with reading(uri(self.database.port)) as log:
            judge(log, log_keys(self.nodes), self.told)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory):
    with server() as database:
        async with (
            relay(database.port) as wire,
            running_nodes(tmp_path_factory.mktemp("hub"), 1, store=uri(wire.port)) as nodes,
        ):
            yield Hub(database, wire, nodes)


async def test_sessions_that_the_database_ends_are_begun_anew(hub):
    async with hub.under_load() as load:
        hub.database.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{OWNER}'")
        await load.further()
    assert load.broken == []


async def test_wire_that_is_cut_is_replaced(hub):
    async with hub.under_load() as load:
        hub.wire.cut()
        await load.further()
    assert load.broken == []


async def test_database_that_is_silent_makes_the_hub_unready_until_it_speaks(hub):
    async with hub.under_load() as load:
        await hub.wire.become(Wire.STALLED)
        await hub.node.until_ready(ready=False)
        assert (await hub.node.get("/healthz"))[0] == 200
        await hub.wire.become(Wire.WHOLE)
    assert load.broken == []
    assert set(load.refused) <= {"WIB10001"}


@pytest.mark.parametrize("lost", [Wire.ANSWER_LOST, Wire.COMMIT_LOST])
async def test_commit_of_which_nothing_is_known_is_acknowledged_to_nobody(hub, lost):
    async with hub.under_load() as load:
        before = hub.wire.lost
        await hub.wire.become(lost)
        await load.until_refused()
        await hub.wire.become(Wire.WHOLE)
        assert hub.wire.lost > before
    assert load.broken == []
    assert set(load.refused) == {"WIB10001"}


async def test_disk_that_is_full_stops_exchanges_until_there_is_room(hub):
    async with hub.under_load() as load:
        with injected(hub.database, FULL):
            await load.until_refused()
            await hub.node.until_ready(ready=False)
        hub.database.start_again()
    assert set(load.refused) == {"WIB10001"}


async def test_hub_that_nobody_asks_notices_that_its_database_is_gone_and_when_it_is_back(hub):
    hub.database.kill()
    await hub.node.until_ready(ready=False)
    assert "\ngateway_ready 0.0\n" in (await hub.node.get("/metrics"))[1]
    hub.database.start()
    await hub.node.until_ready()
    assert "\ngateway_ready 1.0\n" in (await hub.node.get("/metrics"))[1]


async def test_disk_that_is_slow_fails_no_exchange(hub):
    async with hub.under_load() as load:
        with injected(hub.database, SLOW):
            await load.further()
    assert (load.refused, load.broken) == ([], [])


async def test_after_all_of_this_the_pin_and_the_log_over_http_still_follow(hub):
    with reading(uri(hub.database.port)) as log:
        head = log.head()

    async def follows() -> bool:
        return read_pin(hub.node.pin, log_keys(hub.nodes)).size == head.size

    await until(follows, "the pin is the log's checkpoint")
    url = f"https://127.0.0.1:{hub.node.port}/log/checkpoint"
    async with calling(hub.nodes.pki) as session:
        notes = list[bytes]()

        async def served() -> bool:
            async with session.get(url, server_hostname="gateway.wib.example") as reply:
                notes.append(await reply.read())
                return reply.status == 200

        await until(served, "the checkpoint is served")
    assert open_checkpoint(notes[-1], log_keys(hub.nodes)).root == head.root
