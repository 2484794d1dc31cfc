"""A notification that one node has taken, and then died with, is delivered by another: once, and in order."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from gateway.adapters.tls import server_context
from gateway.agreement import notices
from gateway.exchangelog.audit import audit
from gateway.exchangelog.flaw import Flaw
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.path.notifying import GRANTED, PERMIT, RESIDENCE, WORK, told
from tests.postgres.cluster import server, uri
from tests.postgres.load import HEADERS, calling
from tests.postgres.nodes import Nodes, log_keys, running_nodes
from tests.postgres.stores import reading
from tests.postgres.until import until
from tests.process.running import TRUST, verified

OFFICE = "IMMIGRATION_OFFICE"
# Who tells the platform what, each about the same dossier.
TOLD = (
    ("BRUSSELS", "notifyWorkDecision", WORK, GRANTED),
    (OFFICE, "notifyResidenceDecision", RESIDENCE, {"residenceDecision": PERMIT["residenceDecision"]}),
    (OFFICE, "notifyPermit", RESIDENCE, PERMIT),
)


class Clock:
    """In the place of the hub in memory, where messages are made."""

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Platform:
    """An endpoint that nobody can connect to until it is opened, and what it then received."""

    bound: socket.socket
    stack: AsyncExitStack | None = None
    pki: Path | None = None
    received: list[notices.Notice] = field(default_factory=list)

    async def begin(self, stack: AsyncExitStack, pki: Path) -> str:
        self.stack, self.pki = stack, pki
        return f"https://127.0.0.1:{self.bound.getsockname()[1]}/soap"

    async def open(self) -> None:
        application = web.Application()
        application.router.add_post("/soap", self._take)
        runner = web.AppRunner(application)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        own = self.pki / "PLATFORM"
        tls = server_context(own / "tls.crt.pem", own / "tls.key.pem", [self.pki / one for one in TRUST])
        await web.SockSite(runner, self.bound, ssl_context=tls).start()

    async def _take(self, request: web.Request) -> web.Response:
        message = verify(read(await request.read(), Limits()), Window(), datetime.now(UTC))
        notice = notices.read_notification(parse_verified(message.body)[0])
        self.received.append(notice)
        answer = memory.take_well(Clock(), memory.authority("PLATFORM"), notice)
        return web.Response(body=answer, content_type="text/xml")


async def tell(nodes: Nodes, port: int, name: str, *said: object) -> str:
    """The id that the receipt has."""
    async with (
        calling(nodes.pki, name) as session,
        session.post(
            f"https://127.0.0.1:{port}/soap/v1",
            data=told(Clock(), name, *said),
            headers=HEADERS,
            server_hostname="gateway.wib.example",
        ) as response,
    ):
        answered, _ = verified(await response.read())
    assert response.status == 200, answered.code
    (exchange, *_) = answered.texts("ticketGateway")
    return exchange


async def test_what_a_node_took_and_died_with_is_delivered_by_another_once_and_in_order(tmp_path):
    with server() as database, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        platform, store = Platform(bound), uri(database.port)
        async with running_nodes(tmp_path, 2, store, platform.begin, "lease_seconds = 20.0\n") as nodes:
            taker, other = nodes.nodes
            receipts = [await tell(nodes, taker.port, *said) for said in TOLD]
            await taker.kill()
            await platform.open()

            async def settled() -> bool:
                ends = [line for line in other.events("delivery") if line["outcome"] == "acknowledged"]
                return [line["exchange"] for line in ends] == receipts

            await until(settled, "the other node has delivered all three")
            assert [one.question.on_behalf.exchange for one in platform.received] == receipts
        with reading(store) as log:
            found = {one.flaw for one in audit(log, log.head(), log_keys(nodes))}
        assert found <= {Flaw.UNSETTLED}  # in the mailboxes of others
