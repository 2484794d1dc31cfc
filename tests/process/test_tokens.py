"""Signing keys in a PKCS #11 token: a hub that serves with them, and a token that goes away under it."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event as Flag

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway import config
from gateway.adapters import token as token_module
from gateway.adapters.store_reader import LogReader
from gateway.adapters.token import library
from gateway.broker.reply import Signer
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.note import Signer as LogSigner
from gateway.loading import load
from gateway.model import Ticket
from gateway.refusal import Code, Refusal
from gateway.soap.envelope import read
from gateway.soap.xml import Limits
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey
from gateway.wss.verify import verify
from tests.path import hub as memory
from tests.path.hub import signed_question
from tests.process.running import running_hub
from tests.process.sandboxes import gateway
from tests.process.test_check import check, codes
from tests.process.test_reload import register, replace_own, suspend
from tests.process.tokens import MODULE, SoftToken, program

XML = {"Content-Type": "text/xml; charset=utf-8"}
SUITES = {  # suite → who gets replies in it, in which context, and the hub's key
    "rsa-sha256": ("BRUSSELS", "WIB:WORK_DECISION", "sign-rsa"),
    "ecdsa-sha256": ("IMMIGRATION_OFFICE", "WIB:RESIDENCE_DECISION", "sign-ec"),
}
AT_ONCE = 200  # signatures, attack G09


def message(name: str = "BRUSSELS", context: str = "WIB:WORK_DECISION") -> bytes:
    return signed_question(name, "consultDossier", context, None, datetime.now(UTC))


def log_key() -> Ed25519PrivateKey:
    return load_pem_private_key(memory.pki()["HUB/log.key.pem"], None)


def verified(reply: bytes):
    return verify(read(reply, Limits()), Window(), datetime.now(UTC))


async def post(hub, data: bytes, name: str = "BRUSSELS") -> tuple[int, bytes]:
    async with hub.request(name, data=data, headers=XML) as response:
        return response.status, await response.read()


# A hub with its keys in a token.


async def test_questions_replies_and_checkpoints_are_signed_in_the_token(token, tmp_path):
    async with running_hub(tmp_path / "hub", **token.settings()) as hub:
        for caller, context, key in SUITES.values():
            status, reply = await post(hub, message(caller, context), caller)
            assert status == 200
            assert verified(reply).certificate == memory.signing_key("HUB", key).certificate
    settings = config.load(tmp_path / "hub/gateway.toml")
    with LogReader.open(settings.log.store) as log:
        head = log.head()
    verifier = LogSigner.of(settings.log.origin, log_key()).verifier
    assert open_checkpoint(head.note, [verifier]).size == head.size == 2 * len(SUITES)


def test_another_process_finds_the_same_keys_in_the_token(held_place):
    """`gateway log` and `gateway serve` as they are run, after the process that began the log."""
    settings = str(held_place / "gateway.toml")
    facts = json.loads(check(held_place, "--json").stdout)
    assert facts["findings"] == []
    told = program(gateway("log", "vkey", "--config", settings))
    assert told.stdout.splitlines()[-1].endswith(facts["log"]["vkey"])
    served = program(gateway("serve", "--stop-with-stdin", "--config", settings))
    events = [json.loads(line)["event"] for line in served.stderr.splitlines()]
    assert (served.returncode, events[0], events[-1]) == (0, "serving", "stopping")


# Many signatures at once: attack G09.


@pytest.mark.parametrize("suite", SUITES)
def test_200_signatures_from_threads_all_verify(held_place, suite):
    key = load(config.load(held_place / "gateway.toml")).rules.signer.keys[suite]
    signer = Signer({suite: key}, memory.register().hub, Window())
    recipient = replace(memory.authority("PLATFORM"), suite=suite)

    def sign(number: int) -> bytes:
        made = signer.question(f'<x xmlns="urn:x">{number}</x>', recipient, Ticket(f"t-{number}"), now())
        return asyncio.run(made)

    with ThreadPoolExecutor(32) as threads:
        messages = list(threads.map(sign, range(AT_ONCE)))
    require_all(messages, key)


@pytest.mark.parametrize("held", [True, False], ids=["token", "file"])
async def test_200_signatures_of_one_event_loop_all_verify(held_place, held):
    """Each suite half of them; checkpoints meanwhile, in a thread of their own as in the hub."""
    loaded = load(config.load(held_place / "gateway.toml"))
    keys = (
        loaded.rules.signer.keys
        if held
        else {suite: memory.signing_key("HUB", SUITES[suite][2]) for suite in SUITES}
    )
    checkpoint = asyncio.to_thread(lambda: [loaded.log_keys[0].sign(b"%d" % number) for number in range(50)])
    with ThreadPoolExecutor(1) as beside:
        signer = Signer(keys, memory.register().hub, Window(), beside)
        made = [
            signer.question(
                f'<x xmlns="urn:x">{number}</x>',
                replace(memory.authority("PLATFORM"), suite=suite),
                Ticket(f"t-{number}"),
                now(),
            )
            for suite in SUITES
            for number in range(AT_ONCE // 2)
        ]
        notes, *messages = await asyncio.gather(checkpoint, *made)
    for suite, some in zip(SUITES, (messages[: AT_ONCE // 2], messages[AT_ONCE // 2 :]), strict=True):
        require_all(some, keys[suite])
    for number, value in enumerate(notes):
        log_key().public_key().verify(value, b"%d" % number)


def test_signatures_go_on_while_the_token_closes_sessions(token, held_place):
    """Every thread may find its session gone, and one begins the library anew under all of them."""
    loaded = load(config.load(held_place / "gateway.toml"))
    keys = [*loaded.rules.signer.keys.values(), *loaded.log_keys]
    data = [b"%d" % number for number in range(AT_ONCE)]
    with ThreadPoolExecutor(16) as threads:
        made = [threads.submit(keys[number % 3].sign, one) for number, one in enumerate(data)]
        for _ in range(10):
            token.close_sessions()
        values = [one.result() for one in made]
    for number in range(2, AT_ONCE, 3):
        log_key().public_key().verify(values[number], data[number])
    for number in range(0, AT_ONCE, 3):
        rsa_key = memory.signing_key("HUB", "sign-rsa").key
        rsa_key.public_key().verify(values[number], data[number], padding.PKCS1v15(), SHA256())
    assert {len(values[number]) for number in range(1, AT_ONCE, 3)} == {64}  # r‖s


def require_all(messages: list[bytes], key: SigningKey) -> None:
    """Each verifies under the key's certificate, and each says its own."""
    found = [verified(one) for one in messages]
    assert {one.certificate for one in found} == {key.certificate}
    assert [one.element[0].text for one in found] == [str(number) for number in range(len(messages))]


def now() -> datetime:
    return datetime.now(UTC)


# A token that goes away.


async def test_sessions_that_the_token_closed_are_opened_again(token, tmp_path):
    async with running_hub(tmp_path / "hub", **token.settings()) as hub:
        assert (await post(hub, message()))[0] == 200
        token.close_sessions()
        status, reply = await post(hub, message())
        assert (status, verified(reply).version.name) == (200, "V11")


@pytest.mark.parametrize("log_in_token", [True, False], ids=["every key in it", "the log's key in a file"])
async def test_token_that_is_taken_out_stops_exchanges_until_it_is_back(token, tmp_path, log_in_token):
    asked = list[str]()

    def answering(world, provider, question):
        asked.append(question.customer.ticket)
        return memory.answer_well(world, provider, question)

    settings = token.settings()
    if not log_in_token:
        del settings["log_key"]
    async with running_hub(tmp_path / "hub", answering, **settings) as hub:
        token.take_out()
        status, reply = await post(hub, message())
        assert (status, reply[:8], len(asked)) == (503, b"WIB10004", 0)
        status, reply = await post(
            hub, message(context="WIB:RESIDENCE_DECISION")
        )  # nor is a fault sent unsigned
        assert (status, reply[:8]) == (503, b"WIB10004")
        async with hub.request("BRUSSELS", "GET", "?wsdl") as response:
            assert response.status == 200
        token.put_back()
        status, reply = await post(hub, message())
        assert (status, len(asked)) == (200, 1)
        verified(reply)
    lines = [json.loads(line) for line in hub.lines.getvalue().splitlines()]
    told = [line["code"] for line in lines if line["event"] == "exchange"]
    assert told == ["WIB10004", "WIB10004", None]
    kinds = (
        ["request", "response"] if log_in_token else ["request", "refusal", "refusal", "request", "response"]
    )
    assert logged(hub.directory) == kinds


def logged(directory) -> list[str]:
    with LogReader.open(config.load(directory / "gateway.toml").log.store) as log:
        return [json.loads(log.entry(index))["kind"] for index in range(log.head().size)]


AWAY = {  # what is wrong with the token while the hub looks at its files, and what ends it
    "its sessions are closed": (SoftToken.close_sessions, lambda token: None),
    "it is taken out": (SoftToken.take_out, SoftToken.put_back),
    "a call of it does not come back": (
        lambda token: library(MODULE.resolve()).lock.acquire(),
        lambda token: library(MODULE.resolve()).lock.release(),
    ),
}


@pytest.mark.parametrize("away", AWAY)
async def test_token_that_does_not_answer_holds_up_no_suspension(token, tmp_path, monkeypatch, away):
    monkeypatch.setattr(token_module, "SIGNING_SECONDS", 600.0)  # a call inside the library has no bound
    leave, come_back = AWAY[away]
    async with running_hub(tmp_path / "hub", **token.settings()) as hub:
        assert (await post(hub, message()))[0] == 200
        leave(token)
        try:
            waiting = asyncio.create_task(
                post(hub, message("IMMIGRATION_OFFICE", "WIB:RESIDENCE_DECISION"), "IMMIGRATION_OFFICE")
            )
            register(hub, suspend("BRUSSELS"))
            told = await hub.reload()
        finally:
            come_back(token)
        await waiting
        assert (told["event"], told["suspended"]) == ("reloaded", 1)
        _, reply = await post(hub, message())
        assert b"WIB05005" in verified(reply).body


async def test_new_certificate_opens_its_key(token, tmp_path):
    """One that does not belong to the key in the token is not put in force."""
    async with running_hub(tmp_path / "hub", **token.settings()) as hub:
        replace_own(hub, "sign-rsa")
        assert (await hub.reload())["code"] == "CFG007"
        assert (await post(hub, message()))[0] == 200


def test_keys_of_a_token_that_closed_its_sessions_are_opened(token, held_place):
    settings = config.load(held_place / "gateway.toml")
    load(settings)
    token.close_sessions()
    load(settings)


def test_signature_gives_up_when_a_call_of_another_does_not_come_back(token, held_place, monkeypatch):
    loaded = load(config.load(held_place / "gateway.toml"))
    monkeypatch.setattr(token_module, "SIGNING_SECONDS", 0.01)
    with library(MODULE.resolve()).lock:
        for key in (loaded.rules.signer.keys["rsa-sha256"], *loaded.log_keys):
            with pytest.raises(Refusal) as caught:
                key.sign(b"x")
            assert caught.value.code is Code.SIGNING_UNAVAILABLE
        assert set(codes(held_place)) == {"CFG035"}
    assert codes(held_place) == []


def test_search_that_fails_is_ended_before_another_has_a_turn(token, held_place, monkeypatch):
    """python-pkcs11 ends it in a finaliser, which calls the library."""
    key = load(config.load(held_place / "gateway.toml")).rules.signer.keys["rsa-sha256"].key
    one, alone = library(MODULE.resolve()), list[bool]()
    monkeypatch.setattr(sys, "unraisablehook", lambda told: alone.append(one.lock.locked()))
    with one.lock:
        one.begin_anew()  # so that the key is looked up again
        key._token.session()
    token.close_sessions()
    key.try_out()
    gc.collect()
    assert alone == [True]


async def test_reply_that_cannot_be_signed_is_recorded_and_not_returned(token, tmp_path):
    """The token goes while the provider answers."""

    def answering(world, provider, question):
        token.take_out()
        return memory.answer_well(world, provider, question)

    settings = token.settings()
    del settings["log_key"]
    async with running_hub(tmp_path / "hub", answering, **settings) as hub:
        status, reply = await post(hub, message())
    assert (status, reply[:8]) == (503, b"WIB10004")
    assert logged(hub.directory) == ["request", "response", "refusal"]
    verified_log = program(gateway("log", "verify", "--config", str(hub.directory / "gateway.toml")))
    assert verified_log.returncode == 0, verified_log.stderr


async def test_changed_pin_is_not_tried_twice(token, tmp_path):
    """It is read again when sessions were lost, and a second wrong try could lock the token."""
    async with running_hub(tmp_path / "hub", **token.settings()) as hub:
        right = token.pin.read_text()
        token.pin.write_text("wrong-pin")
        token.close_sessions()
        assert (await post(hub, message()))[0] == 503
        token.pin.write_text(right)
        assert (await post(hub, message()))[0] == 503
    assert (
        token.run("assert False", pin=right.strip()).stderr.splitlines()[-1] == "AssertionError"
    )  # a login by hand
    assert codes(hub.directory) == ["CFG032"]  # this process has not forgotten
    assert program(gateway("check", "--config", str(hub.directory / "gateway.toml"))).returncode == 0


class Silent:
    """A key whose holder does not answer."""

    suite = "rsa-sha256"

    def __init__(self) -> None:
        self.answers = Flag()

    def sign(self, data: bytes) -> bytes:
        self.answers.wait(60)
        return b""


async def test_token_that_does_not_answer_holds_nobody_up(tmp_path):
    silent, fast = Silent(), memory.signing_key("HUB", "sign-ec")
    keys = {"rsa-sha256": SigningKey(silent, fast.certificate), "ecdsa-sha256": fast}
    with ThreadPoolExecutor(1) as beside:
        signer = Signer(keys, memory.register().hub, Window(), beside, seconds=0.05)
        slow = [
            asyncio.ensure_future(signer.question("<x/>", memory.authority("PLATFORM"), Ticket("t"), now()))
            for _ in range(3)
        ]
        await signer.question("<x/>", memory.authority("NSSO"), Ticket("u"), now())
        results = await asyncio.gather(*slow, return_exceptions=True)
        silent.answers.set()
    assert [one.code for one in results if isinstance(one, Refusal)] == [Code.SIGNING_UNAVAILABLE] * 3
