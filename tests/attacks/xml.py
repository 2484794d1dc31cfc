"""P: what arrives as XML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gateway.refusal import Code
from tests.attacks.case import MARK, Harmless, attack, attacks
from tests.attacks.target import Message, Target
from tests.rules.test_soap_xml import DECLARATION, LAUGHS
from tests.world import V11, V12, once

Made = Callable[[Message], bytes]
HEADER_END = "</soap:Header>"
XSI = "http://www.w3.org/2001/XMLSchema-instance"


def dtd(declarations: str, use: str = "") -> Made:
    """M behind a document type; `use` stands in the signed Body then."""

    def made(message: Message) -> bytes:
        data = with_text(use)(message) if use else message.data
        return f"<!DOCTYPE Envelope {declarations}>".encode() + data

    return made


def with_text(text: str) -> Made:
    """M with something added to the text of its ticket, after signing."""
    return lambda message: replaced(message, f">{message.ticket}<", f">{message.ticket}{text}<")


def signed_text(text: str) -> Made:
    """The same before signing."""
    return lambda message: message.build(
        content=once(message.draft.content, f">{message.ticket}<", f">{message.ticket}{text}<")
    )


def replaced(message: Message, old: str, new: str) -> bytes:
    return once(message.data.decode(), old, new).encode()


def in_body(content: str) -> Made:
    """M, signed, with more in its operation element."""
    return lambda message: message.build(
        content=once(message.draft.content, "<s:criteria>", f"<s:criteria>{content}")
    )


def with_attributes(attributes: str) -> Made:
    """M with attributes on its operation element, after signing."""
    return lambda message: replaced(message, "<s:consultDossier ", f"<s:consultDossier {attributes} ")


def encoded(encoding: str) -> Made:
    return lambda message: message.data.decode().encode(encoding)


def declared(encoding: str) -> Made:
    return lambda message: DECLARATION.replace(b"UTF-8", encoding.encode()) + message.data


def before(data: bytes) -> Made:
    return lambda message: data + message.data


def behind(data: bytes) -> Made:
    return lambda message: message.data + data


def flood(content: str, count: int) -> Made:
    return lambda message: replaced(message, "<s:criteria>", f"<s:criteria>{content * count}")


def colliding(bits: int = 12) -> list[str]:
    """Names with one DJBX33A value: "Ez" and "FY" have the same, so any sequence of them has."""
    return ["".join("Ez" if number >> bit & 1 else "FY" for bit in range(bits)) for number in range(2**bits)]


attacks(
    "P01",
    Code.XML_DTD,
    {"ten entities that expand to gigabytes": dtd(f'[<!ENTITY l0 "ha">{LAUGHS}]', "&l9;")},
)
attacks(
    "P02",
    Code.XML_DTD,
    {"one large entity two thousand times": dtd(f'[<!ENTITY q "{"q" * 50_000}">]', "&q;" * 2_000)},
)
attacks(
    "P03", Code.XML_DTD, {"an expansion below every guard": dtd(f'[<!ENTITY s "{"s" * 4_000}">]', "&s;" * 15)}
)
attacks("P04", Code.XML_DTD, {"entities in a circle": dtd('[<!ENTITY a "&b;"><!ENTITY b "&a;">]', "&a;")})


@attack("P05", "an external entity that is a local file", Code.XML_DTD)
def _file(target: Target, message: Message) -> bytes:
    return dtd(f'[<!ENTITY x SYSTEM "file://{target.secret}">]', "&x;")(message)


for scheme in ("http", "ftp", "jar:http", "gopher", "expect"):

    @attack("P06", f"an external entity over {scheme}", Code.XML_DTD)
    def _entity(target: Target, message: Message, scheme: str = scheme) -> bytes:
        return dtd(f'[<!ENTITY x SYSTEM "{scheme}://127.0.0.1:{target.trap.port}/x">]', "&x;")(message)


@attack("P07", "a parameter entity that loads a DTD which sends a file away", Code.XML_DTD)
def _parameter(target: Target, message: Message) -> bytes:
    return dtd(f'[<!ENTITY % p SYSTEM "{target.trap.url}"> %p;]')(message)


@attack("P08", "an external DTD subset", Code.XML_DTD)
def _subset(target: Target, message: Message) -> bytes:
    return dtd(f'SYSTEM "{target.trap.url}"')(message)


attacks("P09", Code.XML_DTD, {"an empty document type": dtd("")})
attacks(
    "P10",
    Code.XML_DTD,
    {"a document type that hides a comment": dtd("SYSTEM 'x\"><!--'", "<![CDATA[-->x<!--]]>")},
)
attacks("P11", Code.XML_DTD, {
    "a default attribute": dtd('[<!ATTLIST Body Id CDATA "evil">]'),
    "a default namespace": dtd('[<!ATTLIST Body xmlns:p CDATA #FIXED "urn:evil">]'),
    "a default namespace on ds:Signature": dtd('[<!ATTLIST Signature xmlns CDATA #FIXED "http://www.w3.org/2000/09/xmldsig#">]'),
})  # fmt: skip
attacks("P12", Code.XML_DTD, {"an attribute of type ID": dtd("[<!ATTLIST w foo ID #IMPLIED>]")})
attacks("P13", Code.XML_DTD, {
    "an entity in an id": lambda m: once(dtd('[<!ENTITY e "body">]')(m).decode(), 'wsu:Id="body"', 'wsu:Id="&e;"').encode(),
})  # fmt: skip
attacks("P14", Code.XML_DTD, {"an entity that splits text": dtd('[<!ENTITY e "x">]', "&e;x")})
attacks("P14", Code.XML_MALFORMED, {"an entity that nobody declared": with_text("&e;")})
attacks("P15", Code.XML_MALFORMED, {
    f"a document type in {encoding}": lambda m, encoding=encoding: dtd(f'[<!ENTITY l0 "ha">{LAUGHS}]', "&l9;")(m).decode().encode(encoding)
    for encoding in ("utf-16", "utf-16-le", "utf-32")
})  # fmt: skip
attacks("P15", Code.XML_MALFORMED, {
    "a document type declared as UTF-7": lambda m: b'<?xml version="1.0" encoding="UTF-7"?><!DOCTYPE x>' + m.data,
})  # fmt: skip
attacks("P16", Code.XML_LIMIT, {
    f"{depth:,} elements deep": lambda m, depth=depth: replaced(m, "<s:criteria>", "<s:criteria>" + "<x>" * depth + "</x>" * depth)
    for depth in (65, 257, 2_049)
})  # fmt: skip
attacks("P16", Code.XML_LIMIT, {"30,000 elements that never close": lambda m: b"<a>" * 30_000})
attacks("P17", Code.XML_LIMIT, {
    "20,000 attributes on one element": with_attributes(" ".join(f'a{i}=""' for i in range(20_000))),
    "65 attributes on one signed element": lambda m: m.build(content=once(m.draft.content, "<s:criteria>", "<s:criteria " + " ".join(f'a{i}=""' for i in range(65)) + ">")),
})  # fmt: skip
attacks(
    "P18",
    Code.XML_LIMIT,
    {
        "5,000 namespaces on the envelope": lambda m: replaced(
            m,
            "<soap:Envelope ",
            "<soap:Envelope " + " ".join(f'xmlns:n{i}="urn:x"' for i in range(5_000)) + " ",
        )
    },
)
attacks("P20", Code.XML_LIMIT, {"50,001 elements": lambda m: b"<a>" + b"<b/>" * 50_001 + b"</a>"})


@attack("P20", "a million elements", Code.TOO_LARGE)
def _million(target: Target, message: Message):
    return target.post(b"<a>" + b"<b/>" * 1_000_000 + b"</a>")


attacks("P21", Code.XML_LIMIT, {
    "an attribute of 70,000 characters": with_attributes(f'a="{"x" * 70_000}"'),
    "a name of 60,000 characters": lambda m: b"<" + b"a" * 60_000 + b"/>",
})  # fmt: skip
attacks("P21", Code.TOO_LARGE, {"ten megabytes of text": with_text("x" * 10_000_000)})
attacks("P21", Code.XML_COMMENT, {"a comment of 100,000 characters": with_text(f"<!--{'x' * 100_000}-->")})
attacks(
    "P22",
    Code.XML_LIMIT,
    {
        "4,096 attribute names of one DJBX33A hash": with_attributes(
            " ".join(f'{name}=""' for name in colliding())
        )
    },
)


attacks("P23", Code.XML_MALFORMED, {
    "NUL": with_text("\0"),
    "a control character": with_text("\x01"),
    "a vertical tab": with_text("\x0b"),
    "a non-character": with_text("\ufffe"),
    **{f"a reference to {name}": with_text(f"&#{name};") for name in ("0", "x1", "xD800", "x110000")},
})  # fmt: skip
attacks("P24", Code.SCHEMA, {
    f"{name} in an identifier": signed_text(text)
    for name, text in {"NEL": "\x85", "a line separator": "\u2028", "a direction mark": "\u202e", "a carriage return": "&#13;"}.items()
})  # fmt: skip
attacks("P25", Code.XML_MALFORMED, {
    f"{name} for UTF-8": lambda m, sequence=sequence: m.data.replace(f">{m.ticket}<".encode(), b">" + sequence + b"<")
    for name, sequence in {"an overlong sequence": b"\xc0\xbc", "a surrogate": b"\xed\xa0\x80", "a byte beyond": b"\xf5\x80\x80\x80", "Latin-1": b"\xe9"}.items()
})  # fmt: skip
attacks("P26", Code.XML_MALFORMED, {
    **{f"encoded in {name}": encoded(name) for name in ("utf-16", "utf-16-be", "utf-32", "cp037")},
    **{f"declared as {name}": declared(name) for name in ("UTF-7", "HZ-GB-2312", "windows-1252", "IBM037", "x-nonsense")},
})  # fmt: skip
attacks("P26", Code.SIGNATURE, {"encoded in utf-7, which reads as other ASCII": encoded("utf-7")})
attacks(
    "P27", Code.XML_MALFORMED, {"UTF-8 in the header, ISO-8859-1 in the declaration": declared("ISO-8859-1")}
)


@attack("P27", "ISO-8859-1 in the header, UTF-8 in the declaration", Code.MEDIA_TYPE)
def _header_charset(target: Target, message: Message):
    return target.post(DECLARATION + message.data, headers={"Content-Type": "text/xml; charset=iso-8859-1"})


attacks("P28", Code.XML_MALFORMED, {
    "XML 1.1": lambda m: DECLARATION.replace(b"1.0", b"1.1") + with_text("&#x1;")(m),
    "XML 2.0": lambda m: DECLARATION.replace(b"1.0", b"2.0") + m.data,
})  # fmt: skip
attacks("P29", Code.XML_MALFORMED, {
    "two roots": behind(b"<b/>"),
    "text behind the root": behind(b"x"),
    "NUL behind the root": behind(b"\0"),
    "a blank before the declaration": lambda m: b" " + DECLARATION + m.data,
})  # fmt: skip
attacks("P30", Code.XML_COMMENT, {
    "a comment that splits a value": with_text("<!-- -->9"),
    "a comment in a digest": lambda m: m.data.replace(b"</ds:DigestValue>", b"<!---->evil</ds:DigestValue>", 1),
    "a comment before the envelope": before(b"<!-- -->"),
})  # fmt: skip
attacks("P31", Code.XML_COMMENT, {
    "an instruction that splits a value": with_text("<?p x?>9"),
    "a style sheet before the envelope": before(b'<?xml-stylesheet href="http://127.0.0.1/"?>'),
})  # fmt: skip
attacks("P32", Harmless(), {
    "CDATA that splits a value": lambda m: replaced(m, f">{m.ticket}<", f"><![CDATA[{m.ticket[:4]}]]>{m.ticket[4:]}<"),
})  # fmt: skip


@attack("P33", "XInclude of a local file", Code.SCHEMA)
def _include(target: Target, message: Message) -> bytes:
    return in_body(
        f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{target.secret}" parse="text"/>'
    )(message)


@attack("P34", "a schema location elsewhere", Code.SCHEMA)
def _location(target: Target, message: Message) -> bytes:
    hint = f'<s:criteria xmlns:xsi="{XSI}" xsi:noNamespaceSchemaLocation="{target.trap.url}" xsi:schemaLocation="urn:x {target.trap.url}">'
    return message.build(content=once(message.draft.content, "<s:criteria>", hint))


attacks(
    "P35",
    Code.SECURITY_HEADER,
    {
        "a security namespace that only looks right": lambda m: m.data.replace(
            b"wssecurity-secext-1.0.xsd", b"wssecurity-secext-1.0.xsd/"
        )
    },
)
attacks("P35", Code.SOAP_VERSION, {
    "an envelope namespace that only looks right": lambda m: m.data.replace(V11.value.encode(), V11.value.encode() + b"/"),
})  # fmt: skip
attacks(
    "P35",
    Code.XML_MALFORMED,
    {
        "an envelope namespace with a Cyrillic letter": lambda m: m.data.replace(
            b"soap/envelope/", "\u0455oap/envelope/".encode()
        )
    },
)
attacks("P36", Code.XML_MALFORMED, {
    "the xml prefix bound to something else": with_attributes('xmlns:xml="urn:x"'),
    "another prefix bound to the xml namespace": with_attributes('xmlns:p="http://www.w3.org/XML/1998/namespace" p:id="x"'),
})  # fmt: skip
attacks("P37", Code.XML_MALFORMED, {
    "a relative namespace in signed content": with_attributes('xmlns:r="1"'),
    "a relative namespace above signed content": lambda m: replaced(m, "<soap:Envelope ", '<soap:Envelope xmlns:r="1" '),
})  # fmt: skip
attacks("P38", Code.XML_MALFORMED, {
    "one attribute twice": with_attributes('x="" x=""'),
    "one attribute under two prefixes": with_attributes('xmlns:p="urn:x" xmlns:q="urn:x" p:x="" q:x=""'),
})  # fmt: skip
attacks("P39", Code.SCHEMA, {
    "an array that claims 999,999,999 items": in_body(f'<e:Array xmlns:e="http://schemas.xmlsoap.org/soap/encoding/" e:arrayType="x[999999999]">{MARK}</e:Array>'),
})  # fmt: skip
attacks("P39", Code.XML_LIMIT, {"tags that open without end": lambda m: b"<a>" * 60_000})

BODY_END = "</soap:Body>"


def unsigned(*edit: tuple[str, str]) -> Made:
    """Refused by its skeleton: the signature stays empty."""
    return lambda message: replace(message.draft, edit=edit).text().encode()


def body(message: Message) -> str:
    return f'<soap:Body wsu:Id="body">{message.draft.content}</soap:Body>'


attacks("P40", Code.SOAP_STRUCTURE, {
    "no Body": lambda m: unsigned((body(m), ""))(m),
    "two Bodies": unsigned((BODY_END, f"{BODY_END}<soap:Body><x/></soap:Body>")),
    "two Headers": unsigned(("<soap:Header>", "<soap:Header/><soap:Header>")),
    "the Body before the Header": lambda m: unsigned((body(m), ""), ("<soap:Header>", f"{body(m)}<soap:Header>"))(m),
    "an element behind the Body": unsigned((BODY_END, f"{BODY_END}<x/>")),
    "a SOAP 1.2 Body in a SOAP 1.1 envelope": lambda m: unsigned((body(m), body(m).replace("<soap:Body", f'<o:Body xmlns:o="{V12.value}"').replace("/soap:Body", "/o:Body")))(m),
})  # fmt: skip
attacks(
    "P40",
    Code.SOAP_VERSION,
    {
        "an envelope of an unknown version": lambda m: m.data.replace(
            V11.value.encode(), b"http://www.w3.org/2001/12/soap-envelope"
        )
    },
)
attacks(
    "P40",
    Code.OPERATION,
    {
        "a fault for a request": lambda m: m.build(
            content=f"<soap:Fault><faultcode>soap:Server</faultcode><faultstring>{MARK}</faultstring></soap:Fault>"
        )
    },
)
attacks(
    "P40",
    Code.SECURITY_HEADER,
    {
        "an empty Header": lambda m: (
            f'<soap:Envelope xmlns:soap="{V11.value}"><soap:Header/><soap:Body>{m.draft.content}</soap:Body></soap:Envelope>'.encode()
        )
    },
)
attacks("P41", Code.MUST_UNDERSTAND, {
    "an unknown block that must be understood": lambda m: m.build(blocks=f'<x:{MARK} xmlns:x="urn:x" soap:mustUnderstand="1"/>'),
    "one for the next node": lambda m: m.build(blocks='<x:x xmlns:x="urn:x" soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1"/>'),
    "one for nobody": lambda m: m.build(blocks='<x:x xmlns:x="urn:x" soap:actor="urn:nobody" soap:mustUnderstand="1"/>'),
})  # fmt: skip
attacks("P42", Code.SCHEMA, {
    "an XPath expression for a dossier number": lambda m: m.build(content=once(m.draft.content, "WIB-2026-0000002", "x' or '1'='1")),
    "an XPath expression for a ticket": signed_text("' or '1'='1"),
})  # fmt: skip
