"""OCSP over real HTTP: a small responder, the client that asks it, and a hub that goes by what it heard."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from typer.testing import CliRunner

from gateway import config, loading
from gateway.adapters.destinations import Destinations
from gateway.adapters.ocsp import OcspClient
from gateway.cli.pki import app
from gateway.edge.responders import ask
from gateway.identity.certify import CRL_LIFE, Issuer, issue_crl
from gateway.identity.ocsp import OcspError
from gateway.refusal import Code, Refusal
from tests.path.hub import ROOT, pki, signed_question
from tests.process.running import Running, running_hub

MEDIA = "application/ocsp-response"
LOOPBACK = Destinations(["127.0.0.0/8"])
DEADLINE = 30.0  # seconds; a hang fails, nothing else depends on it


@asynccontextmanager
async def serving(handler):
    """A plain HTTP server; yields its address."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/"
    finally:
        await runner.cleanup()


@dataclass
class Responder:
    """The issuing authority of the development PKI answers for itself."""

    revoked: set[int] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    down: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        question = ocsp.load_der_ocsp_request(await request.read())
        self.asked.append(question.serial_number)
        self.heard.set()
        if self.down:
            return web.Response(status=503)
        return web.Response(body=self._answer(question), content_type=MEDIA)

    def _answer(self, question: ocsp.OCSPRequest) -> bytes:
        files, now = pki(), datetime.now(UTC)
        issuer = x509.load_pem_x509_certificate(files["issuing.crt.pem"])
        revoked = question.serial_number in self.revoked
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                question.issuer_name_hash,
                question.issuer_key_hash,
                question.serial_number,
                question.hash_algorithm,
                ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
                now,
                now + timedelta(hours=1),
                now if revoked else None,
                None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
        )
        for one in question.extensions:
            builder = builder.add_extension(one.value, critical=False)
        key = load_pem_private_key(files["issuing.key.pem"], None)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def serial(name: str) -> int:
    return x509.load_pem_x509_certificate(pki()[f"{name}.crt.pem"]).serial_number


async def code(hub: Running, name: str = "BRUSSELS") -> str | None:
    data = signed_question(name, "consultDossier", "WIB:WORK_DECISION", None, datetime.now(UTC))
    return (await hub.soap(name, data))[1].code


@asynccontextmanager
async def hub_that_asks(directory: Path, responder: Responder, **more: object):
    """Its list of the issuing authority has ended: only the responder clears what that one issued."""
    issuer = Issuer(
        x509.load_pem_x509_certificate(pki()["issuing.crt.pem"]),
        load_pem_private_key(pki()["issuing.key.pem"], None),
    )
    ended = issue_crl(issuer, datetime.now(UTC) - 2 * CRL_LIFE).public_bytes(Encoding.PEM)
    files = {**pki(), "ended.crl.pem": ended}
    async with serving(responder.answer) as url:
        named = f'[{{ issuer = "pki/issuing.crt.pem", url = "{url}" }}]'
        lists = '["pki/root.crl.pem", "pki/ended.crl.pem"]'
        settings = {"crls": lists, "ocsp": named, "ocsp_seconds": 0.2, **more}
        async with running_hub(directory, files=files, **settings) as hub:
            yield hub


async def rounds(responder: Responder, count: int) -> None:
    """Wait until so many more questions about one certificate have come."""
    number = serial("BRUSSELS/sign")
    wanted = responder.asked.count(number) + count
    async with asyncio.timeout(DEADLINE):
        while responder.asked.count(number) < wanted:
            await responder.heard.wait()
            responder.heard.clear()


async def test_a_hub_goes_by_what_the_responder_says(tmp_path):
    responder = Responder()
    async with hub_that_asks(tmp_path, responder) as hub:
        assert responder.asked.count(serial("BRUSSELS/sign")) >= 1  # before the first exchange
        assert await code(hub) is None
        responder.down = True
        await rounds(responder, 2)
        assert await code(hub) is None  # the last known answer stays
        responder.down, responder.revoked = False, {serial("BRUSSELS/sign")}
        await rounds(responder, 3)  # the first of them may have begun before
        assert await code(hub) == "WIB05001"
        assert await code(hub, "FLANDERS") == "WIB07005"
        responder.revoked = {serial("BRUSSELS/tls")}
        await rounds(responder, 3)
        async with hub.request("BRUSSELS", "GET", "?wsdl") as response:
            assert (response.status, (await response.text())[:8]) == (403, "WIB01006")


async def test_a_hub_that_never_got_an_answer_believes_nobody_before_it_does(tmp_path):
    responder = Responder(down=True)
    async with hub_that_asks(tmp_path, responder) as hub:
        async with hub.request("BRUSSELS", "GET", "?wsdl") as response:
            assert (response.status, (await response.text())[:8]) == (403, "WIB01006")
        responder.down = False
        await rounds(responder, 3)
        assert await code(hub) is None


async def test_who_is_revoked_is_refused_though_the_log_takes_no_answer(tmp_path):
    responder = Responder(revoked={serial("BRUSSELS/sign")})

    async def keep(*_: object) -> None:
        raise Refusal(Code.BUSY)

    async with hub_that_asks(tmp_path, responder), OcspClient(LOOPBACK) as client:
        loaded = loading.load(config.load(tmp_path / "gateway.toml"))
        known, words = loaded.rules.certificates, {}
        for name in ("BRUSSELS", "FLANDERS"):
            one = x509.load_pem_x509_certificate(pki()[f"{name}/sign.crt.pem"])
            with pytest.raises(Refusal):
                await ask(client, known, loaded.responders[0], one, loading.clock, keep)
            words[name] = known.answers.about(one)
    assert words["BRUSSELS"].revoked
    assert words["FLANDERS"] is None  # an answer that clears counts once it is kept


# The client.


async def refused(handler, **limits) -> str:
    async with serving(handler) as url, OcspClient(LOOPBACK, **limits) as client:
        with pytest.raises(OcspError) as caught:
            await client.ask(url, b"question")
        return caught.value.reason


async def test_the_client_posts_the_question_and_returns_the_answer():
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, await request.read(), dict(request.headers)))
        answer = web.Response(body=b"answer", content_type=MEDIA)
        answer.set_cookie("who", "you")
        return answer

    async with serving(handler) as url, OcspClient(LOOPBACK) as client:
        assert [await client.ask(url, b"question") for _ in range(2)] == [b"answer"] * 2
    for method, body, headers in seen:
        assert (method, body, headers["Content-Type"]) == ("POST", b"question", "application/ocsp-request")
        assert "Cookie" not in headers
        assert "User-Agent" not in headers


async def test_the_client_follows_no_redirect():
    paths = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    assert await refused(handler) == "http"
    assert paths == ["/"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": 500, "content_type": MEDIA}, "http"),
        ({"body": b"x", "content_type": "text/html"}, "http"),
        ({"body": bytes(65), "content_type": MEDIA}, "size"),
    ],
    ids=["status", "media type", "size"],
)
async def test_the_client_takes_nothing_but_a_bounded_answer(answer, reason):
    async def handler(_: web.Request) -> web.Response:
        return web.Response(**answer)

    assert await refused(handler, max_bytes=64) == reason


async def test_the_client_waits_no_longer_than_it_is_told():
    ended = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    async with serving(handler) as url, OcspClient(LOOPBACK, seconds=0.2) as client:
        with pytest.raises(OcspError) as caught:
            await client.ask(url, b"question")
        assert caught.value.reason == "unreachable"
        ended.set()


async def test_the_client_does_not_reach_what_is_not_there():
    async with serving(Responder().answer) as url:
        pass
    async with OcspClient(LOOPBACK) as client:
        with pytest.raises(OcspError) as caught:
            await client.ask(url, b"question")
    assert caught.value.reason == "unreachable"


# The command.


async def test_explain_asks_the_responder_itself(tmp_path):
    responder = Responder(revoked={serial("BRUSSELS/sign")})
    async with hub_that_asks(tmp_path, responder):
        certificates = {name: tmp_path / f"pki/{name}/sign.crt.pem" for name in ("BRUSSELS", "FLANDERS")}
        told = {
            name: await asyncio.to_thread(explained, path, tmp_path) for name, path in certificates.items()
        }
    assert (told["BRUSSELS"]["accepted"], told["BRUSSELS"]["reasons"]) == (False, ["revoked"])
    assert told["FLANDERS"]["accepted"]
    below, above = told["FLANDERS"]["chain"]
    assert datetime.fromisoformat(below["list"]["next_update"]) < datetime.now(UTC)
    assert below["responder"]["revoked"] is False
    assert above["responder"] is None


def explained(certificate: Path, directory: Path) -> dict:
    arguments = ["explain", str(certificate), "--config", str(directory / "gateway.toml"), "--json"]
    return json.loads(CliRunner().invoke(app, arguments).stdout)


# Grace.


async def test_what_ran_out_counts_for_a_soft_authority_and_is_counted(tmp_path):
    """The list ran out a day ago, and the responder knows neither authority."""
    soft = (ROOT / "contracts/register.toml").read_text()
    soft = soft.replace('id = "BRUSSELS"\n', 'id = "BRUSSELS"\nrevocation = "soft"\n')
    (tmp_path / "soft.toml").write_text(soft)
    issuer, key = (pki()[f"issuing.{kind}.pem"] for kind in ("crt", "key"))
    authority = Issuer(x509.load_pem_x509_certificate(issuer), load_pem_private_key(key, None))
    old = issue_crl(authority, datetime.now(UTC) - CRL_LIFE - timedelta(days=1))
    (tmp_path / "old.crl.pem").write_bytes(old.public_bytes(Encoding.PEM))
    lists = {"crls": '["pki/root.crl.pem", "old.crl.pem"]', "register": '"soft.toml"', "grace_hours": 48.0}
    async with hub_that_asks(tmp_path, Responder(down=True), **lists) as hub:
        for name, status in (("BRUSSELS", 200), ("FLANDERS", 403)):
            async with hub.request(name, "GET", "?wsdl") as response:
                assert response.status == status
        async with aiohttp.ClientSession() as session, session.get(f"{hub.operations}/metrics") as response:
            lines = (await response.text()).splitlines()
    # once for the connection, once for the request
    assert 'gateway_revocation_grace_total{authority="BRUSSELS"} 2.0' in lines
    assert 'gateway_revocation_grace_total{authority="FLANDERS"} 0.0' in lines
    asked = [line for line in lines if line.startswith("gateway_ocsp_answers_total")]
    assert asked
    assert all('outcome="http"' in line for line in asked)


async def test_a_responder_at_an_address_that_is_not_listed_is_not_asked():
    """Attack R17."""
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b"", content_type=MEDIA)

    async with serving(answer) as url, OcspClient(Destinations(["10.0.0.0/8"])) as client:
        for at in (url, url.replace("127.0.0.1", "localhost")):
            with pytest.raises(OcspError, match="unreachable"):
                await client.ask(at, b"x")
    assert asked == []
