"""A log in memory that asks to be cosigned, honestly or not, and a witness's settings."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.adapters.pki import write_file
from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import sign_checkpoint
from gateway.exchangelog.note import Signer
from gateway.exchangelog.witness import AddCheckpoint
from gateway.witness import run
from gateway.witness.settings import WitnessSettings, load_settings

ORIGIN = "xlog.hub.example/2026"
LOG = Signer.of(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer.of(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
NAME = "witness.example/w1"


def leaves(size: int, fork: int | None = None) -> list[bytes]:
    """Leaf hashes; from index `fork` on those of another history."""
    return [
        merkle.leaf_hash(b"%d" % index + (b"'" if fork is not None and index >= fork else b""))
        for index in range(size)
    ]


def checkpoint(size: int, fork: int | None = None, signer: Signer = LOG) -> bytes:
    return sign_checkpoint(size, merkle.root(leaves(size, fork)), [signer])


def request(old: int, new: int, fork: int | None = None, signer: Signer = LOG) -> AddCheckpoint:
    """As an honest client makes it, of the one history or the other."""
    nodes = merkle.nodes_of(leaves(new, fork))
    proof = merkle.prove_consistency(nodes, old, new) if 0 < old < new else []
    return AddCheckpoint(old, tuple(proof), checkpoint(new, fork, signer))


def witness_settings(
    directory: Path, *, name: str = NAME, ml_dsa: bool = False, more: str = ""
) -> WitnessSettings:
    """Of a witness that has begun and has cosigned nothing. `more`: lines for its log."""
    directory.mkdir(parents=True, exist_ok=True)
    text = f"""
name = "{name}"
key = "witness.key.pem"
store = "witness.db"
port = 0
[[logs]]
vkeys = ["{LOG.verifier.vkey}"]
{more}"""
    write_file(directory / "witness.toml", text.encode())
    settings = load_settings(directory / "witness.toml")
    run.begin(settings, ml_dsa=ml_dsa)
    return settings
