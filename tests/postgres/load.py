"""Callers who consult without pause, and remember what they were told: the load under which things are broken."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from gateway.adapters.tls import client_context
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.postgres.judge import Told
from tests.postgres.until import until
from tests.process.running import TRUST

CALLERS = 4
HEADERS = {"Content-Type": "text/xml; charset=utf-8"}


@dataclass
class Load:
    """What the callers were told so far. Each has at most one exchange under way."""

    told: list[Told] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # codes of faults
    broken: list[str] = field(default_factory=list)  # connections that ended without a reply

    async def further(self, count: int = 3 * CALLERS) -> None:
        """Until so many more exchanges were answered."""
        enough = len(self.told) + count

        async def answered() -> bool:
            return len(self.told) >= enough

        await until(answered, f"{count} more exchanges: {self.refused[-3:]} {self.broken[-3:]}")

    async def until_refused(self) -> None:
        """Until another exchange was refused."""
        before = len(self.refused)

        async def refused() -> bool:
            return len(self.refused) > before

        await until(refused, "an exchange is refused")

    async def ask(self, session: aiohttp.ClientSession, url: str) -> None:
        """One exchange."""
        message = memory.signed_question(
            "BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, datetime.now(UTC)
        )
        try:
            async with session.post(
                url, data=message, headers=HEADERS, server_hostname="gateway.wib.example"
            ) as response:
                reply = await response.read()
        except (aiohttp.ClientError, ConnectionError) as error:
            self.broken.append(type(error).__name__)
            return
        body = parse_verified(verify(read(reply, Limits()), Window(), datetime.now(UTC)).body)[0]
        answered = memory.Answered(None, body)
        if response.status == 200:
            (exchange,), (index,), (note,) = map(answered.texts, ("ticketGateway", "index", "checkpoint"))
            self.told.append(Told(exchange, int(index), base64.b64decode(note)))
        else:
            self.refused.append(str(answered.code))


def calling(pki: Path, authority: str = "BRUSSELS") -> aiohttp.ClientSession:
    """Of one authority, over one connection."""
    own = pki / authority
    tls = client_context(own / "tls.crt.pem", own / "tls.key.pem", [pki / one for one in TRUST])
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=1))


@asynccontextmanager
async def constant_load(pki: Path, port: int, callers: int = CALLERS):
    """Callers, each with a connection that it keeps for as long as it is let."""
    load, url, ended = Load(), f"https://127.0.0.1:{port}/soap/v1", asyncio.Event()

    async def caller() -> None:
        async with calling(pki) as session:
            while not ended.is_set():
                before = len(load.broken) + len(load.refused)
                await load.ask(session, url)
                if len(load.broken) + len(load.refused) > before:
                    await asyncio.sleep(0.05)  # as a client that tries again

    working = [asyncio.create_task(caller()) for _ in range(callers)]
    try:
        yield load
    finally:
        ended.set()
        await asyncio.gather(*working)
