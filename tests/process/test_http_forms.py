"""PROTOCOL §2.2 form by form: what HTTP may look like here, against one running hub (attacks H01–H15, H21–H28)."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.path import hub as memory
from tests.process.raw import connected, lines, message, metric, reply, said_to
from tests.process.running import running_hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINE = "POST /soap/v1 HTTP/1.1"
XML = "Content-Type: text/xml; charset=utf-8"


class Platform:
    """Counts what reaches the provider."""

    def __init__(self):
        self.asked = 0

    def __call__(self, *given: object) -> bytes:
        self.asked += 1
        return memory.answer_well(*given)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform():
    return Platform()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory, platform):
    async with running_hub(
        tmp_path_factory.mktemp("forms"), platform, header_seconds=2.0, body_seconds=2.0
    ) as running:
        yield running


def form(*fields: str, line: str = LINE, kind: str | None = XML, host: str | None = "Host: x"):
    """How a message is sent with a Content-Length, after which the connection ends."""

    def write(data: bytes) -> bytes:
        head = [line, host, kind, *fields, f"Content-Length: {len(data)}", "Connection: close"]
        return "\r\n".join(one for one in head if one is not None).encode() + b"\r\n\r\n" + data

    return write


def chunks(*fields: str, line: str = LINE, size: str = "%x", extension: bytes = b"", trailer: bytes = b""):
    """How it is sent in one chunk; without a field that says so, "Transfer-Encoding: chunked" is said."""
    said = fields or ("Transfer-Encoding: chunked",)

    def write(data: bytes) -> bytes:
        head = "\r\n".join([line, "Host: x", XML, "Connection: close", *said]).encode() + b"\r\n\r\n"
        return (
            head + (size % len(data)).encode() + extension + b"\r\n" + data + b"\r\n0\r\n" + trailer + b"\r\n"
        )

    return write


def length(*values: str):
    def write(data: bytes) -> bytes:
        said = [f"Content-Length: {value}" for value in values]
        return "\r\n".join([LINE, "Host: x", XML, "Connection: close", *said]).encode() + b"\r\n\r\n" + data

    return write


def bare_lf(data: bytes) -> bytes:
    return form()(b"").replace(b"\r\n", b"\n").replace(b"Length: 0", b"Length: %d" % len(data)) + data


def each_byte(data: bytes) -> bytes:
    head = f"{LINE}\r\nHost: x\r\n{XML}\r\nConnection: close\r\nTransfer-Encoding: chunked".encode()
    return head + b"\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in data) + b"0\r\n\r\n"


METHODS = {
    f"H01 {method}": (form(line=f"{method} /soap/v1 HTTP/1.1"), 405, "WIB01001")
    for method in ("GET", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "OPTIONS", "PROPFIND")
}
MEDIA = {
    f"H02 H03 {kind}": (form(kind=f"Content-Type: {kind}"), 415, "WIB01002")
    for kind in (
        "application/soap+xml",  # the message is SOAP 1.1
        "application/json",
        "application/xml",
        "text/html",
        "text/xml, text/xml",
        "text/xml; charset=utf-7",
        "text/xml; charset=utf-16",
        "text/xml; charset=ibm037",
        "text/xml; charset=utf8",
        "text/xml; charset=",
        "text/xml; charset*=utf-8''utf-7",
        "text/xml; charset = utf-8",
        'text/xml; charset="utf-8',
        "text/xml; charset=utf-8; charset=utf-16",
        "text/xml; charset=utf-16; charset=utf-8",
        "text/xml; charset=utf-8; Charset=utf-8",
        "multipart/related; boundary=b",
        "multipart/mixed; boundary=b",
    )
}
TARGETS = {
    f"H21 H27 {target}": (form(line=f"POST {target} HTTP/1.1"), 404, None)
    for target in (
        "https://other.example/soap/v1",
        "https://gateway.example.be/soap/v1",
        "http://x/soap/v1",
        "/soap/v1/",
        "//soap/v1",
        "/soap//v1",
        "/soap/./v1",
        "/admin/../soap/v1",
        "/soap/v1/../../admin",
        "/soap/%76%31",
        "/%2e%2e/soap/v1",
        "/soap/v1%00",
        "/soap/v1;x",
        "/soap/v1#x",
        "/SOAP/V1",
        "/soap/v1?",
        "/soap/v1?wsdl",
        "/soap/v1?op=consultStatus",
        "/soap/v1?legalContext=WIB:RESIDENCE_DECISION",
    )
}
CODINGS = {
    f"H12 {coding!r}": (chunks(f"Transfer-Encoding:{coding}"), 400, "WIB01008")
    for coding in (
        " xchunked", " chunked, chunked", " gzip, chunked", " chunked, gzip", " identity", " chunked;q=1", " chunked,", " \x0bchunked"
    )
}  # fmt: skip
LENGTHS = {
    f"H13 {', '.join(values)}": (length(*values), 400, "WIB01008")
    for values in (
        ("+3",), ("3_0",), ("-1",), ("0x10",), ("1e3",), ("",), ("3 3",), ("3, 3",), ("9" * 25,), ("3", "3"), ("3", "4")
    )
}  # fmt: skip
REFUSED = {
    **METHODS,
    **MEDIA,
    **TARGETS,
    **CODINGS,
    **LENGTHS,
    "H21 no path": (form(line="POST * HTTP/1.1"), 400, "WIB01008"),
    "H21 the server as a whole": (form(line="OPTIONS * HTTP/1.1"), 404, None),
    "H21 another server": (form(line="CONNECT other.example:443 HTTP/1.1"), 404, None),
    "H01 an unknown method in lower case": (form(line="post /soap/v1 HTTP/1.1"), 400, "WIB01008"),
    "H02 no media type": (form(kind=None), 415, "WIB01002"),
    "H02 two media types": (form(XML), 400, "WIB01008"),
    "H05 SOAPAction twice": (form('SOAPAction: ""', 'SOAPAction: ""'), 400, "WIB03005"),
    "H05 a long SOAPAction": (form("SOAPAction: " + "a" * 5000), 400, "WIB01008"),
    "H09 nested encodings": (form("Content-Encoding: gzip, gzip"), 415, "WIB01003"),
    "H09 an unknown encoding": (form("Content-Encoding: compress"), 415, "WIB01003"),
    "H09 no encoding, said": (form("Content-Encoding: identity"), 415, "WIB01003"),
    "H10 an encoding that lies": (form("Content-Encoding: gzip"), 415, "WIB01003"),
    "H11 length and chunks": (chunks("Transfer-Encoding: chunked", "Content-Length: 3"), 400, "WIB01008"),
    "H12 chunked twice": (chunks(*["Transfer-Encoding: chunked"] * 2), 400, "WIB01008"),
    "H12 space before the colon": (chunks("Transfer-Encoding : chunked"), 400, "WIB01008"),
    "H12 chunks in HTTP/1.0": (chunks(line="POST /soap/v1 HTTP/1.0"), 400, "WIB01008"),
    "H14 a size in C": (chunks(size="0x%x"), 400, "WIB01008"),
    "H14 a signed size": (chunks(size="-%x"), 400, "WIB01008"),
    "H14 a size of 17 digits": (chunks(size="1%016x"), 400, "WIB01008"),
    "H14 NUL in an extension": (chunks(extension=b";a=\0"), 400, "WIB01008"),
    "H14 a length in the trailer": (chunks(trailer=b"Content-Length: 5\r\n"), 400, "WIB01008"),
    "H14 thousands of trailers": (chunks(trailer=b"X: y\r\n" * 5000), 400, "WIB01008"),
    "H14 a trailer of a megabyte": (chunks(trailer=b"X: %s\r\n" % (b"y" * 1_000_000)), 400, "WIB01008"),
    "H15 bare line feeds": (bare_lf, 400, "WIB01008"),
    "H15 a folded field": (form("X: y\r\n z"), 400, "WIB01008"),
    "H15 NUL in a field": (form("X: a\0b"), 400, "WIB01008"),
    "H15 CR in a field": (form("X: a\rb"), 400, "WIB01008"),
    "H15 space before a colon": (form("X : y"), 400, "WIB01008"),
    "H15 a field without name": (form(": y"), 400, "WIB01008"),
    "H15 a field without colon": (form("X"), 400, "WIB01008"),
    "H15 a field of 4,097 bytes": (form("X: " + "y" * 4097), 400, "WIB01008"),
    "H15 65 fields": (form(*["X: y"] * 65), 400, "WIB01008"),
    "H15 no Host": (form(host=None), 400, "WIB01008"),
    "H15 two Hosts": (form("Host: y"), 400, "WIB01008"),
    "H15 HTTP/1.0": (form(line="POST /soap/v1 HTTP/1.0"), 400, "WIB01008"),
    "H15 HTTP/1.2": (form(line="POST /soap/v1 HTTP/1.2"), 400, "WIB01008"),
    "H15 HTTP/2.0": (form(line="POST /soap/v1 HTTP/2.0"), 400, "WIB01008"),
    "H23 another expectation": (form("Expect: 200-ok"), 400, "WIB01008"),
    "H23 two expectations": (form("Expect: 100-continue", "Expect: 200-ok"), 400, "WIB01008"),
}


@pytest.mark.parametrize("flaw", REFUSED)
async def test_a_form_that_is_refused_costs_nothing_but_its_answer(hub, platform, flaw):
    write, status, code = REFUSED[flaw]
    data, asked, recorded = message(), platform.asked, await metric(hub, "gateway_log_entries")
    said = await said_to(hub, write(data))
    head, _, text = said.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert text.startswith(b"404: Not Found" if code is None else code.encode())
    assert head.count(b"HTTP/") == 1
    assert (platform.asked, await metric(hub, "gateway_log_entries")) == (asked, recorded)
    told, answered = await hub.soap("BRUSSELS", data)  # the very same message, in a form of the profile
    assert (told, answered.code) == (200, None)


FORGED = {
    "X-Forwarded-For": "198.51.100.1",
    "Forwarded": 'for=198.51.100.1;host="other.example"',
    "X-Forwarded-Host": "other.example",
    "X-Original-URL": "/metrics",
    "X-HTTP-Method-Override": "GET",
    "X-SSL-Client-Cert": "IMMIGRATION_OFFICE",
    "X_SSL_CLIENT_CERT": "IMMIGRATION_OFFICE",
    "X-SSL-Client-S-DN": "organizationIdentifier=NTRBE-0999066643",
    "SSL-Client-Verify": "SUCCESS",
    "Connection": "close, Content-Type",
    "Cookie": "authority=IMMIGRATION_OFFICE",
    "Authorization": "Basic SU1NSUdSQVRJT05fT0ZGSUNFOng=",
}
ACCEPTED = {
    "Content-Length": form(),
    "chunks": chunks(),
    "one chunk for each byte": each_byte,
    "a coding in capitals, after a tab": chunks("Transfer-Encoding:\tCHUNKED"),
    "a chunk extension": chunks(extension=b";a=b"),
    "leading zeros of a size": chunks(size="000%x"),
    "line ends before the request line": lambda data: b"\r\n\r\n" + form()(data),
    "a media type without charset": form(kind="Content-Type: text/xml"),
    "a quoted charset in capitals": form(kind='Content-Type: TEXT/XML; Charset="UTF-8"'),
    "a semicolon at its end": form(kind="Content-Type: text/xml; charset=utf-8;"),
    "space before a semicolon": form(kind="Content-Type: text/xml ; charset=utf-8"),
    "an action of SOAP 1.2, which decides nothing here": form(kind='Content-Type: text/xml; action="urn:x"'),
    "Expect": form("Expect: 100-Continue"),
    "an upgrade that is not taken up": form("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
    "a field of 4,000 bytes": form("X: " + "y" * 4000),
    "50 fields": form(*["X: y"] * 50),
    "another host": form(host="Host: other.example"),
    **{f"H22 {name}": form(f"{name}: {value}") for name, value in FORGED.items() if name != "Connection"},
}


@pytest.mark.parametrize("accepted", ACCEPTED)
async def test_a_form_that_clients_send_is_accepted_and_decides_nothing(hub, accepted):
    said = await said_to(hub, ACCEPTED[accepted](message()))
    assert said.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert lines(hub)[-1]["peer"] == "BRUSSELS"


async def test_a_server_name_that_differs_from_host_and_certificate_decides_nothing(hub):
    """Attack H29: who asks is said by the certificate, what is asked by the message; names say nothing."""
    tls = hub.tls("BRUSSELS")
    tls.check_hostname = False
    async with connected(hub, tls=tls, server_name="other.example") as (reader, writer):
        writer.write(form(host="Host: third.example")(message()))
        assert (await reply(reader)).startswith(b"HTTP/1.1 200 ")


async def test_who_is_told_to_continue_and_sends_nothing_is_given_up(hub):
    async with connected(hub) as (reader, writer):
        writer.write(b"\r\n".join([LINE.encode(), b"Host: x", XML.encode(), b"Content-Length: 9"]))
        writer.write(b"\r\nExpect: 100-continue\r\n\r\n")
        assert (await reply(reader)).startswith(b"HTTP/1.1 100 ")
        assert b"WIB01005" in await reply(reader)
        assert await reader.read() == b""


REPLY_FIELDS = {
    b"server",
    b"content-type",
    b"content-length",
    b"date",
    b"connection",
    b"allow",
    b"retry-after",
}


@pytest.mark.parametrize("text", ["x\r\nSet-Cookie: a=b", "x\nX-Injected: y", "\x85\u2028Set-Cookie: a=b"])
async def test_no_text_of_a_peer_becomes_a_header(hub, text):
    """Attack H28: in what is signed, and in what is not."""
    data = message()
    quoted = text.encode().replace(b"\r", b"&#13;").replace(b"\n", b"&#10;")
    wires = (
        form()(data.replace(b"<", b"<!--%s--><" % quoted, 1)),
        form(f"SOAPAction: {text.split()[0]}")(data),
        form(line=f"POST /soap/v1/{text.split()[0].strip()} HTTP/1.1")(data)
        if text.isascii()
        else form()(data),
        form()(data.replace(b"ticket>", b"ticket>%s" % quoted, 1)),
    )
    for wire in wires:
        head, _, _ = (await said_to(hub, wire)).partition(b"\r\n\r\n")
        assert {line.partition(b":")[0].lower() for line in head.splitlines()[1:]} <= REPLY_FIELDS
