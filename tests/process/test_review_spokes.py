"""PROTOCOL §9.2 on the wire: a provider that speaks HTTP as it should not (attacks R06–R17)."""

from __future__ import annotations

import asyncio
import gzip
import socket

import pytest
import pytest_asyncio

from tests.process.bare_provider import LIMIT, Wire, consult, honest, hub_before, response

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def before(tmp_path_factory):
    """One hub for all tests, and the provider behind it."""
    wire = Wire(well)
    async with hub_before(wire, tmp_path_factory.mktemp("spokes")) as hub:
        yield hub, wire


@pytest.fixture
def asked(before):
    """The same with nothing asked yet; `asked.answering = …` says how the provider answers from now on."""
    hub, wire = before
    wire.requests.clear()
    wire.connections = 0
    wire.answering = well
    return hub, wire


async def well(wire, body):
    yield response(honest(body))


async def fault_status(wire, body):
    yield response(honest(body), status="500 Internal Server Error")


async def early_hints(wire, body):
    yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    yield response(honest(body))


async def cookie(wire, body):
    yield response(honest(body), "Set-Cookie: session=of-another-authority")


async def compressed(wire, body):
    yield response(gzip.compress(honest(body)), "Content-Encoding: gzip")


async def html(wire, body):
    yield response(b"<html>ORA-00942 at /srv</html>", media="text/html")


async def no_content(wire, body):
    yield b"HTTP/1.1 204 No Content\r\n\r\n"


async def not_http(wire, body):
    yield b"SSH-2.0-OpenSSH_9.2\r\n\r\n"


async def too_large(wire, body):
    yield response(b" " * (LIMIT + 1))


async def endless(wire, body):
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1000\r\n" + b" " * 4096 + b"\r\n"


async def dripping(wire, body):
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 5000\r\n\r\n"
    for _ in range(200):
        yield b" "
        await asyncio.sleep(0.05)


async def silent(wire, body):
    await asyncio.sleep(5)
    yield b""


async def cut_short(wire, body):
    yield response(honest(body))[:-100]
    raise ConnectionResetError


async def chunked(wire, body):
    answer = honest(body)
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer), answer)


async def until_closed(wire, body):
    """Without a length: the end of the connection is the end of the answer."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n" + honest(body)
    raise ConnectionResetError


async def old_version(wire, body):
    yield b"HTTP/1.0" + response(honest(body)).removeprefix(b"HTTP/1.1")


async def continues(wire, body):
    yield b"HTTP/1.1 100 Continue\r\n\r\n"
    yield response(honest(body))


async def continues_for_ever(wire, body):
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n" * 100
        await asyncio.sleep(0.01)


async def switches(wire, body):
    yield b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + honest(body)


async def nothing(wire, body):
    yield response(b"")


async def bare_fault(wire, body):
    """Not signed, and with what should never leave a provider."""
    fault = (
        b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>e:Server'
        b"</faultcode><faultstring>ORA-00942 at /srv</faultstring></e:Fault></e:Body></e:Envelope>"
    )
    yield response(fault, status="500 Internal Server Error")


async def other_media(wire, body):
    yield response(honest(body), media="application/json")


async def many_fields(wire, body):
    yield response(honest(body), *["X: y"] * 10_000)


async def a_long_field(wire, body):
    yield response(honest(body), "X: " + "y" * 1_000_000)


async def an_endless_field(wire, body):
    yield b"HTTP/1.1 200 OK\r\nX: "
    while True:
        yield b"y" * 65536


async def length_and_chunks(wire, body):
    answer = honest(body)
    yield response(b"", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer), answer)


async def two_codings(wire, body):
    answer = honest(body)
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    yield b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer), answer)


async def says_less(wire, body):
    """A length that leaves some of the answer over, for the next question."""
    answer = honest(body)
    yield response(answer).replace(b"Length: %d" % len(answer), b"Length: %d" % (len(answer) - 10))


async def says_more(wire, body):
    answer = honest(body)
    yield response(answer).replace(b"Length: %d" % len(answer), b"Length: %d" % (len(answer) + 10))
    raise ConnectionResetError


def redirects(status: str):
    async def redirect(wire, body):
        yield response(b"", f"Location: {wire.url}/elsewhere", status=status)

    return redirect


async def two_at_once(wire, body):
    """A second answer behind the first, which waits for the next question on this connection."""
    yield response(honest(body)) + response(honest(body))


async def one_more_later(wire, body):
    """A second answer when the first was taken long ago."""
    yield response(honest(body))
    await asyncio.sleep(0.05)
    yield response(honest(body))


CASES = {  # None: the answer is accepted
    well: None,
    fault_status: None,
    early_hints: None,
    cookie: None,
    chunked: None,
    until_closed: None,
    old_version: None,
    continues: None,
    continues_for_ever: "WIB09002",
    switches: "WIB09003",
    compressed: "WIB09003",
    html: "WIB09003",
    no_content: "WIB09003",
    nothing: "WIB09004",
    bare_fault: "WIB09004",
    other_media: "WIB09003",
    not_http: "WIB09003",
    many_fields: "WIB09003",
    a_long_field: "WIB09003",
    an_endless_field: "WIB09003",
    length_and_chunks: "WIB09003",
    two_codings: "WIB09003",
    says_less: "WIB09003",
    says_more: "WIB09003",
    too_large: "WIB09003",
    endless: "WIB09003",
    dripping: "WIB09002",
    silent: "WIB09002",
    cut_short: "WIB09003",
}


@pytest.mark.parametrize("answering", CASES, ids=lambda answering: answering.__name__)
async def test_a_provider_is_asked_once_and_bounded_in_every_way(asked, answering):
    hub, wire = asked
    wire.answering = answering
    status, answered = await consult(hub)
    assert (status, answered.code) == ((200, None) if CASES[answering] is None else (500, CASES[answering]))
    assert len(wire.requests) == 1
    assert "ORA-00942" not in "".join(answered.body.itertext())
    wire.answering = well
    assert (await consult(hub))[1].code is None


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_no_redirect_is_followed(asked, status):
    hub, wire = asked
    wire.answering = redirects(status)
    assert (await consult(hub))[1].code == "WIB09003"
    assert len(wire.requests) == 1


KEPT = {well: 1, chunked: 1, says_less: 4, length_and_chunks: 4, one_more_later: 4, two_at_once: 4}


@pytest.mark.parametrize("answering", KEPT, ids=lambda answering: answering.__name__)
async def test_a_connection_on_which_too_much_was_said_carries_no_further_question(before, asked, answering):
    """Attack R14: what is left over would be the answer to somebody else's question."""
    hub, wire = asked
    hold = await consult(hub)  # whatever connection was left by the test before
    assert hold[1].code is None
    wire.connections = 0
    wire.answering = answering
    codes = []
    for _ in range(3):
        codes.append((await consult(hub))[1].code)
        await asyncio.sleep(0.2)  # the provider has said all that it will
    wire.answering = well
    assert (await consult(hub))[1].code is None
    assert set(codes) == {CASES.get(answering)}
    assert wire.connections == KEPT[answering] - 1
    assert len({body for _, body in wire.requests}) == 5


async def test_no_cookie_comes_back(asked):
    hub, wire = asked
    wire.answering = cookie
    for _ in range(3):
        assert (await consult(hub))[1].code is None
    assert not [head for head, _ in wire.requests if b"cookie" in head.lower()]


async def test_no_proxy_of_the_environment_is_used(asked, monkeypatch):
    hub, _ = asked
    with socket.create_server(("127.0.0.1", 0)) as canary:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{canary.getsockname()[1]}")
        assert (await consult(hub))[1].code is None
        canary.setblocking(False)
        with pytest.raises(BlockingIOError):
            canary.accept()


@pytest.mark.parametrize(
    ("identity", "code"), [("PLATFORM", None), ("FLANDERS", "WIB09005"), ("HUB", "WIB09005")]
)
async def test_a_question_is_sent_to_nobody_but_the_provider_asked(tmp_path, identity, code):
    wire = Wire(well, identity)
    async with hub_before(wire, tmp_path) as hub:
        _, answered = await consult(hub)
    assert answered.code == code
    assert len(wire.requests) == (0 if code else 1)
