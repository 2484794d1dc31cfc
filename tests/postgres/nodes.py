"""Nodes of one hub, each `gateway serve` in a process of its own, and HAProxy before them by deploy/haproxy.cfg."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from gateway.adapters.log_key import ensure_log
from gateway.adapters.pin import write_pin
from gateway.adapters.store_reader import LogReader
from gateway.config import load
from gateway.exchangelog.note import NoteKey, Signer
from gateway.model import AuthorityId
from gateway.reading import read_log_keys
from gateway.sandbox.settings import hub_settings, register_with_endpoints
from gateway.sandbox.signatures import sign_agreement
from tests.path import hub as memory
from tests.postgres.until import until
from tests.process.running import inscribe, provider

URL = "https://gateway.wib.example/soap/v1"  # the balancer's, so every node's
ORIGIN = "gateway.wib.example/exchange-log"
_HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
_CONNECTIONS = re.compile(r'^gateway_connections\{listener="soap"\} (\S+)$', re.MULTILINE)


@dataclass
class Node:
    """One process. Its ports are its own from the first start on, as a balancer's settings name them."""

    name: str
    place: Path
    process: asyncio.subprocess.Process | None = None
    port: int = 0
    operations: int = 0

    @property
    def settings(self) -> Path:
        return self.place / f"{self.name}.toml"

    @property
    def pin(self) -> Path:
        return self.place / f"{self.name}.pin"

    @property
    def lines(self) -> Path:
        """The operational log."""
        return self.place / f"{self.name}.log"

    async def start(self) -> None:
        """Until it serves."""
        command = sys.executable, "-m", "gateway", "serve", "--config", str(self.settings)
        self.lines.unlink(missing_ok=True)
        with self.lines.open("wb") as stream:
            self.process = await asyncio.create_subprocess_exec(*command, cwd=memory.ROOT, stderr=stream)

        async def serves() -> bool:
            assert self.process.returncode is None, self.lines.read_text()[-2000:]
            return bool(self.events("serving"))

        await until(serves, f"{self.name} serves")
        (serving,) = self.events("serving")
        self.port, self.operations = (urlsplit(serving[key]).port for key in ("url", "operations"))
        text = self.settings.read_text()
        text = re.sub(r"(?m)^port = .*$", f"port = {self.port}", text)
        text = re.sub(r"(?m)^operations_port = .*$", f"operations_port = {self.operations}", text)
        self.settings.write_text(text)

    def events(self, name: str) -> list[dict[str, str]]:
        """Lines of the operational log with this event."""
        whole = [line for line in self.lines.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in map(json.loads, whole) if line["event"] == name]

    async def get(self, page: str) -> tuple[int, str]:
        """A page of the operations listener."""
        url = f"http://127.0.0.1:{self.operations}{page}"
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            return reply.status, await reply.text()

    async def until_ready(self, *, ready: bool = True) -> None:
        async def is_so() -> bool:
            return ((await self.get("/readyz"))[0] == 200) is ready

        await until(is_so, f"{self.name} is {'' if ready else 'not '}ready")

    async def used(self) -> bool:
        """Whether callers have connections to it."""
        (count,) = _CONNECTIONS.findall((await self.get("/metrics"))[1])
        return float(count) > 0

    async def until_unused(self) -> None:
        async def is_so() -> bool:
            return not await self.used()

        await until(is_so, f"{self.name} has no connection")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.process.wait()

    async def close(self) -> None:
        """Whatever state it is in."""
        if self.process is not None and self.process.returncode is None:
            await self.kill()


@dataclass
class Nodes:
    """The nodes of one hub on one store, the platform that answers them, and all files in one directory."""

    place: Path
    nodes: list[Node] = field(default_factory=list)

    @property
    def pki(self) -> Path:
        return self.place / "pki"


async def _platform(stack: AsyncExitStack, pki: Path) -> str:
    """An endpoint that answers every question. Its URL."""
    return await provider(stack, pki, memory.answer_well)


@asynccontextmanager
async def running_nodes(
    place: Path,
    count: int = 2,
    store: str = "store.db",
    platform: Callable[[AsyncExitStack, Path], Awaitable[str]] = _platform,
    delivery: str = "",
    **settings: object,
):
    """`store`: as in the settings. `platform`: begins its endpoint. `delivery`, `settings`: lines of [delivery], [listen]."""
    async with AsyncExitStack() as stack:
        nodes = Nodes(place, [Node(f"node-{number}", place) for number in range(1, count + 1)])
        memory.place_pki(nodes.pki)
        endpoint = await platform(stack, nodes.pki)
        register = (memory.ROOT / "contracts/register.toml").read_text()
        register = register_with_endpoints(register, {AuthorityId("PLATFORM"): endpoint})
        (place / "register.toml").write_text(register)
        sign_agreement(memory.ROOT / "contracts", nodes.pki, place / "signatures", datetime.now(UTC))
        text = hub_settings(memory.ROOT / "contracts", ORIGIN, URL).replace('"store.db"', json.dumps(store))
        text += delivery  # its last section
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        for node in nodes.nodes:
            pinned = text.replace("[log]\n", f'[log]\npin = "{node.pin.name}"\n')
            node.settings.write_text(pinned.replace("[listen]\n", f"[listen]\n{lines}"))
            stack.push_async_callback(node.close)
        await asyncio.to_thread(_begin, nodes.nodes)  # perhaps over a wire of this very loop
        await asyncio.gather(*(node.start() for node in nodes.nodes))
        yield nodes


def _begin(nodes: list[Node]) -> None:
    """The log, the pin of each node, and a dossier in the directory."""
    known = load(nodes[0].settings)
    ensure_log(known.log.store, known.keys.log_key, known.log.origin, known.log.bucket_keys)
    with LogReader.open(known.log.store) as log:
        for node in nodes:
            write_pin(node.pin, log.checkpoint)
    inscribe(known.log.store, known.keys.directory_key)


def log_keys(nodes: Nodes) -> list[NoteKey]:
    """What checkpoints of their log are verified with."""
    keys = read_log_keys(load(nodes.nodes[0].settings).keys.log_key)
    return [Signer.of(ORIGIN, key).verifier for key in keys]


class Balancer:
    """HAProxy before the nodes."""

    def __init__(self, port: int, admin: Path) -> None:
        self.port = port
        self._admin = admin

    async def up(self) -> set[str]:
        """Names of the nodes that get new connections."""
        reader, writer = await asyncio.open_unix_connection(self._admin)
        writer.write(b"show stat hubs 4 -1\n")  # 4: servers
        table = (await reader.read()).decode()
        writer.close()
        rows = [line.split(",") for line in table.splitlines() if line]
        name, status = rows[0].index("svname"), rows[0].index("status")
        return {row[name] for row in rows[1:] if row[status].startswith("UP")}

    async def until_up(self, *names: str) -> None:
        async def are_so() -> bool:
            return await self.up() == set(names)

        await until(are_so, f"the balancer uses {names}")


@asynccontextmanager
async def balancer(nodes: Nodes):
    """By the example of deploy/, with this machine's addresses in it, and looking ten times as often."""
    admin, config, lines = (nodes.place / name for name in ("admin.sock", "haproxy.cfg", "haproxy.log"))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as bound, lines.open("wb") as log:
        config.write_text(_addressed(nodes, bound.fileno(), admin))
        command = _HAPROXY, "-db", "-f", str(config)
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, pass_fds=[bound.fileno()]
        )
        try:

            async def answers() -> bool:
                assert process.returncode is None, lines.read_text()
                return admin.exists()

            await until(answers, "HAProxy runs")
            yield Balancer(bound.getsockname()[1], admin)
        finally:
            process.kill()
            await process.wait()


def _addressed(nodes: Nodes, listening: int, admin: Path) -> str:
    """The example; `listening`: the socket that it inherits."""
    text = (memory.ROOT / "deploy/haproxy.cfg").read_text()
    for old, new in (
        ("    user haproxy\n    group haproxy\n", ""),
        ("maxconn 4096", "maxconn 256"),
        ("/run/haproxy/admin.sock", str(admin)),
        ("bind :8443", f"bind fd@{listening}"),
        ("inter 1s", "inter 100ms"),
        *(
            (
                f"hub-{at} 192.0.2.1{at}:8443 check port 9464",
                f"{node.name} 127.0.0.1:{node.port} check port {node.operations}",
            )
            for at, node in enumerate(nodes.nodes, 1)
        ),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
