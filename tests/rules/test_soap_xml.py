"""The parser against hostile XML: each refused message has an accepted twin that differs in one detail."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.refusal import Code, Refusal
from gateway.soap.xml import Limits, canonical, parse, text
from tests.world import CONTENT, LIMITS, V12, accept, build, once, refused

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
BOM = b"\xef\xbb\xbf"


@cache
def good() -> bytes:
    return build()


def with_echo(value: bytes) -> bytes:
    """The good message with other text in its Body, no longer validly signed."""
    return once_bytes(good(), b">good<", b">" + value + b"<")


def once_bytes(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1
    return data.replace(old, new)


def signed_echo(value: str) -> bytes:
    return build(edit=((">good<", f">{value}<"),))


def dtd(declarations: str, echo: str = "good") -> bytes:
    return f"<!DOCTYPE Envelope {declarations}>".encode() + with_echo(echo.encode())


def nested(depth: int) -> str:
    """Content that makes the message `depth` elements deep."""
    inner = depth - 2
    return '<s:x xmlns:s="urn:x">' + "<s:x>" * (inner - 1) + "</s:x>" * inner


def element(attributes: str, content: str = "") -> str:
    return f'<s:x xmlns:s="urn:x"{attributes}>{content}</s:x>'


def attributes(count: int) -> str:
    return "".join(f' a{i}=""' for i in range(count))


def declared(count: int) -> str:
    return "".join(f' xmlns:n{i}="urn:{i}"' for i in range(count))


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
DTDS = {
    "billion laughs": dtd(f'[<!ENTITY l0 "ha">{LAUGHS}]', "&l9;"),
    "quadratic blow-up": dtd(f'[<!ENTITY q "{"q" * 50_000}">]', "&q;" * 2_000),
    "an expansion below every guard": dtd('[<!ENTITY s "small">]', "&s;" * 15),
    "entities in a circle": dtd('[<!ENTITY a "&b;"><!ENTITY b "&a;">]', "&a;"),
    "an external entity from a file": dtd('[<!ENTITY x SYSTEM "file:///etc/hostname">]', "&x;"),
    "an external entity over HTTP": dtd('[<!ENTITY x SYSTEM "http://canary.example/">]', "&x;"),
    "a parameter entity that loads more": dtd('[<!ENTITY % p SYSTEM "http://canary.example/p.dtd"> %p;]'),
    "an external subset": dtd('SYSTEM "http://canary.example/x.dtd"'),
    "an empty DOCTYPE": dtd(""),
    "a comment and CDATA that parsers read differently": dtd("SYSTEM 'x\"><!--'", "<![CDATA[-->good<!--]]>"),
    "a default attribute": dtd('[<!ATTLIST Body Id CDATA "evil">]'),
    "a default namespace": dtd('[<!ATTLIST Body xmlns:p CDATA #FIXED "urn:evil">]'),
    "an ID-typed attribute": dtd("[<!ATTLIST w foo ID #IMPLIED>]"),
    "an entity in an id": once_bytes(dtd('[<!ENTITY e "body">]'), b'wsu:Id="body"', b'wsu:Id="&e;"'),
    "an entity that splits text": dtd('[<!ENTITY e "x">]', "go&e;od"),
}


@pytest.mark.parametrize("data", DTDS.values(), ids=DTDS)
def test_a_document_type_declaration_is_refused(data: bytes):
    assert refused(data) is Code.XML_DTD
    assert refused(BOM + data) is Code.XML_DTD
    assert refused(DECLARATION + data) is Code.XML_DTD


def test_the_same_message_without_one_is_accepted():
    assert accept(with_echo(b"good"))
    assert accept(signed_echo("&lt;!DOCTYPE x&gt;"))


COMMENTS = {
    "a comment that splits text": lambda: with_echo(b"go<!-- -->od"),
    "a comment in a digest": lambda: good().replace(b"</ds:DigestValue>", b"<!----></ds:DigestValue>", 1),
    "a comment in SignedInfo": lambda: once_bytes(good(), b"<ds:SignedInfo>", b"<ds:SignedInfo><!--x-->"),
    "a comment between header and body": lambda: once_bytes(
        good(), b"</soap:Header>", b"</soap:Header><!--x-->"
    ),
    "a comment before the envelope": lambda: b"<!--x-->" + good(),
    "a comment after the declaration": lambda: DECLARATION + b"<!--x-->" + good(),
    "a comment after the envelope": lambda: good() + b"<!--x-->",
    "an instruction that splits text": lambda: with_echo(b"go<?p x?>od"),
    "an instruction before the envelope": lambda: b"<?p x?>" + good(),
    "an instruction after the declaration": lambda: DECLARATION + b"<?p x?>" + good(),
    "an instruction after the envelope": lambda: good() + b"<?p x?>",
    "a style sheet": lambda: b'<?xml-stylesheet href="http://canary.example/"?>' + good(),
    "a style sheet behind a byte order mark": lambda: BOM + b'<?xml-stylesheet href="x"?>' + good(),
    "a style sheet after the declaration": lambda: DECLARATION + b'<?xml-stylesheet href="x"?>' + good(),
}


@pytest.mark.parametrize("broken", COMMENTS.values(), ids=COMMENTS)
def test_comments_and_processing_instructions_are_refused(broken: Callable[[], bytes]):
    assert refused(broken()) is Code.XML_COMMENT


ACCEPTED = {
    "an XML declaration": lambda: DECLARATION + good(),
    "a declaration without encoding": lambda: b'<?xml version="1.0"?>' + good(),
    "a declaration in single quotes and lower case": lambda: (
        b"<?xml version='1.0' encoding='utf-8' ?>\n" + good()
    ),
    "a standalone declaration": lambda: DECLARATION.replace(b"?>", b' standalone="no"?>') + good(),
    "a byte order mark": lambda: BOM + good(),
    "a byte order mark and a declaration": lambda: BOM + DECLARATION + good(),
    "white space before and after the envelope": lambda: b"\n" + good() + b"\r\n\t ",
    "CDATA": lambda: with_echo(b"<![CDATA[good]]>"),
    "CDATA that splits text": lambda: with_echo(b"g<![CDATA[oo]]>d"),
    "CDATA that looks like a comment": lambda: signed_echo("<![CDATA[<!-- x --><?p?>]]>"),
    "character references": lambda: with_echo(b"&#103;&#x6f;od"),
    "other quotes and attribute order": lambda: once_bytes(good(), b'wsu:Id="body"', b"wsu:Id='body'"),
}


@pytest.mark.parametrize("written", ACCEPTED.values(), ids=ACCEPTED)
def test_another_way_of_writing_the_same_message_is_accepted(written: Callable[[], bytes]):
    assert accept(written()).body


NASTY = ["\x85", "\u2028", "\u202e", "\x7f", "&#13;", "\U0001f469", "&#10;", "<![CDATA[]]]]><![CDATA[>]]>"]


@pytest.mark.parametrize("value", NASTY, ids=ascii)
def test_unusual_characters_are_data(value: str):
    body = parse(accept(signed_echo(value)).body, LIMITS)
    sent = parse(f"<x>{value}</x>".encode(), LIMITS).text
    assert body.findtext(".//{*}echo") == sent


MALFORMED = {
    "nothing": lambda: b"",
    "no XML": lambda: b"POST /",
    "a truncated message": lambda: good()[:-1],
    "two roots": lambda: good() + b"<b/>",
    "text after the root": lambda: good() + b"x",
    "NUL after the root": lambda: good() + b"\0",
    "space before the declaration": lambda: b" " + DECLARATION + good(),
    "two declarations": lambda: DECLARATION + DECLARATION + good(),
    "two byte order marks": lambda: BOM + BOM + good(),
    "NUL": lambda: with_echo(b"\0"),
    "a control character": lambda: with_echo(b"\x01"),
    "a vertical tab": lambda: with_echo(b"\x0b"),
    "a non-character": lambda: with_echo(b"\xef\xbf\xbe"),
    "a reference to NUL": lambda: with_echo(b"&#0;"),
    "a reference to a control character": lambda: with_echo(b"&#x1;"),
    "a reference to a surrogate": lambda: with_echo(b"&#xD800;"),
    "a reference beyond Unicode": lambda: with_echo(b"&#x110000;"),
    "an undeclared entity": lambda: with_echo(b"&nbsp;"),
    "an overlong sequence": lambda: with_echo(b"\xc0\xbc"),
    "an encoded surrogate": lambda: with_echo(b"\xed\xa0\x80"),
    "a byte beyond UTF-8": lambda: with_echo(b"\xf5\x80\x80\x80"),
    "Latin-1 under UTF-8": lambda: with_echo("é".encode("latin-1")),
    "UTF-16 with a byte order mark": lambda: good().decode().encode("utf-16"),
    "UTF-16 without one": lambda: good().decode().encode("utf-16-le"),
    "UTF-32": lambda: good().decode().encode("utf-32"),
    "a DTD in UTF-16": lambda: DTDS["billion laughs"].decode().encode("utf-16"),
    "declared UTF-7": lambda: DECLARATION.replace(b"UTF-8", b"UTF-7") + good(),
    "declared HZ": lambda: DECLARATION.replace(b"UTF-8", b"HZ-GB-2312") + good(),
    "declared EBCDIC": lambda: DECLARATION.replace(b"UTF-8", b"IBM037") + good(),
    "declared Latin-1": lambda: DECLARATION.replace(b"UTF-8", b"ISO-8859-1") + good(),
    "a declared encoding that nobody knows": lambda: DECLARATION.replace(b"UTF-8", b"x-nonsense") + good(),
    "XML 1.1": lambda: DECLARATION.replace(b"1.0", b"1.1") + good(),
    "XML 2.0": lambda: DECLARATION.replace(b"1.0", b"2.0") + good(),
    "one attribute under two prefixes": lambda: build_with(b'xmlns:a="urn:a" xmlns:b="urn:a" a:x="" b:x=""'),
    "one attribute twice": lambda: build_with(b'x="" x=""'),
    "a prefix that is not declared": lambda: build_with(b'q:x=""'),
    "the xml prefix bound to something else": lambda: build_with(b'xmlns:xml="urn:x"'),
    "another prefix bound to the xml namespace": lambda: build_with(
        b'xmlns:p="http://www.w3.org/XML/1998/namespace"'
    ),
    "a relative namespace name in signed content": lambda: build_with(b'xmlns:r="1"'),
    "a relative namespace name above signed content": lambda: good().replace(
        b" xmlns:", b' xmlns:r="1" xmlns:', 1
    ),
}


def build_with(attributes: bytes) -> bytes:
    """The good message with attributes on its operation element; not validly signed."""
    return once_bytes(good(), b"<s:sendTestMessage ", b"<s:sendTestMessage " + attributes + b" ")


@pytest.mark.parametrize("broken", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_well_formed_utf8_is_refused(broken: Callable[[], bytes]):
    assert refused(broken()) is Code.XML_MALFORMED


# What is bounded: (refused, its twin exactly at the bound).
SMALL = replace(LIMITS, all_attributes=100, elements=60)
LIMITED = {
    "depth": (lambda: build(content=nested(65)), lambda: build(content=nested(64)), LIMITS),
    "attributes of one element": (
        lambda: build(content=element(attributes(65))),
        lambda: build(content=element(attributes(64))),
        LIMITS,
    ),
    "attributes of the message": (
        lambda: build(content=element(' a="' + "=" * 90 + '"')),
        lambda: build(content=element(' a="' + "=" * 10 + '"')),
        SMALL,
    ),
    "namespace declarations": (
        lambda: build(envelope=declared(1_100)),
        lambda: build(envelope=declared(1_000)),
        LIMITS,
    ),
    "elements among namespaces": (
        lambda: build(envelope=declared(1_000), content=element("", "<x/>" * 4_500)),
        lambda: build(envelope=declared(1_000), content=element("", "<x/>" * 3_500)),
        LIMITS,
    ),
    "attributes among namespaces": (
        lambda: build(envelope=declared(1_000), content=element("", f"<x{attributes(49)}/>" * 90)),
        lambda: build(envelope=declared(1_000), content=element("", f"<x{attributes(49)}/>" * 70)),
        LIMITS,
    ),
    "elements beside namespaces": (
        lambda: build(envelope=declared(100), content=element("", "<x/>" * 42_000)),
        lambda: build(blocks=f'<h:x xmlns:h="urn:h"{declared(100)}/>', content=element("", "<x/>" * 42_000)),
        LIMITS,
    ),
    "elements, seen in the tree": (
        lambda: build(content=f'<s:x xmlns:s="urn:x">{"<s:x/>" * 60}</s:x>'),
        lambda: build(content=f'<s:x xmlns:s="urn:x">{"<s:x/>" * 30}</s:x>'),
        SMALL,
    ),
    "elements, seen in the bytes": (
        lambda: build(content=f'<s:x xmlns:s="urn:x">{"<s:x></s:x>" * 70}</s:x>'),
        lambda: build(content=f'<s:x xmlns:s="urn:x">{"<s:x></s:x>" * 30}</s:x>'),
        SMALL,
    ),
    "the length of an attribute": (
        lambda: build(content=element(f' a="{"x" * 65_537}"')),
        lambda: build(content=element(f' a="{"x" * 65_536}"')),
        LIMITS,
    ),
}


@pytest.mark.parametrize(("broken", "twin", "limits"), LIMITED.values(), ids=LIMITED)
def test_what_exceeds_a_limit_is_refused(
    broken: Callable[[], bytes], twin: Callable[[], bytes], limits: Limits
):
    assert refused(broken(), limits=limits) is Code.XML_LIMIT
    assert accept(twin(), limits=limits)


FLOODS = {
    "257 elements deep": lambda: b"<a>" * 257 + b"</a>" * 257,
    "2,049 elements deep": lambda: b"<a>" * 2_049 + b"</a>" * 2_049,
    "100,000 elements deep": lambda: b"<a>" * 100_000,
    "60,000 attributes": lambda: b"<a" + b"".join(b' a%d=""' % i for i in range(60_000)) + b"/>",
    "20,000 namespaces": lambda: b"<a" + b"".join(b' xmlns:a%d="urn:x"' % i for i in range(20_000)) + b"/>",
    "2,000 namespaces on 1,000 elements": lambda: (
        b"<a" + b"".join(b' xmlns:a%d="urn:x"' % i for i in range(2_000)) + b">" + b"<b/>" * 1_000 + b"</a>"
    ),
    "49,000 elements among 80 namespaces": lambda: (
        b"<a" + b"".join(b' xmlns:a%d="urn:x"' % i for i in range(82)) + b">" + b"<b/>" * 49_000 + b"</a>"
    ),
    "a million elements": lambda: b"<a>" + b"<b/>" * 1_000_000 + b"</a>",
    "50,001 elements": lambda: b"<a>" + b"<b/>" * 50_000 + b"</a>",
    "two million attributes on 40,000 elements": lambda: (
        b"<a>" + b"<b %b/>" % b"".join(b' a%d=""' % i for i in range(50)) * 40_000
    ),
    "a name of 60,000 characters": lambda: b"<" + b"a" * 60_000 + b"/>",
    "an attribute of 11 million characters": lambda: b'<a b="' + b"x" * 11_000_000 + b'"/>',
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_refused_by_the_parser(flood: Callable[[], bytes]):
    with pytest.raises(Refusal) as caught:
        parse(flood(), LIMITS)
    assert caught.value.code is Code.XML_LIMIT


def test_a_full_dossier_may_declare_its_namespaces_at_every_step():
    """50 workplaces with their addresses, as zeep writes them; inclusive prefixes included."""
    place = (
        '<d:workPlace xmlns:d="urn:d"><d:address>'
        + '<c:x xmlns:c="urn:c"/>' * 12
        + "</d:address></d:workPlace>"
    )
    assert accept(
        build(content=f'<s:x xmlns:s="urn:x">{place * 50}</s:x>', prefixes="soap wsse wsu s d c xs xsi")
    )


def test_a_document_of_7_mib_fits_with_its_line_breaks():
    encoded = base64.encodebytes(bytes(7 * 1024 * 1024)).decode()
    assert accept(signed_echo(encoded))


def test_one_byte_more_than_the_limit_is_too_large():
    assert accept(good(), limits=Limits(bytes=len(good())))
    assert refused(good(), limits=Limits(bytes=len(good()) - 1)) is Code.TOO_LARGE


def test_includes_and_schema_locations_stay_text():
    hints = (
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/hostname" parse="text"></xi:include>'
        '<s:y xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x http://canary/x"></s:y>'
    )
    body = accept(build(content=f'<s:x xmlns:s="urn:x">{hints}</s:x>')).body
    assert b'href="/etc/hostname"' in body
    assert body.count(b"canary") == 1


def test_a_qname_in_content_is_verified_with_its_text_only():
    """Rebinding the prefix outside the signed bytes must not reach a reader: they hold no such prefix (S34)."""
    data = build(envelope=' xmlns:p="urn:good"', content=once(CONTENT, "good", "p:good"))
    rebound = accept(once_bytes(data, b"urn:good", b"urn:evil"))
    assert rebound.body == accept(data).body
    assert b"urn:evil" not in rebound.body


def outcome(data: bytes):
    try:
        return parse(data, LIMITS)
    except Refusal as refusal:
        return refusal.code


@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
        | st.sampled_from("\t\n\r")
    )
)
@settings(deadline=None, derandomize=True, max_examples=300)
def test_escaped_text_is_canonical_and_reads_back(value: str):
    written = f"<x>{text(value)}</x>".encode()
    root = outcome(written)
    if set(value) & {"\ufffe", "\uffff"}:  # no characters of XML
        assert root is Code.XML_MALFORMED
    else:
        assert (root.text or "") == value
        assert canonical(root) == written


@given(st.binary(max_size=300) | st.text().map(str.encode))
@settings(deadline=None, derandomize=True, max_examples=500)
def test_arbitrary_bytes_are_a_refusal_or_a_tree_without_surprises(data: bytes):
    for candidate in (data, b"<a>" + data + b"</a>", DECLARATION + b"<a b='" + data + b"'/>"):
        root = outcome(candidate)
        if isinstance(root, Code):
            assert root.row.code.startswith("WIB02")
        else:
            assert not root.xpath("//comment() | //processing-instruction()")


def test_soap_1_2_passes_the_same_parser():
    assert accept(build(version=V12)).version is V12
