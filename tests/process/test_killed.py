"""A hub that is killed, again and again, at whatever it is doing: nothing accepted is lost, and order holds.

Senders repeat with the same ticket what was not receipted; recipients cut some acknowledgements off.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import uuid
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.adapters.log_key import ensure_log
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_file import Use, connect
from gateway.adapters.store_reader import LogReader
from gateway.adapters.tls import client_context, server_context
from gateway.agreement import notices
from gateway.agreement.identifiers import dossier_number
from gateway.config import load
from gateway.exchangelog.audit import audit
from gateway.exchangelog.note import Signer
from gateway.model import AuthorityId, Criteria, DossierScope, Inscription, Role
from gateway.reading import read_log_keys
from gateway.sandbox.settings import hub_settings, register_with_endpoints
from gateway.sandbox.signatures import sign_agreement
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.path.notifying import dossier
from tests.process.running import TRUST

ROUNDS = 5  # times that the hub is killed
DOSSIERS = [dossier_number(2026, number) for number in range(501, 505)]
PARTS = [
    ("PLATFORM", Role.PLAT),
    ("BRUSSELS", Role.REG),
    ("IMMIGRATION_OFFICE", Role.OE),
    ("NSSO", Role.NSSO),
]


@dataclass
class Inbox:
    """A recipient's endpoint: it keeps what it gets, and cuts every fifth acknowledgement off."""

    name: str
    chance: random.Random
    first: dict[str, list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )  # dossier → numbers in order
    tickets: set[str] = field(default_factory=set)
    repeated: int = 0

    async def serve(self, request: web.Request) -> web.Response:
        body = parse_verified(verify(read(await request.read(), Limits()), Window(), datetime.now(UTC)).body)[
            0
        ]
        notice = notices.read_notification(body)
        ticket, number = notice.question.customer.ticket, notice.question.criteria.dossier
        if ticket in self.tickets:
            self.repeated += 1
        else:
            self.tickets.add(ticket)
            (day,) = notice.payload.iter("{*}periodStart")
            self.first[number].append((date.fromisoformat(day.text) - date(2026, 1, 1)).days)
        if self.chance.random() < 0.2:
            request.transport.abort()
        body = memory.acknowledgement(notice.question)
        return web.Response(body=memory.sign_as(self.name, body, datetime.now(UTC)), content_type="text/xml")


@dataclass
class Sender:
    """Tells of one dossier what happened, one event after the other; what is not receipted it tells again."""

    number: str
    told: int = 0  # events that were receipted
    ticket: str = field(default_factory=lambda: str(uuid.uuid4()))

    async def run(self, url: str, session: aiohttp.ClientSession) -> None:
        while True:
            try:
                await self._tell(url, session)
            except (aiohttp.ClientError, ConnectionError):
                return  # the hub is gone
            self.told, self.ticket = self.told + 1, str(uuid.uuid4())

    async def _tell(self, url: str, session: aiohttp.ClientSession) -> None:
        now = datetime.now(UTC)
        day = (date(2026, 1, 1) + timedelta(days=self.told)).isoformat()
        payload = dossier({"socialSecurity": {"declared": "true", "periodStart": day}})
        asked = memory.question(
            "NSSO",
            "notifySocialSecurityEvent",
            "WIB:WORK_DECISION",
            Criteria(self.number),
            now,
            ticket=self.ticket,
        )
        message = memory.sign_as("NSSO", notices.write_notification(asked, (), payload), now)
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        async with session.post(
            url, data=message, headers=headers, server_hostname="gateway.wib.example"
        ) as reply:
            data = await reply.read()
            assert reply.status == 200, data


async def receipted(senders: Sequence[Sender], count: int) -> None:
    """Until the hub has taken in so many more events."""
    goal = sum(one.told for one in senders) + count
    async with asyncio.timeout(60):
        while sum(one.told for one in senders) < goal:  # noqa: ASYNC110 - senders tell nobody
            await asyncio.sleep(0.01)


async def test_nothing_accepted_is_lost_and_order_holds_however_often_the_hub_is_killed(tmp_path: Path):
    chance = random.Random(20260305)
    async with AsyncExitStack() as stack:
        inboxes = [Inbox(name, chance) for name in ("PLATFORM", "IMMIGRATION_OFFICE", "BRUSSELS")]
        pki = tmp_path / "pki"
        memory.place_pki(pki)
        endpoints = {AuthorityId(one.name): await endpoint(stack, pki, one) for one in inboxes}
        port = prepare(tmp_path, endpoints)
        url, senders = f"https://127.0.0.1:{port}/soap/v1", [Sender(number) for number in DOSSIERS]
        tls = client_context(pki / "NSSO/tls.crt.pem", pki / "NSSO/tls.key.pem", [pki / one for one in TRUST])
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=0))
        )
        for _ in range(ROUNDS):
            hub = await start(tmp_path, port)
            working = [asyncio.create_task(sender.run(url, session)) for sender in senders]
            await receipted(senders, chance.randint(2, 12))
            await asyncio.sleep(chance.uniform(0, 0.1))  # whatever is under way then
            hub.send_signal(signal.SIGKILL)
            await hub.wait()
            await asyncio.wait_for(asyncio.gather(*working), 60)
        hub = await start(tmp_path, port)
        await until_settled(tmp_path)
        hub.send_signal(signal.SIGTERM)
        assert await hub.wait() == 0
    told = {sender.number: sender.told for sender in senders}
    heard = [inbox for inbox in inboxes if inbox.first]
    assert len(heard) >= 2
    for inbox in heard:
        for number, events in inbox.first.items():
            # Once each, in order, without a gap; the last one may have been accepted without its receipt arriving.
            assert events == list(range(len(events)))
            assert len(events) - told[number] in {0, 1}
    assert findings(tmp_path) == []


def prepare(place: Path, endpoints: dict[AuthorityId, str]) -> int:
    """Settings, register, log and dossiers. Returns the hub's port."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    register = (memory.ROOT / "contracts/register.toml").read_text()
    (place / "register.toml").write_text(register_with_endpoints(register, endpoints))
    url = f"https://127.0.0.1:{ports[0]}/soap/v1"
    text = hub_settings(memory.ROOT / "contracts", "test.example/log", url, ports=ports)
    text = text.replace("provider_seconds = 15.0", "provider_seconds = 0.9")
    (place / "gateway.toml").write_text(f"{text}lease_seconds = 1.0\n")
    sign_agreement(memory.ROOT / "contracts", place / "pki", place / "signatures", datetime.now(UTC))
    settings = load(place / "gateway.toml")
    ensure_log(settings.log.store, settings.keys.log_key, settings.log.origin, settings.log.bucket_keys)
    since = datetime.now(UTC) - timedelta(days=1)
    lines = tuple(Inscription(AuthorityId(name), role, since, None) for name, role in PARTS)
    directory = Directory.open(settings.log.store, writes=True)
    for number in DOSSIERS:
        directory.put(DossierScope(number, "SINGLE_PERMIT", "FIRST", "WORK_GRANTED", since, lines))
    directory.close()
    return ports[0]


async def endpoint(stack: AsyncExitStack, pki: Path, inbox: Inbox) -> str:
    application = web.Application()
    application.router.add_post("/soap", inbox.serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    folder = pki / inbox.name
    tls = server_context(folder / "tls.crt.pem", folder / "tls.key.pem", [pki / one for one in TRUST])
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    return f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/soap"


async def start(place: Path, port: int) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PYTHONPATH": str(memory.ROOT)}
    with (place / "hub.log").open("ab") as log:
        hub = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--config", str(place / "gateway.toml")),
            env=environment,
            stderr=log,
        )
    for _ in range(400):
        assert hub.returncode is None, (place / "hub.log").read_text()[-2000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return hub
        await asyncio.sleep(0.05)
    raise AssertionError("the hub does not listen")


async def until_settled(place: Path) -> None:
    """Until nothing waits in the queue."""
    connection = connect(place / "store.db", Use.READ)
    for _ in range(1200):
        ((waiting,),) = connection.execute("SELECT count(*) FROM deliveries WHERE state <> 'settled'")
        if not waiting:
            connection.close()
            return
        await asyncio.sleep(0.1)
    raise AssertionError(waiting)


def findings(place: Path) -> list[str]:
    """What an audit has to say: failures, and notices of what has no end."""
    settings = load(place / "gateway.toml")
    verifier = Signer.of(settings.log.origin, read_log_keys(settings.keys.log_key)[0]).verifier
    with LogReader.open(settings.log.store) as log:
        return [one.flaw.name for one in audit(log, log.head(), [verifier])]
