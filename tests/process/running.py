"""A running hub over mutual TLS, in this process: real listeners, real connections, one provider."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway import app as application
from gateway import config, loading
from gateway.adapters.log_key import ensure_log
from gateway.adapters.login import login
from gateway.adapters.pki import write_pki
from gateway.adapters.store_directory import Directory
from gateway.adapters.tls import client_context, server_context
from gateway.model import DossierScope, Inscription
from gateway.policy.person import person_digest
from gateway.sandbox.signatures import sign_agreement
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.path.hub import DOSSIER, ROOT, Answered

# Whoever runs the tests may do everything with the log.
OFFICER = f'{{ user = "{login()}", id = "officer-1", authority = "HUB", rights = ["search", "person", "export", "erase"] }}'
TRUST = ("root.crt.pem", "issuing.crt.pem", "root.crl.pem", "issuing.crl.pem")


@dataclass
class Running:
    """URLs of the hub, and a TLS client for each authority."""

    url: str
    operations: str
    directory: Path
    lines: io.StringIO  # the operational log
    told: asyncio.Event = field(default_factory=asyncio.Event)  # has the hub look at its files

    @property
    def pki(self) -> Path:
        return self.directory / "pki"

    def events(self, *names: str) -> list[dict[str, object]]:
        """Lines of the operational log with these events."""
        lines = map(json.loads, self.lines.getvalue().splitlines())
        return [line for line in lines if line["event"] in names]

    async def reload(self) -> dict[str, object]:
        """Have the hub look at its files, which changed; what it says of them."""
        before = len(self.events("reloaded", "not reloaded"))
        self.told.set()
        for _ in range(6000):
            if len(found := self.events("reloaded", "not reloaded")) > before:
                return found[-1]
            await asyncio.sleep(0.01)
        raise AssertionError("the hub did not say anything of its files")

    def tls(self, name: str | None) -> ssl.SSLContext:
        """What an authority's client uses; None is a stranger without a certificate."""
        pki = self.directory / "pki"
        if name is not None:
            return client_context(
                pki / name / "tls.crt.pem", pki / name / "tls.key.pem", [pki / t for t in TRUST]
            )
        context = ssl.create_default_context(cafile=pki / "root.crt.pem")
        context.load_verify_locations(pki / "issuing.crt.pem")
        return context

    @asynccontextmanager
    async def request(self, name: str | None, method: str = "POST", path: str = "", **request: object):
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.tls(name))) as session,
            session.request(
                method, self.url + path, server_hostname="gateway.wib.example", **request
            ) as response,
        ):
            yield response

    async def soap(self, name: str, data: bytes, **headers: str) -> tuple[int, Answered]:
        """POST a message; the reply is verified as a signed one."""
        given = {"Content-Type": "text/xml; charset=utf-8", **headers}
        async with self.request(name, data=data, headers=given) as response:
            return response.status, verified(await response.read())[0]


def verified(reply: bytes) -> tuple[Answered, bytes]:
    """A reply, which is a signed one, and by whose certificate, DER."""
    found = verify(read(reply, Limits()), Window(), datetime.now(UTC))
    return Answered(None, parse_verified(found.body)[0]), found.certificate


@asynccontextmanager
async def running_hub(
    directory: Path,
    answering=memory.answer_well,
    *,
    files: dict[str, bytes] | None = None,
    start=None,
    contracts: Path = ROOT / "contracts",
    **limits: object,
):
    """`answering`: how the platform answers; by default honestly. It may be a coroutine function. `files`: another
    PKI. `start`: what starts the platform's endpoint. `contracts`: where the agreement is.
    """
    async with AsyncExitStack() as stack:
        pki = directory / "pki"
        if files is None:
            memory.place_pki(pki)
        else:
            write_pki(pki, files)
        endpoint = await (start or provider)(stack, pki, answering)
        settings = write_settings(directory, endpoint, limits, contracts)
        lines = io.StringIO()
        told, loaded = asyncio.Event(), loading.load(settings)
        urls = await stack.enter_async_context(application.hub(settings, loaded, lines, told))
        inscribe(settings.log.store, settings.keys.directory_key)
        yield Running(*urls, directory, lines, told)


async def provider(stack: AsyncExitStack, pki: Path, answering) -> str:
    """The platform's endpoint."""

    class Now:
        @property
        def now(self):
            return datetime.now(UTC)

    async def serve(request: web.Request) -> web.Response:
        raw = await request.read()
        body = parse_verified(verify(read(raw, Limits()), Window(), datetime.now(UTC)).body)[0]
        asked = memory.messages.read_question(body)
        answer = answering(Now(), memory.authority("PLATFORM"), asked)
        if inspect.isawaitable(answer):
            answer = await answer
        return (
            answer if isinstance(answer, web.Response) else web.Response(body=answer, content_type="text/xml")
        )

    application_ = web.Application(client_max_size=2**25)
    application_.router.add_post("/soap", serve)
    runner = web.AppRunner(application_)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    tls = server_context(pki / "PLATFORM/tls.crt.pem", pki / "PLATFORM/tls.key.pem", [pki / t for t in TRUST])
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    return f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/soap"


def write_settings(
    directory: Path, endpoint: str, limits: dict[str, object], contracts: Path = ROOT / "contracts"
) -> config.Settings:
    text = (ROOT / "deploy/gateway.toml").read_text()
    for old, new in (
        ('"../contracts"', f'"{contracts}"'),
        ('"../contracts/register.toml"', '"register.toml"'),
        ('"../signatures"', '"signatures"'),
        ("port = 8443", "port = 0"),
        ("operations_port = 9464", "operations_port = 0"),
        ("test_numbers = false", "test_numbers = true"),
        ('allow = ["10.0.0.0/8"]', 'allow = ["127.0.0.0/8"]'),
        ("\nofficers = []", f"\nofficers = [{OFFICER}]"),
        *((line, f"\n{name} = {limits[name]} #") for name in limits for line in [f"\n{name} ="]),
    ):
        assert old in text, old
        text = text.replace(old, new, 1)
    register = (ROOT / "contracts/register.toml").read_text()
    register = register.replace('id = "PLATFORM"', f'id = "PLATFORM"\nendpoint = "{endpoint}"')
    (directory / "register.toml").write_text(register)
    (directory / "gateway.toml").write_text(text)
    sign_agreement(contracts, directory / "pki", directory / "signatures", datetime.now(UTC))
    settings = config.load(directory / "gateway.toml")
    ensure_log(settings.log.store, settings.keys.log_key, settings.log.origin, settings.log.bucket_keys)
    return settings


def inscribe(store: Path, key: Path) -> None:
    parts = [("PLATFORM", "PLAT"), ("BRUSSELS", "REG"), ("IMMIGRATION_OFFICE", "OE")]
    since = datetime.now(UTC) - timedelta(days=1)
    lines = tuple(Inscription(name, memory.Role(role), since, None) for name, role in parts)
    person = person_digest(loading.secret_key(key), memory.SSIN)
    directory = Directory.open(store, writes=True)
    directory.put(DossierScope(DOSSIER, "SINGLE_PERMIT", "FIRST", "UNDER_REVIEW", since, lines, person))
    directory.close()
