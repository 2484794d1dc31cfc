"""PROTOCOL §17.2: the signature of an MTOM message covers its content (attacks H26, S44)."""

from __future__ import annotations

import base64
import hashlib
import uuid
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.refusal import Code, Refusal
from gateway.soap.envelope import PLACE, read_packaged
from gateway.wss.content import AroundContent
from gateway.wss.sign import Framing
from gateway.wss.verify import Unfinished
from tests.rules.second_engine import xmlsec_verifies
from tests.world import LIMITS, NOW, SERVICE, V11, V12, WINDOW, accept, build, holder, once, refused, wsa

XOP = "http://www.w3.org/2004/08/xop/include"
CONTENT = b"%PDF-1.7 and some bytes \x00\xff\r\n"
BASE64 = base64.b64encode(CONTENT).decode()
INCLUDE = f'<xop:Include xmlns:xop="{XOP}" href="cid:scan@x"/>'
BODY = f'<s:upload xmlns:s="{SERVICE}"><s:content>{{}}</s:content><s:note>n</s:note></s:upload>'


def inline(content: bytes = CONTENT, **changes) -> bytes:
    """The base64 form, signed by xmlsec."""
    return build(content=BODY.format(base64.b64encode(content).decode()), **changes)


def packaged(data: bytes, include: str = INCLUDE) -> bytes:
    """The XOP form of a signed message: what an MTOM stack makes of it after signing."""
    return once(data.decode(), f">{BASE64}<", f">{include}<").encode()


def finish(message: bytes, content: bytes = CONTENT, step: int = 1 << 20):
    envelope, place = read_packaged(message, LIMITS, "scan@x")
    unfinished = Unfinished(envelope, place, WINDOW, NOW)
    for at in range(0, len(content), step):
        unfinished.update(content[at : at + step])
    return unfinished.finish(), place


def code(message: bytes, content: bytes = CONTENT) -> Code:
    with pytest.raises(Refusal) as caught:
        finish(message, content)
    return caught.value.code


@pytest.mark.parametrize("version", [V11, V12])
@pytest.mark.parametrize("prefixes", [None, "s", ""])
def test_both_forms_of_a_message_have_one_signature(version, prefixes):
    data = inline(version=version, prefixes=prefixes)
    verified, place = finish(packaged(data))
    assert verified.signature == accept(data).signature
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert place.text == digest
    assert verified.body == accept(data).body.replace(BASE64.encode(), digest.encode())
    assert verified.element[0][0] is place


@pytest.mark.parametrize("step", range(1, 10))
def test_the_content_may_arrive_in_any_pieces(step: int):
    finish(packaged(inline()), step=step)


@given(pieces=st.lists(st.binary(max_size=9)), name=st.sampled_from(["sha256", "sha384", "sha512"]))
def test_the_digest_is_that_of_the_whole_in_base64(pieces: list[bytes], name: str):
    around = AroundContent(name, b"before")
    for piece in pieces:
        around.update(piece)
    whole = b"before" + base64.b64encode(b"".join(pieces)) + b"after"
    assert around.finish(b"after") == hashlib.new(name, whole).digest()


CHANGED = {
    "a byte changed": CONTENT[:-1] + b"!",
    "a byte added": CONTENT + b"\n",
    "the last byte missing": CONTENT[:-1],
    "nothing": b"",
    "its own base64": BASE64.encode(),
}


@pytest.mark.parametrize("change", CHANGED)
def test_changed_content_is_refused(change: str):
    assert code(packaged(inline()), CHANGED[change]) is Code.SIGNATURE


def test_the_rest_of_the_body_is_signed_too():
    assert code(once(packaged(inline()).decode(), ">n<", ">m<").encode()) is Code.SIGNATURE


def test_the_time_is_signed_too():
    message = once(packaged(inline()).decode(), "T09:05:00.000Z", "T09:30:00.000Z").encode()
    assert code(message) is Code.SIGNATURE


INCLUDES = {
    "a file": INCLUDE.replace("cid:scan@x", "file:///etc/passwd"),
    "another host": INCLUDE.replace("cid:scan@x", "http://canary.example/"),
    "another part": INCLUDE.replace("scan@x", "root@x"),
    "no href": INCLUDE.replace(' href="cid:scan@x"', ""),
    "a second attribute": INCLUDE.replace("/>", ' x="y"/>'),
    "twice": INCLUDE * 2,
    "with text before it": f"A{INCLUDE}",
    "with a line end before it": f"\n{INCLUDE}",
    "with text after it": f"{INCLUDE}A",
    "with text in it": INCLUDE.replace("/>", ">A</xop:Include>"),
    "with another in it": INCLUDE.replace("/>", f">{INCLUDE}</xop:Include>"),
    "beside an element": f"{INCLUDE}<y/>",
    "under another name": INCLUDE.replace(":Include", ":Exclude"),
    "not at all": BASE64,
    "as the place of an attachment": PLACE,
    "and the place of an attachment": INCLUDE + "</s:content><s:content>" + PLACE,
}


@pytest.mark.parametrize("form", INCLUDES)
def test_an_include_in_any_other_form_is_refused(form: str):
    assert code(packaged(inline(), INCLUDES[form])) is Code.SOAP_STRUCTURE


@pytest.mark.parametrize("version", [V11, V12])
def test_an_include_in_a_body_of_the_header_is_refused(version):
    """Or what was signed would be another content than the one that is read."""
    block = f'<h:x xmlns:h="urn:h"><b:Body xmlns:b="{version.value}"><y>{INCLUDE}</y></b:Body></h:x>'
    message = build(content=BODY.format(BASE64), blocks=block)
    assert code(once(message.decode(), BASE64, PLACE).encode()) is Code.SOAP_STRUCTURE


def test_an_identifier_in_the_notation_of_urls_is_the_same():
    finish(packaged(inline(), INCLUDE.replace("@", "%40")))


def test_an_include_in_a_header_is_refused():
    message = build(content=BODY.format(BASE64), blocks=f'<h:x xmlns:h="urn:h">{INCLUDE}</h:x>')
    assert code(message) is Code.SOAP_STRUCTURE


def test_a_message_by_itself_includes_nothing():
    assert refused(build(content=BODY.format(INCLUDE))) is Code.SOAP_STRUCTURE
    assert refused(build(blocks=f'<h:x xmlns:h="urn:h">{INCLUDE}</h:x>')) is Code.SOAP_STRUCTURE


def test_the_namespace_of_include_may_be_declared_and_not_used():
    accept(build(envelope=f' xmlns:xop="{XOP}"'))


def test_who_signed_is_settled_before_the_content_is_read():
    envelope, place = read_packaged(packaged(inline(expires="2026-06-01T08:00:00Z")), LIMITS, "scan@x")
    with pytest.raises(Refusal):
        Unfinished(envelope, place, WINDOW, NOW)


@pytest.mark.parametrize("version", [V11, V12])
@pytest.mark.parametrize("kind", ["rsa-2048", "p256"])
def test_what_is_signed_here_around_content_verifies_in_both_forms(version, kind):
    before, after = BODY.split("{}")
    framing = Framing(before, after, version=version, unique=str(uuid.uuid4()))
    for byte in CONTENT:
        framing.update(bytes([byte]))
    frame = framing.sign(key=holder(kind).signing, now=NOW, lifetime=timedelta(minutes=5))
    whole = frame.head + BASE64.encode() + frame.tail
    xmlsec_verifies(whole)  # a second engine, of the expanded form
    verified, _ = finish(frame.head + INCLUDE.encode() + frame.tail)
    assert verified.signature == accept(whole).signature
    assert etree.fromstring(whole).find(".//{*}content").text == BASE64


def test_addressing_is_signed_beside_content():
    verified, _ = finish(packaged(inline(blocks=wsa("Action", "urn:x", "a"), signed=("body", "time", "a"))))
    assert verified.addressing_signed
