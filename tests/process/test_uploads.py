"""PROTOCOL §17.4 with real processes: a post uploads 60 MB, the Immigration Office retrieves them, a kill between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from gateway.adapters.store_directory import Directory
from gateway.agreement import notices
from gateway.loading import secret_key
from gateway.model import Criteria, DossierScope, Inscription, Role, SoapVersion
from gateway.policy.person import person_digest
from gateway.soap import mime
from gateway.wss.sign import Framing
from tests.path import hub as memory
from tests.path.hub import DOSSIER
from tests.process.large_documents import INCLUDE, MIB, Document, Platform, now, payload, take, whole
from tests.process.running import ROOT, Running, running_hub, write_settings
from tests.process.test_large_documents import peak, until

SCAN = "TRAVEL_DOCUMENT_SCAN"


def inscribe(store: Path, key: Path) -> None:
    parts = [("PLATFORM", Role.PLAT), ("IMMIGRATION_OFFICE", Role.OE), ("POST_RABAT", Role.CONS)]
    since = datetime.now(UTC) - timedelta(days=1)
    lines = tuple(Inscription(name, role, since, None) for name, role in parts)
    person = person_digest(secret_key(key), memory.SSIN)
    directory = Directory.open(store, writes=True)
    directory.put(DossierScope(DOSSIER, "SINGLE_PERMIT", "FIRST", "VISA_ISSUED", since, lines, person))
    directory.close()


@asynccontextmanager
async def prepared(directory: Path):
    """Everything but the hub itself."""
    async with AsyncExitStack() as stack:
        pki = directory / "pki"
        memory.place_pki(pki)
        settings = write_settings(directory, await Platform(Document(1)).start(stack, pki), {})
        inscribe(settings.log.store, settings.keys.directory_key)
        yield


@asynccontextmanager
async def serving(directory: Path):
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(directory / "gateway.toml")]
    process = await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        facts = json.loads(await asyncio.wait_for(process.stderr.readline(), 60))
        yield Running(facts["url"], facts["operations"], directory, None), process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def named(document: Document, source: Role | None = None) -> Criteria:
    return Criteria(
        DOSSIER, source, document_reference="scan-1", document_type=SCAN, document_sha256=document.sha256
    )


def packed(document: Document) -> tuple[mime.Wrapping, bytes]:
    """The package of an upload, and what stands in it before the content."""
    told = memory.question("POST_RABAT", "uploadDocument", "WIB:VISA_ISSUE", named(document), now())
    before, after = notices.write_notification(told, (), payload(named(document))).split("@@")
    framing = Framing(before, after, version=SoapVersion.V11, unique=str(uuid.uuid4()))
    for piece in document.pieces():
        framing.update(piece)
    frame = framing.sign(key=memory.signing_key("POST_RABAT"), now=now(), lifetime=timedelta(minutes=5))
    around = mime.wrap(SoapVersion.V11, uuid.uuid4().hex)
    between = around.between.replace(mime.CONTENT_ID.encode(), b"scan@platform")
    return around, around.before + frame.head + INCLUDE + frame.tail + between


async def upload(hub: Running, document: Document, pieces: Iterator[bytes | None] | None = None):
    """Status and text of the answer. `pieces`: what is sent for the document; None: nothing more for a minute."""
    around, head = packed(document)

    async def body() -> AsyncIterator[bytes]:
        yield head
        for piece in document.pieces() if pieces is None else pieces:
            if piece is None:
                await asyncio.sleep(60)
                return
            yield piece
        yield around.after

    headers = {"Content-Type": around.media}
    async with hub.request("POST_RABAT", data=body(), headers=headers) as response:
        return response.status, await response.read()


async def retrieve(hub: Running, document: Document):
    asked = memory.signed_question(
        "IMMIGRATION_OFFICE",
        "retrieveDocument",
        "WIB:RESIDENCE_DECISION",
        named(document, Role.CONS),
        now(),
    )
    headers = {"Content-Type": "text/xml; charset=utf-8", "Accept": "multipart/related"}
    async with hub.request("IMMIGRATION_OFFICE", data=asked, headers=headers) as response:
        media = response.headers["Content-Type"]
        if media.startswith(mime.PACKAGE):
            return await take(media, response.content.iter_any())
        return whole(await response.read()), None


def files(directory: Path) -> list[Path]:
    return list((directory / "documents").iterdir())


async def test_60_mb_go_up_and_down_through_a_small_hub_that_is_killed_between(tmp_path):
    document = Document(60_000_001)
    async with prepared(tmp_path):
        async with serving(tmp_path) as (hub, process):
            before = peak(process)  # the first exchange of any size takes some 20 MB: threads, buffers
            status, answer = await upload(hub, document)
            assert (status, whole(answer).texts("value")) == (200, ["OK"])
            assert peak(process) - before < document.size / 2
            process.send_signal(signal.SIGKILL)
            await process.wait()
        assert len(files(tmp_path)) == 1
        async with serving(tmp_path) as (hub, process):
            before = peak(process)
            verified, size = await retrieve(hub, document)
            assert size == document.size
            assert f"<s:content>{document.sha256}</s:content>".encode() in verified.body
            assert peak(process) - before < document.size / 2


async def test_killed_while_it_arrives_there_is_no_document(tmp_path):
    document = Document(4 * MIB)
    async with prepared(tmp_path):
        async with serving(tmp_path) as (hub, process):
            sent = asyncio.create_task(upload(hub, document, iter([bytes(2 * MIB), None])))
            await until(lambda: any(file.stat().st_size for file in files(tmp_path)))
            process.send_signal(signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                await sent
            await process.wait()
        (left,) = files(tmp_path)
        os.utime(left, (0, 0))  # hours later
        async with serving(tmp_path) as (hub, _):
            await until(lambda: not files(tmp_path))
            answered, size = await retrieve(hub, document)
            assert (answered.texts("value"), size) == (["NO_DATA_FOUND"], None)
            status, answer = await upload(hub, document)
            assert (status, whole(answer).texts("value")) == (200, ["OK"])
            _, size = await retrieve(hub, document)
            assert size == document.size


async def test_the_operational_log_names_neither_dossier_nor_document(tmp_path):
    document = Document(MIB)
    async with running_hub(tmp_path) as hub:
        inscribe(tmp_path / "store.db", tmp_path / "pki/HUB/directory.key")
        status, _ = await upload(hub, document)
        assert status == 200
        lines = hub.lines.getvalue()
    assert '"uploadDocument"' in lines
    assert not [one for one in (DOSSIER, "scan-1", document.sha256, SCAN) if one in lines]


async def test_an_attachment_has_its_bounds(tmp_path):
    document = Document(3 * MIB)
    async with running_hub(tmp_path, document_bytes=2 * MIB, document_seconds=2) as hub:
        inscribe(tmp_path / "store.db", tmp_path / "pki/HUB/directory.key")
        status, answer = await upload(hub, document)
        assert (status, answer[:8]) == (413, b"WIB01004")
        small = Document(MIB)
        status, answer = await upload(hub, small, iter([next(small.pieces())[:100_000], None]))
        assert (status, answer[:8]) == (408, b"WIB01005")
        changed = [*small.pieces()]
        changed[-1] = changed[-1][:-1] + b"!"
        status, answer = await upload(hub, small, iter(changed))
        assert (status, whole(answer).code) == (500, "WIB04009")
        assert files(tmp_path) == []
        status, answer = await upload(hub, small)
        assert (status, whole(answer).texts("value")) == (200, ["OK"])
