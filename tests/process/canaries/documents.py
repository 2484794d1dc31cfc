"""Documents: uploaded inside a message and attached, handed out, and held on their way through the hub."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from aiohttp import web
from lxml import etree

from gateway.model import DossierScope, Role, SoapVersion
from gateway.soap import mime
from gateway.wss.sign import Framing
from tests.path.hub import agreement
from tests.process.canaries.answers import CONTENT, SCAN, SHA256, answered
from tests.process.canaries.asking import asked_dossiers, askings, criteria, dossier_for, question, released
from tests.process.canaries.parties import Message, Party, refusal_code
from tests.process.canaries.place import ASKED
from tests.process.canaries.values import Canary
from tests.process.canaries.world import Heard, World, word

INCLUDE = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:%s"/>'


async def upload_and_retrieve(world: World) -> None:
    """Of each role that may: once inside the message, once attached; then what was uploaded is handed out."""
    for role, kind, context, dossier in uploads():
        party, reference = world.parties[ASKED[role]], word(f"upload {role}")
        assert await upload(party, kind, context, dossier, reference).send() is None
        message = upload(party, kind, context, dossier, word(f"attached {role}"))
        await attach(message, world.say_header("Content-ID", word("content id")))
    found = [one for one in askings() if one.provider is Role.CONS and one.kind == "TRAVEL_DOCUMENT_SCAN"]
    for one in found:
        fixed = {
            **criteria(one, asked_dossiers()[dossier_for(one)]),
            "criteria/documentReference": word("upload CONS"),
        }
        assert (
            await question(world, ASKED[one.requester], one, fixed).send(
                may={*released(one), "application/pdf"}
            )
            is None
        )


def uploads() -> Iterator[tuple[Role, str, str, DossierScope]]:
    """Role, type of document, context and dossier of what may be uploaded: one for each role."""
    for role, contexts in agreement().operations["uploadDocument"].requesters.items():
        kinds = [
            one for one in sorted(agreement().documents) if agreement().provided(role, "uploadDocument", one)
        ]
        for dossier in asked_dossiers().values():
            fitting = [one for one in sorted(contexts) if dossier.status in agreement().roles[role].statuses
                       and agreement().contexts[one].applies(dossier.permit_type, dossier.procedure)]  # fmt: skip
            if fitting and kinds:
                yield role, kinds[-1], fitting[0], dossier


def upload(party: Party, kind: str, context: str, dossier: DossierScope, reference: str) -> Message:
    criteria = {
        "dossierNumber": dossier.dossier,
        "documentReference": reference,
        "documentType": kind,
        "documentSha256": SHA256,
    }
    document = {
        "reference": reference,
        "type": kind,
        "mediaType": "application/pdf",
        "sha256": SHA256,
        "content": CONTENT,
    }
    fixed = {**{f"criteria/{name}": text for name, text in criteria.items()}, "legalContext": context,
             **{f"document/{name}": text for name, text in document.items()}}  # fmt: skip
    return Message.of(party, "uploadDocument", lambda leaf: False, fixed)


async def attach(message: Message, content_id: str, content: bytes = SCAN) -> None:
    """The same upload as a package, whose attachment has a file name."""
    message.values["uploadDocument/document/content"] = "@@"
    before, after = message.body.split("@@")
    framing = Framing(before, after, version=SoapVersion.V11, unique=str(uuid.uuid4()))
    framing.update(content)
    frame = framing.sign(key=message.party.key, now=datetime.now(UTC), lifetime=timedelta(minutes=5))
    say = message.party.world.say_header
    around = mime.wrap(SoapVersion.V11, say("boundary", word("boundary")))
    named = f'Content-Disposition: attachment; filename="{say("file name", word("file name"))}.pdf"\r\n'
    between = around.between.replace(mime.CONTENT_ID.encode(), content_id.encode())
    between = between.removesuffix(b"\r\n") + named.encode() + b"\r\n"
    include = INCLUDE.replace(b"%s", content_id.encode())
    data = around.before + frame.head + include + frame.tail + between + content + around.after
    _, reply = await message.party.post(data, **{"Content-Type": around.media})
    assert refusal_code(reply) is None, reply
    message.party.world.heard.append(
        Heard("uploadDocument attached", message.party.id, reply, message.echoed)
    )


LARGE = SCAN * 40_000  # bytes: more than a piece of the spool


async def hold_a_document(world: World, looked: Callable[[], None]) -> None:
    """A large document on its way through the hub, and a look at the hub while it is there."""
    ready, going = asyncio.Event(), asyncio.Event()
    world.answer = partial(_stream, ready, going)
    one = next(one for one in askings() if one.kind == "CONTRACT" and one.provider is Role.PLAT)
    dossier = asked_dossiers()[dossier_for(one)]
    digest = hashlib.sha256(LARGE).hexdigest()
    world.say([Canary("sha256 of a large document", digest)])
    fixed = {**criteria(one, dossier), "criteria/documentSha256": digest}
    message = question(world, ASKED[one.requester], one, fixed)
    sent = asyncio.create_task(message.send(may=released(one), Accept="multipart/related"))
    await ready.wait()
    await asyncio.to_thread(looked)
    going.set()
    assert await sent is None
    world.answer = None


async def _stream(
    ready, going, party: Party, body: etree._Element, http: web.Request
) -> web.StreamResponse | None:
    if etree.QName(body).localname != "retrieveDocument":
        return None
    text = answered(party, body).replace(SHA256, body.findtext("{*}criteria/{*}documentSha256"))
    before, after = text.split(CONTENT)
    framing = Framing(before, after, version=SoapVersion.V11, unique=str(uuid.uuid4()))
    framing.update(LARGE)
    frame = framing.sign(key=party.key, now=datetime.now(UTC), lifetime=timedelta(minutes=5))
    around = mime.wrap(SoapVersion.V11, word("large"))
    response = web.StreamResponse(headers={"Content-Type": around.media})
    await response.prepare(http)
    between = around.between.replace(mime.CONTENT_ID.encode(), b"large@canary")
    head = around.before + frame.head + INCLUDE.replace(b"%s", b"large@canary") + frame.tail + between
    await response.write(head + LARGE[:-1000])
    ready.set()
    await going.wait()
    await response.write(LARGE[-1000:] + around.after)
    return response
