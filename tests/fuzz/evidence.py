"""What an officer is handed: notes, checkpoints, proofs, keys, entries, tiles. What is read is written back the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.consistency import ConsistencyProof
from gateway.exchangelog.disclosed import DisclosedValue
from gateway.exchangelog.exhibit import Exhibit
from gateway.exchangelog.fields import FieldPlan, FieldRecord, verify_disclosure
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Verifier, open_note, parse_note
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.receipt import records_of, verify_receipt
from gateway.exchangelog.tile import TileId, bundle, parse_bundle
from gateway.kept import Kept, read_reply
from gateway.policy.person import parse_key
from gateway.refusal import Refusal
from gateway.soap.envelope import read
from gateway.soap.xml import Limits
from tests.fuzz.target import Target

_EXAMPLES = Path(__file__).parents[2] / "contracts/examples"
_VERIFIER = Verifier.parse((_EXAMPLES / "log.vkey").read_text().strip())


def _note(data: bytes) -> None:
    assert parse_note(data).serialise() == data
    open_note(data, (_VERIFIER,))


def _checkpoint(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert Checkpoint.parse(text).text == text


def _opened(data: bytes) -> None:
    """Nobody has the key: the text is that of the example."""
    opened = open_checkpoint(data, [_VERIFIER])
    assert (_EXAMPLES / "checkpoint").read_bytes().startswith(opened.text.encode())


def _proof(data: bytes) -> None:
    proof = TlogProof.parse(data)
    assert proof.serialise() == data
    genuine = TlogProof.parse((_EXAMPLES / "response.tlog-proof").read_bytes())
    proof.verify(proof.extra or b"", [_VERIFIER])
    assert (proof.index, proof.extra) == (genuine.index, genuine.extra)


def _key(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert Verifier.parse(text).vkey == text


def _leaf(data: bytes) -> None:
    assert Leaf.parse(data).seal() == data


def _tile(data: bytes) -> None:
    path = data.decode("utf-8", "replace")
    assert TileId.parse(path).path == path


def _bundle(data: bytes) -> None:
    assert bundle(parse_bundle(data)) == data


def _vector(data: bytes) -> None:
    plan = FieldPlan.parse(data)
    assert plan.vector == data
    plan.records(bytes(32 * len(plan.released)))


def _disclosure(data: bytes) -> None:
    from gateway.exchangelog.commitment import digest

    verify_disclosure(data, FieldRecord("dossier/worker/familyName", digest(data), None))
    assert leaf_hash(data)


def _disclosed(data: bytes) -> None:
    shown = DisclosedValue.parse(data)
    assert shown.serialise() == data
    told = shown.verify([_VERIFIER])
    assert (told.path, told.value) == ("header/status", ("SUBMITTED",))


def _exhibit(data: bytes) -> None:
    exhibit = Exhibit.parse(data)
    assert exhibit.serialise() == data
    assert exhibit.verify([_VERIFIER]).size == 12


def _reply(data: bytes) -> None:
    """What holds is what the example says, however the message around it was changed."""
    try:
        kept = read_reply(read(data, Limits()).body[0])
    except (Refusal, IndexError):
        return
    genuine = _kept()
    verify_receipt(replace(kept.held, legal_context="WIB:WORK_DECISION"), kept.receipt, [_VERIFIER])
    assert (kept.held.exchange, kept.held.values) == (genuine.held.exchange, genuine.held.values)


def _kept() -> Kept:
    return read_reply(read((_EXAMPLES / "reply-with-proof.xml").read_bytes(), Limits()).body[0])


def _shown() -> tuple[bytes, bytes]:
    """A disclosed value and an exhibit of the reply of the examples; its agreement is nobody's."""
    kept = _kept()
    assert kept.receipt is not None
    assert kept.receipt.proof is not None
    value = DisclosedValue.of("header/status", kept.held, kept.receipt, [_VERIFIER])
    proof = TlogProof.parse(kept.receipt.proof.tlog)
    exhibit = Exhibit(proof, records_of(kept.receipt.proof), {"agreement.toml": b"nothing"})
    return value.serialise(), exhibit.serialise()


def _secret(data: bytes) -> None:
    try:
        assert len(parse_key(data)) == 32
    except ValueError:
        return


def _consistency(data: bytes) -> None:
    assert ConsistencyProof.parse(data).serialise() == data


READERS: tuple[Callable[[bytes], None], ...] = (
    _note, _checkpoint, _opened, _proof, _key, _leaf, _tile, _bundle, _vector, _disclosure, _secret,
    _disclosed, _exhibit, _reply, _consistency,
)  # fmt: skip


def judge(data: bytes) -> bool:
    """The first byte says whose turn it is. Returns whether it was accepted."""
    reader = READERS[(data[0] if data else 0) % len(READERS)]
    try:
        reader(data[1:])
    except ProofError:
        return False
    return True


def seeds() -> list[bytes]:
    vector = b'[["a/b"],["a/c","field"]]'
    files = {
        name: (_EXAMPLES / name).read_bytes() for name in ("checkpoint", "response.tlog-proof", "log.vkey")
    }
    leaves = [path.read_bytes() for path in sorted(_EXAMPLES.glob("leaf-*.json"))]
    value, exhibit = _shown()
    known = {
        _note: [files["checkpoint"]],
        _checkpoint: [files["checkpoint"].partition(b"\n\n")[0] + b"\n"],
        _opened: [files["checkpoint"]],
        _proof: [files["response.tlog-proof"]],
        _key: [files["log.vkey"].strip()],
        _leaf: leaves,
        _tile: [b"tile/0/x001/234", b"tile/entries/000.p/7"],
        _bundle: [bundle([b"ab", b"", b"c"])],
        _vector: [vector],
        _disclosure: [(_EXAMPLES / "disclosure.txt").read_bytes().strip()],
        _secret: [b"0" * 64, bytes(32)],
        _disclosed: [value],
        _exhibit: [exhibit],
        _reply: [(_EXAMPLES / "reply-with-proof.xml").read_bytes()],
        _consistency: [ConsistencyProof(7, (bytes(32),), files["checkpoint"]).serialise()],
    }
    return [bytes([READERS.index(reader)]) + data for reader, given in known.items() for data in given]


TARGETS = (Target("evidence", judge, seeds, largest=8192, replayed=6_000),)
