"""Four nodes on a primary and a standby, and one trouble after the other; after each everything goes on by itself."""

from __future__ import annotations

import asyncio
import base64
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.adapters.store_log import new_log
from gateway.exchangelog.leaf import Kind
from tests.path.hub import ROOT
from tests.postgres.cluster import OWNER, Cluster, cluster, uri
from tests.postgres.disk import FULL, SLOW, injected
from tests.postgres.judge import Told, judge
from tests.postgres.relay import Relay, Wire, relay
from tests.postgres.stores import place_of, reading
from tests.postgres.until import until
from tests.process.store_world import SIGNER, VERIFIER

NODES: Final = 4


@dataclass
class Node:
    """A process that appends. Each of its wires leads to one of the servers."""

    name: str
    place: Path
    wires: list[Relay]
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0

    def start(self) -> None:
        self.lives += 1
        name = f"{self.name}.{self.lives}"
        where = uri(*(one.port for one in self.wires)), str(self.place / "keys"), name
        command = [sys.executable, "-m", "tests.postgres.appending", *where]
        with (self.place / f"{name}.out").open("wb") as out, (self.place / f"{name}.err").open("wb") as err:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def written(self) -> int:
        """Bytes of what it was promised: a line is written at once."""
        return sum(file.stat().st_size for file in self.place.glob(f"{self.name}.*.out"))

    def told(self) -> list[Told]:
        """What it was promised, in all its lives. A line that was not finished was not read by anybody."""
        files = self.place.glob(f"{self.name}.*.out")
        lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
        return [_read(line) for line in lines if line.endswith("\n")]


def _read(line: str) -> Told:
    kind, exchange, index, note = line.split()
    return Told(exchange, int(index), base64.b64decode(note), Kind(kind))


@dataclass
class Trial:
    """`chance` decides what happens to whom. Made by `trial`."""

    cluster: Cluster
    nodes: list[Node]
    chance: random.Random
    troubles: dict[str, object] = field(init=False)

    def __post_init__(self) -> None:
        self.troubles = {
            "a node is killed": self.kill_node,
            "the database ends the sessions of all": self.end_sessions,
            "the wires of a node are cut": self.cut,
            "a node is told that the database has ended": self.half_close,
            "the wires of a node stall": self.stall,
            "the answer to a commit is lost": lambda: self.lose(Wire.ANSWER_LOST),
            "a commit is lost": lambda: self.lose(Wire.COMMIT_LOST),
            "the database hangs": self.hang,
            "the disk is slow": self.slow_disk,
            "the disk is full": self.full_disk,
            "the primary crashes": self.crash,
            "the standby is away": self.lose_standby,
            "the primary dies, and the standby is promoted": self.fail_over,
        }

    async def suffer(self, trouble: str) -> None:
        """Have it happen, under load; then every node appends again."""
        await self.troubles[trouble]()
        await self.go_on()

    async def go_on(self) -> None:
        """Every node was promised more than before."""
        for node in self.nodes:
            before = node.written()

            async def more(node: Node = node, before: int = before) -> bool:
                assert node.process.poll() is None, (
                    self.nodes[0].place / f"{node.name}.{node.lives}.err"
                ).read_text()[-2000:]
                return node.written() > before

            await until(more, f"{node.name} appends")

    def judge(self) -> None:
        told = [one for node in self.nodes for one in node.told()]
        with reading(uri(self.cluster.primary.port)) as log:
            judge(log, [VERIFIER], told)

    async def kill_node(self) -> None:
        node = self.chance.choice(self.nodes)
        node.kill()
        node.start()

    async def end_sessions(self) -> None:
        mine = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{OWNER}'"
        self.cluster.primary.ask(mine)

    async def cut(self) -> None:
        for wire in self.chance.choice(self.nodes).wires:
            wire.cut()

    async def half_close(self) -> None:
        for wire in self.chance.choice(self.nodes).wires:
            wire.half_close()

    async def stall(self) -> None:
        """Longer than a node waits: meanwhile the others go on, and it holds nothing that they need for good."""
        node = self.chance.choice(self.nodes)
        for wire in node.wires:
            await wire.become(Wire.STALLED)
        others, self.nodes = self.nodes, [one for one in self.nodes if one is not node]
        await self.go_on()
        self.nodes = others
        for wire in node.wires:
            await wire.become(Wire.WHOLE)

    async def lose(self, state: Wire) -> None:
        node = self.chance.choice(self.nodes)
        before = [wire.lost for wire in node.wires]
        for wire in node.wires:
            await wire.become(state)

        async def lost() -> bool:
            return [wire.lost for wire in node.wires] != before

        await until(lost, state)
        for wire in node.wires:
            await wire.become(Wire.WHOLE)

    async def hang(self) -> None:
        self.cluster.primary.signal(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(0.1, 1))
        self.cluster.primary.signal(signal.SIGCONT)

    async def slow_disk(self) -> None:
        with injected(self.cluster.primary, SLOW):
            await self.go_on()

    async def full_disk(self) -> None:
        """PostgreSQL gives up when it cannot write ahead; when there is room again somebody starts it."""
        primary = self.cluster.primary
        with injected(primary, FULL):
            await asyncio.sleep(self.chance.uniform(0.2, 1))
        await asyncio.to_thread(primary.start_again)

    async def crash(self) -> None:
        self.cluster.primary.kill()
        await asyncio.to_thread(self.cluster.primary.start)

    async def lose_standby(self) -> None:
        """Nothing is acknowledged that it does not have; what was under way is unknown to the nodes."""
        standby = self.cluster.standby
        standby.kill()
        await asyncio.sleep(self.chance.uniform(0.1, 1))
        await asyncio.to_thread(standby.start)

    async def fail_over(self) -> None:
        self.cluster.fail_over()
        await self.go_on()
        await asyncio.to_thread(self.cluster.follow)
        await asyncio.to_thread(self.cluster.wait_for_standby)


@asynccontextmanager
async def trial(place: Path, chance: random.Random, count: int = NODES) -> AsyncIterator[Trial]:
    """All nodes append; a commit waits for the standby."""
    async with AsyncExitStack() as stack:
        both = stack.enter_context(cluster())
        both.wait_for_standby()
        new_log(place_of(uri(both.primary.port)), [SIGNER])
        nodes = []
        for number in range(count):
            wires = [await stack.enter_async_context(relay(server.port)) for server in both.servers]
            nodes.append(Node(f"node-{number}", place, wires))
        stack.callback(lambda: [node.kill() for node in nodes if node.process])
        for node in nodes:
            node.start()
        made = Trial(both, nodes, chance)
        await made.go_on()
        yield made
