"""Our log before a witness of others, and a log of others before our witness: nothing of ours is on both sides."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from gateway.adapters.store import LogReader
from gateway.exchangelog.cosignature import Cosigner, CosignerKey
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import open_note, parse_signature
from gateway.witness import run
from tests.exchanges import refusal_entry
from tests.process import foreign_witness
from tests.process.store_world import VERIFIER, fill, open_store
from tests.process.test_feeding import feeding_of, flaw_at_start, go_back, policy
from tests.witness_world import ORIGIN, witness_settings


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def test_a_witness_of_others_cosigns_our_log_and_proves_its_fork(path, tmp_path):
    place, port = tmp_path / "foreign", free_port()
    with foreign_witness.running(place, port, ORIGIN, VERIFIER.vkey) as (url, vkey):
        trusted = policy([(url, CosignerKey.parse(vkey))])
        async with feeding_of(path, trusted) as world:
            for number in range(2):
                await world.append(f"t{number}")
                await world.feeder.round()
                assert world.cosigned == 2 * number + 2
            backup = tmp_path / "backup.db"
            with LogReader.open(path) as log:
                log._connection.execute("VACUUM INTO ?", (str(backup),))
    with foreign_witness.running(place, port, ORIGIN, VERIFIER.vkey) as (url, _):
        async with feeding_of(path, trusted) as world:
            await world.append("later")
            await world.feeder.round()
            assert world.cosigned == 6
            kept = await world.store.cosigned()
        assert read_by_others(tmp_path, kept.note, vkey) == 0
        assert read_by_others(tmp_path, kept.note.replace(b"\n6\n", b"\n7\n"), vkey) != 0
        go_back(path, backup)
        async with feeding_of(path, trusted) as world:
            assert await flaw_at_start(world) is Flaw.WITNESS_AHEAD
        await fill(path, [refusal_entry() for _ in range(4)])
        async with feeding_of(path, trusted) as world:
            await world.feeder.round()
            assert world.events("witness")[-1]["outcome"] == "fork"
            await world.append("more")
    with pytest.raises(ProofError) as caught:
        open_store(path)
    assert caught.value.flaw is Flaw.FROZEN


def read_by_others(directory: Path, note: bytes, witness: str) -> int:
    """The exit status of their reader, which wants the log's signature and this witness's."""
    (directory / "checkpoint").write_bytes(note)
    keys = ("--log-key", VERIFIER.vkey, "--witness-key", witness, "--quorum", "1")
    done = foreign_witness.python(
        "-m", "aics_tlog", "verify-checkpoint", "--note", directory / "checkpoint", *keys, check=False
    )
    return done.returncode


def test_our_witness_cosigns_a_log_of_others_and_no_fork_of_it(tmp_path):
    settings = witness_settings(tmp_path / "witness")
    vkey = run.load_cosigner(settings, own=True).public.vkey
    config = settings.key.with_name("witness.toml")
    config.write_text(config.read_text().replace("port = 0", f"port = {(port := free_port())}"))
    command = [sys.executable, "-m", "gateway", "witness", "serve", "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert json.loads(process.stderr.readline())["event"] == "serving"
        url = f"http://127.0.0.1:{port}"
        seed = bytes(range(32)).hex()
        done = foreign_witness.python(
            Path(__file__).parents[1] / "clients/witness/feed.py", url, vkey, seed, ORIGIN
        )
    finally:
        process.terminate()
        process.wait(60)
    found = json.loads(done.stdout)
    said = dict(found["said"])
    for name in ("first", "grown", "the same", "grown again"):
        assert CosignerKey.parse(vkey).key_id == parse_signature(said[name].removesuffix("\n")).key_id
    assert said["forked"] == said["other root"] == "WitnessRejected 422"
    assert said["stale"] == "WitnessAhead"
    assert process.returncode == 0
    name, key_id, value = found["line"]
    mine = Cosigner.of(name, Ed25519PrivateKey.from_private_bytes(bytes(range(32)))).sign(
        found["text"], 1_790_000_000
    )
    assert (mine.name, mine.key_id.hex(), mine.value.hex()) == (name, key_id, value)


async def test_ml_dsa_lines_of_others_and_ours_verify_on_the_other_side(path, tmp_path):
    beside = Cosigner.of(ORIGIN, MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))))
    async with open_store(path, beside=beside) as store:
        await store.append(refusal_entry())
        (tmp_path / "checkpoint").write_bytes(await store.checkpoint())
    script = Path(__file__).parents[1] / "clients/witness/ml_dsa.py"
    said = json.loads(foreign_witness.python(script, tmp_path / "checkpoint", beside.public.vkey).stdout)
    theirs = CosignerKey.parse(said["vkey"])
    for keys in ([theirs], [beside.public], [VERIFIER, beside.public, theirs]):
        open_note(said["checkpoint"].encode(), keys)
    spoilt = said["checkpoint"].replace("\n1\n", "\n2\n")
    (tmp_path / "checkpoint").write_text(spoilt)
    with pytest.raises(ProofError):
        open_note(spoilt.encode(), [theirs])
    refused = foreign_witness.python(script, tmp_path / "checkpoint", beside.public.vkey, check=False)
    assert "InvalidSignature" in refused.stderr
