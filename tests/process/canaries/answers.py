"""What authorities answer when the hub asks, or brings something: canaries, as far as an answer is free."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from aiohttp import web
from lxml import etree

from gateway.adapters.tls import server_context
from gateway.model import AuthorityId
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.verify import verify
from tests.path.hub import agreement, register
from tests.process.canaries.parties import Party
from tests.process.canaries.values import Part, canary, messages, written
from tests.process.canaries.world import Heard, World, fields, shown, word
from tests.process.running import TRUST

# Authorities of the same roles as others, which read from a mailbox.
WITHOUT_ENDPOINT = frozenset({"POST_NEW_DELHI", "MUN_EUPEN", "MUN_LIEGE"})
SCAN = f"%PDF-1.7 {word('document')} of a fictitious person".encode()
CONTENT = base64.b64encode(SCAN).decode()
SHA256 = hashlib.sha256(SCAN).hexdigest()


async def serve(party: Party, http: web.Request) -> web.StreamResponse:
    """Keep what the hub sent, with what this party may see of it, and answer."""
    world, raw = party.world, await http.read()
    head = "".join(f"{name}: {value}\n" for name, value in http.headers.items())
    body = parse_verified(verify(read(raw, Limits()), Window(), datetime.now(UTC)).body)[0]
    operation = etree.QName(body).localname
    told = agreement().contract.messages[operation].notification
    may = shown_to(party, operation, body) if told else criteria_of(body)
    world.heard.append(Heard(f"{operation} from the hub", party.id, head.encode() + raw, may))
    if world.answer is not None and (instead := await world.answer(party, body, http)) is not None:
        return instead
    if told and party.id in world.failing:
        return web.Response(
            status=500, text=world.say_header("fault of a recipient", word(f"fault {party.id}"))
        )
    return web.Response(
        body=party.sign(acknowledged(party, body) if told else answered(party, body)), content_type="text/xml"
    )


def criteria_of(body: etree._Element) -> frozenset[str]:
    return frozenset(one.text for one in body.find("{*}criteria").iter() if one.text)


def shown_to(party: Party, operation: str, body: etree._Element) -> frozenset[str]:
    """What a delivery may show: the view of its recipient, in the context that it names, by what was said."""
    sender = next(one for one in register().authorities if one.enterprise.cbe == body.findtext(".//{*}requester/{*}cbeNumber")
                  and one.enterprise.unit == body.findtext(".//{*}requester/{*}unit"))  # fmt: skip
    view = agreement().view(operation, party.authority.role, body.findtext("{*}legalContext"), sender.role)
    paths = shown(operation, view)
    return criteria_of(body) | {one.value for (id_, _), one in party.world.said.items() if id_ in paths}


def echoed(body: etree._Element) -> dict[str, str]:
    """What a response repeats of a request."""
    name, found = f"{etree.QName(body).localname}Response", {}
    for block in ("informationCustomer", "legalContext", "criteria"):
        for one in body.find(f"{{*}}{block}").iter():
            if len(one) == 0 and one.text:
                above = [etree.QName(up).localname for up in one.iterancestors()]
                names = [
                    *reversed(above[: above.index(etree.QName(body).localname)]),
                    etree.QName(one).localname,
                ]
                found["/".join([name, *names])] = one.text
    return found


def respond(
    party: Party, body: etree._Element, wanted: Callable[[Part], bool], fixed: Mapping[str, str]
) -> str:
    """A response of canaries: status, what a provider need not send, payload; around what it must repeat."""
    name = f"{etree.QName(body).localname}Response"
    part = messages()[name]
    repeated = echoed(body)
    values = {one.path: canary(one).value for one in part.leaves() if wanted(one)} | repeated
    values |= {path: fixed[short] for path in values if (short := path.partition("/")[2]) in fixed}
    party.world.exercised.update(values)
    own = (one for one in part.leaves() if one.path in values and one.path not in repeated)
    party.world.say(replace(canary(one), value=values[one.path]) for one in own)
    return written(part, values)


def acknowledged(party: Party, body: etree._Element, value: str = "OK") -> str:
    def wanted(leaf: Part) -> bool:
        return "/criteria/" not in leaf.path

    return respond(party, body, wanted, {"status/value": value})


def answered(party: Party, body: etree._Element, *, everything: bool = False) -> str:
    """An honest answer: all that the provider's role may provide. `everything`: and what it may not."""
    operation = etree.QName(body).localname
    kind = body.findtext("{*}criteria/{*}documentType")
    provided = agreement().provided(party.authority.role, operation, kind)
    known = fields(operation)

    def wanted(leaf: Part) -> bool:
        if "/criteria/" in leaf.path:
            return False
        return everything or leaf.path not in known or known[leaf.path] in provided

    return respond(party, body, wanted, {"status/value": "DATA_FOUND", **truths(party, operation, body)})


def truths(party: Party, operation: str, body: etree._Element) -> dict[str, str]:
    """What an answer must not say otherwise."""
    number = body.findtext("{*}criteria/{*}dossierNumber")
    found = {
        path.partition("/")[2]: number
        for path, one in fields(operation).items()
        if one == "G01.dossierNumber"
    }
    if operation == "consultPriorApplications":
        found["priorApplications/priorApplication/region"] = party.authority.region
    if operation == "retrieveDocument":
        criteria = body.find("{*}criteria")
        found |= {
            "document/reference": criteria.findtext("{*}documentReference"),
            "document/type": criteria.findtext("{*}documentType"),
            "document/sha256": SHA256,
            "document/content": CONTENT,
        }
    return found


@asynccontextmanager
async def endpoints(world: World):
    """Every authority that has one, over mutual TLS. Yields their URLs."""
    async with AsyncExitStack() as stack:
        urls = {}
        world.parties = {str(one.id): Party(world, one) for one in register().authorities}
        for party in world.parties.values():
            if party.id not in WITHOUT_ENDPOINT:
                urls[AuthorityId(party.id)] = await _endpoint(stack, party)
        try:
            yield urls
        finally:
            for party in world.parties.values():
                if party.session is not None:
                    await party.session.close()


async def _endpoint(stack: AsyncExitStack, party: Party) -> str:
    application = web.Application(client_max_size=2**25)

    async def handle(http: web.Request) -> web.StreamResponse:
        return await serve(party, http)

    application.router.add_post("/soap", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    pki = party.world.directory / "pki"
    tls = server_context(
        pki / party.id / "tls.crt.pem", pki / party.id / "tls.key.pem", [pki / one for one in TRUST]
    )
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    return f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/soap"
