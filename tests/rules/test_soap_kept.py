"""A message is kept as it was received, but for the content of its document, which can be put back."""

from __future__ import annotations

import base64
import hashlib

import pytest
import xmlsec
from lxml import etree

from gateway.refusal import Code
from gateway.soap import names
from gateway.soap.kept import apart, restored, without_content
from tests.rules.second_engine import xmlsec_verifies
from tests.world import SERVICE, V12, accept, build, good, refused, sign

DOCUMENT = b"%PDF-1.7 of a fictitious person \x00\xff" * 3
BASE64 = base64.b64encode(DOCUMENT).decode()
SHA256 = hashlib.sha256(DOCUMENT).hexdigest()


def uploaded(content: str = BASE64, prefix: str = "s", **change: object) -> bytes:
    """A signed message that holds a document."""
    document = (
        f"<{prefix}:document><{prefix}:sha256>{SHA256}</{prefix}:sha256>"
        f"<{prefix}:content>{content}</{prefix}:content></{prefix}:document>"
    )
    body = f'<{prefix}:uploadDocument xmlns:{prefix}="{SERVICE}">{document}</{prefix}:uploadDocument>'
    return build(content=body, **change)


def held(kept: bytes):
    return apart(etree.fromstring(kept))


def test_message_without_a_document_is_kept_as_it_is():
    assert without_content(build()) == build()
    assert held(build()) is None


@pytest.mark.parametrize("change", [{}, {"version": V12}, {"prefix": "content"}])
def test_content_is_taken_out_and_put_back_under_the_same_signature(change):
    message = uploaded(**change)
    kept = without_content(message)
    assert BASE64.encode() not in kept
    assert (held(kept).sha256, held(kept).in_lines) == (SHA256, False)
    whole = restored(kept, DOCUMENT)
    assert accept(whole).body == accept(message).body
    xmlsec_verifies(whole)


def in_the_header(message: bytes, block: str) -> bytes:
    """With a block more that nobody signed, and nobody must understand."""
    return message.replace(b"<wsse:Security", block.encode() + b"<wsse:Security", 1)


@pytest.mark.parametrize("kept_whole", [build(), uploaded()], ids=["a question", "an upload"])
def test_content_beside_the_body_changes_nothing_of_what_is_kept(kept_whole):
    message = in_the_header(kept_whole, f'<h:content xmlns:h="{SERVICE}">x</h:content>')
    assert accept(message).body == accept(kept_whole).body
    kept = without_content(message)
    assert b">x</h:content>" in kept
    assert (held(kept) is None) is (held(without_content(kept_whole)) is None)
    assert accept(restored(kept, DOCUMENT)).body == accept(message).body


@pytest.mark.parametrize("more", ["<s:content>AAAA</s:content>", "<s:content/>"])
def test_what_stands_twice_is_no_documents(more):
    twice = build(content=uploaded_body(BASE64).replace("</s:document>", f"{more}</s:document>"))
    assert without_content(twice) == twice
    xmlsec_verifies(twice)


def test_an_include_is_seen_however_its_namespace_is_written():
    written = names.XOP.replace("/", "&#47;")
    message = in_the_header(build(), f'<x:Include xmlns:x="{written}" href="cid:a"/>')
    assert refused(message) is Code.SOAP_STRUCTURE


def test_another_document_is_not_what_was_signed():
    whole = restored(without_content(uploaded()), DOCUMENT + b"x")
    assert refused(whole) is Code.SIGNATURE
    with pytest.raises(xmlsec.Error):
        xmlsec_verifies(whole)


def test_content_under_another_spelling_is_taken_out_too():
    """`&#x...;` is a character like any to the parser."""
    spelled = "".join(f"&#x{ord(one):x};" for one in BASE64)
    message = sign(good(content=uploaded_body(spelled)))
    kept = without_content(message)
    assert spelled.encode() not in kept
    assert BASE64.encode() not in kept
    assert restored(kept, DOCUMENT).count(BASE64.encode()) == 1


def uploaded_body(content: str) -> str:
    return (
        f'<s:uploadDocument xmlns:s="{SERVICE}"><s:document><s:sha256>{SHA256}</s:sha256>'
        f"<s:content>{content}</s:content></s:document></s:uploadDocument>"
    )


@pytest.mark.parametrize("space", ["\n", " ", "\t", "&#13;\n"])
def test_content_in_lines_is_taken_out_and_said_to_have_been_so(space):
    kept = without_content(uploaded(space.join([BASE64[:40], BASE64[40:]])))
    assert BASE64[:40].encode() not in kept
    assert held(kept).in_lines


def test_place_of_an_attachment_names_it():
    include = '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:scan%20of%40x"/>'
    kept = without_content(uploaded(include))
    assert include.encode() in kept
    assert held(kept).content_id == "scan of@x"
