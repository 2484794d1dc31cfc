"""The endpoint of contracts/clients.md, as it stands there, in the place of a back office of a running sandbox."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from aiohttp import web
from lxml import etree
from zeep.exceptions import SignatureVerificationFailed

from gateway.model import AuthorityId
from gateway.sandbox.back_office import BackOffice
from gateway.sandbox.files import FIRST, WORKER, read_files, told
from gateway.sandbox.world import World
from tests.process.store_world import query

CLIENTS = Path(__file__).resolve().parents[2] / "contracts/clients.md"
EVENT = "notifySocialSecurityEvent"
PLATFORM, NSSO = AuthorityId("PLATFORM"), AuthorityId("NSSO")


@pytest.fixture(scope="module")
def said():
    """What the documents define: functions and classes; their example of a client connects to nobody here."""
    blocks = re.findall(r"```python\n(.*?)```", CLIENTS.read_text(), re.DOTALL)
    namespace: dict[str, object] = {}
    exec("\n".join(one for one in blocks if "client = Client(" not in one), namespace)
    return namespace


@pytest.fixture(scope="module")
def delivered(said, tmp_path_factory):
    """A notification that the document's endpoint took over: what came, what was kept, its state in the store."""
    came, kept = [], {}
    with World(tmp_path_factory.mktemp("endpoint") / "world") as world:
        world.records.enter(FIRST, "FIRST", "CARD_ISSUED", WORKER, [PLATFORM, "IMMIGRATION_OFFICE", NSSO])
        own, hub = world.place.identity(PLATFORM), world.place.hub_certificate("rsa-sha256")
        signed = said["Signed"](str(own.sign_key), str(own.sign_certificate), str(hub))
        office = world.offices[PLATFORM]
        reading = office._read

        def read(certificate: bytes, data: bytes) -> object:
            came.append(data)
            return reading(certificate, data)

        async def answer(_: BackOffice, __: object) -> web.Response:
            reply = said["take_over"](came[-1], signed, kept.__contains__, kept.__setitem__)
            return web.Response(body=reply, content_type="text/xml", charset="utf-8")

        office._read, office.receiving = read, answer
        payload = told(read_files(NSSO)[FIRST], EVENT)
        world.requester(NSSO).tell(EVENT, "WIB:WORK_DECISION", FIRST, payload)
        store = world.place.settings.log.store
        state = f"SELECT state, attempts, last_code FROM deliveries WHERE recipient = '{PLATFORM}'"
        until = time.monotonic() + 60
        while query(store, state)[0][0] != "settled" and time.monotonic() < until:
            time.sleep(0.05)
        yield came, kept, query(store, state), signed


def test_hub_takes_the_answer_of_the_documents_for_an_acknowledgement(delivered):
    came, kept, states, _ = delivered
    assert states == [("settled", 0, None)]
    (message,) = kept.values()
    assert etree.QName(message).localname == EVENT
    assert message.findtext("{*}criteria/{*}dossierNumber") == FIRST
    assert len(came) == 1


def test_what_is_known_is_answered_and_not_kept_again(said, delivered):
    came, kept, _, signed = delivered
    again = said["take_over"](came[0], signed, kept.__contains__, lambda *_: pytest.fail("kept twice"))
    answer = etree.fromstring(again).find("{*}Body")[0]
    assert etree.QName(answer).localname == f"{EVENT}Response"
    assert answer.findtext("{*}status/{*}value") == "OK"


def test_what_was_altered_is_not_taken_over(said, delivered):
    came, _, _, signed = delivered
    altered = came[0].replace(FIRST.encode(), b"WIB-2026-0000002-58")
    with pytest.raises(SignatureVerificationFailed):
        said["take_over"](altered, signed, lambda _: False, lambda *_: pytest.fail("kept"))
