"""What providers do wrong. Each answers in the place of an honest one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aiohttp import web
from lxml import etree

from gateway.agreement.identifiers import dossier_number
from gateway.model import SoapVersion
from tests.path.hub import agreement
from tests.process.canaries.answers import answered, respond
from tests.process.canaries.asking import asked_dossiers, askings, criteria, dossier_for, question, released
from tests.process.canaries.parties import Party
from tests.process.canaries.place import ASKED
from tests.process.canaries.world import World, word

Wrong = Callable[[Party, etree._Element], web.Response]


def said(party: Party, what: str) -> str:
    """A word for a text of a provider that is of no contract."""
    return party.world.say_header(f"provider: {what}", word(f"provider {what}"))


def signed(party: Party, body: str, status: int = 200) -> web.Response:
    return web.Response(body=party.sign(body), content_type="text/xml", status=status)


def everything(party: Party, body: etree._Element) -> web.Response:
    return signed(party, answered(party, body, everything=True))


def fault(party: Party, body: etree._Element) -> web.Response:
    text = said(party, "fault")
    inner = (
        f'<soap:Fault xmlns:soap="{SoapVersion.V11.value}"><faultcode>soap:Server</faultcode>'
        f"<faultstring>{text}</faultstring><detail><x>{text}</x></detail></soap:Fault>"
    )
    return signed(party, inner, 500)


def page(party: Party, body: etree._Element) -> web.Response:
    text = f"<html><pre>Traceback: {said(party, 'page')}</pre></html>"
    return web.Response(status=500, text=text, content_type="text/html")


def garbage(party: Party, body: etree._Element) -> web.Response:
    return web.Response(text=f"<?xml {said(party, 'garbage')} <<", content_type="text/xml")


def unsigned(party: Party, body: etree._Element) -> web.Response:
    return web.Response(text=f"<a>{said(party, 'unsigned')}</a>", content_type="text/xml")


def moved(party: Party, body: etree._Element) -> web.Response:
    return web.Response(status=307, headers={"Location": f"https://127.0.0.1:1/{said(party, 'Location')}"})


def headers(party: Party, body: etree._Element) -> web.Response:
    names = ("Set-Cookie", "Content-Encoding", "X-Request-ID", "Server", "ETag")
    found = {name: said(party, name) for name in names}
    return web.Response(body=party.sign(answered(party, body)), content_type="text/xml", headers=found)


def media(party: Party, body: etree._Element) -> web.Response:
    return web.Response(text="x", headers={"Content-Type": f"text/{said(party, 'media')}"})


def package(party: Party, body: etree._Element) -> web.Response:
    boundary = said(party, "boundary")
    kind = f'multipart/related; type="application/xop+xml"; start-info="text/xml"; boundary="{boundary}"'
    text = f"--{boundary}\r\nContent-ID: <{said(party, 'content id')}>\r\n\r\n{said(party, 'part')}"
    return web.Response(body=text.encode(), headers={"Content-Type": kind})


def mismatch(party: Party, body: etree._Element) -> web.Response:
    other = dossier_number(2033, 7)
    party.world.say_header("provider: another dossier", other)
    return signed(party, answered(party, body).replace(body.findtext("{*}criteria/{*}dossierNumber"), other))


def no_result(party: Party, body: etree._Element) -> web.Response:
    return signed(
        party, respond(party, body, lambda leaf: "/status/" in leaf.path, {"status/value": "NO_RESULT"})
    )


def invalid(party: Party, body: etree._Element) -> web.Response:
    marker = f"e{said(party, 'invalid')}"
    return signed(
        party, answered(party, body).replace("</s:status>", f"</s:status><s:{marker}>x</s:{marker}>")
    )


WRONG: tuple[Wrong, ...] = (
    everything, fault, page, garbage, unsigned, moved, headers, media, package, mismatch, no_result, invalid,
)  # fmt: skip


async def ask_the_hostile(world: World) -> None:
    """Every way of answering wrongly, for each operation and each role that provides."""
    dossiers, tried = asked_dossiers(), {}
    for one in askings():
        tried.setdefault((one.operation, one.provider), one)
    for wrong in WRONG:
        world.answer = partial(if_asked, wrong)
        for one in tried.values():
            fixed = criteria(one, dossiers[dossier_for(one)])
            code = await question(world, ASKED[one.requester], one, fixed).send(may=released(one))
            assert code is not None or wrong in {no_result, everything}, (wrong, one)
    world.answer = None


async def if_asked(
    wrong: Wrong, party: Party, body: etree._Element, http: web.Request
) -> web.Response | None:
    told = agreement().contract.messages[etree.QName(body).localname].notification
    return None if told else wrong(party, body)
