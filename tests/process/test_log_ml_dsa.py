"""A log that signs by ML-DSA-44 beside Ed25519: either key tells, and neither is needed by who has the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from typer.testing import CliRunner

from gateway import loading
from gateway.adapters.store import LogReader
from gateway.cli.commands import app
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.cosignature import Cosigner, CosignerKey
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import parse_note
from gateway.reading import StartError
from tests.exchanges import exchange_entries
from tests.path import hub as memory
from tests.process import running
from tests.process.store_world import KEY, ORIGIN, OTHER_KEY, VERIFIER, append_all, open_store
from tests.process.test_store_keys import NEW_VERIFIER

BESIDE = Cosigner.of(ORIGIN, MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))))


def note_of(path: Path) -> bytes:
    with LogReader.open(path) as log:
        return log.checkpoint


async def test_each_checkpoint_is_signed_by_both_keys(tmp_path):
    path = tmp_path / "store.db"
    async with open_store(path, beside=BESIDE) as store:
        await store.sign_with([KEY])  # the log began without the key beside
        assert len(parse_note(note_of(path)).signatures) == 2
        await append_all(store, exchange_entries("a"))
    for keys in ([VERIFIER], [BESIDE.public], [VERIFIER, BESIDE.public]):
        assert open_checkpoint(note_of(path), keys).size == 2
    spoilt = note_of(path).replace(b"\n2\n", b"\n3\n")
    with pytest.raises(ProofError) as caught:
        open_checkpoint(spoilt, [BESIDE.public])
    assert caught.value.flaw is Flaw.SIGNATURE
    told = ["log", "verify", "--store", str(path), "--vkey"]
    assert CliRunner().invoke(app, [*told, BESIDE.public.vkey]).exit_code == 0
    other = Cosigner.of(ORIGIN, MLDSA44PrivateKey.from_seed_bytes(bytes(32))).public.vkey
    assert CliRunner().invoke(app, [*told, other]).exit_code == 1


async def test_the_keys_come_and_go_independently(tmp_path):
    path = tmp_path / "store.db"
    async with open_store(path, beside=BESIDE) as store:
        await store.sign_with([KEY, OTHER_KEY])
        await append_all(store, exchange_entries("a"))
        assert len(parse_note(note_of(path)).signatures) == 3
    assert open_checkpoint(note_of(path), [VERIFIER, NEW_VERIFIER, BESIDE.public]).size == 2
    async with open_store(path) as store:
        await store.sign_with([KEY])
    assert [one.key_id for one in parse_note(note_of(path)).signatures] == [VERIFIER.key_id]


def test_an_operator_makes_the_key_once_and_a_hub_wants_that_key_and_no_other(tmp_path):
    memory.place_pki(tmp_path / "pki")
    settings = running.write_settings(tmp_path, "https://127.0.0.1:9/soap", {})
    config = tmp_path / "gateway.toml"
    make = ["log", "ml-dsa-key", "--config", str(config)]
    assert CliRunner().invoke(app, make).stderr[:6] == "LOG509"
    config.write_text(config.read_text().replace("# log_ml_dsa_key", "log_ml_dsa_key"))
    vkey = CliRunner().invoke(app, make).stdout.strip()
    assert CosignerKey.parse(vkey).name == settings.log.origin
    assert CliRunner().invoke(app, make).stderr[:6] == "LOG509"
    told = CliRunner().invoke(app, ["log", "vkey", "--config", str(config), "--json"])
    assert json.loads(told.stdout)["ml_dsa_vkey"] == vkey
    assert loading.load(running.config.load(config)).beside.public.vkey == vkey
    key = tmp_path / "pki/HUB/log-ml-dsa.key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes((tmp_path / "pki/HUB/log.key.pem").read_bytes())
    with pytest.raises(StartError, match="CFG004"):
        loading.load(running.config.load(config))
    assert CliRunner().invoke(app, ["log", "vkey", "--config", str(config)]).stderr[:6] == "LOG202"
