"""PROTOCOL §17 over real connections: a document of 250 MB through a hub that stays small."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import requests
import xmlsec
import zeep
from lxml import etree
from zeep import ns
from zeep.transports import Transport
from zeep.wsse.signature import BinarySignature, _make_verify_key, _verify_envelope_with_key
from zeep.wsse.utils import get_security_header

from gateway.soap import mime
from tests.path import hub as memory
from tests.process import running
from tests.process.large_documents import MIB, Document, Platform, criteria, now, question, take, whole
from tests.process.running import ROOT, Running, running_hub, write_settings

PLAIN = {"Content-Type": "text/xml; charset=utf-8"}
MTOM = {**PLAIN, "Accept": "multipart/related, text/xml"}


@asynccontextmanager
async def hub_process(directory: Path, platform: Platform, **limits: object):
    """A hub as `gateway serve` runs it, and its process."""
    async with AsyncExitStack() as stack:
        pki = directory / "pki"
        memory.place_pki(pki)
        settings = write_settings(directory, await platform.start(stack, pki), limits)
        running.inscribe(settings.log.store, settings.keys.directory_key)
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(directory / "gateway.toml")]
        process = await asyncio.create_subprocess_exec(
            *command, stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        try:
            facts = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
            yield Running(facts["url"], facts["operations"], directory, None), process
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()


def hub_of(directory: Path, platform: Platform, **limits: object):
    """A hub in this process, where nothing is asked of its memory."""
    return running_hub(directory, start=lambda stack, pki, _: platform.start(stack, pki), **limits)


def peak(process: asyncio.subprocess.Process) -> int:
    """The most memory that a process ever had, in bytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def fetch(hub: Running, document: Document, **headers: str):
    """The status and the reply of a question for the document, verified; of a package with its size."""
    async with hub.request("BRUSSELS", data=question(document), headers={**PLAIN, **headers}) as response:
        media = response.headers["Content-Type"]
        if media.startswith(mime.PACKAGE):
            return response.status, *await take(media, response.content.iter_any())
        return response.status, whole(await response.read()), None


async def test_a_document_of_250_mb_passes_a_hub_that_never_has_200_mb(tmp_path):
    document = Document(250_000_001)
    async with hub_process(tmp_path, Platform(document)) as (hub, process):
        before = peak(process)
        status, verified, size = await fetch(hub, document, **MTOM)
        assert (status, size) == (200, document.size)
        assert verified.certificate == memory.signing_key("HUB", "sign-rsa").certificate
        assert f"<s:content>{document.sha256}</s:content>".encode() in verified.body
        assert before < peak(process) < 200_000_000


def changed_at_the_end(document: Document) -> Iterator[bytes]:
    *pieces, last = document.pieces()
    yield from pieces
    yield last[:-1] + b"!"


def cut_off(document: Document) -> Iterator[bytes | None]:
    yield next(document.pieces())
    yield None


FLAWS = {
    "the last byte changed": (changed_at_the_end, {}, "WIB09004"),
    "cut off": (cut_off, {}, "WIB09003"),
    "more than the hub takes": (Document.pieces, {"document_bytes": 2 * MIB}, "WIB09003"),
    "more than the hub has room for": (Document.pieces, {"spool_bytes": 2 * MIB}, "WIB10003"),
}


@pytest.mark.parametrize("flaw", FLAWS)
async def test_of_a_document_in_trouble_nothing_is_released(tmp_path, flaw):
    send, limits, code = FLAWS[flaw]
    document = Document(4 * MIB)
    async with hub_of(tmp_path, Platform(document, send), **limits) as hub:
        status, answered, size = await fetch(hub, document, **MTOM)
        assert (status, answered.code, size) == (500, code, None)
        assert kept_by(os.getpid()) == 0


async def test_a_document_comes_as_an_attachment_to_whoever_asks_so_and_inline_to_others(tmp_path):
    document = Document(3 * MIB)
    platform = Platform(document)
    async with hub_of(tmp_path, platform, spool_bytes=document.size) as hub:
        _, _, size = await fetch(hub, document, **MTOM)
        await until(lambda: kept_by(os.getpid()) == 0)  # there is room for no second one
        _, answered, none = await fetch(hub, document)
        await until(lambda: kept_by(os.getpid()) == 0)
        assert platform.accept.startswith("multipart/related")
        assert (size, none) == (document.size, None)
        assert hashlib.sha256(base64.b64decode(answered.texts("content")[0])).hexdigest() == document.sha256
        packed = f"--b\r\n{ROOT_HEAD}\r\n\r\n{question(document).decode()}\r\n--b--\r\n".encode()
        # as node-soap sends it with forceMTOM
        async with hub.request("BRUSSELS", data=packed, headers={"Content-Type": PACKAGE}) as response:
            assert response.status == 200
            _, size = await take(response.headers["Content-Type"], response.content.iter_any())
        assert size == document.size


async def test_no_two_packages_have_one_boundary(tmp_path):
    document, media = Document(1), set()
    async with hub_of(tmp_path, Platform(document)) as hub:
        for _ in range(2):
            async with hub.request("BRUSSELS", data=question(document), headers=MTOM) as response:
                media.add(response.headers["Content-Type"])
    assert len(media) == 2


async def test_a_provider_may_pack_whatever_it_answers(tmp_path):
    message = memory.signed_question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, now())
    async with (
        hub_of(tmp_path, Platform(Document(1))) as hub,
        hub.request("BRUSSELS", data=message, headers=MTOM) as response,
    ):
        answered = whole(await response.read())  # no document: no package
    assert answered.texts("value") == ["DATA_FOUND"]


ROOT_HEAD = 'Content-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\nContent-ID: <1-a>'
ATTACHED = "Content-Type: application/pdf\r\nContent-ID: <2-a>\r\nContent-Transfer-Encoding: binary"
PACKAGE = 'multipart/related; type="application/xop+xml"; start="<1-a>"; start-info="text/xml"; boundary=b'
INCLUDED = '<x><xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:2-a"/></x>'
PACKAGES = {  # what is sent, as what, and the answer: attacks H24 to H26
    "no end": (f"--b\r\n{ROOT_HEAD}\r\n\r\n<x/>", PACKAGE, 400, "WIB01009"),
    "a preamble": (f"hello\r\n--b\r\n{ROOT_HEAD}\r\n\r\n<x/>\r\n--b--", PACKAGE, 400, "WIB01009"),
    "no boundary": ("", PACKAGE.replace("boundary=b", "x=b"), 400, "WIB01009"),
    "SOAP with attachments": ("", PACKAGE.replace("application/xop+xml", "text/xml"), 415, "WIB01002"),
    "a message of more than 256 KiB": (f"--b\r\n{ROOT_HEAD}\r\n\r\n{'x' * (2**18 + 1)}\r\n--b--", PACKAGE, 413, "WIB01004"),
}  # fmt: skip


async def test_what_is_no_package_with_a_message_gets_a_bare_refusal(tmp_path):
    async with hub_of(tmp_path, Platform(Document(1))) as hub:
        for flaw, (data, media, status, code) in PACKAGES.items():
            headers = {"Content-Type": media}
            async with hub.request("BRUSSELS", data=data.encode(), headers=headers) as response:
                assert (response.status, (await response.text())[:8]) == (status, code), flaw
        packed = f"--b\r\n{ROOT_HEAD}\r\n\r\n{INCLUDED}\r\n--b--".encode()
        async with hub.request("BRUSSELS", data=packed, headers={"Content-Type": PACKAGE}) as response:
            assert (response.status, whole(await response.read()).code) == (500, "WIB03002")
        asked = memory.signed_question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, now())
        packed = f"--b\r\n{ROOT_HEAD}\r\n\r\n{asked.decode()}\r\n--b\r\n{ATTACHED}\r\n\r\n1\r\n--b--".encode()
        async with hub.request("BRUSSELS", data=packed, headers={"Content-Type": PACKAGE}) as response:
            assert (response.status, (await response.text())[:8]) == (400, "WIB01009")
        third = packed[:-2] + f"\r\n{ATTACHED.replace('2-a', '3-a')}\r\n\r\n1\r\n--b--".encode()
        async with hub.request("BRUSSELS", data=third, headers={"Content-Type": PACKAGE}) as response:
            assert (response.status, (await response.text())[:8]) == (400, "WIB01009")


async def test_a_document_too_large_for_base64_is_refused_with_the_remedy(tmp_path):
    document = Document(8 * MIB)
    async with hub_of(tmp_path, Platform(document)) as hub:
        status, answered, _ = await fetch(hub, document, Accept="*/*")
        assert (status, answered.code) == (500, "WIB15001")
        _, _, size = await fetch(hub, document, Accept="text/xml;q=0.5, Multipart/Related;q=0.9")
        assert size == document.size


async def test_a_requester_that_stops_reading_is_cut_off_and_what_was_kept_is_gone(tmp_path):
    document = Document(40 * MIB)
    async with hub_process(tmp_path, Platform(document), document_seconds=3) as (hub, process):
        async with hub.request("BRUSSELS", data=question(document), headers=MTOM) as response:
            assert kept_by(process.pid) == 1
            await until(lambda: kept_by(process.pid) == 0)  # though nothing was read
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        async with hub.request("BRUSSELS", data=question(document), headers=MTOM) as response:
            response.close()  # went away
        await until(lambda: kept_by(process.pid) == 0)


def kept_by(process: int) -> int:
    """How many documents a hub has on disk: files without a name."""
    targets = []
    for file in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile; of this process, the listing itself is one
            targets.append(str(file.readlink()))
    return sum("/spool/" in target and target.endswith("(deleted)") for target in targets)


async def until(condition, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


class PartnerSignature(BinarySignature):
    """zeep's signature with a Timestamp, pinned to the hub, as contracts/clients.md tells partners to write."""

    def __init__(self, pki: Path) -> None:
        own = pki / "BRUSSELS"
        algorithms = (xmlsec.Transform.ECDSA_SHA256, xmlsec.Transform.SHA256)
        super().__init__(str(own / "sign.key.pem"), str(own / "sign.crt.pem"), None, *algorithms)
        self.hub = (pki / "HUB/sign-rsa.crt.pem").read_bytes()

    def apply(self, envelope, headers):
        at = datetime.now(UTC)
        timestamp = etree.SubElement(get_security_header(envelope), etree.QName(ns.WSU, "Timestamp"))
        for name, moment in (("Created", at), ("Expires", at + timedelta(minutes=5))):
            etree.SubElement(timestamp, etree.QName(ns.WSU, name)).text = moment.isoformat()
        return super().apply(envelope, headers)

    def verify(self, envelope):
        _verify_envelope_with_key(envelope, _make_verify_key(self.hub))
        return envelope


class ToTheHub(Transport):
    """zeep's transport, to where the hub of the test listens instead of its public address."""

    def __init__(self, url: str, session: requests.Session) -> None:
        super().__init__(session=session)
        self.url = url

    def post(self, address, message, headers):
        return super().post(self.url, message, headers)


def ask_with_zeep(hub: Running, document: Document, accept: str):
    pki, session = hub.directory / "pki", requests.Session()
    session.cert = (str(pki / "BRUSSELS/tls.crt.pem"), str(pki / "BRUSSELS/tls.key.pem"))
    session.verify, session.trust_env = (
        False,
        False,
    )  # the name of the listener is not that of the certificate
    session.headers["Accept"] = accept
    transport = ToTheHub(hub.url, session)
    client = zeep.Client(f"{hub.url}?singleWsdl", wsse=PartnerSignature(pki), transport=transport)
    asked = criteria(document)
    return client.bind("ExchangeService", "ExchangePortSoap11").retrieveDocument(
        informationCustomer={
            "ticket": str(uuid.uuid4()),
            "timestampSent": datetime.now(UTC),
            "customerIdentification": {"cbeNumber": memory.authority("BRUSSELS").enterprise.cbe},
        },
        legalContext="WIB:WORK_DECISION",
        criteria={
            "dossierNumber": asked.dossier,
            "documentReference": asked.document_reference,
            "documentType": asked.document_type,
            "documentSha256": asked.document_sha256,
        },
    )


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("accept", ["multipart/related, text/xml", "*/*"])
async def test_plain_zeep_reads_and_verifies_a_document_in_both_forms(tmp_path, accept):
    document = Document(MIB + 7)
    async with hub_of(tmp_path, Platform(document)) as hub:
        reply = await asyncio.to_thread(ask_with_zeep, hub, document, accept)
    assert reply.status.value == "DATA_FOUND"
    assert hashlib.sha256(reply.document.content).hexdigest() == document.sha256
