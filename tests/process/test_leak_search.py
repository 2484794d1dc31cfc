"""The search of `test_no_leak` finds what it looks for: in every encoding, and in every place that it looks at.

A search that cannot find proves nothing. The encodings here are written by others than those of `traces`.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import apsw
import pytest
from aiohttp import web

from tests.process.canaries import places
from tests.process.canaries.traces import Search
from tests.process.canaries.values import Canary, canary, messages

LEAVES = {one.path.partition("/")[2]: one for one in messages()["submitApplication"].leaves()}
CANARIES = {
    "free text": canary(LEAVES["dossier/employer/name"]),
    "number of a person": canary(LEAVES["dossier/worker/ssin"]),
    "date": canary(LEAVES["dossier/worker/birthDate"]),
    "amount": canary(LEAVES["dossier/salary/amount"]),
    "country": canary(LEAVES["dossier/worker/nationality"]),
    "word of the contract": Canary("word", "DEEMED_GRANTED", "outcome", "d", closed=True),
}
READABLE: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "lower case": lambda text: text.lower().encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16BE": lambda text: text.encode("utf-16-be"),
    "XML": lambda text: escape(text).encode("ascii", "xmlcharrefreplace"),
    "XML, every character": lambda text: "".join(f"&#x{ord(one):x};" for one in text).encode(),
    "JSON": lambda text: json.dumps({"a": text}).encode(),
    "JSON, every character": lambda text: "".join(f"\\u{ord(one):04x}" for one in text).encode(),
    "repr": lambda text: repr([text]).encode(),
    "repr of bytes": lambda text: repr(text.encode()).encode(),
    "URL": lambda text: quote(text).encode(),
    "URL, form": lambda text: quote_plus(text).encode(),
    "URL, every character": lambda text: "".join(f"%{one:02X}" for one in text.encode()).encode(),
    "hexadecimal": lambda text: codecs.encode(text.encode(), "hex"),
    "HEXADECIMAL": lambda text: text.encode().hex().upper().encode(),
    **{
        f"base64 after {n}": lambda text, n=n: base64.b64encode(b"x" * n + text.encode() + b"yz")
        for n in range(4)
    },
    "base64url": lambda text: base64.urlsafe_b64encode(b"??" + text.encode()),
}
WRITTEN: dict[str, Callable[[bytes], bytes]] = {  # a digest
    "raw": bytes,
    "hex": lambda digest: digest.hex().encode(),
    "HEX": lambda digest: digest.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).rstrip(b"="),
}
DIGESTED: dict[str, Callable[[Canary], str]] = {
    "value": lambda one: one.value,
    "upper case": lambda one: one.value.upper(),
    "lower case": lambda one: one.value.lower(),
    "line": lambda one: f"{one.value}\n",
    "element": lambda one: f"<{one.prefix}:{one.element}>{escape(one.value)}</{one.prefix}:{one.element}>",
}


def found(name: str, data: bytes) -> bool:
    """Whether the canary of this kind is found, at whatever place in a noise that holds none."""
    search = Search([CANARIES[name]])
    noise = b'\x00 noise of a page {"key": 1} '
    assert not search.traces(noise * 9)
    return all(search.traces(noise + b"-" * shift + data + noise) for shift in range(8))


@pytest.mark.parametrize("name", [one for one in CANARIES if one not in {"country", "word of the contract"}])
@pytest.mark.parametrize("encoding", READABLE)
def test_a_value_is_found_in_every_encoding(name, encoding):
    assert found(name, READABLE[encoding](CANARIES[name].value))


@pytest.mark.parametrize("name", ["country", "word of the contract"])
def test_what_is_too_common_is_found_together_with_its_element(name):
    one = CANARIES[name]
    for text in (
        f'<d:{one.element} xmlns:d="x">{one.value}</d:{one.element}>',
        json.dumps({one.element: one.value}),
        json.dumps({one.element: one.value}, separators=(",", ":")),
        repr({one.element: one.value}),
    ):
        assert found(name, text.encode()), text
    assert found(name, base64.b64encode(f"<d:{one.element}>{one.value}</d:{one.element}>".encode()))


@pytest.mark.parametrize("name", CANARIES)
@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize("what", DIGESTED)
def test_an_unsalted_digest_is_found_however_it_is_written(name, algorithm, what):
    digest = hashlib.new(algorithm, DIGESTED[what](CANARIES[name]).encode(), usedforsecurity=False).digest()
    assert all(found(name, write(digest)) for write in WRITTEN.values())


VALUE = CANARIES["free text"].value.encode()


def seen(collected: dict[str, bytes]) -> set[str]:
    search = Search([CANARIES["free text"]])
    return {name for name, data in collected.items() if search.traces(data)}


@pytest.mark.parametrize(
    "place",
    ["hub.err", "hub.out", "run/core", "run/core.123", "tmp/tmpabc", "spool/x", "documents/x.sealed", "store.db-wal",
     "store.db-shm", "store.db-journal"],
)  # fmt: skip
def test_every_file_is_looked_at(tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(b"\0" * 5000 + VALUE)
    assert seen(places.files(tmp_path)) == {f"file {place}"}


def test_the_pages_of_the_database_are_looked_at_also_those_not_yet_in_its_file(tmp_path):
    with closing(apsw.Connection(str(tmp_path / "store.db"))) as store:
        store.pragma("journal_mode", "wal")
        store.execute("CREATE TABLE t (a)")
        store.execute("INSERT INTO t VALUES (?)", (VALUE,))
        assert "file store.db-wal" in seen(places.files(tmp_path))
    assert "file store.db" in seen(places.files(tmp_path))


PROCESS = """
import sys, tempfile
file = tempfile.TemporaryFile(dir=sys.argv[2])
file.write(sys.stdin.buffer.readline())
file.flush()
print("there", flush=True)
sys.stdin.read()
"""


def test_what_the_kernel_shows_of_a_process_is_looked_at(tmp_path):
    value = CANARIES["free text"].value
    command = [sys.executable, "-c", PROCESS, value, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, "CANARY": value}, **pipes) as process:
        process.stdin.write(VALUE + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        names = seen(places.process(process.pid))
        process.stdin.close()
    assert {"process environ", "process cmdline"} < names
    assert any(name.startswith("process fd") for name in names)


async def test_every_page_for_operators_is_looked_at(aiohttp_pages):
    assert seen(await places.operations(aiohttp_pages)) == {
        "page /metrics",
        "page /healthz",
        "page /readyz",
        "page /",
    }


@pytest.fixture
async def aiohttp_pages():
    """A listener that shows a canary: in a page, in a header."""

    async def show(request: web.Request) -> web.Response:
        if request.path == "/healthz":
            return web.Response(headers={"X": CANARIES["free text"].value.encode("ascii", "ignore").decode()})
        return web.Response(body=VALUE)

    application = web.Application()
    application.router.add_get("/{page:.*}", show)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    await runner.cleanup()
