"""H: what arrives as HTTP and TLS."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

from gateway.refusal import Code
from tests.attacks.case import MARK, Expected, Harmless, Refused, Unheard, attack, outcome_of, scenario
from tests.attacks.signature import CONSULT
from tests.attacks.target import (
    ATTACKER,
    CLOSED,
    OTHER,
    Answer,
    Message,
    Target,
    media_of,
    read_answer,
    until,
)


def wired(
    row: str,
    expected: Code | Expected,
    flaws: Mapping[str, Callable[[Target, Message], bytes]],
    **more: object,
) -> None:
    """Cases that are bytes of HTTP, whole requests."""
    for flaw, made in flaws.items():
        attack(row, flaw, expected, **more)(
            lambda target, message, made=made: target.raw(made(target, message))
        )


def headed(
    *lines: str, body: bytes | None = None, start: str = "POST /soap/v1 HTTP/1.1"
) -> Callable[[Target, Message], bytes]:
    """M under these header lines; those that are not named are the usual ones."""

    def made(target: Target, message: Message) -> bytes:
        data = message.data if body is None else body
        usual = {
            "host": "Host: gateway.wib.example",
            "content-type": f"Content-Type: {media_of(message.data)}",
            "content-length": f"Content-Length: {len(data)}",
        }
        given = {line.partition(":")[0].strip().lower() for line in lines}
        kept = [line for name, line in usual.items() if name not in given]
        return (
            "\r\n".join([start, *kept, *(line for line in lines if ":" in line), "", ""]).encode("latin-1")
            + data
        )

    return made


for method in ("GET", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"):
    wired("H01", Code.METHOD, {method: headed(start=f"{method} /soap/v1 HTTP/1.1")})
wired("H01", Code.METHOD, {"POST to the log": headed(start="POST /log/checkpoint HTTP/1.1")})
wired(
    "H01",
    Code.HTTP,
    {
        "a method in small letters": headed(start="post /soap/v1 HTTP/1.1"),
        "a method that nobody knows": headed(start="EVIL\x00 /soap/v1 HTTP/1.1"),
    },
)


def posted(
    row: str, expected: Code | Expected, flaws: Mapping[str, Mapping[str, str]], **more: object
) -> None:
    """Cases that are M under other headers."""
    for flaw, headers in flaws.items():
        attack(row, flaw, expected, **more)(
            lambda target, message, headers=headers: target.post(message.data, headers=headers)
        )


posted("H02", Code.MEDIA_TYPE, {
    "SOAP 1.1 as application/soap+xml": {"Content-Type": "application/soap+xml; charset=utf-8"},
    "JSON": {"Content-Type": "application/json"}, "HTML": {"Content-Type": "text/html"}, "an empty type": {"Content-Type": ""},
})  # fmt: skip
wired("H02", Refused(Code.MEDIA_TYPE, or_else=(Code.HTTP,)), {
    "two media types": headed("Content-Type: text/xml", "Content-Type: application/json"),
    "no media type": headed("Content-Type"),
})  # fmt: skip
posted(
    "H03",
    Code.MEDIA_TYPE,
    {
        f"charset {name}": {"Content-Type": f"text/xml; charset={name}"}
        for name in ("utf-7", "utf-16", "ibm037", '"x"')
    },
)
posted("H04", Code.ACTION, {
    "SOAPAction of another operation": {"SOAPAction": f'"{CONSULT.replace("consultDossier", "consultStatus")}"'},
    "SOAPAction of nobody": {"SOAPAction": f'"urn:{MARK}"'},
})  # fmt: skip
posted(
    "H05",
    Harmless(),
    {"an action without quotes": {"SOAPAction": CONSULT}, "an empty action": {"SOAPAction": '""'}},
)
wired("H05", Code.HTTP, {
    "an action of 8,000 characters": headed(f"SOAPAction: {MARK * 1_000}"),
    "an action with a bare CR": headed(f"SOAPAction: a\rX: {MARK}"),
})  # fmt: skip


@attack("H05", "two actions", Code.ACTION, anonymous=True)
def _two_actions(target: Target, message: Message) -> Answer:
    return target.raw(headed(f'SOAPAction: "{CONSULT}"', f'SOAPAction: "{CONSULT}"')(target, message))


wired("H06", Code.TOO_LARGE, {"two megabytes announced": headed("Content-Length: 2000000")})


@attack("H07", "chunks without end", Code.TOO_LARGE)
def _chunks(target: Target, message: Message) -> Answer:
    with target.connection() as wire:
        wire.sendall(headed("Transfer-Encoding: chunked", "Content-Length", body=b"")(target, message))
        with suppress(OSError):  # the hub has answered and closed
            for _ in range(2_000):
                wire.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        return read_answer(wire)


def squeezed(target: Target, message: Message) -> Answer:
    return target.post(
        gzip.compress(bytes(50_000_000)),
        headers={"Content-Encoding": "gzip", "Content-Type": media_of(message.data)},
    )


attack("H08", "50 megabytes of zeros in gzip", Code.CONTENT_ENCODING)(squeezed)
posted(
    "H09",
    Code.CONTENT_ENCODING,
    {
        f"Content-Encoding {name}": {"Content-Encoding": name}
        for name in ("gzip, gzip", "compress", "identity", MARK)
    },
)
posted("H10", Code.CONTENT_ENCODING, {"gzip that is none": {"Content-Encoding": "gzip"}})
wired(
    "H11",
    Code.HTTP,
    {"a length and chunks": headed("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n")},
)
wired("H12", Code.HTTP, {
    f"Transfer-Encoding: {name}": headed(f"Transfer-Encoding{name}", "Content-Length", body=b"0\r\n\r\n")
    for name in (": xchunked", ": chunked, chunked", " : chunked", ": chunked, identity", ":\x0bchunked")
})  # fmt: skip
wired("H13", Code.HTTP, {
    f"Content-Length {name}": headed(*(f"Content-Length: {value}" for value in values))
    for name, values in {"twice": ("5", "6"), "with a sign": ("+3",), "with an underscore": ("3_0",), "negative": ("-1",), "in hexadecimal": ("0x10",)}.items()
})  # fmt: skip
wired(
    "H13",
    Refused(Code.HTTP, or_else=(Code.TOO_LARGE,)),
    {"Content-Length of 30 digits": headed(f"Content-Length: {'9' * 30}")},
)
wired("H14", Code.HTTP, {
    name: headed("Transfer-Encoding: chunked", "Content-Length", body=body)
    for name, body in {"a size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n", "a size that is no number": b"zz\r\nabc\r\n0\r\n\r\n", "a negative size": b"-3\r\nabc\r\n0\r\n\r\n", "no line end behind a chunk": b"3\r\nabcX0\r\n\r\n"}.items()
})  # fmt: skip
wired("H15", Code.HTTP, {
    "a folded header": headed("X-A: b\r\n c"),
    "NUL in a header": headed("X-A: b\0c"),
    "a header without colon": lambda target, message: b"POST /soap/v1 HTTP/1.1\r\nHost: x\r\nevil\r\n\r\n",
    "a header of 9,000 bytes": headed(f"X-A: {'b' * 9_000}"),
    "a blank in a header's name": headed("X A: b"),
    "HTTP/2 by prior knowledge": lambda target, message: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
})  # fmt: skip


wired(
    "H15",
    Refused(Code.HTTP, or_else=(Code.MEDIA_TYPE,)),
    {"no version": lambda target, message: b"POST /soap/v1\r\n\r\n"},
)


@attack("H16", "headers that never end", Unheard(), others=1)
def _slow_headers(target: Target, message: Message) -> Answer:
    with target.connection() as wire:
        wire.sendall(b"POST /soap/v1 HTTP/1.1\r\nHost: x\r\n")
        target.require_served()
        return read_answer(wire)


@attack("H16", "headers that drip", Unheard())
def _dripping(target: Target, message: Message) -> Answer:
    with target.connection() as wire:
        wire.sendall(b"POST /soap/v1 HTTP/1.1\r\n")
        with suppress(OSError):  # until the hub closes
            for number in range(200):
                wire.sendall(f"X-{number}: y\r\n".encode())
                time.sleep(0.05)
        with suppress(OSError):
            return read_answer(wire)
        return CLOSED


@attack("H17", "a body that never ends", Code.TOO_SLOW, others=1)
def _slow_body(target: Target, message: Message) -> Answer:
    with target.connection() as wire:
        wire.sendall(target.request(message.data)[:-5])
        target.require_served()
        return read_answer(wire)


@scenario("H19", "a requester that leaves before the answer", "recorded in full, once")
def _aborted(target: Target) -> str:
    began = target.entries()
    for _ in range(5):
        with target.connection() as wire:
            wire.sendall(target.request(target.message().data))
    until(lambda: target.entries() == began + 10)
    kinds = [target.entry(index)["kind"] for index in range(began, began + 10)]
    assert kinds.count("request") == kinds.count("response") == 5
    return "recorded in full, once"


@scenario("H20", "a good request, a bad one, a good one on one connection", "each judged by itself")
def _keep_alive(target: Target) -> str:
    outcomes = []
    with target.connection() as wire:
        for data in (
            target.message().data,
            target.message().data.replace(b">WIB:WORK_DECISION<", b">WIB:RENEWAL<"),
            target.message().data,
        ):
            wire.sendall(target.request(data))
            outcomes.append(outcome_of(read_answer(wire)))
    assert outcomes == ["accepted", "WIB04009", "accepted"]
    return "each judged by itself"


@scenario("H20", "fifty requests at once on one connection", "each answered, in order")
def _pipelined(target: Target) -> str:
    messages = [target.message() for _ in range(50)]
    with target.connection() as wire:
        sender = threading.Thread(
            target=wire.sendall, args=(b"".join(target.request(one.data) for one in messages),)
        )
        sender.start()
        for message in messages:
            answer = read_answer(wire)
            assert message.ticket.encode() in answer.body
        sender.join()
    return "each answered, in order"


wired("H21", Unheard(404), {
    f"the path {path}": headed(start=f"POST {path} HTTP/1.1")
    for path in ("/soap/../metrics", "/soap/v1/../v1", "/%73oap/v1", "//soap/v1", "/soap/v1;x", "/soap/v1/", "/metrics", "/SOAP/v1")
})  # fmt: skip
wired("H21", Unheard(404), {
    f"the log as {path}": headed(start=f"GET /log/{path} HTTP/1.1")
    for path in ("../store.db", "tile/0/../../../store.db", "%63heckpoint", "checkpoint?x", "tile/0/x000/000")
})  # fmt: skip
posted("H22", Harmless(), {
    "headers of a proxy": {"X-Forwarded-For": "127.0.0.1", "X-SSL-Client-Cert": OTHER, "X_SSL_CLIENT_CERT": OTHER, "Forwarded": "for=x"},
    "other names for the method and the path": {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/metrics"},
})  # fmt: skip
posted(
    "H23",
    Harmless(),
    {
        "an upgrade to h2c": {
            "Upgrade": "h2c",
            "Connection": "Upgrade, HTTP2-Settings",
            "HTTP2-Settings": "AAMAAABkAAQ",
        }
    },
)
posted("H23", Code.HTTP, {"an expectation that nobody knows": {"Expect": MARK}})


@attack("H23", "100-continue, and then nothing", Code.TOO_SLOW)
def _continue(target: Target, message: Message) -> Answer:
    with target.connection() as wire:
        wire.sendall(headed("Expect: 100-continue")(target, message)[: -len(message.data)])
        until(lambda: wire.pending() or wire.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n")
        return read_answer(wire)


SWA = 'multipart/related; type="text/xml"; boundary=b'
posted(
    "H24",
    Refused(Code.MEDIA_TYPE, or_else=(Code.MULTIPART,)),
    {"SOAP with attachments": {"Content-Type": SWA}},
)
XOP = 'multipart/related; type="application/xop+xml"; start-info="text/xml"; start="<r>"; boundary="{}"'


def package(
    *parts: bytes, boundary: str = "b", end: bytes = b"--\r\n"
) -> Callable[[Target, Message], Answer]:
    """Parts in an MTOM package; @@ stands for M."""

    def launch(target: Target, message: Message) -> Answer:
        mark = f"\r\n--{boundary}".encode()
        data = b"".join(mark + b"\r\n" + part.replace(b"@@", message.data) for part in parts) + mark + end
        return target.post(data, headers={"Content-Type": XOP.format(boundary)})

    return launch


ROOT_PART = b'Content-Type: application/xop+xml; charset=utf-8; type="text/xml"\r\nContent-ID: <r>\r\n\r\n@@'
PART = b"Content-Type: application/octet-stream\r\nContent-ID: <%d>\r\n\r\nx"
attack("H25", "a package that only packs M", Harmless())(package(ROOT_PART))
MIME = Refused(Code.MULTIPART, or_else=(Code.MEDIA_TYPE, Code.SOAP_STRUCTURE, Code.TOO_SLOW))
attack("H25", "a thousand parts", MIME)(package(ROOT_PART, *(PART % number for number in range(1_000))))
attack("H25", "two parts of one name", MIME)(package(ROOT_PART, ROOT_PART))
attack("H25", "no end", MIME)(package(ROOT_PART, end=b""))
attack("H25", "a boundary of 100 characters", MIME)(package(ROOT_PART, boundary="b" * 100))
attack("H25", "a package in the package", MIME)(
    package(b"Content-Type: multipart/mixed; boundary=c\r\nContent-ID: <r>\r\n\r\n--c\r\n\r\n@@\r\n--c--")
)
INCLUDE = '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="{}"/>'


def including(href: Callable[[Target], str]) -> Callable[[Target, Message], Answer]:
    def launch(target: Target, message: Message) -> Answer:
        include = INCLUDE.format(href(target))
        data = message.data.replace(f">{message.ticket}<".encode(), f">{include}<".encode())
        return package(ROOT_PART.replace(b"@@", data))(target, message)

    return launch


OUTSIDE = Refused(Code.SOAP_STRUCTURE, or_else=(Code.MULTIPART,))
attack("H26", "an include of a local file", OUTSIDE)(including(lambda target: f"file://{target.secret}"))
attack("H26", "an include of another host", OUTSIDE)(including(lambda target: target.trap.url))
attack("H26", "an include of the message itself", OUTSIDE)(including(lambda target: "cid:r"))


@attack("H26", "an include in a message without package", Code.SOAP_STRUCTURE)
def _bare_include(target: Target, message: Message) -> bytes:
    include = INCLUDE.format(f"file://{target.secret}")
    return message.data.replace(f">{message.ticket}<".encode(), f">{include}<".encode())


wired(
    "H27",
    Unheard(404),
    {"a query that names another operation": headed(start="POST /soap/v1?op=consultStatus HTTP/1.1")},
)


@attack("H27", "a query for a document that is a path", Unheard(404))
def _query(target: Target, message: Message) -> Answer:
    return target.raw(
        headed(start="GET /soap/v1?xsd=../../../etc/hostname HTTP/1.1", body=b"")(target, message)
    )


@attack("H28", "line breaks in what might come back in a header", Code.ADDRESSING)
def _split(target: Target, message: Message) -> Answer:
    data = message.build(
        blocks=f'<wsa:MessageID xmlns:wsa="http://www.w3.org/2005/08/addressing">urn:a&#13;&#10;X-Evil: {MARK}</wsa:MessageID>'
    )
    answer = target.post(data)
    assert "X-Evil" not in answer.headers
    return answer


def shaken(target: Target, context: ssl.SSLContext) -> Answer:
    """One request over a connection of this context; CLOSED when there is none."""
    try:
        with target.connection(context=context) as wire:
            wire.sendall(target.request(target.message().data))
            return read_answer(wire)
    except (ssl.SSLError, OSError):
        return CLOSED


def anonymous(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(target.directory / "pki/root.crt.pem"))
    context.load_verify_locations(target.directory / "pki/issuing.crt.pem")
    return context


@attack("H29", "no client certificate", Unheard())
def _nobody(target: Target, message: Message) -> Answer:
    return shaken(target, anonymous(target))


@attack("H29", "a client certificate of an unknown authority", Unheard())
def _unknown(target: Target, message: Message) -> Answer:
    context = anonymous(target)
    context.load_cert_chain(*target.foreign())
    return shaken(target, context)


for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):

    @attack("H29", version.name, Unheard())
    def _old(target: Target, message: Message, version: ssl.TLSVersion = version) -> Answer:
        context = target.tls(ATTACKER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        return shaken(target, context)


@attack("H29", "another name than the certificate's in Host", Harmless())
def _host(target: Target, message: Message) -> Answer:
    return target.raw(headed("Host: evil.example")(target, message))


@scenario("H30", "a hundred connections that say nothing", "others are served")
def _idle(target: Target) -> str:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(target.connection())
        assert outcome_of(target.post(target.message(OTHER).data, OTHER)) == "accepted"
    return "others are served"
