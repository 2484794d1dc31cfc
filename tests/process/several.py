"""A hub of several workers, as `gateway serve --workers` runs it, before one provider; and a load of signed questions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from gateway import config
from gateway.adapters.store_reader import LogReader
from gateway.exchangelog.audit import audit
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.note import Signer
from gateway.reading import read_log_keys
from tests.path import hub as memory
from tests.path.hub import Answered, signed_question
from tests.process import running
from tests.process.running import Running

CONTRACTS = memory.ROOT / "contracts"
WORK = "WIB:WORK_DECISION"


@dataclass
class Several(Running):
    """As `Running`; its operational log is a file."""

    process: asyncio.subprocess.Process | None = None

    def events(self, *names: str) -> list[dict[str, object]]:
        return [line for line in events(self.directory) if line["event"] in names]

    async def reload(self, change) -> list[dict[str, object]]:
        """Change files and have all look at them, until each has put something in force; what they say of it.

        One that was looking already while the files were written may say first that they are not in order.
        """
        before, workers = len(self.events("reloaded")), set(self.workers())
        change()
        self.process.send_signal(signal.SIGHUP)
        await until(lambda: {line["worker"] for line in self.events("reloaded")[before:]} == workers)
        return self.events("reloaded")[before:]

    def workers(self) -> dict[int, int]:
        """Number → process, of those that are there."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = {}
        for child in children:
            with suppress(OSError, ValueError, IndexError):
                given = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[-2]
                found[json.loads(given)["number"]] = int(child)
        return found

    async def metrics(self) -> dict[str, float]:
        """What is scraped: the series with its labels as they are written → value."""
        async with aiohttp.ClientSession() as session, session.get(self.operations + "/metrics") as response:
            text = await response.text()
        return {
            f"{one.name}{json.dumps(one.labels, sort_keys=True)}": one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }

    async def readiness(self) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.operations + "/readyz") as response:
            return response.status, await response.text()

    def answered_by(self) -> set[int]:
        """Which workers answered exchanges."""
        return {int(str(line["worker"])) for line in self.events("exchange")}


def events(directory: Path) -> list[dict[str, object]]:
    lines = (directory / "hub.log").read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


async def until(done) -> None:
    for _ in range(1800):
        if done():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it does not come to that")


@asynccontextmanager
async def several(
    directory: Path, answering=memory.answer_well, contracts: Path = CONTRACTS, **limits: object
) -> AsyncIterator[Several]:
    """Two workers. `answering`, `limits`: as `running_hub`; `contracts`: a directory of the test's own."""
    async with AsyncExitStack() as stack:
        memory.place_pki(directory / "pki")
        prepare(directory, await running.provider(stack, directory / "pki", answering), contracts, **limits)
        process = await started(directory)
        try:
            await until(lambda: process.returncode is not None or _serving(directory))
            assert process.returncode is None, (directory / "hub.log").read_text()
            told = _serving(directory)
            yield Several(str(told["url"]), str(told["operations"]), directory, None, process=process)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def prepare(directory: Path, endpoint: str, contracts: Path = CONTRACTS, **limits: object) -> None:
    """What a hub needs that is not there yet: settings, register, log, and a dossier. `endpoint`: of the platform."""
    settings = running.write_settings(directory, endpoint, limits, contracts)
    running.inscribe(settings.log.store, settings.keys.directory_key)


async def started(directory: Path, *options: str) -> asyncio.subprocess.Process:
    # What workers count together stays behind when their supervisor is killed: here, not in /dev/shm.
    environment = {**os.environ, "PYTHONPATH": str(memory.ROOT), "RUNTIME_DIRECTORY": str(directory)}
    with (directory / "hub.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--workers", "2", *options),
            *("--config", str(directory / "gateway.toml")),
            env=environment,
            stderr=log,
        )


def _serving(directory: Path) -> dict[str, object] | None:
    return next((line for line in events(directory) if line["event"] == "serving"), None)


@dataclass
class Load:
    """Askers, each with one connection after the other, and what came back."""

    hub: Several
    running: bool = True
    released: list[Answered] = field(default_factory=list)
    refused: list[str | None] = field(default_factory=list)
    signed_by: list[bytes] = field(default_factory=list)  # certificates, DER
    cut: int = 0  # connections that ended without an answer

    async def ask(self) -> None:
        while self.running:
            tls = self.hub.tls("BRUSSELS")
            connector = aiohttp.TCPConnector(ssl=tls)
            async with aiohttp.ClientSession(connector=connector) as session:
                for _ in range(3):
                    await self._once(session)

    async def _once(self, session: aiohttp.ClientSession) -> None:
        data = question()
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        try:
            async with session.post(
                self.hub.url, data=data, headers=headers, server_hostname="gateway.wib.example"
            ) as response:
                answered, signed_by = running.verified(await response.read())
        except (aiohttp.ClientError, ConnectionError):
            self.cut += 1
            return
        if answered.code is None:
            self.released.append(answered)
            self.signed_by.append(signed_by)
        else:
            self.refused.append(answered.code)


@asynccontextmanager
async def load(hub: Several, askers: int = 3) -> AsyncIterator[Load]:
    """While the block runs. It ends when every asker has its last answer."""
    made = Load(hub)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(askers):
            tasks.create_task(made.ask())
        try:
            yield made
        finally:
            made.running = False


def question(ticket: str | None = None) -> bytes:
    """BRUSSELS's own, of the dossier that the platform holds."""
    ticket = ticket or str(uuid.uuid4())
    return signed_question("BRUSSELS", "consultDossier", WORK, None, datetime.now(UTC), ticket=ticket)


@contextmanager
def log_of(directory: Path):
    settings = config.load(directory / "gateway.toml")
    with LogReader.open(settings.log.store) as log:
        yield log


def flaws(directory: Path) -> set[Flaw]:
    """What an audit of the whole log finds."""
    settings = config.load(directory / "gateway.toml")
    verifier = Signer.of(settings.log.origin, read_log_keys(settings.keys.log_key)[0]).verifier
    with log_of(directory) as log:
        return {one.flaw for one in audit(log, log.head(), [verifier])}


def recorded(directory: Path, answered: Answered) -> bool:
    """Whether the log has the entry that a reply names."""
    (index,), (exchange, *_) = answered.texts("index"), answered.texts("ticketGateway")
    with log_of(directory) as log:
        return int(index) in log.exchange(exchange)
