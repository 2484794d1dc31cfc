"""Messages full of canaries that the hub refuses, at every stage, and bytes that are no message at all."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import aiohttp

from gateway.model import SERVICE, Role, SoapVersion
from tests.path.hub import agreement, register
from tests.process.canaries.asking import asked_dossiers, askings, criteria, dossier_for, question, released
from tests.process.canaries.documents import upload, uploads
from tests.process.canaries.injected import AROUND, STAGES
from tests.process.canaries.parties import Message, Party, refusal_code
from tests.process.canaries.place import ASKED
from tests.process.canaries.telling import telling, tellings, told_dossiers
from tests.process.canaries.values import canary, messages
from tests.process.canaries.world import Heard, World, fields, word

CODES_OF_BARE = {"WIB01001", "WIB01002", "WIB01003", "WIB01006", "WIB01008"}


async def say_everything(world: World) -> None:
    """Every leaf of every request, also those that no requester may write: refused, by whoever sends it."""
    for operation in agreement().operations:
        for role in (Role.REG, Role.PLAT):  # who has a unit, and who has none
            assert await whole(world, operation, ASKED[role]).send() is not None, operation


def whole(world: World, operation: str, name: str, **fixed: str) -> Message:
    """All of a request's leaves; what routes and identifies is a canary, too."""
    return Message.of(
        world.parties[name], operation, lambda leaf: "/informationCustomer/" not in leaf.path, fixed
    )


def canary_of(path: str) -> str:
    (leaf,) = (one for one in messages()[path.partition("/")[0]].leaves() if one.path == path)
    return canary(leaf).value


async def be_refused(world: World) -> None:
    """One refusal of each kind: what the code is does not matter here, what it is told with does."""
    party, seen = world.parties["BRUSSELS"], set()
    for what, data, headers in refusals(world, party):
        status, reply = await party.post(data, **headers)
        code = refusal_code(reply)
        assert status >= 400, what
        assert code is not None, (what, reply[-300:])
        seen.add(code)
        # What was validated may come back (§11.2): of these nothing was but the blocks of the message that was read.
        world.heard.append(
            Heard(f"{what} {code}", party.id, reply, good(world, party).echoed | all_tickets(world))
        )
    assert {"WIB02001", "WIB02002", "WIB02003", "WIB03002", "WIB04009", "WIB05003", "WIB06001"} <= seen, seen


def all_tickets(world: World) -> frozenset[str]:
    """Everything that this world's requesters wrote about themselves."""
    blocks = ("/informationCustomer/ticket", "/informationCustomer/timestampSent", "wsa:MessageID")
    return frozenset(value for (id_, value) in world.said if id_.endswith(blocks))


def good(world: World, party: Party, operation: str = "notifyWorkDecision", **fixed: str) -> Message:
    """A notification that would be understood: all that a payload can hold."""
    dossier = told_dossiers()[0].dossier
    known = fields(operation)
    given = {
        "criteria/dossierNumber": dossier,
        "dossier/header/dossierNumber": dossier,
        "legalContext": "WIB:WORK_DECISION",
    }
    return Message.of(party, operation, lambda leaf: leaf.path in known, {**given, **fixed})


def refusals(world: World, party: Party) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """What it is, the bytes, and headers besides the usual ones."""
    say, other = world.say_header, world.parties["FLANDERS"]

    def signed(by: Party = party, **fixed: str) -> bytes:
        message = good(world, party, **fixed)
        return by.sign(message.body, message.addressing())

    def bent(old: str, new: str, **fixed: str) -> bytes:
        text = signed(**fixed).decode()
        assert old in text, old
        return text.replace(old, new, 1).encode()

    free = canary_of("notifyWorkDecision/dossier/employer/name").partition(" ")[0]
    entity = f'<!DOCTYPE a [<!ENTITY {say("entity", word("entity"))} SYSTEM "file:///{word("file")}">]>'
    yield "cut off", signed()[:-2000], {}
    yield "not XML", f"{say('not XML', word('not XML'))} <<<".encode(), {}
    yield "document type", bent("?>", f"?>{entity}"), {}
    yield "comment", bent("<soap:Header>", f"<soap:Header><!--{say('comment', word('comment'))}-->"), {}
    yield "no body", bent("</soap:Body>", f"</soap:Body><{say('element', 'e' + word('element'))}/>"), {}
    yield (
        "unknown header",
        bent(
            "<wsse:Security>",
            f'<x:{say("header block", "h" + word("block"))} xmlns:x="urn:{word("block ns")}" soap:mustUnderstand="1"/><wsse:Security>',
        ),
        {},
    )
    yield (
        "reply elsewhere",
        bent(
            "</wsa:MessageID>",
            f"</wsa:MessageID><wsa:ReplyTo><wsa:Address>urn:{say('ReplyTo', word('reply'))}</wsa:Address></wsa:ReplyTo>",
        ),
        {},
    )
    yield "tampered", bent(free, say("tampered", word("tampered"))), {}
    yield "algorithm", bent("xmldsig-more#", f"{say('algorithm', word('algorithm'))}#"), {}
    yield (
        "reference",
        bent('<ds:Reference URI="#', f'<ds:Reference URI="#{say("reference", word("uri"))}'),
        {},
    )
    yield "token", bent('X509v3" wsu:Id', f'{say("token type", word("token"))}" wsu:Id'), {}
    yield "time", party.sign(good(world, party).body, now=datetime.now(UTC) - timedelta(hours=2)), {}
    yield "another signer", signed(by=other), {}
    yield (
        "another customer",
        signed(**{"informationCustomer/customerIdentification/cbeNumber": other.authority.enterprise.cbe}),
        {},
    )
    yield "unknown operation", bent("notifyWorkDecision", say("operation", "o" + word("operation"))), {}
    yield "unknown context", signed(legalContext="WIB:" + say("context", word("context", "ABCDEFGH"))), {}
    yield "not valid", signed(**{"dossier/worker/sex": say("not valid", word("not valid"))}), {}
    yield (
        "wrong check digits",
        signed(**{"dossier/worker/ssin": say("wrong check digits", "30210100100")}),
        {},
    )
    yield (
        "unknown dossier",
        signed(
            **{
                "criteria/dossierNumber": say(
                    "unknown dossier", told_dossiers()[0].dossier[:-10] + "999999-99"
                )
            }
        ),
        {},
    )
    yield "no right", signed(), {}
    replayed = signed()
    yield "first", replayed, {}
    yield "again", replayed, {}
    yield "action", signed(), {"SOAPAction": f'"{SERVICE}/{say("SOAPAction", word("SOAPAction"))}"'}
    yield "two words", signed(), {"Content-Type": f"text/{say('media type', word('media'))}"}
    yield "charset", signed(), {"Content-Type": f"text/xml; charset={say('charset', word('charset'))}"}
    yield "encoding", signed(), {"Content-Encoding": say("Content-Encoding", word("encoding"))}
    yield "expectation", signed(), {"Expect": say("Expect", word("expectation"))}
    yield (
        "action of SOAP 1.2",
        party.sign(good(world, party).body, version=SoapVersion.V12),
        {"Content-Type": f'application/soap+xml; action="{say("action", word("action"))}"'},
    )
    boundary = say("boundary", word("a boundary"))
    package = f'multipart/related; type="application/xop+xml"; start-info="text/xml"; boundary="{boundary}"'
    parts = f"--{boundary}\r\nContent-ID: <{say('a Content-ID', word('an id'))}>\r\nX: {say('header of a part', word('part'))}\r\n"
    yield "package", f"{parts}\r\n{word('not XML')}\r\n--{boundary}--\r\n".encode(), {"Content-Type": package}
    yield "too large", b" " * 300_000 + signed(), {}


async def call_from_outside(world: World) -> None:
    """Strangers, other paths and methods, and bytes that are no HTTP, on both listeners."""
    say, url = world.say_header, world.urls["url"]
    tail = f"/{say('path', word('path'))}?{say('query', word('query'))}={say('query value', word('value'))}"
    party = world.parties["BRUSSELS"]
    message = good(world, party)
    data = party.sign(message.body)
    for method, place in (
        ("GET", ""),
        ("PUT", ""),
        ("GET", tail),
        ("POST", tail),
        ("GET", f"?{word('query')}"),
    ):
        async with party.session.request(
            method, url + place, data=data, server_hostname="gateway.wib.example"
        ) as reply:
            world.heard.append(Heard(f"{method} {reply.status}", party.id, await reply.read(), frozenset()))
    stranger = Party(world, register().by_id["BRUSSELS"], name="STRANGER")
    status, reply = await stranger.post(data)
    assert (status, refusal_code(reply)) == (403, "WIB01006")
    world.heard.append(Heard("stranger", "STRANGER", reply, frozenset()))
    await stranger.session.close()
    await _raw(world, party.tls, f"{say('not HTTP', word('not HTTP'))}\r\n\r\n".encode())
    await _raw(
        world,
        party.tls,
        f"POST /soap/v1 HTTP/1.1\r\n{say('header name', word('name'))} {word('no colon')}\r\n\r\n".encode(),
    )
    await _raw(
        world,
        party.tls,
        f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nX-Long: {say('long', word('long'))}{'x' * 9000}\r\n\r\n".encode(),
    )
    await _raw(
        world,
        party.tls,
        f"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n{say('chunk', word('chunk'))}\r\n".encode(),
    )
    await _raw(world, None, f"GET /{say('plain', word('plain'))} HTTP/1.1\r\n\r\n".encode())
    async with aiohttp.ClientSession() as session:
        for place in (tail, f"/metrics?{word('query')}", f"/healthz/{word('path')}"):
            async with session.get(world.urls["operations"] + place) as reply:
                world.heard.append(
                    Heard(f"operations {reply.status}", "anybody", await reply.read(), frozenset())
                )


async def _raw(world: World, tls: ssl.SSLContext | None, data: bytes) -> None:
    """Bytes as they are; whatever comes back, until the hub closes."""
    url = urlsplit(world.urls["url"])
    names = {"ssl": tls, "server_hostname": "gateway.wib.example"} if tls else {}
    reader, writer = await asyncio.open_connection(url.hostname, url.port, **names)
    writer.write(data)
    with suppress(ConnectionError):
        await writer.drain()
        writer.write_eof() if not tls else None
        world.heard.append(
            Heard("no HTTP", "BRUSSELS", await asyncio.wait_for(reader.read(), 60), frozenset())
        )
    writer.close()


async def meet_bugs(world: World) -> None:
    """With each stage broken in turn, a question, a notification, an upload and a retrieval; nobody learns more."""
    for name in (*STAGES, *AROUND):
        (world.directory / "break").write_text(name)
        await ask_one_of_each(world)
    (world.directory / "break").unlink()


async def ask_one_of_each(world: World) -> None:
    """A question, a document, a notification and an upload, whatever becomes of them."""
    dossiers = asked_dossiers()
    for kind in (None, "CONTRACT"):
        one = next(each for each in askings() if each.kind == kind and each.provider is Role.PLAT)
        fixed = criteria(one, dossiers[dossier_for(one)])
        await question(world, ASKED[one.requester], one, fixed).send(may=released(one))
    told = zip(told_dossiers(), tellings(), strict=True)
    dossier, step = next(
        (one, step) for one, step in told if step[1].operation == "notifySocialSecurityEvent"
    )
    await telling(world, dossier, *step).send()  # it moves nothing: it may be told again and again
    role, kind, context, about = next(uploads())
    await upload(world.parties[ASKED[role]], kind, context, about, word(f"broken {uuid.uuid4()}")).send()
