"""Private keys are nowhere but in their files and in memory (attack G08): looked for in every form, everywhere."""

from __future__ import annotations

import asyncio
import base64
import gc
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from typer.testing import CliRunner

from gateway import config
from gateway.adapters.log_key import ensure_log
from gateway.agreement.terms import Agreement
from gateway.cli.commands import app
from gateway.loading import load
from tests.path import hub as memory
from tests.path.hub import signed_question
from tests.process.running import running_hub, write_settings
from tests.process.sandboxes import ROOT, gateway
from tests.process.tokens import PIN, program

HUB = "pki/HUB"
XML = {"Content-Type": "text/xml; charset=utf-8"}
KEYS = ("tls.key.pem", "sign-rsa.key.pem", "sign-ec.key.pem", "log.key.pem", "directory.key", "payload.key")


def secrets(name: str) -> Iterator[bytes]:
    """What of a key must not be seen: its DER, and each private number of it as bytes."""
    content = memory.pki()[f"HUB/{name}"]
    if not name.endswith(".pem"):
        yield bytes.fromhex(content.decode())
        return
    key = load_pem_private_key(content, None)
    yield key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    match key:
        case rsa.RSAPrivateKey():
            numbers = key.private_numbers()
            for one in (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp):
                yield one.to_bytes((one.bit_length() + 7) // 8)
        case ec.EllipticCurvePrivateKey():
            yield key.private_numbers().private_value.to_bytes(32)
        case ed25519.Ed25519PrivateKey():
            yield key.private_bytes_raw()


def forms(secret: bytes) -> Iterator[bytes]:
    """As it is, in hexadecimal, as a decimal number, as Python shows bytes, and in base64 wherever it begins."""
    yield secret
    yield secret.hex().encode()
    yield str(int.from_bytes(secret)).encode()
    yield repr(secret)[2:-1].encode()
    for skipped in range(3):
        whole = secret[skipped : len(secret) - (len(secret) - skipped) % 3]
        yield base64.b64encode(whole)


NEEDLES = {name: {form for one in secrets(name) for form in forms(one)} for name in KEYS}
NEEDLES["the PIN"] = {PIN.encode()}


def seen(data: bytes | str) -> set[str]:
    """Names of the keys of which something is in the data; lines and cases make no difference."""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    joined = re.sub(rb"[\s:]|\\n", b"", raw)
    places = (raw, joined, joined.lower(), joined.replace(b"-", b"+").replace(b"_", b"/"))
    return {name for name, forms_ in NEEDLES.items() for form in forms_ if any(form in one for one in places)}


@pytest.mark.parametrize("name", KEYS)
def test_the_search_finds_each_form_of_a_key(name):
    content = memory.pki()[f"HUB/{name}"]
    assert seen(content) == seen(repr(content)) == {name}
    for secret in secrets(name):
        shown = [
            repr(secret),
            secret.hex(":").upper(),
            f"d={int.from_bytes(secret)}",
            base64.encodebytes(b"." + secret).decode(),
            base64.urlsafe_b64encode(b".." + secret).decode(),
        ]
        assert all(seen(one) == {name} for one in shown)
    assert seen(memory.pki()["HUB/sign-rsa.crt.pem"]) == set()


def message(context: str = "WIB:WORK_DECISION") -> bytes:
    return signed_question("BRUSSELS", "consultDossier", context, None, datetime.now(UTC))


async def life(hub) -> AsyncIterator[bytes]:
    """What a hub gives away to those who ask it: a reply, faults, bare refusals, the contract, figures."""
    for data in (message(), message("WIB:RESIDENCE_DECISION"), message()[:-9], b"<x/>"):
        async with hub.request("BRUSSELS", data=data, headers=XML) as response:
            yield await response.read() + repr(response.headers).encode()
    for method, query in (("PUT", ""), ("GET", "?wsdl")):
        async with hub.request("BRUSSELS", method, query) as response:
            yield await response.read()
    for path in ("/metrics", "/readyz", "/healthz"):
        yield await asyncio.to_thread(fetch, hub.operations + path)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read()


def objects() -> Iterator[str]:
    """What the objects of the program say of themselves, some of each class; the contracts are public files."""
    count: dict[type, int] = {}
    for one in gc.get_objects():
        kind = type(one)
        module = str(kind.__module__)
        if isinstance(one, pkcs11.Object) or not module.startswith("gateway") or ".agreement." in module:
            continue
        if count.setdefault(kind, 0) < 5:
            count[kind] += 1
            yield repr(one)
            yield str(one)
    assert {"Loaded", "Rules", "SigningKey", "Signer", "Seal"} <= {kind.__name__ for kind in count}


@pytest.mark.parametrize("held", [False, True], ids=["keys in files", "keys in a token"])
async def test_nothing_of_a_key_leaves_a_running_hub(token, tmp_path, held, monkeypatch):
    monkeypatch.setattr(
        Agreement, "__repr__", lambda _: "the agreement"
    )  # 50 MB, all of it from public files
    async with running_hub(tmp_path / "hub", **(token.settings() if held else {})) as hub:
        loaded = load(config.load(hub.directory / "gateway.toml"))
        given = [one async for one in life(hub)]
        if held:
            token.take_out()
            async with hub.request("BRUSSELS", data=message(), headers=XML) as response:
                given.append(await response.read())
            token.put_back()
        told = list(objects())
        del loaded
    assert len(given) > 8
    assert set().union(*map(seen, given)) == set()
    assert set().union(*map(seen, told)) == set()
    assert seen(hub.lines.getvalue()) == set()
    kept = [path for path in hub.directory.rglob("*") if path.is_file() and "pki" not in path.parts]
    assert {"store.db", "gateway.toml"} <= {path.name for path in kept}
    assert set().union(*(seen(path.read_bytes()) for path in kept)) == set()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def without_frame(content: bytes) -> bytes:
    return content.replace(b"-----BEGIN PRIVATE KEY-----", b"").replace(b"-----END PRIVATE KEY-----", b"")


FLAWS = {  # what is wrong with every key of a hub: a parser that fails is tempted to quote
    "cut in two": cut,
    "without its frame": without_frame,
    "twice in a line": lambda content: content.replace(b"\n", b"") * 2,
    "of the wrong kind": lambda content: content.replace(b"PRIVATE KEY", b"RSA PRIVATE KEY"),
    "one digit more": lambda content: content.strip() + b"0",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("hub")
    memory.place_pki(directory / "pki")
    settings = write_settings(directory, "https://127.0.0.1:1/soap", {})
    ensure_log(settings.log.store, settings.keys.log_key, settings.log.origin, settings.log.bucket_keys)
    return directory


@pytest.mark.parametrize("flaw", FLAWS)
def test_no_error_of_a_command_quotes_a_key(place, flaw):
    """A look at keys that are spoiled, and at sound ones that belong elsewhere."""
    for name in KEYS:
        (place / "pki/HUB" / name).write_bytes(FLAWS[flaw](memory.pki()[f"HUB/{name}"]))
    settings = str(place / "gateway.toml")
    for arguments in (("check",), ("check", "--json"), ("log", "vkey"), ("queue", "list")):
        result = CliRunner().invoke(app, [*arguments, "--config", settings])
        assert seen(result.output + result.stderr + repr(result.exception)) == set()


def test_no_error_of_a_start_quotes_a_key(place):
    """Which tells of all keys at once: each of them is spoiled in one of these ways."""
    assert len(KEYS) >= len(FLAWS)
    for name, spoiled in zip(KEYS, cycle(FLAWS.values()), strict=False):
        (place / "pki/HUB" / name).write_bytes(spoiled(memory.pki()[f"HUB/{name}"]))
    done = program(gateway("serve", "--config", str(place / "gateway.toml")))
    assert (done.returncode, done.stderr[:3]) == (1, "CFG")
    assert seen(done.stdout + done.stderr) == set()


@pytest.mark.parametrize(
    "flaw",
    [
        "a key in place of a path",
        "a key in place of a number",
        "a key without quotes",
        "a key in hexadecimal",
    ],
)
def test_settings_that_hold_a_key_are_refused_without_it(place, flaw):
    """Somebody pastes the key itself."""
    pasted = memory.pki()["HUB/sign-ec.key.pem"].decode().replace("\n", "\\n")
    payload = memory.pki()["HUB/payload.key"].decode().strip()
    text = (place / "gateway.toml").read_text()
    lines = {
        "a key in place of a path": ("sign_ec_key = ", f'sign_ec_key = "{pasted}" #'),
        "a key in place of a number": ("operations_port = ", f'operations_port = "{pasted}" #'),
        "a key without quotes": ("sign_ec_key = ", f"sign_ec_key = {pasted} #"),
        "a key in hexadecimal": ("payload_key = ", f'payload_key = "{payload}" #'),
    }
    old, new = lines[flaw]
    assert old in text
    spoiled = place / "spoiled.toml"
    spoiled.write_text(text.replace(old, new, 1))
    result = CliRunner().invoke(app, ["check", "--json", "--config", str(spoiled)])
    assert (result.exit_code, "CFG" in result.stdout) == (1, True)
    assert seen(result.output + result.stderr) == set()


# Memory.


def test_running_hub_leaves_no_core(place, tmp_path):
    for name in KEYS:
        (place / "pki/HUB" / name).write_bytes(memory.pki()[f"HUB/{name}"])
    command = gateway("serve", "--stop-with-stdin", "--config", str(place / "gateway.toml"))
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert b"serving" in process.stderr.readline()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        process.stdin.close()
        assert process.wait(60) == 0
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_memory_is_closed_to_other_processes():
    """prctl(2): PR_GET_DUMPABLE is 3."""
    look = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    shut = f"from gateway.adapters.dumps import forbid_dumps; {look}; forbid_dumps(); {look}"
    assert program([sys.executable, "-c", shut]).stdout.split() == ["1", "0"]
