"""The exchange log changes its key: overlap, end of the old key, and what each key still tells (PROTOCOL §8.5)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from typer.testing import CliRunner

from gateway.adapters import store_appender
from gateway.adapters.store import LogReader, Store
from gateway.cli.log import app
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer, Verifier, parse_note
from gateway.refusal import Code, Refusal
from tests.process.store_world import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    PAYLOAD_KEY,
    VERIFIER,
    append_all,
    keys_beside,
    of_a_file,
    open_store,
)
from tests.process.test_store_append import request_entry

OLD, NEW = KEY, OTHER_KEY
NEW_VERIFIER = Signer.of(ORIGIN, NEW).verifier


def checkpoint(path: Path) -> bytes:
    with LogReader.open(path) as log:
        return log.checkpoint


def signed_by(path: Path) -> list[Verifier]:
    """Whose signature the checkpoint has, each of them sound."""
    note, known = parse_note(checkpoint(path)), {one.key_id: one for one in (VERIFIER, NEW_VERIFIER)}
    found = [known[one.key_id] for one in note.signatures]
    for verifier, signature in zip(found, note.signatures, strict=True):
        verifier.verify(note.text, signature)
    return found


async def test_a_log_changes_its_key_without_a_break(path):
    async with open_store(path) as store:
        await store.append(request_entry("before"))
        assert signed_by(path) == [VERIFIER]
        await store.sign_with([OLD, NEW])
        assert signed_by(path) == [VERIFIER, NEW_VERIFIER]  # at once, though nothing was appended
        await store.append(request_entry("between"))
        assert signed_by(path) == [VERIFIER, NEW_VERIFIER]
        await store.sign_with([NEW])
        assert signed_by(path) == [NEW_VERIFIER]
        await store.append(request_entry("after"))
    assert signed_by(path) == [NEW_VERIFIER]
    async with Store.open(path, NEW, ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=keys_beside(path)) as store:
        assert store.size == 3


async def test_signing_anew_signs_the_same_root(path):
    async with open_store(path) as store:
        await store.append(request_entry("one"))
        before = open_checkpoint(checkpoint(path), [VERIFIER])
        await store.sign_with([OLD, NEW])
    assert open_checkpoint(checkpoint(path), [NEW_VERIFIER]) == before


async def test_a_key_changes_while_entries_are_appended(path):
    async with open_store(path) as store:

        async def some(name: str) -> list[object]:
            return await append_all(store, [request_entry(f"{name}{n}") for n in range(40)])

        tasks = [asyncio.create_task(some(name)) for name in "abc"]
        await asyncio.sleep(0)
        await store.sign_with([OLD, NEW])
        tasks.append(asyncio.create_task(some("d")))
        await asyncio.sleep(0)
        await store.sign_with([NEW])
        receipts = [receipt for task in tasks for receipt in await task]
    assert sorted(receipt.index for receipt in receipts) == list(range(160))
    assert verified(path, NEW_VERIFIER)


async def test_a_key_that_the_checkpoint_does_not_know_does_not_take_over(path):
    async with open_store(path) as store:
        await store.append(request_entry("one"))
        with pytest.raises(ProofError) as caught:
            await store.sign_with([NEW])
        assert caught.value.flaw is Flaw.UNSIGNED
        await store.append(request_entry("two"))  # nothing broke
    assert signed_by(path) == [VERIFIER]


class Switched:
    """A log key in a token that may stop signing."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key, self.signs = key, True

    def public_key(self) -> Ed25519PublicKey:
        return self._key.public_key()

    def sign(self, data: bytes) -> bytes:
        if not self.signs:
            raise Refusal(Code.SIGNING_UNAVAILABLE)
        return self._key.sign(data)


class Hanging(Switched):
    """One that does not answer."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        super().__init__(key)
        self.answers = Event()
        self.answers.set()

    def sign(self, data: bytes) -> bytes:
        assert self.answers.wait(60)
        return super().sign(data)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside an entry"])
async def test_a_new_key_that_does_not_sign_leaves_the_old_one_in_force(path, beside):
    new = Switched(NEW)
    new.signs = False
    async with open_store(path) as store:
        others = [store.append(request_entry("one"))] if beside else []
        changed, *appended = await asyncio.gather(
            store.sign_with([OLD, new]), *others, return_exceptions=True
        )
        assert changed.code is Code.SIGNING_UNAVAILABLE
        assert not any(isinstance(one, Exception) for one in appended)
        await store.append(request_entry("two"))
    assert signed_by(path) == [VERIFIER]


@of_a_file  # PostgreSQL is read first, in a thread: then it is no batch
async def test_a_batch_that_is_not_signed_leaves_the_keys_as_they_were(path):
    """The change of keys was in it, and could be made without a signature of its own."""
    new = Switched(NEW)
    async with open_store(path) as store:
        await store.sign_with([OLD, new])
    async with open_store(path) as store:
        new.signs = False
        failed = await asyncio.gather(
            store.sign_with([OLD, new]), store.append(request_entry("one")), return_exceptions=True
        )
        assert [one.code for one in failed] == [Code.LOG_UNAVAILABLE] * 2
        await store.append(request_entry("two"))
    assert signed_by(path) == [VERIFIER]


async def test_each_work_of_a_batch_that_is_not_signed_has_a_refusal_of_its_own(path):
    key = Switched(OLD)
    async with Store.open(
        path, key, ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=keys_beside(path), create=True
    ) as store:
        key.signs = False
        works = [store.append(request_entry(name)) for name in ("one", "two")]
        first, second = await asyncio.gather(*works, return_exceptions=True)
    assert first.code is second.code is Code.LOG_UNAVAILABLE
    assert first is not second


async def test_a_key_that_does_not_come_back_leaves_the_store_not_ready(path, monkeypatch):
    key = Hanging(OLD)
    async with Store.open(
        path, key, ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=keys_beside(path), create=True
    ) as store:
        await store.append(request_entry("one"))
        assert store.ready
        monkeypatch.setattr(store_appender, "SIGNING_SECONDS", 0.01)
        assert store.ready  # nothing waits
        key.answers.clear()
        waiting = asyncio.create_task(store.append(request_entry("two")))
        for _ in range(6000):
            if not store.ready:
                break
            await asyncio.sleep(0.01)
        assert not store.ready
        key.answers.set()
        await waiting
        assert store.ready


async def test_another_process_that_has_the_new_key_too_appends_beside_one_that_has_not_yet(path):
    async with open_store(path) as hub:
        await hub.append(request_entry("one"))
        async with Store.open(
            path, OLD, ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=keys_beside(path), also=[NEW]
        ) as other:
            await other.append(request_entry("two"))
        await hub.append(request_entry("three"))
        assert hub.size == 3


async def test_a_store_is_opened_with_either_key_of_the_overlap_and_no_other(path):
    async with open_store(path) as store:
        await store.sign_with([OLD, NEW])
    for key in (OLD, NEW):
        await Store.open(path, key, ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=keys_beside(path)).close()
    with pytest.raises(ProofError) as caught:
        Store.open(
            path, Ed25519PrivateKey.generate(), ORIGIN, payload_key=PAYLOAD_KEY, bucket_keys=keys_beside(path)
        )
    assert caught.value.flaw is Flaw.UNSIGNED


def verified(path: Path, *verifiers: Verifier, pin: Path | None = None) -> bool:
    """What `gateway log verify` says with these keys."""
    keys = [argument for one in verifiers for argument in ("--vkey", one.vkey)]
    kept = [] if pin is None else ["--pin", str(pin)]
    return CliRunner().invoke(app, ["verify", "--store", str(path), *keys, *kept]).exit_code == 0


async def test_a_log_whose_history_the_old_key_signed_and_whose_head_the_new_one_is_verified(path, tmp_path):
    pin = tmp_path / "pin"
    async with open_store(path) as store:
        await store.append(request_entry("one"))
        pin.write_bytes(checkpoint(path))  # somebody keeps it: the old key alone has signed it
        await store.sign_with([OLD, NEW])
        assert verified(path, VERIFIER) and verified(path, NEW_VERIFIER)  # noqa: PT018 - either during overlap
        await store.sign_with([NEW])
        await store.append(request_entry("two"))
    assert verified(path, NEW_VERIFIER)
    assert not verified(path, VERIFIER)
    assert verified(path, NEW_VERIFIER, VERIFIER, pin=pin)
    assert not verified(path, NEW_VERIFIER, pin=pin)  # who signed the pin is not known then


async def test_a_file_of_keys_holds_former_ones_too(path, tmp_path):
    async with open_store(path) as store:
        await store.sign_with([OLD, NEW])
        await store.sign_with([NEW])
    keys = tmp_path / "log.vkey"
    keys.write_text(f"origin  {ORIGIN}\nvkey    {VERIFIER.vkey}\nvkey    {NEW_VERIFIER.vkey}\n")
    arguments = ["verify", "--store", str(path), "--vkey-file", str(keys)]
    assert CliRunner().invoke(app, arguments).exit_code == 0


async def test_of_keys_of_two_logs_the_first_says_which_log_is_checked(path):
    await open_store(path).close()
    another = Signer.of("another.example/log", OLD).verifier  # the same key, for another log
    assert verified(path, VERIFIER, another)
    assert not verified(path, another, VERIFIER)
    assert not verified(path, another)
